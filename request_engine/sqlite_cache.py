"""Answers kept in an SQLite file, which any number of processes may share.

    keep -> unwritten -> a thread of its own -> the file
    find -> unwritten, or those of late -> else the same thread

An answer is in the file some milliseconds after it came, and what is there survives the process. A
power cut may cost the last of it, and never the file.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar, TypeVarTuple, Unpack

from request_engine.answers_file import AnswersFile, Busy, Refused
from request_engine.cache import Cache, MemoryCache, size_of
from request_engine.errors import BadInput

T = TypeVar("T")
Given = TypeVarTuple("Given")

log = logging.getLogger(__name__)

_LATE = 32 * 1024 * 1024
"""Bytes of answers that are kept in memory as well."""
_UNWRITTEN = 64 * 1024 * 1024
"""Bytes of answers that may wait to be written, as while another process writes for long; what
comes beyond is not kept."""
_AT_ONCE = 500


class SqliteCache(Cache):
    """A file of answers. It grows without bound: delete it to begin afresh."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path = os.fspath(path)
        self._open: _Open | None = None
        self._left_behind: _Open | None = None
        """What belongs to the process that this one was forked from: not to be closed in here."""
        self._users = 0

    def __repr__(self) -> str:
        return f"<SqliteCache {self.path}>"

    async def open(self) -> None:
        if self._open is not None and self._open.process != os.getpid():
            self._left_behind, self._open, self._users = self._open, None, 0
        if self._open is None:
            opened = _Open(self.path)
            await opened.begin()
            self._open = opened
        self._users += 1

    async def close(self) -> None:
        self._users -= 1
        if not self._users and self._open is not None:
            closing, self._open = self._open, None
            await closing.end()

    async def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        assert self._open is not None
        return await self._open.find(keys)

    def at_hand(self, key: bytes) -> bytes | None:
        assert self._open is not None
        return self._open.at_hand(key)

    def keep(self, key: bytes, answer: bytes) -> None:
        assert self._open is not None
        self._open.keep(key, answer)


class _Open:
    """The file while it is open. All but the file itself is of the loop."""

    def __init__(self, path: str) -> None:
        self.process = os.getpid()
        self._path = path
        self._file = AnswersFile(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="request cache")
        self._late = MemoryCache(_LATE)
        self._unwritten: dict[bytes, bytes] = {}
        self._bytes = 0
        """What those take."""
        self._writing: asyncio.Task[None] | None = None
        self._refused = False

    async def begin(self) -> None:
        """BadInput where it cannot be used."""
        try:
            await self._there(self._file.open)
        except BaseException as error:
            self._thread.shutdown(wait=isinstance(error, BadInput))  # then it has nothing to do
            raise

    async def end(self) -> None:
        """Write what is left, and close it."""
        if self._writing is not None:
            await self._writing
        await self._there(self._file.be_patient)
        await self._write_all()
        if self._unwritten:
            self._refuse("another process keeps it")
        await self._there(self._file.close)
        self._thread.shutdown()

    def at_hand(self, key: bytes) -> bytes | None:
        return self._unwritten.get(key) or self._late.at_hand(key)

    async def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = {key: self.at_hand(key) for key in keys}
        missing = [key for key, answer in found.items() if answer is None]
        if missing and not self._refused:
            try:
                read = await self._there(self._file.read, missing)
                found |= zip(missing, read, strict=True)
            except Busy:
                pass
            except Refused as refused:
                self._refuse(str(refused))
        return [found[key] for key in keys]

    def keep(self, key: bytes, answer: bytes) -> None:
        self._late.keep(key, answer)
        if self._refused:
            return
        if key not in self._unwritten and self._bytes < _UNWRITTEN:
            self._unwritten[key] = answer
            self._bytes += size_of(key, answer)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        """Write, until all is written or another process does: then with the next answer."""
        try:
            while self._unwritten:
                now = dict(islice(self._unwritten.items(), _AT_ONCE))
                await self._there(self._file.write, now)
                for key, answer in now.items():
                    if self._unwritten.pop(key, None) is not None:  # not refused meanwhile
                        self._bytes -= size_of(key, answer)
        except Busy:
            pass
        except Refused as refused:
            self._refuse(str(refused))
        finally:
            self._writing = None

    def _refuse(self, why: str) -> None:
        """Go on without the file; what is at hand in memory stays so."""
        if not self._refused:
            log.warning("going on without the cache %s: %s", self._path, why)
        self._refused = True
        self._unwritten, self._bytes = {}, 0

    async def _there(self, work: Callable[[Unpack[Given]], T], *given: *Given) -> T:
        """What comes of *work* in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)
