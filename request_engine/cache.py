"""Answers that are kept for the next time the same is asked: in memory, or in an SQLite file.

Keys are digests of what was asked (sameness.py); only answers are kept, never failures.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence

from request_engine.errors import BadInput

MEMORY = "memory"
MOST_BYTES = 256 * 1024 * 1024
_OVERHEAD = 300
"""Bytes that an answer of no length takes."""


class Cache:
    """Where answers are kept. Several clients may share one."""

    async def open(self) -> None:
        """Begin, on the loop that all else is called on. BadInput where it cannot be used.

        May be called again while it is open; then as many `close` belong to it.
        """

    async def close(self) -> None:
        """End; what was kept so far is kept for good."""

    async def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The answer that was kept under each of *keys*."""
        raise NotImplementedError

    def at_hand(self, key: bytes) -> bytes | None:
        """The answer to *key* if it need not be waited for, as if it was kept a moment ago."""
        raise NotImplementedError

    def keep(self, key: bytes, answer: bytes) -> None:
        """Keep *answer* from now on; the first one of a *key* stays."""
        raise NotImplementedError


class MemoryCache(Cache):
    """Keeps the answers used last. They outlive the client, not the process."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """*most_bytes* is what all answers together may take."""
        if type(most_bytes) is not int or most_bytes < 1:
            raise BadInput(f"most_bytes is {most_bytes!r}, but it must be a whole number above 0")
        self.bytes = 0
        """What they take now."""
        self._most = most_bytes
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        """Those used last are at the end."""

    def __len__(self) -> int:
        return len(self._answers)

    def __repr__(self) -> str:
        return f"<MemoryCache {len(self):,} answers, {self.bytes:,} of {self._most:,} bytes>"

    async def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.at_hand(key) for key in keys]

    def at_hand(self, key: bytes) -> bytes | None:
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def keep(self, key: bytes, answer: bytes) -> None:
        size = size_of(key, answer)
        if self.at_hand(key) is not None or size > self._most:
            return
        self._answers[key] = answer
        self.bytes += size
        while self.bytes > self._most:
            self.bytes -= size_of(*self._answers.popitem(last=False))


def cache_of(given: object) -> Cache | None:
    """The cache that the user means: None, "memory", the path of an SQLite file, or one made."""
    if given is None or isinstance(given, Cache):
        return given
    if given == MEMORY:
        return MemoryCache()
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        from request_engine.sqlite_cache import SqliteCache

        return SqliteCache(given)
    wanted = 'None, "memory", the path of a file, or a cache'
    raise BadInput(f"cache is {given!r}, but it must be {wanted}")


def size_of(key: bytes, answer: bytes) -> int:
    """Bytes that an answer takes in memory."""
    return len(key) + len(answer) + _OVERHEAD
