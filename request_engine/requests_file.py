"""Read the requests file line by line, never more of it than there is room for in flight."""

import asyncio
import gzip
import io
import os
import stat
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from queue import SimpleQueue
from typing import IO, Protocol, TypeVar

from request_engine.errors import BadInput, Stopped
from request_engine.lines import LONGEST_LINE, content_of, quick_content, read_line, unusable
from request_engine.records import Request, Unusable

_BOM = b"\xef\xbb\xbf"
_READ_AT_ONCE = 1 << 16
_AT_ONCE = 1_000
"""Lines read between two turns of the event loop."""

Item = TypeVar("Item")


class Lines(Protocol):
    """Whatever gives lines of bytes."""

    def readline(self, most: int, /) -> bytes:
        """The next line, or *most* bytes of it; empty at the end."""
        ...

    def seek(self, offset: int, /) -> object:
        """Go back to the first line, with *offset* 0."""
        ...


class RequestsFile:
    """The requests of a file, `-` meaning standard input and `.gz` a compressed one."""

    def __init__(self, path: str) -> None:
        """Open *path*. BadInput: not there, a directory, unreadable, or empty."""
        self.path = path
        self.lines_read = 0
        self.requests_read = 0
        self.finished = False
        self._raw: IO[bytes] = _standard_input() if path == "-" else _opened(path)
        try:
            mode = os.fstat(self._raw.fileno())
        except OSError as error:
            if path != "-":
                self._raw.close()
            raise BadInput(f"{path} cannot be read: {error.strerror}") from None
        self._regular = stat.S_ISREG(mode.st_mode)
        self._state = mode
        self._size = mode.st_size
        self._done = bytearray()
        self._expected: int | None = None
        if self._regular and path != "-" and not self._size:
            self._raw.close()
            raise BadInput(f"{path} is empty: it should hold one JSON request a line")
        self._stream: Lines = _Pipe(self._raw.fileno())
        if path.endswith(".gz"):
            self._stream = gzip.open(self._raw)
        elif self._regular:
            self._stream = _Upto(self._raw, self._size)

    def close(self) -> None:
        """Close the file; standard input is left to its owner, a pipe to the thread that reads."""
        if self._regular and self.path != "-":
            self._raw.close()

    @property
    def can_be_read_twice(self) -> bool:
        """Whether `rewind` is possible: not for a pipe."""
        return self._regular

    def leave_out(self, number: int) -> None:
        """Do not give the request of line *number* again after `rewind`; it costs a byte a line."""
        if len(self._done) <= number:
            self._done.extend(bytes(max(number + 1, 2 * len(self._done)) - len(self._done)))
        self._done[number] = True

    def rewind(self) -> None:
        """Begin again, now that it is known how many requests there are."""
        self._expected = self.requests_read
        self.lines_read = self.requests_read = 0
        self.finished = False
        self._stream.seek(0)

    def changed(self) -> str | None:
        """What somebody did to the file while it was read, None if nothing.

        Only what it held when it was opened is read: a line that is just being added is no line.
        """
        if not self._regular:
            return None
        try:
            now = os.fstat(self._raw.fileno())
        except OSError:  # it cannot be looked at now
            return None
        if now.st_size > self._size:
            return f"{now.st_size - self._size:,} bytes were added, which the next run will read"
        if now.st_size < self._size:
            return "it was cut short"
        if now.st_mtime_ns != self._state.st_mtime_ns:
            return "it was changed, so some rows may be of lines that it no longer has"
        if self.path != "-" and not _same_file(self.path, now):
            return "it was removed or replaced; the old one was read"
        return None

    def expected_requests(self) -> int | None:
        """How many requests the file should hold, judged by the bytes read so far."""
        if self._expected is not None:
            return self._expected
        if self.finished:
            return self.requests_read
        if not self._regular or not self.requests_read:
            return None
        # Within a compressed file, the reader runs ahead of the lines by at most one buffer.
        consumed = self._stream.consumed if isinstance(self._stream, _Upto) else self._raw.tell()
        return max(self.requests_read, int(self.requests_read * self._size / consumed))

    async def requests(self) -> AsyncIterator[Request | Unusable]:
        """Each request in order. A pipe is read in a thread, so that it may be slow."""
        items: AsyncIterator[Request | Unusable]
        items = _in_turns(self._requests()) if self._regular else _from_thread(self._requests())
        async for item in items:
            yield item

    async def contents(self) -> AsyncIterator[tuple[int, bytes]]:
        """Line number and content id of each request, for a file that can be read twice."""
        async for item in _in_turns(self._contents()):
            yield item

    def _requests(self) -> Iterator[Request | Unusable | None]:
        for line in self._lines():
            item = read_line(self.lines_read, line) if isinstance(line, bytes) else line
            self.requests_read += item is not None
            yield item

    def _contents(self) -> Iterator[tuple[int, bytes] | None]:
        for line in self._lines():
            content = None
            if isinstance(line, bytes):
                content = quick_content(line)
                item = None if content else read_line(self.lines_read, line)
            else:
                item = line
            if item is not None:
                content = content_of(item)
            self.requests_read += content is not None
            yield None if content is None else (self.lines_read, content)

    def _lines(self) -> Iterator[bytes | Unusable | None]:
        """Each line that is not left out; None now and then where many are."""
        try:
            while line := self._stream.readline(LONGEST_LINE + 1):
                self.lines_read += 1
                if self.lines_read == 1 and line.startswith(_BOM):
                    line = line[len(_BOM) :]
                if len(line) > LONGEST_LINE:
                    yield self._overlong(line)
                elif not line.endswith(b"\n") and self._is_half():
                    break
                elif self.lines_read >= len(self._done) or not self._done[self.lines_read]:
                    yield line
                else:
                    self.requests_read += 1
                    if not self.lines_read % _AT_ONCE:
                        yield None
        except (OSError, EOFError, zlib.error) as error:
            why = f"{self.path} cannot be read after line {self.lines_read}: {error}"
            raise (Stopped if self.lines_read else BadInput)(why) from error
        self.finished = True
        if not self.requests_read:
            raise BadInput(f"{self.path} holds no requests: it should hold a JSON object a line")

    def _is_half(self) -> bool:
        """Whether a line without an end is one that is just being written, or was cut off."""
        if not self._regular or os.fstat(self._raw.fileno()).st_size == self._size:
            return False
        self._raw.seek(self._size)
        return self._raw.read(1) not in (b"\n", b"\r")  # its end came after we had opened the file

    def _overlong(self, start: bytes) -> Unusable:
        length = len(start)
        part = start
        while part and not part.endswith(b"\n"):
            part = self._stream.readline(1 << 20)
            length += len(part)
        most = LONGEST_LINE // (1024 * 1024)
        why = f"too long: {length:,} bytes, and a line may have {most} MiB"
        return unusable(self.lines_read, start, why)


class _Upto:
    """Lines of a file up to the size it had: what is added meanwhile may be half a line."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file = file
        self._start = file.tell()
        self._end = end
        self._left = end - self._start

    def readline(self, most: int) -> bytes:
        """The next line, or *most* bytes of it; empty at the end."""
        line = self._file.readline(min(most, self._left))
        self._left -= len(line)
        return line

    @property
    def consumed(self) -> int:
        """Bytes from the file's own start."""
        return self._end - self._left

    def seek(self, offset: int) -> None:
        """Go back to the first line."""
        self._file.seek(self._start + offset)
        self._left = self._end - self._start - offset


class _Pipe:
    """Lines of a pipe. A buffered reader would hold a lock while it waits, and with it our end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def readline(self, most: int) -> bytes:
        """The next line, or *most* bytes of it; empty at the end."""
        buffer, searched = self._buffer, 0
        while (end := buffer.find(b"\n", searched)) < 0 and len(buffer) < most:
            searched = len(buffer)
            part = os.read(self._descriptor, _READ_AT_ONCE)
            if not part:
                break
            buffer += part
        taken = min(end + 1 if end >= 0 else len(buffer), most)
        line = bytes(buffer[:taken])
        del buffer[:taken]
        return line

    def seek(self, offset: int) -> None:
        """A pipe cannot."""
        raise io.UnsupportedOperation("seek")


def _same_file(path: str, state: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), state)
    except OSError:
        return False


def _standard_input() -> IO[bytes]:
    if sys.stdin is None:
        raise BadInput("standard input is closed, so there are no requests to read from it")
    return sys.stdin.buffer


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a directory, not a file of requests") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


async def _in_turns(items: Iterator[Item | None]) -> AsyncIterator[Item]:
    """*items* that are something; the event loop has its turn now and then."""
    for count, item in enumerate(items, 1):
        if item is not None:
            yield item
        if item is None or not count % _AT_ONCE:
            await asyncio.sleep(0)


async def _from_thread(items: Iterator[Item | None]) -> AsyncIterator[Item]:
    """*items* one at a time from a daemon thread, which a read without end cannot keep alive."""
    loop = asyncio.get_running_loop()
    asked: SimpleQueue[asyncio.Future[Item | None] | None] = SimpleQueue()

    def answer() -> None:
        while (future := asked.get()) is not None:
            try:
                item, error = next(filter(None, items), None), None
            except BaseException as caught:  # noqa: BLE001  raised where the item is awaited
                item, error = None, caught
            try:
                loop.call_soon_threadsafe(_resolve, future, item, error)
            except RuntimeError:  # the loop has closed: nobody waits any more
                return

    threading.Thread(target=answer, name="requests reader", daemon=True).start()
    try:
        while True:
            future: asyncio.Future[Item | None] = loop.create_future()
            asked.put(future)
            item = await future
            if item is None:
                return
            yield item
    finally:
        asked.put(None)


def _resolve(
    future: "asyncio.Future[Item | None]",
    item: Item | None,
    error: BaseException | None,
) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(item)
