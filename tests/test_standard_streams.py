"""A run goes on when its standard streams were closed, or when whoever reads them goes away."""

import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import api_request_parallel_processor as door

ROOT = Path(door.__file__).resolve().parent
DOOR = shlex.join([sys.executable, str(ROOT / "api_request_parallel_processor.py")])
NOBODY = "http://127.0.0.1:9/v1/chat/completions"  # the discard port: refused at once
LINE = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]})
JOB = f"--requests_filepath in.jsonl --request_url {NOBODY} --max_attempts 2"
SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh") if shutil.which(shell)]

pty = pytest.importorskip("pty", reason="POSIX pipes and terminals")


def shell(folder, command, **environ):
    """What *command* says, and its exit code as it wrote it into the file `code`."""
    (folder / "in.jsonl").write_text(LINE, encoding="utf-8")
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=os.environ | environ | {"PYTHONUNBUFFERED": ""},  # else nothing is left to flush
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.stdout + ended.stderr, int((folder / "code").read_text())


def rows(folder):
    return (folder / "in_results.jsonl").read_bytes().count(b"\n")


def test_standard_error_that_nobody_reads_any_more_changes_nothing(tmp_path):
    """`... 2>&1 | head -1`: the row is there, the exit code is the run's, nothing else is said."""
    said, code = shell(tmp_path, f"{{ {DOOR} {JOB} 2>&1; echo $? >code; }} | head -1")

    assert (code, rows(tmp_path)) == (0, 1)
    assert said.count("\n") == 1
    assert "in.jsonl -> " in said


@pytest.mark.parametrize(
    ("arguments", "code"), [("--help", 0), ("--no_such_flag 1", 2), (f"{JOB} --strict", 1)]
)
def test_output_that_nobody_ever_reads_changes_no_exit_code(tmp_path, arguments, code):
    """The reader is gone before anything is said; Python alone would end with 120."""
    command = f"{{ sleep 0.3; {DOOR} {arguments} 2>&1; echo $? >code; }} | true"
    assert shell(tmp_path, command) == ("", code)


@pytest.mark.parametrize("closed", ["2>&-", "<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_not_stop_a_run(tmp_path, closed):
    said, code = shell(tmp_path, f"{DOOR} {JOB} {closed}; echo $? >code")

    assert (code, rows(tmp_path)) == (0, 1)
    assert "rror" not in said.replace("errors", "")


def test_standard_input_that_is_closed_and_asked_for_is_missed(tmp_path):
    job = JOB.replace("in.jsonl", "- --save_filepath o.jsonl")
    said, code = shell(tmp_path, f"{DOOR} {job} <&-; echo $? >code")

    assert code == 2
    assert "standard input is closed" in said


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_terminal_that_goes_away_under_nohup_leaves_the_run_alone(tmp_path, unbuffered):
    """The panel is drawn on it until then; the service answers, or not, only after that."""
    (tmp_path / "in.jsonl").write_text(LINE, encoding="utf-8")
    service = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{service.getsockname()[1]}/v1/chat/completions"
    master, terminal = pty.openpty()
    job = f"--requests_filepath in.jsonl --request_url {url} --max_attempts 1"
    environ = {name: os.environ[name] for name in os.environ if name != "NO_COLOR"}
    running = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {DOOR} {job}"],
        cwd=tmp_path,
        env=environ | {"TERM": "xterm", "PYTHONUNBUFFERED": unbuffered},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        seen = b""
        while b"in flight" not in seen:
            assert select.select([master], [], [], 30)[0], seen
            seen += os.read(master, 4096)
        asked, _ = service.accept()
        os.close(master)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.6)  # it draws some more
        asked.close()
        service.close()
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
    assert rows(tmp_path) == 1


@pytest.mark.no_key
@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize("script", ["run.sh", "run_bnu.sh"])
def test_the_scripts_go_on_when_nobody_reads_what_they_say(tmp_path, name, script):
    """A shell would die of it before it starts anything."""
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    stand_in.chmod(0o755)
    command = f"{name} {shlex.quote(str(ROOT / script))} in.jsonl"
    settings = {"PREPARED_PYTHON": str(stand_in), "PROVIDER": "", "REQUEST_URL": "", "BNU_URL": ""}

    piped = f"{{ sleep 0.2; {command} 2>&1; echo $? >code; }} | true"
    assert shell(tmp_path, piped, **settings) == ("", 7)
    closed = shell(tmp_path, f"{command} 2>&-; echo $? >code", **settings)
    assert closed == ("", 7)


@pytest.mark.no_key
@pytest.mark.parametrize("to_nobody", ["2>&1; echo $? >code; } | true", "2>&-; echo $? >code; }"])
def test_the_demo_goes_on_when_nobody_reads_what_it_says(tmp_path, to_nobody):
    """Its local endpoint speaks as well."""
    script = shlex.quote(str(ROOT / "run.sh"))
    settings = {"PREPARED_PYTHON": sys.executable, "PROVIDER": "local"}

    ended = shell(tmp_path, f"{{ sleep 0.2; sh {script} in.jsonl {to_nobody}", **settings)
    assert ended == ("", 0)
    assert (tmp_path / "in_canned_results.jsonl").read_bytes().count(b"\n") == 1
