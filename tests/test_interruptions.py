"""Signals and pipes: a run that is stopped ends at once, keeps what it has, and says how."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

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
    assert f"{name}: nothing more is sent" in said
    assert 5 <= len(rows) <= 20
    assert all(isinstance(json.loads(row)[1], dict) for row in rows)


def test_P12_the_second_signal_ends_at_once(endpoint, tmp_path):
    url = endpoint("--latency", "60")
    (tmp_path / "in.jsonl").write_text(LINE)
    process = run(url, "--requests_filepath", tmp_path / "in.jsonl")
    assert "->" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert "again to quit now" in process.stderr.readline()
    process.send_signal(signal.SIGINT)

    assert ended(process)[0] == 130


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
