"""The results file: the journal of a run, and the only thing a later run resumes from."""

import os
import shutil
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

from request_engine.errors import BadInput
from request_engine.identity import Fingerprints
from request_engine.rows import read_row

_COPIED = 1 << 20


@dataclass(slots=True)
class Earlier:
    """What an earlier run left in the file."""

    answered: Fingerprints = field(default_factory=Fingerprints)
    """Each answered request, with the offset of its row."""
    failed: int = 0
    unreadable: int = 0
    torn: bool = False
    """Whether the last row was torn off, and is now in `<path>.torn`."""


class ResultsFile:
    """Rows appended one whole line at a time."""

    def __init__(self, path: str) -> None:
        """Open *path* for appending, creating it. BadInput when it cannot be written."""
        self.path = path
        self._open()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written: {error.strerror}") from None
        state = os.fstat(self._descriptor)
        if not stat.S_ISREG(state.st_mode):
            os.close(self._descriptor)
            raise BadInput(f"{self.path} is not a regular file, and results need one")
        self._end = state.st_size

    def close(self) -> None:
        """Bring what was written to the disk and close."""
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def append(self, row: bytes) -> int:
        """Write *row* with one call (more only if the system takes less); returns its offset."""
        offset = self._end
        left = memoryview(row)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            os.ftruncate(self._descriptor, offset)  # no part of a row stays behind
            raise
        self._end += len(row)
        return offset

    def recover(self) -> Earlier:
        """Read what an earlier run left, and take the rows of failed requests out.

        A last line without its end was torn off by a crash: ended if it is a whole row, else
        moved to `<path>.torn`. Rows that cannot be read are left alone and counted.
        """
        earlier = Earlier()
        failures: list[tuple[int, int]] = []
        removed, tail = 0, b"\n"
        for offset, line in self._lines():
            tail = line
            try:
                found = read_row(line)
            except (ValueError, RecursionError):
                earlier.torn = not line.endswith(b"\n")
                earlier.unreadable += not earlier.torn
                continue
            if found.succeeded:
                earlier.answered.add(found.content, offset - removed)
            else:
                length = len(line) + (not line.endswith(b"\n"))
                failures.append((offset, length))
                removed += length
        earlier.failed = len(failures)
        self._refuse_what_is_not_ours(earlier, tail)
        if earlier.torn:
            self._set_aside(tail)
        elif not tail.endswith(b"\n"):
            self.append(b"\n")
        if failures:
            self._cut_out(failures)
        return earlier

    def put_in_order(self, offsets: "array[int]") -> None:
        """Rewrite the file with the rows at *offsets* in that order, and any others behind them.

        An offset of -1 stands for a request without a row.
        """
        wanted = array("q", (offset for offset in offsets if offset >= 0))
        ascending = array("q", sorted(wanted))
        if wanted == ascending:
            return
        with self._rewritten() as (old, new):
            for offset in wanted:
                old.seek(offset)
                new.write(old.readline())
            following = iter(ascending)
            known = next(following, -1)
            for offset, line in self._lines():
                if offset == known:
                    known = next(following, -1)
                else:
                    new.write(line)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        offset = 0
        with open(self.path, "rb") as file:
            for line in file:
                if line.strip():
                    yield offset, line
                offset += len(line)

    def _refuse_what_is_not_ours(self, earlier: Earlier, tail: bytes) -> None:
        """BadInput for a file that is mostly something else: the wrong one was named."""
        begun = tail.startswith((b"[", b"{"))
        strange = earlier.unreadable + (earlier.torn and not begun)
        if strange > len(earlier.answered) + earlier.failed:
            raise BadInput(
                f"{self.path} holds {strange:,} lines that are no rows of results: "
                "it was left as it is, name another file"
            )

    def _set_aside(self, tail: bytes) -> None:
        with open(self.path + ".torn", "ab") as torn:
            torn.write(tail + b"\n")
        self._end -= len(tail)
        os.ftruncate(self._descriptor, self._end)

    def _cut_out(self, spans: list[tuple[int, int]]) -> None:
        with self._rewritten() as (old, new):
            for offset, length in spans:
                _copy(old, new, offset - old.tell())
                old.seek(length, os.SEEK_CUR)
            _copy(old, new, self._end - old.tell())

    @contextmanager
    def _rewritten(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The file to read and its successor to write; whoever looks sees one or the other."""
        beside = f"{self.path}.rewriting"
        try:
            with open(self.path, "rb") as old, open(beside, "wb") as new:
                yield old, new
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(self.path, beside)
            os.close(self._descriptor)  # Windows replaces no file that is open
            try:
                os.replace(beside, self.path)
            finally:
                self._open()
        except BaseException:
            with suppress(OSError):
                os.remove(beside)
            raise


def _copy(old: IO[bytes], new: IO[bytes], count: int) -> None:
    while count:
        part = old.read(min(_COPIED, count))
        new.write(part)
        count -= len(part)
