"""run.sh, run_bnu.sh and what they share, run for real under every shell that is here.

They are in a copy of the checkout under a path with a space, called from another folder, and have
no keys. Where only the command matters, what prints its arguments stands in for Python.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import canary
import pytest

import api_request_parallel_processor as door
from providers import PROVIDERS
from request_engine import preflight
from request_engine.lines import read_line
from request_engine.local_endpoint import Settings, serving

ROOT = Path(__file__).resolve().parent.parent
FOUND = {
    os.path.realpath(path): name
    for name in ("sh", "bash", "zsh", "dash")
    if (path := shutil.which(name))
}
SHELLS = sorted(FOUND.values())
"""Each once: `sh` is one of the others, or one more."""
NOT_IN_A_CLONE = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "build", "*.egg-info", "*_results.*"
)
USER = "canary-of-the-gateway"

each_shell = pytest.mark.parametrize("shell", SHELLS)


class Desk:
    """A clone, and a folder elsewhere to call its scripts from."""

    def __init__(self, clone: Path, tmp_path: Path) -> None:
        self.clone = clone
        self.folder = tmp_path / "else where"
        self.folder.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PREPARED_PYTHON": sys.executable,
        }

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.clone / one) if one.endswith(".sh") else one for one in command],
            cwd=self.folder,
            env=self.environ | environ,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def told(self, *command: str, **environ: str) -> list[str]:
        """The arguments that Python would get."""
        stand_in = self.stand_in("printf '%s\\n' \"$@\"")
        ended = self.run(*command, PREPARED_PYTHON=stand_in, **environ)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    def stand_in(self, script: str) -> str:
        """A Python that answers what run.sh asks of it, and runs *script* in place of the door."""
        real = f'case $1 in *ask_providers.py) exec "{sys.executable}" "$@" ;; esac'
        return str(self.program("stand-in", f"{real}\n{script}"))

    def program(self, name: str, script: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def example(self, name: str) -> Path:
        return self.clone / "examples" / name


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("scripts") / "a clone"
    shutil.copytree(ROOT, there, ignore=NOT_IN_A_CLONE)
    return there


@pytest.fixture
def desk(clone: Path, tmp_path: Path) -> Desk:
    """As if nobody had run anything in the clone."""
    for results in clone.glob("examples/*_results.jsonl"):
        results.unlink()
    return Desk(clone, tmp_path)


def rows(path: Path) -> list[list[object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def flags(arguments: list[str]) -> dict[str, str]:
    """The value of each flag, the last one where there are several."""
    return {name: value for name, value in pairwise(arguments) if name.startswith("--")}


# From end to end.


@each_shell
def test_the_demo_answers_every_line_and_a_second_run_sends_nothing(desk: Desk, shell: str) -> None:
    """P2, P3: `sh run.sh` on a fresh machine, twice."""
    first = desk.run(shell, "run.sh")
    second = desk.run(shell, "run.sh")

    asked = rows(desk.example("openai.jsonl"))
    answered = rows(desk.example("openai_canned_results.jsonl"))
    assert (first.returncode, second.returncode) == (0, 0)
    assert "no key is set" in first.stderr
    assert "OPENAI_API_KEY" in first.stderr
    assert f"{len(asked)} answered, 0 failed" in first.stderr
    assert f"0 answered, 0 failed, {len(asked)} answered before" in second.stderr
    assert len(answered) == len(asked)
    assert all(isinstance(row[1], dict) for row in answered)


@each_shell
def test_the_gateway_s_demo_has_credits_and_no_name_in_it(desk: Desk, shell: str) -> None:
    """P9: rows are [body, reply, metadata, credits]."""
    ended = desk.run(shell, "run_bnu.sh")

    answered = desk.example("lab_gateway_canned_results.jsonl")
    assert ended.returncode == 0, ended.stderr
    assert len(rows(answered)) == len(rows(desk.example("lab_gateway.jsonl")))
    for body, reply, metadata, credit in rows(answered):
        assert "metadata" not in body
        assert reply["choices"]
        assert metadata["request_id"]
        assert credit.keys() == {"credits_consumed", "credits_total"}
    assert "demo-user" not in ended.stdout + ended.stderr + answered.read_text(encoding="utf-8")


def test_a_gateway_elsewhere_knows_its_user_and_nobody_else_does(desk: Desk) -> None:
    """P9: with BNU_URL and BNU_API_KEY, against a gateway that lets only this user in."""
    example = desk.example("lab_gateway_claude.jsonl")
    ended = desk.run(
        *(sys.executable, "-m", "request_engine.local_endpoint", "--key", USER, "--"),
        *("env", f"BNU_API_KEY={USER}", "BNU_URL={url}/claude"),
        *("sh", "run_bnu.sh", str(example), "my rows.jsonl"),
        PYTHONPATH=str(ROOT),
    )

    out = desk.folder / "my rows.jsonl"
    assert ended.returncode == 0, ended.stderr
    assert [len(row) for row in rows(out)] == [4] * len(rows(example))
    assert all(isinstance(row[1], dict) for row in rows(out))
    assert USER not in ended.stdout + ended.stderr + out.read_text(encoding="utf-8")


def test_a_run_leaves_nothing_that_git_sees(desk: Desk) -> None:
    """P10: the demo's results are ignored."""

    def git(*command: str) -> str:
        return subprocess.check_output(["git", *command], cwd=desk.clone, encoding="utf-8")

    git("init", "--quiet")
    git("add", "--all")
    staged = git("status", "--porcelain")
    assert desk.run("sh", "run.sh").returncode == 0
    assert list(desk.clone.glob("examples/*_results.jsonl"))
    assert git("status", "--porcelain") == staged


def test_sigterm_sent_to_the_script_reaches_the_door(desk: Desk) -> None:
    """P12: nothing stands between; what was answered is in the file."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say it"}]}
    (desk.folder / "in.jsonl").write_text((json.dumps(body) + "\n") * 500, encoding="utf-8")
    out = desk.folder / "out.jsonl"
    running = subprocess.Popen(
        ["sh", str(desk.clone / "run.sh"), "in.jsonl", "out.jsonl"],
        cwd=desk.folder,
        env=desk.environ | {"MAX_REQUESTS_PER_MINUTE": "60"},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not (out.exists() and out.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 130
    finally:
        running.kill()
    assert 0 < len(rows(out)) < 500


# Keys.


@pytest.mark.skipif(sys.platform != "linux", reason="what ps shows is read from /proc")
@pytest.mark.parametrize(
    ("script", "key", "url", "path"),
    [
        ("run.sh", "OPENAI_COMPATIBLE_API_KEY", "REQUEST_URL", "/v1/chat/completions"),
        ("run.sh", "OPENAI_API_KEY", "REQUEST_URL", "/v1/chat/completions"),
        ("run_bnu.sh", "BNU_API_KEY", "BNU_URL", "/gpt"),
    ],
)
def test_P9_a_key_in_the_environment_is_on_no_command_line(
    desk: Desk, script: str, key: str, url: str, path: str
) -> None:
    """Of no process that has it, while the service makes them wait."""
    (desk.folder / "in.jsonl").write_text('{"model": "m", "messages": []}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as service:
        where = f"http://127.0.0.1:{service.getsockname()[1]}{path}"
        running = subprocess.Popen(
            ["sh", str(desk.clone / script), "in.jsonl"],
            cwd=desk.folder,
            env=desk.environ | {key: canary.KEY, url: where},
            stderr=subprocess.DEVNULL,
        )
        try:
            service.settimeout(30)
            service.accept()[0].close()
            shown = [
                (one / "cmdline").read_bytes()
                for one in Path("/proc").iterdir()
                if one.name.isdecimal() and knows(one, canary.KEY)
            ]
        finally:
            running.kill()
            running.wait()

    assert any(where.encode() in line for line in shown)
    assert all(canary.KEY.encode() not in line for line in shown)


def knows(process: Path, key: str) -> bool:
    try:
        return key.encode() in (process / "environ").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return False


@each_shell
@pytest.mark.parametrize("script", ["run.sh", "run_bnu.sh"])
def test_P9_a_script_that_shows_what_it_does_shows_no_key(
    desk: Desk, shell: str, script: str
) -> None:
    """`sh -x run.sh`, as one does before asking for help."""
    stand_in = desk.stand_in("echo started")
    keys = {name: canary.KEY for one in PROVIDERS for name in one.key_variables}
    for left_out in ({}, {"OPENAI_API_KEY": ""}):
        environ = keys | left_out | {"BNU_URL": "http://192.0.2.7:8088/gpt"}
        ended = desk.run(shell, "-x", script, "in.jsonl", PREPARED_PYTHON=stand_in, **environ)
        assert ended.stdout == "started\n"
        assert "in.jsonl" in ended.stderr
        assert canary.KEY not in ended.stderr


# The exit status is the door's.


@each_shell
def test_a_missing_file_ends_with_2(desk: Desk, shell: str) -> None:
    ended = desk.run(shell, "run.sh", "no such file.jsonl")
    assert ended.returncode == 2
    assert "no such file.jsonl" in ended.stderr.splitlines()[-1]


@each_shell
def test_an_unknown_provider_ends_with_2_and_the_nearest_names(desk: Desk, shell: str) -> None:
    ended = desk.run(shell, "run.sh", PROVIDER="deepsek")
    assert ended.returncode == 2
    assert "did you mean deepseek" in ended.stderr


@each_shell
@pytest.mark.parametrize(
    ("script", "environ", "missing"),
    [
        ("run.sh", {"PROVIDER": "deepseek"}, "DEEPSEEK_API_KEY"),
        ("run.sh", {"PROVIDER": "azure"}, "AZURE_OPENAI_ENDPOINT"),
        ("run.sh", {"PROVIDER": "lab_gateway"}, "BNU_URL"),
        ("run.sh", {"PROVIDER": "generic"}, "REQUEST_URL"),
        ("run.sh", {"REQUEST_URL": "https://api.deepseek.com/chat/completions"}, "PROVIDER"),
        ("run_bnu.sh", {"BNU_API_KEY": USER}, "BNU_URL"),
        ("run_bnu.sh", {"BNU_URL": "http://192.168.0.7:8088/gpt"}, "BNU_API_KEY"),
    ],
)
def test_what_a_provider_lacks_is_one_line_and_2(
    desk: Desk, shell: str, script: str, environ: dict[str, str], missing: str
) -> None:
    ended = desk.run(shell, script, **environ)
    assert ended.returncode == 2
    assert missing in ended.stderr
    assert ended.stderr.count("\n") == 1


# The command that the settings make.


@pytest.mark.parametrize(
    ("environ", "provider"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, "openai"),
        ({"DASHSCOPE_API_KEY": "sk-2"}, "aliyun"),
        ({"DEEPINFRA_API_KEY": "sk-3"}, "deepinfra"),
        ({"DEEPSEEK_API_KEY": "sk-4"}, "deepseek"),
        ({"AZURE_OPENAI_API_KEY": "sk-5", "AZURE_OPENAI_ENDPOINT": "https://a.example"}, "azure"),
        ({"BNU_API_KEY": "sk-6", "BNU_URL": "http://192.0.2.7:8088/gpt"}, "lab_gateway"),
        ({"DEEPSEEK_API_KEY": "sk-4", "OPENAI_API_KEY": "sk-1"}, "openai"),
        ({"DEEPSEEK_API_KEY": "sk-4", "OPENAI_API_KEY": ""}, "deepseek"),
        ({"DEEPSEEK_API_KEY": "sk-4", "AZURE_OPENAI_API_KEY": "sk-5"}, "deepseek"),
        ({"DEEPSEEK_API_KEY": "sk-4", "OPENAI_COMPATIBLE_API_KEY": "sk-7"}, "deepseek"),
        ({"QWENCLOUD_API_KEY": "sk-8"}, "aliyun"),
        ({"PROVIDER": "deepseek", "OPENAI_API_KEY": "sk-1"}, "deepseek"),
        ({"PROVIDER": "DeepSeek"}, "deepseek"),
        ({"PROVIDER": "Azure-OpenAI", "AZURE_OPENAI_ENDPOINT": "https://a.example"}, "azure"),
    ],
)
def test_the_provider_is_the_one_named_or_the_first_with_a_key(
    desk: Desk, environ: dict[str, str], provider: str
) -> None:
    """P9: and no key is on the command line."""
    arguments = desk.told("sh", "run.sh", **environ)
    assert flags(arguments)["--provider"] == provider
    assert "sk-" not in " ".join(arguments)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_every_provider_can_be_named_and_has_its_url_and_example(desk: Desk, provider) -> None:
    """By its name or by another; the URL is its own unless it has none."""
    urls = dict.fromkeys(("AZURE_OPENAI_ENDPOINT", "BNU_URL", "REQUEST_URL"), "http://a.example")
    given = {} if provider.base_url else urls
    name = (provider.name, *provider.aliases)[-1]
    made = flags(desk.told("sh", "run.sh", PROVIDER=name, **given))
    assert made["--provider"] == provider.name
    assert made.get("--request_url") == given.get("REQUEST_URL")
    assert made["--requests_filepath"] == str(desk.example(f"{provider.name}.jsonl"))
    assert Path(made["--requests_filepath"]).is_file()


@pytest.mark.parametrize(
    "variable", sorted({name for one in PROVIDERS for name in one.key_variables})
)
def test_a_key_chooses_the_first_that_reads_it_and_has_an_address(
    desk: Desk, variable: str
) -> None:
    """Nobody is chosen who may be anywhere, such as on this machine."""
    reading = [one for one in PROVIDERS if variable in one.key_variables]
    at_home = [one.name for one in reading if one.base_url and one.hosts]
    made = flags(desk.told("sh", "run.sh", **{variable: "sk-1"}))
    if at_home:
        assert made["--provider"] == at_home[0]
    else:
        assert made["--request_url"] == "{url}/v1"


def test_the_url_of_a_resource_of_one_s_own_is_in_a_variable_of_its_own(desk: Desk) -> None:
    azure = {"PROVIDER": "azure", "AZURE_OPENAI_ENDPOINT": "https://a.example"}
    assert flags(desk.told("sh", "run.sh", **azure))["--request_url"] == "https://a.example"
    azure |= {"REQUEST_URL": "https://b.example"}
    assert flags(desk.told("sh", "run.sh", **azure))["--request_url"] == "https://b.example"


@each_shell
def test_a_provider_in_a_file_is_named_by_its_path_with_its_requests_beside_it(
    desk: Desk, shell: str
) -> None:
    """Its path keeps its letters, and the door finds its faults."""
    own = f"{desk.clone}/examples/own_provider.py:ExampleCloud"
    made = flags(desk.told(shell, "run.sh", PROVIDER=own))
    assert made["--provider"] == own
    assert made["--requests_filepath"] == str(desk.example("own_provider.jsonl"))
    assert "--request_url" not in made
    ended = desk.run(shell, "run.sh", PROVIDER="My-Own.py:Class")
    assert ended.returncode == 2
    assert "there is no file My-Own.py" in ended.stderr


@each_shell
def test_the_list_of_providers_needs_nothing_else(desk: Desk, shell: str) -> None:
    """P9: it says that a key is set, and not which."""
    for flag in ("--list_providers", "--list-providers"):
        ended = desk.run(shell, "run.sh", flag, DEEPSEEK_API_KEY=canary.KEY)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "DEEPSEEK_API_KEY (set)" in ended.stdout
        assert canary.KEY not in ended.stdout


@each_shell
def test_settings_come_from_the_environment_and_flags_come_last(desk: Desk, shell: str) -> None:
    """Values with blanks stay whole in every shell, and the command's own flags win."""
    settings = {
        "REQUEST_URL": "https://a.example/v1 beta",
        "MAX_REQUESTS_PER_MINUTE": "7",
        "MAX_TOKENS_PER_MINUTE": "8",
        "MAX_CONCURRENT_REQUESTS": "9",
        "SECONDS_TO_SLEEP_EACH_LOOP": "0.5",
        "MAX_ATTEMPTS": "10",
        "TOKEN_ENCODING_NAME": "cl100k_base",
        "LOGGING_LEVEL": "DEBUG",
    }
    command = (shell, "run.sh", "my file.jsonl", "my rows.jsonl", "--max_wait", "1", "--strict")
    arguments = desk.told(*command, PROVIDER="openai", **settings)
    assert arguments[0] == str(desk.clone / "api_request_parallel_processor.py")
    assert arguments[-3:] == ["--max_wait", "1", "--strict"]
    assert flags(arguments) == {
        "--requests_filepath": "my file.jsonl",
        "--save_filepath": "my rows.jsonl",
        "--provider": "openai",
        "--max_wait": "1",
        **{f"--{name.lower()}": value for name, value in settings.items()},
    }


LIMITS = ("--max_requests_per_minute", "--max_tokens_per_minute", "--max_concurrent_requests")


@pytest.mark.parametrize(
    ("provider", "limits"),
    [
        ("openai", [None, None]),
        ("aliyun", [None, None]),
        ("azure", [None, None]),
        ("openai_compatible", [None, None]),
        ("ollama", ["none", "none"]),
        ("deepinfra", ["none", "none"]),
        ("deepseek", ["none", "none"]),
        ("local", ["none", "none"]),
        ("lab_gateway", ["50", "10000"]),
    ],
)
def test_no_account_s_limits_are_guessed(desk: Desk, provider: str, limits: list[object]) -> None:
    """What is not the same for every account is left to be found out; so is what is in flight."""
    where = {"REQUEST_URL": "http://a.example"} if provider != "local" else {}
    made = flags(desk.told("sh", "run.sh", PROVIDER=provider, BNU_API_KEY=USER, **where))
    assert [made.get(limit) for limit in LIMITS] == [*limits, None]


@each_shell
def test_the_gateway_has_its_usual_limits(desk: Desk, shell: str) -> None:
    """50 requests and 10,000 tokens a minute, 0.05 s apart, by either script."""
    gateway = {"BNU_URL": "http://192.0.2.7:8088/gpt", "BNU_API_KEY": USER}
    short = desk.told(shell, "run_bnu.sh", "in.jsonl", **gateway)
    made = flags(short)
    assert made["--request_url"] == gateway["BNU_URL"]
    assert made["--max_requests_per_minute"] == "50"
    assert made["--max_tokens_per_minute"] == "10000"
    assert made["--seconds_to_sleep_each_loop"] == "0.05"
    assert short == desk.told(shell, "run.sh", "in.jsonl", PROVIDER="lab_gateway", **gateway)


def test_a_url_alone_leaves_the_choice_to_its_host(desk: Desk) -> None:
    """P9: a key in the environment does not choose who is asked when a URL does."""
    url = "https://api.deepseek.com/chat/completions"
    made = flags(desk.told("sh", "run.sh", "in.jsonl", REQUEST_URL=url, OPENAI_API_KEY="sk-1"))
    assert made["--request_url"] == url
    assert "--provider" not in made


@each_shell
def test_endpoints_say_where_requests_go_whatever_key_is_set(desk: Desk, shell: str) -> None:
    given = ["in.jsonl", "out.jsonl", "--endpoints", "all.toml"]
    made = flags(desk.told(shell, "run.sh", *given, OPENAI_API_KEY="sk-1"))
    assert made["--endpoints"] == "all.toml"
    assert not made.keys() & {"--provider", "--request_url", *LIMITS}
    ended = desk.run(shell, "run.sh", "--endpoints=all.toml")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "name a requests file" in ended.stderr


def test_canned_answers_do_not_go_where_real_ones_would(desk: Desk) -> None:
    """P5: a run with a key, later, asks for every line."""
    canned = flags(desk.told("sh", "run.sh", "in.jsonl.gz"))
    real = flags(desk.told("sh", "run.sh", "in.jsonl.gz", OPENAI_API_KEY="sk-1"))
    assert canned["--save_filepath"] == "in_canned_results.jsonl"
    assert "--save_filepath" not in real


def test_local_is_local_whatever_else_is_set(desk: Desk) -> None:
    """PROVIDER=local asks nobody else."""
    elsewhere = {"REQUEST_URL": "https://api.openai.com/v1", "OPENAI_API_KEY": "sk-1"}
    arguments = desk.told("sh", "run.sh", PROVIDER="local", **elsewhere)
    assert arguments[:3] == ["-P", "-m", "request_engine.local_endpoint"]
    assert flags(arguments)["--request_url"] == "{url}/v1"


@pytest.mark.parametrize("script", ["run.sh", "run_bnu.sh"])
def test_help_says_how_to_use_it(desk: Desk, script: str) -> None:
    ended = desk.run("sh", script, "--help")
    assert ended.returncode == 0
    assert f"{script} [requests.jsonl [results.jsonl]]" in ended.stdout


# The environment.

MAKE = '. "$here/scripts/environment.sh"; ready_environment "$PWD/.venv-x" "$PWD/wanted.txt"'
RELEASE = "{}.{}".format(*sys.version_info)


def ready(desk: Desk, shell: str, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {"script": "test", "here": str(desk.clone)}
    return desk.run(shell, "-euc", f'{MAKE}; "$python" -c "import pip"', **known, **environ)


def path_with(desk: Desk, name: str, script: str) -> str:
    """A PATH on which *name* is the only Python."""
    for tool in ("cat", "rm"):
        (desk.folder / tool).symlink_to(str(shutil.which(tool)))
    desk.program(name, script)
    return str(desk.folder)


def test_an_environment_is_made_once_and_renewed_when_its_requirements_change(desk: Desk) -> None:
    """The second time nothing is done and nothing is said, by any shell."""
    wanted = desk.folder / "wanted.txt"
    wanted.write_text("# nothing\n", encoding="utf-8")
    first = ready(desk, "sh")
    again = [ready(desk, shell) for shell in SHELLS]
    wanted.write_text("# still nothing\n", encoding="utf-8")
    renewed = ready(desk, SHELLS[-1])

    assert first.returncode == 0, first.stderr
    assert "making .venv-x with" in first.stderr
    assert [(one.returncode, one.stderr) for one in again] == [(0, "")] * len(SHELLS)
    assert renewed.returncode == 0
    assert "installing" in renewed.stderr
    assert "making" not in renewed.stderr


@each_shell
@pytest.mark.parametrize("script", ["exit 1", "exit 127"], ids=["too old", "broken"])
def test_without_a_python_that_is_new_enough_it_says_so(
    desk: Desk, shell: str, script: str
) -> None:
    (desk.folder / "wanted.txt").touch()
    found = str(shutil.which(shell))
    ended = ready(desk, found, PATH=path_with(desk, "python3", script))
    assert ended.returncode == 2
    assert "there is no Python 3.11 or newer" in ended.stderr
    assert ended.stderr.count("\n") == 1


@each_shell
def test_a_python_that_cannot_make_environments_is_told_how_to_be_mended(
    desk: Desk, shell: str
) -> None:
    """As on Debian, where python3-venv is a package of its own."""
    (desk.folder / "wanted.txt").touch()
    (desk.folder / "no").mkdir()
    (desk.folder / "no" / "ensurepip.py").write_text("raise ImportError\n", encoding="utf-8")
    script = f'PYTHONPATH="{desk.folder}/no" exec "{sys.executable}" "$@"'
    # Python calls itself by its real name, so the one that is asked for the version is whole.
    found = str(shutil.which(shell))
    ended = ready(desk, found, PATH=path_with(desk, "python3", script))
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"this helps: sudo apt install python{RELEASE}-venv\n")
    assert ended.stderr.count("\n") == 1


# The examples.

SPOKEN = {"/gpt", "/claude", *(f"/v1/{one}" for one in type(PROVIDERS[-1]).endpoints)}
"""The paths of the local endpoint."""


def base(provider: str, url: str) -> str:
    return url if provider == "lab_gateway" else f"{url}/v1"


def example_s_provider(example: Path) -> str:
    """The one whose name the file's begins with; the user's own is in a file beside it."""
    names = [one.name for one in PROVIDERS if example.stem.startswith(one.name)]
    return max(names, key=len, default=f"{example.with_suffix('.py')}:ExampleCloud")


def is_served(example: Path) -> bool:
    name = example_s_provider(example)
    address = preflight.service(PROVIDERS, name, base(name, "http://a.example")).address
    requests = [read_line(*line) for line in enumerate(example.read_bytes().splitlines(), 1)]
    return all(urlsplit(address.url(one)).path in SPOKEN for one in requests)


SERVED = [
    path
    for path in sorted((ROOT / "examples").glob("*.jsonl"))
    if not path.stem.endswith("_results") and "_native" not in path.stem and is_served(path)
]


@pytest.mark.parametrize("example", SERVED, ids=lambda path: path.stem)
async def test_every_example_is_answered(example: Path, tmp_path: Path) -> None:
    """They make sense to a server that reads them; native dialects it does not speak."""
    name = example_s_provider(example)
    async with serving(Settings()) as endpoint:
        summary = await door.process_api_requests_from_file(
            requests_filepath=str(example),
            save_filepath=str(tmp_path / "out.jsonl"),
            request_url=base(name, endpoint.url),
            api_key=USER,
            provider=name,
            max_requests_per_minute=None,
            max_tokens_per_minute=None,
        )
    assert (summary.tally.succeeded, summary.tally.failed) == (len(rows(example)), 0)


def test_the_cookbook_s_long_job_can_be_made(desk: Desk) -> None:
    """Its requests, with the number of the line as metadata."""
    script = str(desk.example("make_embeddings_requests.py"))
    ended = desk.run(sys.executable, script, "3", "my requests.jsonl")
    assert ended.returncode == 0
    assert rows(desk.folder / "my requests.jsonl") == [
        {"model": "text-embedding-3-small", "input": f"{n}\n", "metadata": {"row_id": n}}
        for n in range(3)
    ]
