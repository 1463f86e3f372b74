"""How many tokens texts have: counted in a process of its own where that is worth it, else here.

    to it      8 bytes: how long the message is; marshal of (name of the encoding, texts)
    from it    4 bytes for each text

A second interpreter, since a thread beside a busy event loop waits for the interpreter's lock:
counting there made a job of short prompts slower than counting in between, by a quarter.
"""

import asyncio
import marshal
import signal
import struct
import sys
from array import array
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from request_engine import children, encodings

Count = Callable[[str, Sequence[str]], Sequence[int]]
"""How many tokens of an encoding each text has."""

WORTH_A_PROCESS = 2 * 1024 * 1024
"""Bytes of a requests file, some 100 ms of counting; starting takes about as long, elsewhere."""
_HEAD_START = 0.1
"""Seconds that the first requests have to get on the wire before an encoding is built here: that
holds the interpreter for 0.2 s, in whatever thread it is done."""
_AT_ONCE = 100_000
"""Characters, some 15 ms, up to which texts are counted where we stand; else in a thread."""
_SILENCE = 60.0
"""Seconds until a process that does not answer is given up; it counts a batch in some 5 ms."""
_length = struct.Struct("<Q")


class TokenCounts:
    """The counts of texts, whoever makes them."""

    def __init__(self, count: Count = encodings.token_counts, *, apart: bool = False) -> None:
        """*count* is what counts here. *apart*: in a process of its own, if one can be had."""
        self._count = count
        self._known = set[str]()
        """Encodings that were built here."""
        self._apart = apart and children.processors() > 1
        self._starting: asyncio.Task[Process] | None = None

    def begin(self) -> None:
        """There will be something to count soon."""
        if self._apart:
            start = children.start(__name__, "serve", packages=True)
            self._starting = asyncio.create_task(start)

    async def of(self, name: str, texts: Sequence[str]) -> Sequence[int]:
        """The tokens of the encoding *name* that each text has."""
        if self._starting is not None:
            # Whatever happens to it, texts can be counted here.
            with suppress(OSError, EOFError, NotImplementedError):
                return await _asked(await asyncio.shield(self._starting), name, texts)
            await self.close()
        return await self._here(name, texts)

    async def close(self) -> None:
        """Nothing more is counted."""
        starting, self._starting = self._starting, None
        if starting is not None:
            with suppress(OSError, NotImplementedError):
                await children.end(await starting)

    async def _here(self, name: str, texts: Sequence[str]) -> Sequence[int]:
        if name not in self._known:
            self._known.add(name)
            await asyncio.sleep(_HEAD_START)
        if sum(map(len, texts)) <= _AT_ONCE:
            return self._count(name, texts)
        return await asyncio.to_thread(self._count, name, texts)


class Estimates(TokenCounts):
    """A guess for each text by its bytes, at once.

    Enough where limits have to be found out as well: what the service counts corrects it.
    """

    async def of(self, name: str, texts: Sequence[str]) -> Sequence[int]:
        return [encodings.estimate(text) for text in texts]


async def _asked(process: Process, name: str, texts: Sequence[str]) -> Sequence[int]:
    assert process.stdin is not None
    assert process.stdout is not None
    message = marshal.dumps((name, list(texts)))
    process.stdin.write(_length.pack(len(message)) + message)
    counts = array("I")
    async with asyncio.timeout(_SILENCE):
        counts.frombytes(await process.stdout.readexactly(counts.itemsize * len(texts)))
    return counts


def serve() -> None:
    """Count what standard input asks for, until it ends: what the process of its own does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for who started it
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while length := asked.read(_length.size):
        name, texts = marshal.loads(asked.read(*_length.unpack(length)))
        answers.write(array("I", encodings.token_counts(name, texts)))
        answers.flush()
