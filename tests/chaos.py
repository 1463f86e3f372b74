"""What the tests of disasters share: calls to the system in hand, a whole run, a second opinion.

`SystemCalls` stands between the engine and its files, `Command` is one run as the door makes it but
in virtual time, and `Reading` says what a results file holds without asking the engine.
"""

import asyncio
import builtins
import fcntl
import io
import json
import logging
import os
import shutil
from contextlib import closing, contextmanager
from functools import partial

import pytest

from request_engine import announce
from request_engine.disk import Disk
from request_engine.intake import Intake
from request_engine.journal import Journal
from request_engine.requests_file import RequestsFile
from request_engine.rows import SPELLINGS
from request_engine.run import Run
from request_engine.sizes import Size
from request_engine.survey import survey


async def ten_tokens(requests):
    """The size of each."""
    return [Size(10) for _ in requests]


_BY_PATH = ("stat", "lstat", "unlink", "remove", "replace", "rename")
_BY_DESCRIPTOR = ("write", "fsync", "ftruncate", "fstat", "pread")


class SystemCalls:
    """Calls about files in *folder* go through *hook* while the block runs; others are left alone.

    `hook(name, path, call, *arguments)` gives what `call()` gives, or what it likes.
    """

    def __init__(self, folder, hook=None):
        self._folder = str(folder)
        self._hook = hook or (lambda name, path, call, *arguments: call())
        self._paths = {}
        """Of each open descriptor."""
        self._patch = pytest.MonkeyPatch()

    def __enter__(self):
        for name in _BY_PATH:
            self._patch.setattr(os, name, partial(self._by_path, name, getattr(os, name)))
        for name in _BY_DESCRIPTOR:
            self._patch.setattr(os, name, partial(self._by_descriptor, name, getattr(os, name)))
        flock, usage = fcntl.flock, shutil.disk_usage
        self._patch.setattr(fcntl, "flock", partial(self._by_descriptor, "flock", flock))
        self._patch.setattr(shutil, "disk_usage", partial(self._by_path, "disk_usage", usage))
        self._patch.setattr(os, "open", partial(self._opened, os.open))
        self._patch.setattr(os, "close", partial(self._closed, os.close))
        self._patch.setattr(builtins, "open", partial(self._opened_file, builtins.open))
        return self

    def __exit__(self, *error):
        self._patch.undo()

    def abandon(self):
        """Close what is open, as the system does for a process that was killed."""
        for descriptor in list(self._paths):
            os.close(descriptor)

    def through(self, name, path, call, *arguments):
        """What the hook makes of *call*."""
        return self._hook(name, path, call, *arguments)

    def forget(self, descriptor):
        """It is closed."""
        self._paths.pop(descriptor, None)

    def _ours(self, path):
        if not isinstance(path, str | os.PathLike):
            return False
        path = os.fspath(path)
        return path == self._folder or path.startswith(self._folder + os.sep)

    def _by_path(self, name, real, path, *rest, **named):
        call = partial(real, path, *rest, **named)
        return self.through(name, os.fspath(path), call, *rest) if self._ours(path) else call()

    def _by_descriptor(self, name, real, descriptor, *rest):
        call = partial(real, descriptor, *rest)
        path = self._paths.get(descriptor)
        return call() if path is None else self.through(name, path, call, descriptor, *rest)

    def _opened(self, real, path, flags, *rest, **named):
        call = partial(real, path, flags, *rest, **named)
        if not self._ours(path):
            return call()
        descriptor = self.through("open", os.fspath(path), call, flags)
        self._paths[descriptor] = os.fspath(path)
        return descriptor

    def _closed(self, real, descriptor):
        self.forget(descriptor)
        real(descriptor)

    def _opened_file(self, real, path, mode="r", *rest, **named):
        if "b" not in mode or not self._ours(path):
            return real(path, mode, *rest, **named)
        path = os.fspath(path)
        raw = self.through("open file", path, partial(_File, self, path, mode), mode)
        self._paths[raw.fileno()] = path
        return io.BufferedReader(raw) if mode == "rb" else io.BufferedWriter(raw)


class _File(io.FileIO):
    """What `open` gives, without its buffer."""

    def __init__(self, calls, path, mode):
        super().__init__(path, mode.replace("b", ""))
        self._calls = calls

    def readinto(self, buffer):
        return self._calls.through("read", self.name, partial(super().readinto, buffer))

    def write(self, data):
        call = partial(super().write, data)
        return self._calls.through("write", self.name, call, self.fileno(), data)

    def close(self):
        if not self.closed:
            self._calls.forget(self.fileno())
        super().close()


class Command:
    """One run over real files against a scripted service; in the same steps as `Job.run`."""

    def __init__(
        self,
        requests_filepath,
        save_filepath,
        service,
        *,
        errors_filepath=None,
        output_format="rows",
        ordered=False,
        overwrite=False,
        keep_failures=False,
    ):
        self.service = service
        self.journal = None
        self.said = []
        """What was told in the log."""
        self.trouble = None
        self.to_do = None
        """None where nothing was left by earlier runs."""
        self._requests_filepath = str(requests_filepath)
        errors = None if errors_filepath is None else str(errors_filepath)
        self._files = (str(save_filepath), errors, SPELLINGS[output_format])
        self._keep_failures = keep_failures
        self._opening = {"ordered": ordered, "overwrite": overwrite}

    async def run(self):
        """Run to the end. Cancelled, it leaves everything as a killed process would."""
        with closing(RequestsFile(self._requests_filepath)) as requests, self._listening():
            self.journal = Journal(*self._files, **self._opening)
            service = self.service
            disk = Disk(self.journal, service.targets, service.stopping, service.tally.finish)
            try:
                await self._run(requests, disk)
            except asyncio.CancelledError:
                raise
            except BaseException:
                disk.close()
                raise
            self.trouble = disk.close()

    async def _run(self, requests, disk):
        journal, service = self.journal, self.service
        tally = service.tally
        await journal.recover(keep_failures=self._keep_failures)
        tally.answers_found = journal.answered_before
        tally.failed_before = journal.failed_before
        surveyed = await survey(requests, journal, tally)
        if surveyed:
            self.to_do = requests.expected_requests() - tally.done_before
        announce.found(journal, requests, tally, surveyed=surveyed)
        send, targets = service.sender.send, service.targets
        run = Run(send, targets, disk, service.stopping, tally)
        async with disk.watched():
            await run.run(Intake(requests.batches(), ten_tokens, journal, tally))

    @contextmanager
    def _listening(self):
        listener = logging.Handler()
        listener.emit = lambda record: self.said.append(record.getMessage())
        logger = logging.getLogger("request_engine")
        level = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(listener)
        try:
            yield
        finally:
            logger.removeHandler(listener)
            logger.setLevel(level)


class Reading:
    """What the bytes of a results file say to somebody who knows the format, line by line."""

    def __init__(self, data):
        self.data = data
        whole = data.rstrip(b"\0")
        *lines, self.tail = whole.split(b"\n")
        self.zeros = len(data) - len(whole)
        found = [_row(line) for line in lines if line.strip()]
        self.unreadable = found.count(None)
        last = _row(self.tail) if self.tail.strip() else None
        self.torn = bool(self.tail.strip()) and last is None
        self.rows = [row for row in [*found, last] if row is not None]

    @property
    def foreign(self):
        """Whether it is mostly something else, so that no run may touch it."""
        strange = self.torn and not self.tail.startswith((b"[", b"{"))
        return self.unreadable + strange > len(self.rows)


def _row(line):
    """The row on *line*, None if there is none."""
    try:
        row = json.loads(line.decode())
    except ValueError:
        return None
    if isinstance(row, dict):
        return row if str(row.get("id")).startswith("batch_req_") else None
    return row if isinstance(row, list) and 2 <= len(row) <= 4 else None


def succeeded(row):
    """Whether *row* is one of an answer."""
    if isinstance(row, dict):
        return row["error"] is None and row["response"]["status_code"] == 200
    return isinstance(row[1], dict)


def said_in(row):
    """The words of the answer, or of the last error, in *row*."""
    if isinstance(row, dict):
        answer = row["response"]["body"] if row["response"] else row
        told = answer if succeeded(row) else answer["error"]
    else:
        told = row[1] if succeeded(row) else row[1][-1]
    return told["choices"][0]["message"]["content"] if succeeded(row) else told["message"]


def text_of(body):
    """The words of a chat request."""
    return body["messages"][0]["content"]


def spelled(text, metadata=None):
    """A line that asks for *text*."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return json.dumps(body if metadata is None else body | {"metadata": metadata})
