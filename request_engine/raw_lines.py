"""Bytes to lines: whatever one read gives is cut at its line breaks, all of it at once.

A call for every line costs 2 us of it; a read of 64 KiB and one split are 0.3 us a line.
"""

from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE = 1 << 16
"""Bytes asked for by one read."""

Read = Callable[[int], bytes]
"""Gives at least one byte and at most so many; none at the end."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that is too long to be kept."""

    start: bytes
    length: int
    """Bytes of it, with its line break."""


class RawLines:
    """The lines of what is read."""

    def __init__(self, read: Read, longest: int) -> None:
        """*longest*: bytes that a line may have, its line break included."""
        self._read = read
        self._longest = longest
        self._begun = bytearray()
        """The start of a line whose end was not read yet."""
        self._length = 0
        """Bytes of it, those that were dropped included."""

    def take(self) -> list[bytes | Overlong]:
        """The next lines with their line breaks: at least one, and all that are there already.

        The last of all may have no line break; nothing is left at the end.
        """
        while part := self._read(AT_ONCE):
            first, *others = part.split(b"\n")
            if not others:
                self._keep(part)
                continue
            begun = others.pop()
            self._keep(first + b"\n")
            lines = [self._ended(), *(line + b"\n" for line in others)]
            self._keep(begun)
            return lines
        return [self._ended()] if self._length else []

    def _keep(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= self._longest:
            self._begun += part
        else:  # a failure row shows less than this of it
            self._begun += part[:AT_ONCE]
            del self._begun[AT_ONCE:]

    def _ended(self) -> bytes | Overlong:
        line, length = bytes(self._begun), self._length
        self._begun.clear()
        self._length = 0
        return line if length <= self._longest else Overlong(line, length)
