"""What an earlier run left in a results file, as a scan of it finds out."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from request_engine.errors import BadInput
from request_engine.identity import Fingerprints
from request_engine.scan import ANSWER, BLANK, FAILURE, LONGEST_ROW, UNREADABLE, Record


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


class Findings:
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

    def take(self, part: int, offset: int, batch: Sequence[Record]) -> None:
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
                if length >= LONGEST_ROW:
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
