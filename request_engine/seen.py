"""Which names were there already, at 12 to 24 bytes each; a set of texts takes ten times that."""

from array import array

_BITS = (1 << 64) - 1
_FIRST = 1 << 10
"""Slots to begin with; always a power of two."""


class Seen:
    """Names by their 64-bit hashes, in a table with open addressing.

    That two of ten million share one has odds of 3 in a million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, name: str) -> bool:
        """Hold *name*, and say whether it was held already."""
        held = not self._place(hash(name) & _BITS or 1)
        if 3 * self._count > 2 * len(self._slots):
            self._grow()
        return held

    def _place(self, key: int) -> bool:
        """Whether there was no *key*; 0 is what an empty slot holds."""
        slots, last = self._slots, len(self._slots) - 1
        at = key & last
        while other := slots[at]:
            if other == key:
                return False
            at = at + 1 & last
        slots[at] = key
        self._count += 1
        return True

    def _grow(self) -> None:
        old, self._count = self._slots, 0
        self._slots = array("Q", bytes(16 * len(old)))
        for key in filter(None, old):
            self._place(key)
