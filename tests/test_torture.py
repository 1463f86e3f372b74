"""Torture, as curl does it: each call that can fail fails, once and for ever, in a whole small job.

The door runs in this process against a local endpoint in another, whose ledger knows what was
billed. A clean run tells which calls there are; then there is a run for each of them.

Really all of them, in two or three minutes: TORTURE=all python -m pytest tests/test_torture.py
"""

import asyncio
import errno
import gc
import json
import os
import selectors
import socket
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict, namedtuple
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from chaos import Reading, SystemCalls, spelled, succeeded, text_of

import api_request_parallel_processor as door
from request_engine import encodings
from request_engine.errors import BadInput, Stopped
from request_engine.lines import read_line

ROOT = Path(door.__file__).resolve().parent
OURS = str(ROOT / "request_engine")
SPEED = 50
"""Seconds that pass for the job in a real one: backoffs take no time worth speaking of."""
LONGEST = 600.0
"""Seconds of the job after which it hangs."""


class Panic(BaseException):
    """What tiktoken raises is no Exception."""


FAULTS = {
    "open": OSError(errno.EMFILE, "Too many open files"),
    "open file": OSError(errno.EMFILE, "Too many open files"),
    "read": OSError(errno.EIO, "Input/output error"),
    "write": OSError(errno.ENOSPC, "No space left on device"),
    "fsync": OSError(errno.EIO, "Input/output error"),
    "ftruncate": OSError(errno.EIO, "Input/output error"),
    "stat": OSError(errno.EIO, "Input/output error"),
    "lstat": OSError(errno.EIO, "Input/output error"),
    "fstat": OSError(errno.EIO, "Input/output error"),
    "flock": OSError(errno.ENOLCK, "No locks available"),
    "replace": OSError(errno.EPERM, "Operation not permitted"),
    "rename": OSError(errno.EPERM, "Operation not permitted"),
    "unlink": OSError(errno.EPERM, "Operation not permitted"),
    "remove": OSError(errno.EPERM, "Operation not permitted"),
    "disk_usage": OSError(errno.EIO, "Input/output error"),
    "socket": OSError(errno.EMFILE, "Too many open files"),
    "getaddrinfo": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "connect": ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    "send": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "recv": ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "encode": Panic("the tokenizer panicked"),
}
"""Name of a call, and how it fails."""
FILES = ("open", "open file", "read", "write", "fsync", "ftruncate", "stat", "lstat", "fstat")
NAMES = (*FILES, "flock", "replace", "rename", "unlink", "remove", "disk_usage")
Kind = namedtuple("Kind", "names lines settings missing", defaults=[()])
"""Of a job: calls that are tried on it, how long it is, how it runs, and what the system lacks."""


class Fault:
    """A hook that counts calls, and fails one, or with *for_ever* all from that one on.

    Those of its own name, or of several that fail *together*, as when a disk goes away. What is
    *missing* fails always, as locks do on some file systems.
    """

    def __init__(self, name=None, at=0, *, for_ever=False, together=(), missing=()):
        self.counts = Counter()
        self.missing = missing
        self._name, self._at, self._for_ever = name, at, for_ever
        self._failing = {name, *together}

    def __call__(self, name, path, call, *arguments):
        self.counts[name] += 1
        count = self.counts[self._name]
        due = count >= self._at if self._for_ever else count == self._at
        if name in self.missing or (name in self._failing and due):
            if name == "write" and self._for_ever:  # a disk that gets full within a row
                *others, data = call.args
                call.func(*others, data[: len(data) // 2])
            raise type(FAULTS[name])(*FAULTS[name].args)
        return None if name == "fsync" else call()  # no power is cut here, and it takes long

    def __repr__(self):
        every = "every call about files" if len(self._failing) > 1 else "it"
        later = f", and {every} after it" if self._for_ever else ""
        return f"{self._name} {self._at} of the run{later}"


class HastySelector(selectors.DefaultSelector):
    """Waits only a part of what it is told to."""

    def select(self, timeout=None):
        return super().select(timeout and timeout / SPEED)


class HastyLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is fast: sockets are real, and so is time, but it comes in small coin."""

    def __init__(self):
        super().__init__(HastySelector())

    def time(self):
        return SPEED * super().time()


def network_through(hook, patch):
    """Calls about the sockets of connections, and the tokenizer's, go through *hook*."""
    for name in ("__init__", "connect", "send", "recv"):
        patch.setattr(socket.socket, name, _of_socket(name, getattr(socket.socket, name), hook))
    look_up = socket.getaddrinfo

    def looked_up(*names):
        found = hook("getaddrinfo", "", partial(look_up, *names))
        return [one for one in found if one[0] == socket.AF_INET]

    patch.setattr(socket, "getaddrinfo", looked_up)
    encoding = encodings.encoding("o200k_base")
    patch.setattr(encoding, "_core_bpe", _Tokenizer(encoding._core_bpe, hook))


def _of_socket(name, real, hook):
    making = name == "__init__"

    def called(self, *arguments, **named):
        family = (arguments or (None,))[0] if making else self.family
        if family != socket.AF_INET:  # the loop's own pair
            return real(self, *arguments, **named)
        shown = "socket" if making else name
        return hook(shown, "", partial(real, self, *arguments, **named))

    return called


class _Tokenizer:
    def __init__(self, real, hook):
        self._real, self._hook = real, hook

    def __getattr__(self, name):
        return getattr(self._real, name)

    def encode_ordinary(self, *arguments):
        return self._hook("encode", "", partial(self._real.encode_ordinary, *arguments))


class Job:
    """Requests with a *name* in them, so that the ledger tells whose they were."""

    def __init__(self, kind, folder, name, url):
        self.folder, self._url = folder / name, url
        self.folder.mkdir()
        self.kind = KINDS[kind]
        self.settings = dict(self.kind.settings)
        if "overwrite" in self.settings:
            self.settings["errors_filepath"] = str(self.folder / "errors.jsonl")
        self.lines = [spelled(f"{kind}, {name}: {n}") for n in range(self.kind.lines)]
        (self.folder / "in.jsonl").write_text("".join(line + "\n" for line in self.lines))
        self.results = self.folder / "r.jsonl"
        self._leave_something()

    def _leave_something(self):
        """As of a run that was killed: answers, failures, a part of a row."""
        answer = {"choices": [{"message": {"content": "from before"}}]}
        rows = [[json.loads(line), answer] for line in self.lines[3:6]]
        rows += [[json.loads(line), [{"kind": "transient"}]] for line in self.lines[:3]]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        self.results.write_text(text + '[{"model": "m", "messages": [{"ro')

    def run(self, hook=None):
        """Run it as a program would; the summary, and how it was ended early if it was."""
        with pytest.MonkeyPatch.context() as patch:
            hook = hook or Fault(missing=self.kind.missing)
            network_through(hook, patch)
            with SystemCalls(self.folder, hook), asyncio.Runner(loop_factory=HastyLoop) as runner:
                try:
                    return runner.run(asyncio.wait_for(self._run(), LONGEST)), None
                except Stopped as stopped:
                    return stopped.summary, stopped
                except BadInput as wrong:
                    return None, wrong

    async def _run(self):
        return await door.process_api_requests_from_file(
            str(self.folder / "in.jsonl"),
            str(self.results),
            self._url,
            max_requests_per_minute=None,
            max_tokens_per_minute=10_000_000,
            token_encoding_name="o200k_base",  # always counts
            max_concurrent_requests=4,
            max_wait=10.0,
            drain_timeout=30.0,
            connect_timeout=300.0,
            first_byte_timeout=300.0,
            **self.settings,
        )

    def rows(self):
        """All rows there are; nothing else may be."""
        files = [self.results, self.folder / "errors.jsonl"]
        readings = [Reading(path.read_bytes()) for path in files if path.exists()]
        assert not any(one.unreadable or one.tail or one.zeros for one in readings)
        return [row for one in readings for row in one.rows]


class Ledger:
    """What the endpoint says it billed: read on whenever it is asked for."""

    def __init__(self, path):
        self._file = open(path, encoding="utf-8")
        self._ids = defaultdict(list)
        """By the hash of the body."""

    def billed(self, lines):
        """Ids of the answers that were billed for *lines*, with the texts they were for."""
        for entry in map(json.loads, self._file):
            if entry["billed"]:
                self._ids[entry["body"]].append(entry["id"])
        return {one: text_of(json.loads(line)) for line in lines for one in self._ids[_hash(line)]}

    def close(self):
        self._file.close()


def _hash(line):
    return sha256(read_line(1, line.encode()).raw_body).hexdigest()


Endpoint = namedtuple("Endpoint", "url ledger")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endpoint")
    flags = ("--port", "0", "--port_file", folder / "port", "--ledger", folder / "ledger")
    command = [sys.executable, "-m", "request_engine.local_endpoint", *map(str, flags)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (folder / "port").exists():
        assert time.monotonic() < deadline, "the local endpoint did not start"
        time.sleep(0.02)
    port = (folder / "port").read_text().strip()
    with closing(Ledger(folder / "ledger")) as ledger:
        yield Endpoint(f"http://localhost:{port}/v1/chat/completions", ledger)
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module", autouse=True)
def _only_new_garbage():
    """Looking for what a run forgot looks at that run only."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def told(caplog, monkeypatch):
    """Tracebacks and whatever else nobody should have to read, since the last look."""
    found = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: found.append(f"{one.exc_value!r}"))

    def look():
        gc.collect()
        bad = [one for one in caplog.records if one.exc_info or one.name == "asyncio"]
        seen = [*found, *(one.getMessage() for one in bad)]
        found.clear()
        caplog.clear()
        return seen

    return look


KINDS = {
    "goes on and orders": Kind(tuple(FAULTS), 30, {"ordered": True}),
    "starts afresh, errors apart": Kind(NAMES, 8, {"overwrite": True}),
    # It looks at the disk so often that it does so within the short time that it takes.
    "without locks": Kind(FILES, 8, {"fsync": 0.01}, missing=("flock",)),
}
LONG = next(iter(KINDS))
ALL = os.environ.get("TORTURE") == "all"


def faults(kind, name, count):
    """Calls that fail once, and calls that fail for ever from one on.

    Of the long job each, once, but for the tokenizer's, which are all alike. For ever, and in the
    short jobs, some of them, spread over the run.
    """
    every = ALL or (kind == LONG and name != "encode")
    most = min(count, 4)
    spread = {1 + at * (count - 1) // max(most - 1, 1) for at in range(most)}
    for at in range(1, count + 1):
        if every or at in spread:
            yield Fault(name, at, missing=KINDS[kind].missing)
        if ALL or at in spread:
            yield Fault(name, at, for_ever=True, missing=KINDS[kind].missing)


def check_fault(job, fault, ledger, told):
    """Run *job* into *fault*, and again without."""
    open_before, begun = len(os.listdir("/dev/fd")), time.monotonic()
    first, ended = job.run(fault)
    assert time.monotonic() - begun < 10, "it took too long"
    assert not (seen := told()), seen
    assert len(os.listdir("/dev/fd")) <= open_before, "files stay open"
    if isinstance(ended, BadInput):
        assert not ledger.billed(job.lines), f"called bad input after it was sent: {ended}"
    job.settings.pop("overwrite", None)
    second, refused = job.run()
    assert refused is None, f"a clean run after it: {refused}"
    assert not (seen := told()), seen
    check_rows(job, ledger, [one for one in (first, second) if one])


def check_rows(job, ledger, summaries):
    rows = job.rows()
    billed = ledger.billed(job.lines)
    asked = sorted(text_of(row[0]) for row in rows)
    answers = [row for row in rows if succeeded(row)]
    bought = {row[1]["id"]: text_of(row[0]) for row in answers if "id" in row[1]}
    told = sum(one.tally.maybe_billed + one.unwritten for one in summaries)

    assert asked == sorted(text_of(json.loads(line)) for line in job.lines), "P2: one row a line"
    assert bought.items() <= billed.items(), "an answer is not the one that was given"
    assert len(billed) - len(bought) <= told, "P3: more was paid for than is told"


CASES = [(kind, name) for kind, one in KINDS.items() for name in one.names]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_P2_P3_a_call_that_fails_costs_no_row(kind, name, endpoint, tmp_path, told):
    """No hang, no traceback, nothing left open, and one row a line after the next run."""
    counting = Fault(missing=KINDS[kind].missing)
    Job(kind, tmp_path, f"{name} clean", endpoint.url).run(counting)
    wrong = []
    for number, fault in enumerate(faults(kind, name, counting.counts[name])):
        job = Job(kind, tmp_path, f"{name} {number}", endpoint.url)
        try:
            check_fault(job, fault, endpoint.ledger, told)
        except (Exception, Panic) as error:  # noqa: BLE001  all are told together
            wrong.append(f"{fault}: {_in_short(error)}")
    assert not wrong, "\n".join(wrong)


def test_P2_P3_a_disk_that_goes_away_costs_no_row_that_is_not_told(endpoint, tmp_path, told):
    """From one write on nothing works any more: not even what would put things right."""
    for at in (1, 4, 5, 12, 31, 32):
        fault = Fault("write", at, for_ever=True, together=NAMES)
        job = Job(LONG, tmp_path, f"gone {at}", endpoint.url)
        try:
            check_fault(job, fault, endpoint.ledger, told)
        except Exception as error:
            raise AssertionError(f"{fault}: {_in_short(error)}") from error


def _in_short(error):
    """What it is and where it came from, on a line."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{one.name} in {one.filename}:{one.lineno}" for one in frames if OURS in one.filename]
    told = (str(error).splitlines() or [""])[0]
    return " ".join([f"{type(error).__name__}: {told}", *ours[-1:]])


def test_the_torture_reaches_all_kinds_of_calls(endpoint, tmp_path):
    """Else it would prove nothing."""
    counting = Fault()
    for kind in KINDS:
        Job(kind, tmp_path, kind, endpoint.url).run(counting)
    assert set(counting.counts) >= set(FAULTS) - {"remove"}
    assert counting.counts.total() > 200
