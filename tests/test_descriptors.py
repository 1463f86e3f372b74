"""Open files are limited everywhere: a run takes the connections it can have, and says so."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

import api_request_parallel_processor as door
from request_engine.descriptors import most_connections, shortage
from request_engine.local_endpoint import Settings, serving

DOOR = Path(door.__file__).resolve()
LINES = 200

resource = pytest.importorskip("resource", reason="Windows has no such limit")


@pytest.fixture
def limited(monkeypatch):
    """A function that lowers this process's soft limit, until the test ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_as_far_as_it_is_needed(limited):
    """Also by what is open already, and no further."""
    limited(100)
    before = len(os.listdir("/dev/fd"))

    assert most_connections(200) == 200
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 200 + before < soft < 200 + before + 100
    assert most_connections(10) == 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft


def test_who_gets_fewer_is_told_how_many_and_what_to_do():
    told = shortage(14, 1_000)
    assert told.startswith("only 14 requests are in flight at once, not 1,000: ")
    assert "`ulimit -n 1080`" in told


@pytest.mark.parametrize("most", [32, 20])
async def test_fault_fd_exhaustion(tmp_path, most):
    """P7: with so few open files every line is answered, without an attempt too many."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    (tmp_path / "in.jsonl").write_text((json.dumps(body) + "\n") * LINES, encoding="utf-8")
    limited = ("sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", sys.executable, str(DOOR))
    flags = ("--requests_filepath", "in.jsonl", "--max_requests_per_minute", "none")
    async with serving(Settings(latency=0.02)) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        running = await asyncio.create_subprocess_exec(
            *(*limited, *flags, "--max_tokens_per_minute", "none", "--request_url", url),
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await running.communicate()
        asked = endpoint.ledger.requests
    said = told.decode()

    assert running.returncode == 0, said
    assert f"{LINES} answered, 0 failed" in said
    assert asked == LINES
    [few] = re.findall(r"only (\d+) requests are in flight at once, not 1,000", said)
    assert most / 5 < int(few) < most / 2
