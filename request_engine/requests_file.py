"""Read the requests file a batch at a time, never much more of it than there is room for."""

import asyncio
import gzip
import os
import stat
import sys
import threading
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from io import BufferedReader
from queue import SimpleQueue
from typing import TypeVar, cast

from request_engine.errors import BadInput, Stopped
from request_engine.lines import LONGEST_LINE, content_of, quick_content, read_line, unusable
from request_engine.raw_lines import Overlong, RawLines
from request_engine.records import Request, Unusable

_BOM = b"\xef\xbb\xbf"
_FIRST = 8
"""Requests of the first batch: few, so that the first of many is sent soon."""
BATCH = 64
"""Requests of every other: what is done once a batch then costs each little."""
_AT_ONCE = 1_000
"""Lines read between two turns of the event loop where nothing is done with them."""

Item = TypeVar("Item")
Batch = list[Request | Unusable]


class RequestsFile:
    """The requests of a file, `-` meaning standard input and `.gz` a compressed one."""

    def __init__(self, path: str) -> None:
        """Open *path*. BadInput: not there, a directory, unreadable, or empty."""
        self.path = path
        self.lines_read = 0
        self.requests_read = 0
        self.finished = False
        self._raw: BufferedReader = _standard_input() if path == "-" else _opened(path)
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
        self._start = self._raw.tell() if self._regular else 0
        self._unzipped = gzip.open(self._raw) if path.endswith(".gz") else None
        self._left = self._consumed = 0
        self._restart()

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
        self._raw.seek(self._start)
        if self._unzipped is not None:
            self._unzipped.seek(0)
        self._restart()

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
        consumed = self._start + self._consumed if self._unzipped is None else self._raw.tell()
        return max(self.requests_read, int(self.requests_read * self._size / consumed))

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """The requests in order, some at a time: at least one, and no more of a pipe than is there.

        A pipe is read in a thread, so that it may be slow.
        """
        batches = _in_turns(self._batches(), 1) if self._regular else _from_thread(self._batches())
        async for batch in batches:
            yield batch

    async def contents(self) -> AsyncIterator[tuple[int, bytes]]:
        """Line number and content id of each request, for a file that can be read twice."""
        async for item in _in_turns(self._contents(), _AT_ONCE):
            yield item

    def _batches(self) -> Iterator[Batch | None]:
        batch: Batch = []
        most = _FIRST
        for line in self._lines():
            if line is not None:
                item = read_line(self.lines_read, line) if isinstance(line, bytes) else line
                if item is not None:
                    self.requests_read += 1
                    batch.append(item)
            if len(batch) == most or (line is None and batch):
                yield batch
                batch, most = [], BATCH
            elif line is None:
                yield None
        if batch:
            yield batch

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
        """Each line that is not left out; None wherever the next has to be read first."""
        lines = RawLines(self._read, LONGEST_LINE)
        done = self._done
        try:
            while some := lines.take():
                for line in some:
                    self.lines_read += 1
                    if isinstance(line, Overlong):
                        self._consumed += line.length
                        yield self._overlong(line)
                        continue
                    self._consumed += len(line)
                    if self.lines_read == 1 and line.startswith(_BOM):
                        line = line[len(_BOM) :]
                    if not line.endswith(b"\n") and self._is_half():
                        break
                    if self.lines_read >= len(done) or not done[self.lines_read]:
                        yield line
                    else:
                        self.requests_read += 1
                yield None
        except (OSError, EOFError, zlib.error) as error:
            why = f"{self.path} cannot be read after line {self.lines_read}: {error}"
            raise (Stopped if self.lines_read else BadInput)(why) from error
        self.finished = True
        if not self.requests_read:
            raise BadInput(f"{self.path} holds no requests: it should hold a JSON object a line")

    def _restart(self) -> None:
        self._left, self._consumed = self._size - self._start, 0

    def _read(self, most: int) -> bytes:
        """Some bytes; of a regular file up to the size it had: what is added may be half a line."""
        if self._unzipped is not None:
            return self._unzipped.read1(most)
        if not self._regular:
            # A buffered reader would hold a lock while it waits, and with it our end.
            return os.read(self._raw.fileno(), most)
        part = self._raw.read1(min(most, self._left))
        self._left -= len(part)
        return part

    def _is_half(self) -> bool:
        """Whether a line without an end is one that is just being written, or was cut off."""
        if not self._regular or os.fstat(self._raw.fileno()).st_size == self._size:
            return False
        self._raw.seek(self._size)
        return self._raw.read(1) not in (b"\n", b"\r")  # its end came after we had opened the file

    def _overlong(self, line: Overlong) -> Unusable:
        most = LONGEST_LINE // (1024 * 1024)
        why = f"too long: {line.length:,} bytes, and a line may have {most} MiB"
        return unusable(self.lines_read, line.start, why)


def _same_file(path: str, state: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), state)
    except OSError:
        return False


def _standard_input() -> BufferedReader:
    if sys.stdin is None:
        raise BadInput("standard input is closed, so there are no requests to read from it")
    return cast(BufferedReader, sys.stdin.buffer)


def _opened(path: str) -> BufferedReader:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a directory, not a file of requests") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


async def _in_turns(items: Iterator[Item | None], at_once: int) -> AsyncIterator[Item]:
    """*items* that are something; the event loop has its turn before every *at_once* of them."""
    for count, item in enumerate(items):
        if not count % at_once:
            await asyncio.sleep(0)
        if item is not None:
            yield item


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
