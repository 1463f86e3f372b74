"""What the operating system does to a run, done to the real command by the real system.

strace makes a system call fail, fall short or kill; a tiny tmpfs is really full. The ledger of the
local endpoint says what was paid for meanwhile.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import kills, oracle

if sys.platform == "win32":
    pytest.skip("POSIX signals, limits and file systems", allow_module_level=True)

import resource

AT_ONCE = 5
STRACE = ("strace", "-f", "-qq")
PATIENCE = ("--max_wait", "0.5", "--fsync", "0.1")
"""A disk that takes nothing is looked at every 0.1 s, and given up after 0.5 s."""


def works(*command):
    """Whether the system lets us."""
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


needs_strace = pytest.mark.skipif(
    not works(*STRACE, "--seccomp-bpf", "-o", os.devnull, "-e", "inject=fsync:error=EIO", "true"),
    reason="no strace (apt-get install strace), or it may not trace here",
)
needs_mounts = pytest.mark.skipif(
    not works("unshare", "-Urm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"),
    reason="no unshare, or no mounts of one's own here",
)


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A local endpoint of its own process, for all tests here."""
    with kills.endpoint(tmp_path_factory.mktemp("endpoint"), "--latency", "0.02") as one:
        yield one


class Desk:
    """A job, its runs, and what they were billed for."""

    def __init__(self, folder, serving, lines, *flags):
        self.lines = lines
        self.job = kills.Job(folder, serving.url, lines)
        self.job.command += ["--max_concurrent_requests", str(AT_ONCE), *flags]
        self.path = self.job.results
        self.bills = []
        self._serving = serving

    def run(self, *before, **settings):
        """Run it, behind the command *before* if given; its exit code and what it said."""
        done = subprocess.run(
            [*before, *self.job.command],
            cwd=self.job.folder,
            env=kills.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            **settings,
        )
        self.get_bills()
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    def get_bills(self):
        self.bills += self._serving.new_bills()

    def traced(self, inject, *paths):
        """Run it under strace, which does *inject* to calls on the results file or on *paths*."""
        watched = [word for path in paths or (self.path,) for word in ("-P", str(path))]
        calls = inject.partition(":")[0]
        flags = ["-o", self.trace, "-e", f"trace={calls}", "-e", f"inject={inject}"]
        if "signal" not in inject:  # strace 6.1 forgets signals with it
            flags.append("--seccomp-bpf")
        return self.run(*STRACE, *flags, *watched)

    @property
    def trace(self):
        return str(self.job.folder.with_suffix(".trace"))

    def verdict(self):
        return oracle.judge(self.lines, self.job.rows(), self.bills)

    def bought_again(self):
        """Answers that were billed and are in no row."""
        return sum(bill.id not in self.verdict().recorded for bill in self.bills)

    def is_whole(self):
        """Whether the file is rows and nothing but rows."""
        data = self.job.rows()
        return self.verdict().unreadable == 0 and (not data or data.endswith(b"\n"))

    def is_finished(self):
        """Whether each line has exactly one row with an answer of its own, and nothing is left."""
        verdict = self.verdict()
        return verdict.kept and not verdict.failed and not self.job.left_behind()


@pytest.fixture
def desk(serving, tmp_path):
    """A function that gives a job of so many lines with flags."""

    def begin(count=60, *flags):
        serving.new_bills()
        return Desk(tmp_path / "job", serving, kills.requests(count, random.Random(3)), *flags)

    return begin


# ENOSPC / EFBIG / EDQUOT / EIO on write

ERRORS = {
    "ENOSPC": "No space left on device",
    "EDQUOT": "Disk quota exceeded",
    "EIO": "Input/output error",
    "EFBIG": "File too large",
}


@needs_strace
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_fault_write_error_that_passes(desk, error):
    """P1: nothing more is sent, what was in flight is kept, and the run goes on by itself."""
    job = desk(60, "--fsync", "0.1")
    code, said = job.traced(f"write:error={error}:when=4..6")

    assert code == 0, said
    assert f"the results cannot be written: {ERRORS[error]}; nothing more is sent" in said
    assert "the disk takes rows again" in said
    assert job.is_finished()
    assert len(job.bills) == 60


@needs_strace
def test_fault_write_error_that_stays(desk):
    """P12: exit 3, what is on the disk is whole, and the next run goes on from there."""
    job = desk(60, *PATIENCE)
    code, said = job.traced("write:error=EDQUOT:when=4+")

    assert code == 3, said
    assert f"Stopped early: the results cannot be written: {ERRORS['EDQUOT']}" in said
    assert job.verdict().rows == 3
    assert job.is_whole()
    lost = re.search(r"(\d+) rows could not be written and are lost with this run", said)
    # The row that was refused, and what was in flight then.
    assert len(job.bills) == 3 + int(lost[1]) <= 3 + 1 + AT_ONCE

    code, said = job.run()
    assert code == 0, said
    assert "going on: 3 of 60 are done, 57 to do" in said
    assert job.is_finished()
    assert job.bought_again() == int(lost[1])


@needs_strace
def test_fault_short_write_that_nobody_tells(desk):
    """P2: a disk that says it took three bytes, and did not, costs one answer at the next run."""
    job = desk(60)
    code, said = job.traced("write:retval=3:when=4")
    assert code == 0, said

    code, said = job.run()
    assert code == 0, said
    assert "1 lines of results.jsonl are no rows of ours: left alone" in said
    assert "going on: 59 of 60 are done, 1 to do" in said
    verdict = job.verdict()
    assert (verdict.rows, verdict.unreadable, verdict.lost, verdict.duplicated) == (61, 1, 0, 0)
    assert len(job.bills) == 61


def test_fault_EFBIG_after_a_short_write(desk):
    """P1: a limit on the size of files lets part of a row through, and none of it stays behind."""
    job = desk(60, *PATIENCE)
    limit = 9_000
    code, said = job.run(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )

    assert code == 3, said
    assert "the results cannot be written: File too large" in said
    assert 0 < job.path.stat().st_size <= limit
    assert job.is_whole()
    assert len(job.bills) <= job.verdict().rows + 1 + AT_ONCE

    code, said = job.run()
    assert code == 0, said
    assert job.is_finished()


# A disk that is really full: a tmpfs of so many bytes, gone on with once it is larger.

FULL = """
mount -t tmpfs -o size={size} none . && cd "$PWD" && cp "$0" in.jsonl || exit 99
{before}
"$@" 2>said; code=$?
cat said >&2
cp results.jsonl "$0.first"
mount -o remount,size=16m . || exit 99
"$@" || exit 98
cp results.jsonl "$0.second"
exit $code
"""


def on_a_small_disk(job, size, before=""):
    """Run *job* in a tmpfs of *size*, then again with room; its code, words, and both results."""
    kept = job.job.folder.parent / "kept"
    shutil.copy(job.job.folder / "in.jsonl", kept)
    script = FULL.format(size=size, before=before)
    folder = job.job.folder
    inside = f'cd "{folder}" && {{ {script} }}'
    code, said = job.run("unshare", "-Urm", "sh", "-c", inside, str(kept))
    first, second = (kept.with_name(f"kept.{name}") for name in ("first", "second"))
    return code, said, first.read_bytes(), second.read_bytes()


def long_lines(count):
    """Lines of 10 KB, of which a small disk holds few."""
    texts = (f"{number} " + "word " * 2_000 for number in range(count))
    return [
        oracle.line({"model": "m", "messages": [{"role": "user", "content": text}]})
        for text in texts
    ]


@needs_mounts
def test_fault_ENOSPC_on_a_full_disk(serving, tmp_path):
    """P1, P12: what was in flight is lost at most, rows are whole, and the next run goes on."""
    serving.new_bills()
    job = Desk(tmp_path / "job", serving, long_lines(40), "--max_wait", "1", "--fsync", "none")
    code, said, first, second = on_a_small_disk(job, "640k")

    assert code == 3, said
    assert "Stopped early: the results cannot be written: No space left on device" in said
    assert first.endswith(b"\n")
    before = oracle.judge(job.lines, first, job.bills)
    after = oracle.judge(job.lines, second, job.bills)
    assert (before.unreadable, before.foreign, after.kept, after.failed) == (0, 0, True, 0)
    assert 0 < before.rows < after.rows == 40
    assert before.recorded < after.recorded
    assert len(job.bills) <= 40 + 1 + AT_ONCE


@needs_mounts
def test_fault_a_disk_that_is_nearly_full(serving, tmp_path):
    """P12: admission stops while what is in flight has room, until somebody makes more."""
    serving.new_bills()
    job = Desk(tmp_path / "job", serving, long_lines(60), "--fsync", "0.05")
    told = "for i in $(seq 500); do grep -qs 'nearly full' said && break; sleep 0.05; done"
    make_room = f"head -c 800k /dev/zero >ballast; ({told}; rm ballast) &"
    code, said, first, second = on_a_small_disk(job, "1792k", make_room)

    assert code == 0, said
    assert "the disk is nearly full: " in said
    assert "free beside results.jsonl" in said
    assert "the disk takes rows again" in said
    assert oracle.judge(job.lines, first, job.bills).kept
    assert first == second
    assert len(job.bills) == 60


# fsync error


@needs_strace
@pytest.mark.parametrize("every", ["0.1", "0"])
def test_fault_fsync_error(desk, every):
    """P1: it is final, is not tried again, and says from when on rows are unsure."""
    job = desk(100, "--fsync", every)
    code, said = job.traced("fsync:error=EIO:when=1")

    assert code == 3, said
    assert re.search(
        r"Stopped early: the results cannot be brought to the disk \(Input/output error\): "
        r"of the rows written since \d\d:\d\d:\d\d, nobody knows which are there",
        said,
    ), said
    with open(job.trace, encoding="utf-8") as trace:
        assert sum("fsync(" in line for line in trace) == 1
    assert job.is_whole()
    assert job.verdict().rows == len(job.bills) < 100

    code, said = job.run()
    assert code == 0, said
    assert job.is_finished()
    assert job.bought_again() == 0


# errors elsewhere than in appending a row


@needs_strace
def test_fault_read_error_of_the_requests(desk):
    """P12: what was read is answered, and the next run goes on."""
    job = desk(600)  # of more bytes than one read takes
    code, said = job.traced("read:error=EIO:when=2", job.job.folder / "in.jsonl")
    assert code == 3, said
    assert re.search(r"in.jsonl cannot be read after line \d+: \[Errno 5\]", said), said
    assert job.is_whole()

    code, said = job.run()
    assert code == 0, said
    assert job.is_finished()
    assert len(job.bills) == 600


@needs_strace
@pytest.mark.parametrize(
    ("inject", "ending"),
    [
        ("read:error=EIO:when=1", ""),
        ("write:error=ENOSPC:when=1", ".rewriting"),
        ("fsync:error=EIO:when=1", ".rewriting"),
        ("rename:error=EACCES:when=1", ".rewriting"),
    ],
)
def test_fault_error_while_it_mends_the_results(desk, inject, ending):
    """P2: nothing is sent, and the file is as it was."""
    job = desk(8)
    failed = b'[{"n": 9}, [{"kind": "transient", "message": "no"}]]\n'
    before = b'[{"n": 1}, {"id": "1"}]\n' + failed + b'[{"n": 2}, {"id": "2"}]\n'
    job.path.write_bytes(before)
    code, said = job.traced(inject, f"{job.path}{ending}")

    assert code == 2, said
    assert "results.jsonl cannot be prepared: " in said
    assert job.path.read_bytes() == before
    assert job.bills == job.job.left_behind() == []


# kill -9 in the very middle of a call


@needs_strace
@pytest.mark.parametrize("call", ["write:when=1", "write:when=17", "fsync:when=2"])
def test_fault_killed_in_a_call_on_the_results(desk, call):
    """P1, P2: the file is whole, and the next run goes on from it."""
    call, _, when = call.partition(":")
    job = desk(60, "--fsync", "0")
    code, said = job.traced(f"{call}:signal=KILL:{when}")
    assert code in (-signal.SIGKILL, 128 + signal.SIGKILL), said
    assert job.is_whole()
    rows = job.verdict().rows
    assert len(job.bills) <= rows + AT_ONCE

    code, said = job.run()
    assert code == 0, said
    assert (f"going on: {rows} of 60 are done" in said) == (rows > 0)
    assert job.is_finished()
    assert job.bought_again() <= AT_ONCE


SENDING = "sendto,sendmsg,sendmmsg,write,writev"
"""asyncio's loop sends by the first, uvloop's by the fourth, which also writes the results."""


@needs_strace
def test_fault_killed_while_it_sends(serving, tmp_path):
    """P3: what may be paid twice is what was in flight."""

    def desk(name):
        (tmp_path / name).mkdir()
        serving.new_bills()
        return Desk(tmp_path / name / "job", serving, kills.requests(60, random.Random(3)))

    rehearsal = desk("rehearsal")
    code, said = rehearsal.run(*STRACE, "-yy", "-o", rehearsal.trace, "-e", f"trace={SENDING}")
    assert code == 0, said
    calls = re.findall(r" (\w+)\(\d+<(\w+)", Path(rehearsal.trace).read_text())
    (call,) = {call for call, opened in calls if opened.startswith("TCP")}

    for nth in range(12, 40):  # until the call that kills is one that sends
        job = desk(f"kill{nth}")
        kill = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}")
        code, said = job.run(*STRACE, "-yy", "-o", job.trace, *kill)
        assert code in (-signal.SIGKILL, 128 + signal.SIGKILL), said
        last = re.findall(rf" {call}\(\d+<(\w+)", Path(job.trace).read_text())[-1]
        if last.startswith("TCP"):
            break
    else:
        raise AssertionError(f"no {call} was one that sends")

    code, said = job.run()
    assert code == 0, said
    assert job.is_finished()
    assert job.bought_again() <= AT_ONCE


MENDING = [
    *("write:when=1", "fsync:when=1", "ftruncate:when=1"),  # the torn row is put aside
    *("write:when=2", "fsync:when=2", "chmod:when=1", "rename:when=1"),  # failures are taken out
]


@needs_strace
def test_fault_killed_while_it_mends_the_results(desk):
    """P2: each call on the way is once the last, and no answer is lost by it."""
    job = desk(8)
    answers = [b'[{"n": %d}, {"id": "%d"}]\n' % (n, n) for n in range(4)]
    failed = b'[{"n": 9}, [{"kind": "transient", "message": "no"}]]\n'
    torn = b'[{"n": 10}, {"id'
    aside = job.path.with_name("results.jsonl.torn")
    for call in MENDING:
        job.path.write_bytes(b"".join([*answers[:2], failed, *answers[2:], failed, torn]))
        aside.unlink(missing_ok=True)
        call, _, when = call.partition(":")
        paths = [f"{job.path}{ending}" for ending in ("", ".rewriting", ".torn")]
        code, said = job.traced(f"{call}:signal=KILL:{when}", *paths)
        assert code in (-signal.SIGKILL, 128 + signal.SIGKILL), said
        found = job.path.read_bytes()
        assert [found.count(answer) for answer in answers] == [1, 1, 1, 1]
        assert found.count(failed) == 2
        assert found.endswith(torn) or aside.read_bytes() == torn + b"\n"
        assert job.bills == []

    code, said = job.run()
    assert code == 0, said
    found = job.path.read_bytes()
    assert [found.count(answer) for answer in answers] == [1, 1, 1, 1]
    assert found.count(failed) == 0
    assert (job.job.torn(), job.job.left_behind()) == (1, [])


# output read-only, a directory, a FIFO, input==output


def refused(job):
    """What is said where nothing is begun."""
    code, said = job.run()
    assert code == 2, said
    assert job.bills == []
    [line] = said.splitlines()
    return line


def test_fault_output_a_FIFO(desk):
    """P10: it is refused, and nobody waits for its other end."""
    job = desk()
    os.mkfifo(job.path)
    assert "results.jsonl is not a regular file, and results need one" in refused(job)


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_fault_input_is_output(desk, link):
    """P10: under another name too; the requests are left as they are."""
    job = desk()
    requests = job.job.folder / "in.jsonl"
    before = requests.read_bytes()
    link(requests, job.path)

    assert "are the same file" in refused(job)
    assert requests.read_bytes() == before


@needs_mounts
def test_fault_output_on_a_read_only_disk(desk):
    job = desk()
    mount = "mount --bind . . && mount -o remount,ro,bind . && cd . && exec"
    script = f'{mount} "$0" "$@"'
    code, said = job.run("unshare", "-Urm", "sh", "-c", script)

    assert code == 2, said
    assert "results.jsonl cannot be written: " in said
    assert "Read-only file system" in said
    assert job.bills == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everything")
def test_fault_output_read_only(desk):
    job = desk()
    job.path.touch(0o444)
    assert "results.jsonl cannot be written: Permission denied" in refused(job)


# two processes, same output; stale lock


@contextmanager
def begun(job):
    """*job* in the background, held up for the block when it has written some rows."""
    process = job.job.start()
    deadline = time.monotonic() + 30
    while not job.job.rows().count(b"\n"):
        assert time.monotonic() < deadline, job.job.said()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.wait(60)


def test_fault_two_processes_same_output(desk):
    """P10: the second is told who writes, and the first is unharmed."""
    job = desk(60)
    with begun(job) as first:
        code, said = job.run()

    assert code == 2, said
    assert f"results.jsonl is being written by process {first.pid} on " in said
    assert "wait for it, or name another file" in said
    assert first.returncode == 0, job.job.said()
    job.get_bills()
    assert job.is_finished()
    assert len(job.bills) == 60


def test_fault_two_processes_same_file_of_failures(desk, serving):
    """P10: jobs with results of their own do not mix their failures either."""
    job = desk(60, "--errors_filepath", "errors.jsonl")
    other = Desk(
        job.job.folder / "other", serving, job.lines, "--errors_filepath", "../errors.jsonl"
    )
    with begun(job) as first:
        code, said = other.run()

    assert code == 2, said
    assert f"errors.jsonl is being written by process {first.pid} on " in said
    assert other.job.rows() == b""
    assert first.returncode == 0, job.job.said()


def test_fault_stale_lock(desk):
    """P10: that of a killed process holds nobody up."""
    job = desk(60)
    with begun(job) as killed:
        killed.kill()
    lock = job.path.with_name("results.jsonl.lock")
    assert f"process {killed.pid} on " in lock.read_text()

    code, said = job.run()
    assert code == 0, said
    assert not lock.exists()
    assert job.is_finished()
    assert job.bought_again() <= AT_ONCE


FORKS = """
import os, sys
from request_engine.errors import BadInput
from request_engine.results_file import ResultsFile

def refused():
    try:
        ResultsFile(sys.argv[1])
    except BadInput as told:
        print(told, flush=True)

held = ResultsFile(sys.argv[1])
child = os.fork()
refused()
if child:
    os.waitpid(child, 0)
    refused()
    held.append(b'[{}, {}]\\n')
    held.close()
    ResultsFile(sys.argv[1]).close()
"""


def test_fault_fork(tmp_path):
    """P10: a child has no share in the file, and its end lets nobody else in."""
    path = tmp_path / "r.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS, str(path)], cwd=kills.ROOT, stdout=subprocess.PIPE, text=True
    )
    told, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert len(told.splitlines()) == 3
    assert told.count(f"{path} is being written by process {process.pid} on ") == 3
    assert path.read_bytes() == b"[{}, {}]\n"
    assert not os.path.exists(f"{path}.lock")


def test_every_error_here_is_spelled_as_the_system_spells_it():
    """Else the tests above would look for words that nobody says."""
    import errno

    assert {name: os.strerror(getattr(errno, name)) for name in ERRORS} == ERRORS
    assert json.loads(long_lines(1)[0].text)["model"] == "m"
