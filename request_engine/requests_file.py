"""Read the requests file line by line, never more of it than there is room for in flight."""

import asyncio
import gzip
import os
import stat
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from queue import SimpleQueue
from typing import IO, Protocol

from request_engine.errors import BadInput, Stopped
from request_engine.lines import LONGEST_LINE, read_line, unusable
from request_engine.records import Request, Unusable

_BOM = b"\xef\xbb\xbf"
_READ_AT_ONCE = 1 << 16


class Lines(Protocol):
    """Whatever gives lines of bytes."""

    def readline(self, most: int, /) -> bytes:
        """The next line, or *most* bytes of it; empty at the end."""
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
        mode = os.fstat(self._raw.fileno())
        self._regular = stat.S_ISREG(mode.st_mode)
        self._size = mode.st_size
        if self._regular and path != "-" and not self._size:
            self._raw.close()
            raise BadInput(f"{path} is empty: it should hold one JSON request a line")
        self._stream: Lines = self._raw if self._regular else _Pipe(self._raw.fileno())
        if path.endswith(".gz"):
            self._stream = gzip.open(self._raw)

    def close(self) -> None:
        """Close the file; standard input is left to its owner, a pipe to the thread that reads."""
        if self._regular and self.path != "-":
            self._raw.close()

    def expected_requests(self) -> int | None:
        """How many requests the file should hold, judged by the bytes read so far."""
        if self.finished:
            return self.requests_read
        if not self._regular or not self.requests_read:
            return None
        # The reader runs ahead of the lines by at most one buffer.
        return max(self.requests_read, int(self.requests_read * self._size / self._raw.tell()))

    async def requests(self) -> AsyncIterator[Request | Unusable]:
        """Each request in order. A pipe is read in a thread, so that it may be slow."""
        if self._regular:
            for item in self._requests():
                yield item
        else:
            async for item in _from_thread(self._requests()):
                yield item

    def _requests(self) -> Iterator[Request | Unusable]:
        try:
            while line := self._stream.readline(LONGEST_LINE + 1):
                self.lines_read += 1
                if self.lines_read == 1 and line.startswith(_BOM):
                    line = line[len(_BOM) :]
                if len(line) > LONGEST_LINE:
                    item = self._overlong(line)
                else:
                    item = read_line(self.lines_read, line)
                if item is not None:
                    self.requests_read += 1
                    yield item
        except (OSError, EOFError, zlib.error) as error:
            why = f"{self.path} cannot be read after line {self.lines_read}: {error}"
            raise (Stopped if self.lines_read else BadInput)(why) from error
        self.finished = True
        if not self.requests_read:
            raise BadInput(f"{self.path} holds no requests: it should hold a JSON object a line")

    def _overlong(self, start: bytes) -> Request | Unusable | None:
        length = len(start)
        part = start
        while part and not part.endswith(b"\n"):
            part = self._stream.readline(1 << 20)
            length += len(part)
        most = LONGEST_LINE // (1024 * 1024)
        why = f"too long: {length:,} bytes, and a line may have {most} MiB"
        return unusable(self.lines_read, start, why)


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


async def _from_thread(
    items: Iterator[Request | Unusable],
) -> AsyncIterator[Request | Unusable]:
    """*items* one at a time from a daemon thread, which a read without end cannot keep alive."""
    loop = asyncio.get_running_loop()
    asked: SimpleQueue[asyncio.Future[Request | Unusable | None] | None] = SimpleQueue()

    def answer() -> None:
        while (future := asked.get()) is not None:
            try:
                item, error = next(items, None), None
            except BaseException as caught:  # noqa: BLE001  raised where the item is awaited
                item, error = None, caught
            try:
                loop.call_soon_threadsafe(_resolve, future, item, error)
            except RuntimeError:  # the loop has closed: nobody waits any more
                return

    threading.Thread(target=answer, name="requests reader", daemon=True).start()
    try:
        while True:
            future: asyncio.Future[Request | Unusable | None] = loop.create_future()
            asked.put(future)
            item = await future
            if item is None:
                return
            yield item
    finally:
        asked.put(None)


def _resolve(
    future: "asyncio.Future[Request | Unusable | None]",
    item: Request | Unusable | None,
    error: BaseException | None,
) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(item)
