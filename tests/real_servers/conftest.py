"""Real servers, each started once. `sh scripts/real_servers.sh` says where they are.

Without it these tests are not there: they take minutes, and packages that no other test needs.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from running import HERE, serving

SERVERS = os.environ.get("REAL_SERVERS_PYTHON")
LLAMA_SERVER = os.environ.get("LLAMA_SERVER")

collect_ignore_glob = [] if SERVERS else ["test_*.py"]


@pytest.fixture(scope="session")
def litellm(tmp_path_factory):
    """A LiteLLM proxy with mock models, which asks nobody."""
    if not SERVERS:
        pytest.skip("no Python with LiteLLM is named: sh scripts/real_servers.sh")
    folder = tmp_path_factory.mktemp("litellm")
    for name in ("litellm_proxy.yaml", "litellm_keys.py"):
        shutil.copy(HERE / name, folder)
    command = [str(Path(SERVERS).with_name("litellm")), "--config", "litellm_proxy.yaml"]
    key = f"sk-{os.urandom(16).hex()}"
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    with serving(
        [*command, "--host", "127.0.0.1", "--port", "{port}", "--telemetry", "False"],
        "/health/liveliness",
        folder / "log",
        env,
    ) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    if not (SERVERS and LLAMA_SERVER):
        pytest.skip("there is no llama-server: building one takes cmake and a C++ compiler")
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([SERVERS, str(HERE / "tiny_model.py"), str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def llama_cpp(tiny_model):
    """Four slots of 256 tokens."""
    flags = ["--ctx-size", "1024", "--parallel", "4", "--jinja"]
    yield from _llama(tiny_model, "log", flags)


@pytest.fixture(scope="session")
def llama_cpp_embeddings(tiny_model):
    """At most 64 tokens in a text."""
    flags = ["--ctx-size", "512", "--batch-size", "128", "--ubatch-size", "64"]
    yield from _llama(tiny_model, "embeddings_log", [*flags, "--embeddings", "--pooling", "mean"])


def _llama(model, log, flags):
    command = [LLAMA_SERVER, "--model", str(model), "--alias", "tiny", *flags]
    command += ["--host", "127.0.0.1", "--port", "{port}", "--no-webui"]
    with serving(command, "/health", model.parent / log) as server:
        yield server
