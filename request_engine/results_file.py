"""The results file: the journal of a run, and the only thing a later run resumes from."""

import errno
import os
import shutil
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from request_engine.earlier import Earlier, Findings
from request_engine.errors import BadInput
from request_engine.identity import Fingerprints
from request_engine.lock import Lock, is_still
from request_engine.scan import FAILURE, UNREADABLE, scan

_COPIED = 1 << 20


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
            with suppress(FileNotFoundError):  # left by a run that was killed while it wrote it
                os.remove(_beside(path))
            if overwrite:
                self.aside = moved_aside(path)
            self._open()
        except OSError as error:
            self._lock.release()
            raise BadInput(f"{path} cannot be written: {error.strerror}") from None
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self.path, flags, 0o644)
        try:
            self._end = os.fstat(self._descriptor).st_size
        except OSError:
            self._close_descriptor()
            raise
        _sync_folder(self.path)

    def _open_again(self) -> None:
        try:
            self._open()
        except OSError as error:
            self._unsure = error  # nothing can be flushed any more
            raise

    def _close_descriptor(self) -> None:
        """Once only: its number may soon be another file's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        """Bring what was written to the disk, close, and let others write."""
        try:
            self.sync()
        finally:
            self._close_descriptor()
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
        left = row
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
            return not is_still(self._descriptor, self.path)
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
        found = Findings(self.path, earlier, keep_failures)
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
        _sync_folder(self.path + ".torn")  # its name too, before the file loses that part
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
        target, beside = os.path.realpath(self.path), _beside(self.path)
        try:
            with open(target, "rb") as old, open(beside, "wb") as new:
                yield old, new
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(target, beside)
            self._close_descriptor()  # Windows replaces no file that is open
            try:
                os.replace(beside, target)
            finally:
                self._open_again()
        except BaseException:
            with suppress(OSError):
                os.remove(beside)
            raise


def _copy(old: IO[bytes], new: IO[bytes], count: int) -> None:
    while count > 0:
        part = old.read(min(_COPIED, count))
        if not part:
            raise OSError(errno.EIO, "it became shorter while it was read")
        new.write(part)
        count -= len(part)


def _beside(path: str) -> str:
    """Where the successor of *path* is written: beside the file, so that a link stays one."""
    return os.path.realpath(path) + ".rewriting"


def moved_aside(path: str) -> str | None:
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
        folder = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
