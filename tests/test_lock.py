"""One process writes a results file at a time, and the second is told who it is."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time

import pytest

from request_engine.errors import BadInput
from request_engine.lock import Lock

HOLD = """
import sys, time
from request_engine.lock import Lock
lock = Lock(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "r.jsonl")


@pytest.fixture
def elsewhere(path):
    """A process that holds the lock of *path*."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that knows no locks."""

    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_P10_a_second_process_is_told_who_holds_the_file(path, elsewhere):
    with pytest.raises(BadInput) as refused:
        Lock(path)

    said = str(refused.value)
    assert f"process {elsewhere.pid} on {socket.gethostname()} since 20" in said
    assert path in said


def test_P10_the_lock_of_a_killed_process_is_free(path, elsewhere):
    elsewhere.kill()
    elsewhere.wait()
    assert os.path.exists(path + ".lock")
    Lock(path).release()
    assert not os.path.exists(path + ".lock")


def test_P10_two_names_of_a_file_have_one_lock(path, tmp_path):
    (tmp_path / "link.jsonl").symlink_to(path)
    held = Lock(path)
    with pytest.raises(BadInput, match="is being written by process"):
        Lock(str(tmp_path / "link.jsonl"))
    held.release()
    Lock(str(tmp_path / "link.jsonl")).release()


def test_P10_the_same_process_cannot_hold_it_twice(path):
    held = Lock(path)
    with pytest.raises(BadInput, match=f"process {os.getpid()} "):
        Lock(path)
    held.release()
    Lock(path).release()


def test_a_lock_removed_between_opening_and_locking_is_taken_again(path, monkeypatch):
    """Its last holder goes just then: a lock on a file without a name would hold nobody off."""
    real, calls = fcntl.flock, []

    def late(descriptor, how):
        calls.append(descriptor)
        if len(calls) == 1:
            os.unlink(path + ".lock")
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    held = Lock(path)
    assert len(calls) == 2
    assert os.path.exists(path + ".lock")
    held.release()


def test_P10_without_locks_the_files_existence_is_the_lock(path, without_locks):
    held = Lock(path)
    with pytest.raises(BadInput, match="if that is over, remove") as refused:
        Lock(path)
    assert f"process {os.getpid()} on" in str(refused.value)
    held.release()
    Lock(path).release()


def test_without_locks_one_left_behind_by_a_dead_process_of_this_machine_is_taken(
    path, without_locks
):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    with open(path + ".lock", "w", encoding="utf-8") as file:
        file.write(f"process {gone.pid} on {socket.gethostname()} since {since}\n")

    Lock(path).release()


@pytest.mark.parametrize("text", ["process 4194304 on another-host since 2026", "?"])
def test_without_locks_what_cannot_be_told_dead_holds(path, without_locks, text):
    """A process of another machine, or of whoever wrote something else."""
    with open(path + ".lock", "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(BadInput, match="is being written by"):
        Lock(path)


def test_a_folder_that_takes_no_lock_is_said(tmp_path):
    with pytest.raises(BadInput, match="cannot be written: no lock can be made"):
        Lock(str(tmp_path / "no" / "r.jsonl"))
