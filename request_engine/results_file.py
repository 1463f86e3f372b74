"""The results file: the journal of a run, and the only thing a later run resumes from."""

import os
import shutil
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO

from request_engine.errors import BadInput
from request_engine.identity import Fingerprints
from request_engine.lock import Lock
from request_engine.scan import ANSWER, BLANK, FAILURE, LONGEST_ROW, UNREADABLE, Record, scan

_COPIED = 1 << 20


@dataclass(slots=True)
class Earlier:
    """What an earlier run left in the file."""

    answered: Fingerprints
    """Each answered request, with the offset of its row if the file is to be ordered."""
    kept: Fingerprints
    """The same of failed requests whose rows were kept."""
    failed: int = 0
    """Rows of failed requests."""
    unreadable: int = 0
    torn: bool = False
    """Whether the last row was torn off, and is now in `<path>.torn`."""
    zeros: int = 0
    """Bytes of nothing that a power cut left at the end, and that are gone now."""


class ResultsFile:
    """Rows appended one whole line at a time, by one process at a time."""

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        """Lock *path* and open it for appending, creating it.

        *overwrite* moves what is there to `<path>.1`, or the next number that is free. BadInput
        when it cannot be written, or another process writes it.
        """
        self.path = path
        self._unsure: OSError | None = None
        self._ragged = False
        """Whether part of a row may stand behind the end, which could not be cut off yet."""
        self.aside: str | None = None
        """Where the old file was moved to."""
        if os.path.exists(path) and not os.path.isfile(path):
            raise BadInput(f"{path} is not a regular file, and results need one")
        self._lock = Lock(path)
        try:
            if overwrite:
                self.aside = _moved_aside(path)
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written: {error.strerror}") from None
        self._end = os.fstat(self._descriptor).st_size
        _sync_folder(self.path)

    def close(self) -> None:
        """Bring what was written to the disk, close, and let others write."""
        try:
            self.sync()
        finally:
            os.close(self._descriptor)
            self._lock.release()

    def sync(self) -> None:
        """Bring what was written to the disk. An OSError says that nobody knows what is there.

        After one, the system may forget what it could not write, and a second call would succeed
        without it (PostgreSQL's "fsyncgate"): it is never tried again for the same rows.
        """
        if self._unsure is not None:
            raise self._unsure
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._unsure = error
            raise

    def append(self, row: bytes) -> int:
        """Write *row* with one call (more only if the system takes less); returns its offset."""
        offset = self._end
        if self._ragged:
            self._cut_off(offset)
        self._ragged = True
        left = memoryview(row)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            self._cut_off(offset)  # no part of a row stays behind
            raise
        self._ragged = False
        self._end += len(row)
        return offset

    def is_gone(self) -> bool:
        """Whether somebody removed or replaced the file, so that rows go nowhere."""
        try:
            return not os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return True
        except OSError:  # it cannot be looked at now
            return False

    async def recover(self, *, keep_failures: bool = False, ordered: bool = False) -> Earlier:
        """Read what an earlier run left, in one pass, and take the rows of failed requests out.

        A last line without its end was torn off by a crash: ended if it is a whole row, else
        moved to `<path>.torn`. Zeros at the end, which a power cut leaves where the file had grown
        and its data had not arrived, are cut off. Rows that cannot be read are left alone and
        counted. With *keep_failures* the rows of failed requests stay. *ordered* has `answered` and
        `kept` tell where each row is.
        """
        earlier = Earlier(Fingerprints(numbered=ordered), Fingerprints(numbered=ordered))
        end = self._end_of_data()
        found = _Findings(self.path, earlier, keep_failures)
        await scan(self.path, end, found.take, in_order=ordered)
        tail = self._tail(end, found.last)
        if not tail.endswith(b"\n") and found.last_kind == UNREADABLE:
            earlier.torn = True
            earlier.unreadable -= 1
        self._refuse_what_is_not_ours(earlier, tail)
        if end < self._end:
            earlier.zeros = self._end - end
            self._cut_off(end)
        if earlier.torn:
            self._set_aside(tail)
        elif not tail.endswith(b"\n"):
            self.append(b"\n")
            if found.last_kind == FAILURE:  # its end goes with it
                found.take_end()
        if found.removed:
            self._take_out(found.spans())
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
        """Offset and line of all that is not blank."""
        offset = 0
        with open(self.path, "rb") as file:
            for line in file:
                if not line.isspace():
                    yield offset, line
                offset += len(line)

    def _tail(self, end: int, start: int) -> bytes:
        """The last line if it has no end, else just an end."""
        with open(self.path, "rb") as file:
            file.seek(max(0, end - 1))
            if file.read(1) in (b"", b"\n"):
                return b"\n"
            file.seek(start)
            return file.read(end - start)

    def _end_of_data(self) -> int:
        """Where the file ends without the zeros at its end."""
        end = self._end
        with open(self.path, "rb") as file:
            while end:
                start = max(0, end - _COPIED)
                file.seek(start)
                data = file.read(end - start).rstrip(b"\0")
                end = start + len(data)
                if data:
                    break
        return end

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
            torn.flush()
            os.fsync(torn.fileno())
        self._cut_off(self._end - len(tail))

    def _cut_off(self, end: int) -> None:
        os.ftruncate(self._descriptor, end)
        self._end = end
        self._ragged = False

    def _take_out(self, spans: "array[int]") -> None:
        with self._rewritten() as (old, new):
            for at in range(0, len(spans), 2):
                offset, length = spans[at : at + 2]
                _copy(old, new, offset - old.tell())
                old.seek(length, os.SEEK_CUR)
            _copy(old, new, self._end - old.tell())

    @contextmanager
    def _rewritten(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The file to read and its successor to write; whoever looks sees one or the other."""
        target = os.path.realpath(self.path)  # a link stays one
        beside = f"{target}.rewriting"
        try:
            with open(target, "rb") as old, open(beside, "wb") as new:
                yield old, new
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(target, beside)
            os.close(self._descriptor)  # Windows replaces no file that is open
            try:
                os.replace(beside, target)
            finally:
                self._open()
        except BaseException:
            with suppress(OSError):
                os.remove(beside)
            raise


class _Findings:
    """What a scan finds, part by part."""

    def __init__(self, path: str, earlier: Earlier, keep_failures: bool) -> None:
        self.last = 0
        """Where the last line begins, and what it is."""
        self.last_kind = BLANK
        self.removed = 0
        """Bytes of rows that are to be taken out."""
        self._path = path
        self._earlier = earlier
        self._keep_failures = keep_failures
        self._spans: dict[int, array[int]] = {}

    def take(self, part: int, offset: int, batch: Iterable[Record]) -> None:
        """The lines of *part* from *offset* on."""
        earlier, answered = self._earlier, self._earlier.answered
        kind = BLANK
        start = offset
        for key, length, kind in batch:
            start = offset
            offset += length
            if kind == ANSWER:
                answered.add(key, start - self.removed)
            elif kind == FAILURE:
                earlier.failed += 1
                if self._keep_failures:
                    earlier.kept.add(key, start)
                else:
                    self.removed += length
                    _extend(self._spans.setdefault(part, array("q")), start, length)
            elif kind == UNREADABLE:
                earlier.unreadable += 1
                if length == LONGEST_ROW:
                    why = f"{self._path} has a line too long for a row: name another file"
                    raise BadInput(why)
        if start >= self.last:
            self.last, self.last_kind = start, kind

    def take_end(self) -> None:
        """Take one byte more with the last row, if that is taken out."""
        if self.removed:
            self._spans[max(self._spans)][-1] += 1

    def spans(self) -> "array[int]":
        """Offset and length of what is to be taken out, in turn and in order."""
        return array("q", chain.from_iterable(self._spans[part] for part in sorted(self._spans)))


def _extend(spans: "array[int]", offset: int, length: int) -> None:
    """Add a span of bytes; neighbours become one, so that a file of failures costs nothing."""
    if spans and spans[-2] + spans[-1] == offset:
        spans[-1] += length
    else:
        spans.extend((offset, length))


def _copy(old: IO[bytes], new: IO[bytes], count: int) -> None:
    while count:
        part = old.read(min(_COPIED, count))
        new.write(part)
        count -= len(part)


def _moved_aside(path: str) -> str | None:
    path = os.path.realpath(path)
    if not os.path.exists(path):
        return None
    number = 1
    while os.path.lexists(aside := f"{path}.{number}"):
        number += 1
    try:
        os.rename(path, aside)
    except OSError as error:
        raise BadInput(f"{path} cannot be moved to {aside}: {error.strerror}") from None
    return aside


def _sync_folder(path: str) -> None:
    """Bring the file's name to the disk, where folders can be synced (not on Windows)."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
