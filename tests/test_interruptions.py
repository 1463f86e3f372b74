"""Signals and pipes: a run that is stopped ends at once, keeps what it has, and says how."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import api_request_parallel_processor as door

ROOT = Path(door.__file__).resolve().parent
ENDPOINT = [sys.executable, "-m", "request_engine.local_endpoint"]
LINE = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]})

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and pipes")


@pytest.fixture
def endpoint(tmp_path):
    """A function that starts a local endpoint with flags and gives its URL."""
    started = []

    def start(*flags):
        port_file = tmp_path / "port"
        process = subprocess.Popen(
            [*ENDPOINT, "--port", "0", "--port_file", str(port_file), *flags],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        deadline = time.monotonic() + 30
        while not (port_file.exists() and port_file.read_text().strip()):
            assert time.monotonic() < deadline, "the local endpoint did not start"
            time.sleep(0.02)
        return f"http://127.0.0.1:{port_file.read_text().strip()}/v1/chat/completions"

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def run(url, *arguments, **settings):
    """The command, started."""
    command = [sys.executable, str(ROOT / "api_request_parallel_processor.py")]
    return subprocess.Popen(
        [*command, "--request_url", url, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def ended(process):
    """Exit code and what was said; a hang fails."""
    try:
        _, said = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it hangs, after: {process.communicate()[1]}")
    return process.returncode, said


def wait_for_rows(path, count):
    deadline = time.monotonic() + 30
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, "no rows came"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_P12_the_first_signal_drains_and_the_next_run_goes_on(endpoint, tmp_path, name):
    url = endpoint("--latency", "0.3")
    (tmp_path / "in.jsonl").write_text((LINE + "\n") * 200)
    arguments = ("--requests_filepath", tmp_path / "in.jsonl", "--max_concurrent_requests", 5)
    process = run(url, *arguments)
    wait_for_rows(tmp_path / "in_results.jsonl", 5)
    process.send_signal(getattr(signal, name))
    code, said = ended(process)
    rows = (tmp_path / "in_results.jsonl").read_text().splitlines()

    assert code == 130
    assert re.search(
        rf"{name}: nothing more is sent, waiting for [1-5] answers in flight, at most 5:00; "
        "again to quit now",
        said,
    ), said
    assert "given up" not in said
    assert 5 <= len(rows) <= 20
    assert all(isinstance(json.loads(row)[1], dict) for row in rows)


def wait_for_in_flight(url, count):
    """Until the endpoint has *count* requests in its hands."""
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.request("GET", "/ledger")
        counts = json.load(connection.getresponse())
        connection.close()
        if counts["in_flight"] == count:
            return
        assert time.monotonic() < deadline, "the requests did not come"
        time.sleep(0.02)


def test_P12_the_second_signal_gives_up_what_is_in_flight_and_says_what_that_may_cost(
    endpoint, tmp_path
):
    url = endpoint("--latency", "60")
    (tmp_path / "in.jsonl").write_text((LINE + "\n") * 3)
    process = run(url, "--requests_filepath", tmp_path / "in.jsonl")
    wait_for_in_flight(url, 3)
    process.send_signal(signal.SIGINT)
    while "again to quit now" not in process.stderr.readline():
        assert process.poll() is None
    second = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, said = ended(process)

    assert code == 130
    assert time.monotonic() - second < 2
    assert "3 requests in flight were given up and may have been billed" in said
    assert "0 answered, 0 failed" in said
    assert said.splitlines()[-1].endswith("Run the same command again to go on from here.")


def test_P12_what_is_in_flight_is_given_up_after_the_drain_timeout(endpoint, tmp_path):
    url = endpoint("--latency", "60")
    (tmp_path / "in.jsonl").write_text((LINE + "\n") * 3)
    process = run(url, "--requests_filepath", tmp_path / "in.jsonl", "--drain_timeout", 1)
    wait_for_in_flight(url, 3)
    process.send_signal(signal.SIGTERM)
    first = time.monotonic()
    code, said = ended(process)

    assert code == 130
    assert 0.9 < time.monotonic() - first < 3
    assert "waiting for 3 answers in flight, at most 0:01; again to quit now" in said
    assert "3 requests in flight were given up" in said


def test_P12_a_third_signal_does_what_it_does_to_any_program():
    """Should giving up take long, nothing stands between a user and the end."""
    program = """
import asyncio, os, signal
from request_engine import signals
from request_engine.budget import Budget
from request_engine.stopping import Stopping

async def run():
    budget = Budget(requests_per_minute=None, tokens_per_minute=None, max_concurrent=1)
    with signals.obeyed(Stopping(60.0), budget):
        for count in (1, 2, 3):
            print(count, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.01)

asyncio.run(run())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )

    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGTERM, ["1", "2", "3"])


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="nothing tells that a process is stopped")
def test_a_run_that_was_suspended_goes_on_and_gives_every_line_its_row(endpoint, tmp_path):
    """As with Ctrl-Z and fg: answers come in meanwhile, and connections are closed."""
    url = endpoint("--latency", "0.2")
    path, out = tmp_path / "in.jsonl", tmp_path / "in_results.jsonl"
    path.write_text("".join(LINE.replace("hi", f"hi {n}") + "\n" for n in range(40)))
    # A group of its own, beside ours: the system stops no group that nobody could wake.
    process = run(url, "--requests_filepath", path, "--max_concurrent_requests", 5, process_group=0)
    wait_for_rows(out, 10)
    process.send_signal(signal.SIGTSTP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    before = out.read_bytes()
    time.sleep(1.5)
    assert out.read_bytes() == before
    process.send_signal(signal.SIGCONT)
    code, said = ended(process)
    rows = [json.loads(row) for row in out.read_text().splitlines()]

    assert code == 0, said
    assert all(isinstance(row[1], dict) for row in rows)
    assert sorted(row[0]["messages"][0]["content"] for row in rows) == sorted(
        f"hi {n}" for n in range(40)
    )


def test_a_signal_that_is_ignored_stays_so(endpoint, tmp_path):
    """As under nohup."""
    url = endpoint("--latency", "0.3")
    (tmp_path / "in.jsonl").write_text((LINE + "\n") * 4)
    process = run(
        url,
        *("--requests_filepath", tmp_path / "in.jsonl", "--max_concurrent_requests", 1),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for_rows(tmp_path / "in_results.jsonl", 1)
    process.send_signal(signal.SIGHUP)

    assert ended(process)[0] == 0


def test_standard_input_that_stays_open_does_not_keep_a_stopped_run(endpoint, tmp_path):
    """A refused key ends it with 3, although the pipe could go on."""
    url = endpoint("--key", "the-right-key")
    out = tmp_path / "out.jsonl"
    arguments = ("--requests_filepath", "-", "--save_filepath", out, "--api_key", "wrong-key")
    process = run(url, *arguments, stdin=subprocess.PIPE)
    process.stdin.write((LINE + "\n") * 5)
    process.stdin.flush()
    said = [process.stderr.readline() for _ in range(3)]
    code = process.wait(30)
    said.append(process.stderr.read())
    process.stdin.close()
    process.stderr.close()

    assert code == 3, said
    assert "the key was refused (401)" in "".join(said)


def test_a_named_pipe_that_stays_open_does_not_keep_a_stopped_run(endpoint, tmp_path):
    url = endpoint("--key", "the-right-key")
    fifo = tmp_path / "in.jsonl"
    os.mkfifo(fifo)
    release = threading.Event()

    def write():
        with open(fifo, "w", encoding="utf-8") as pipe:
            pipe.write((LINE + "\n") * 5)
            pipe.flush()
            release.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    process = run(url, "--requests_filepath", fifo, "--api_key", "wrong-key")
    code, said = ended(process)
    release.set()
    writer.join()

    assert code == 3, said


def test_P1_what_was_answered_is_in_the_file_after_kill_9(endpoint, tmp_path):
    """Every row that was written is whole, and the next run asks only for the rest."""
    url = endpoint("--latency", "0.05")
    path, out = tmp_path / "in.jsonl", tmp_path / "in_results.jsonl"
    path.write_text("".join(LINE.replace("hi", f"hi {n}") + "\n" for n in range(300)))
    arguments = ("--requests_filepath", path, "--max_concurrent_requests", 10)
    limits = ("--max_requests_per_minute", "none", "--max_tokens_per_minute", "none")
    for kill_at in (20, 60, 120):
        process = run(url, *arguments, *limits)
        wait_for_rows(out, kill_at)
        process.kill()
        process.communicate()
    code, said = ended(run(url, *arguments, *limits))
    rows = [json.loads(row) for row in out.read_text().splitlines()]

    assert code == 0, said
    assert sorted(row[0]["messages"][0]["content"] for row in rows) == sorted(
        f"hi {n}" for n in range(300)
    )
