"""Read a results file back, one record a line, on all processors when it is large.

Understanding a row of 1 KB takes some 11 us: parsing it, and spelling its body and metadata for
the id. So a million rows are 11 s of one processor, and a file of them is read in parts by
processes of their own, which send back 13 bytes a row. Threads would not help, since one
interpreter parses one text at a time.
"""

import asyncio
import struct
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from itertools import islice

from request_engine import children
from request_engine.identity import key_of
from request_engine.rows import read_row

LONGEST_ROW = 512 * 1024 * 1024
"""Bytes: the longest line of requests and the largest reply fit twice. Longer is no row."""
BLANK, ANSWER, FAILURE, UNREADABLE = range(4)

Record = tuple[int, int, int]
"""The key of the request, the bytes of the line, and one of the four above."""
Take = Callable[[int, int, Sequence[Record]], None]
"""Given the number of a part, the byte where its next line begins, and the next records."""

_MARK = b"records of results:\n"
_SILENCE = 60.0
"""Seconds until a process that sends nothing is given up; it sends 1,260 records in 0.02."""
_BOM = b"\xef\xbb\xbf"
_packed = struct.Struct("<QIB")
_AT_ONCE = 1_000
"""Records between two turns of the event loop."""
_BLOCK = 1024 * 1024
"""Bytes of a file that are read at once."""
_MESSAGE = 16 * 1024
"""Bytes that a process sends at once, some 1,260 records."""
_WORTH_A_PROCESS = 16 * 1024 * 1024
"""Bytes, some 0.2 s of reading; starting a process takes half of that."""


async def scan(path: str, end: int, take: Take, *, in_order: bool = False) -> None:
    """Give all records of *path* up to the byte *end* to *take*: those of one part in order.

    With *in_order* there is one part.
    """
    spans = [(0, end)] if in_order else _parts(path, end)
    if len(spans) == 1:
        await _here(path, 0, spans[0], take)
        return
    try:
        async with asyncio.TaskGroup() as parts:
            for number, span in enumerate(spans):
                parts.create_task(_part(path, number, span, take))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def records(path: str, start: int, end: int) -> Iterator[Record]:
    """What the lines from byte *start* to *end* are."""
    for line, length in _lines(path, start, end):
        try:
            content, succeeded = read_row(line)
        except (ValueError, RecursionError):
            yield 0, length, UNREADABLE if line.strip() else BLANK
        else:
            yield key_of(content), length, ANSWER if succeeded else FAILURE


def _lines(path: str, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Lines without their ends, with the bytes they take; what is too long for one in parts.

    Split by the block: `readline` with a limit takes 2 us a line, this a tenth of it.
    """
    left, begun, size = end - start, list[bytes](), 0
    with open(path, "rb") as file:
        file.seek(start)
        while block := file.read(min(_BLOCK, left)):
            left -= len(block)
            if not file.tell() - len(block):
                block, size = block.removeprefix(_BOM), len(block) - len(block.removeprefix(_BOM))
            first, *others = block.split(b"\n")
            begun.append(first)
            size += len(first)
            if others:
                yield b"".join(begun), size + 1
                for line in others[:-1]:
                    yield line, len(line) + 1
                begun, size = [others[-1]], len(others[-1])
            elif size >= LONGEST_ROW:
                yield b"".join(begun), size
                begun, size = [], 0
    if size:
        yield b"".join(begun), size


def _parts(path: str, end: int) -> list[tuple[int, int]]:
    """The file in spans of whole lines, one for each processor that is worth starting."""
    count = max(1, min(children.processors(), end // _WORTH_A_PROCESS))
    bounds = [0]
    with open(path, "rb") as file:
        for number in range(1, count):
            file.seek(end * number // count)
            file.readline(LONGEST_ROW)
            bounds.append(min(file.tell(), end))
    return list(zip(bounds, [*bounds[1:], end], strict=True))


async def _here(path: str, number: int, span: tuple[int, int], take: Take) -> None:
    offset = span[0]
    found = records(path, *span)
    while batch := list(islice(found, _AT_ONCE)):
        take(number, offset, batch)
        offset += sum(length for _, length, _ in batch)
        await asyncio.sleep(0)


async def _part(path: str, number: int, span: tuple[int, int], take: Take) -> None:
    """One part in a process of its own, or what is left of it here where that cannot be."""
    offset, end = span
    with suppress(OSError, EOFError, NotImplementedError):
        async with aclosing(_elsewhere(path, span)) as batches:
            async for batch in batches:
                length = sum(length for _, length, _ in batch)
                if offset + length > end or any(kind > UNREADABLE for _, _, kind in batch):
                    break  # whatever that is, it does not come from us
                take(number, offset, batch)
                offset += length
    if offset < end:
        await _here(path, number, (offset, end), take)


async def _elsewhere(path: str, span: tuple[int, int]) -> AsyncGenerator[list[Record], None]:
    """OSError or EOFError when the process does not come to an end as it should."""
    process = await children.start("request_engine.scan", "send", path, *map(str, span))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    rest = b""
    try:
        if await process.stdout.readexactly(len(_MARK)) != _MARK:
            raise OSError("not the records of a results file")
        while True:
            async with asyncio.timeout(_SILENCE):
                part = await process.stdout.read(_MESSAGE)
            if not part:
                break
            part = rest + part
            whole = len(part) - len(part) % _packed.size
            rest = part[whole:]
            yield list(_packed.iter_unpack(part[:whole]))
    except BaseException:
        await children.end(process)
        raise
    await process.communicate()


def send(path: str, start: str, end: str) -> None:
    """Write the records of a part to standard output: what a process of its own does."""
    # Buffered, whatever PYTHONUNBUFFERED makes of sys.stdout.
    with open(sys.stdout.fileno(), "wb", buffering=_MESSAGE, closefd=False) as out:
        out.write(_MARK)
        for record in records(path, int(start), int(end)):
            out.write(_packed.pack(*record))
