"""Which request is which: by content, so that an edited or reordered file still resumes."""

import json
from array import array
from hashlib import blake2b
from typing import Any

_EMPTY, _TAKEN = 0, 1


def content_id(body: Any, metadata: Any) -> bytes:
    """16 bytes that are equal for equal *body* and *metadata*, however they were spelled."""
    content = json.dumps([body, metadata], sort_keys=True, separators=(",", ":"))
    return blake2b(content.encode(), digest_size=16).digest()


class Fingerprints:
    """A multiset of content ids with a number each, at 24 to 48 bytes an entry.

    An open-addressing table: a Python dict of the same entries takes some 150 bytes each. The
    first 64 bits stand for the whole id: that two of ten million share them has odds of 3 in a
    million.
    """

    def __init__(self) -> None:
        self._mask = (1 << 10) - 1
        self._keys = array("Q", bytes(8 << 10))
        self._values = array("q", bytes(8 << 10))
        self._filled = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, content: bytes, value: int = 0) -> None:
        """Hold one more *content*, with a *value* to give back for it."""
        if 3 * self._filled > 2 * self._mask:
            self._grow()
        self._place(_key(content), value)
        self._count += 1

    def take(self, content: bytes) -> int | None:
        """Remove one *content*, the earliest added, and return its value; None if there is none."""
        keys, mask, key = self._keys, self._mask, _key(content)
        at = key >> 2 & mask
        while (here := keys[at]) != _EMPTY:
            if here == key:
                keys[at] = _TAKEN
                self._count -= 1
                return self._values[at]
            at = (at + 1) & mask
        return None

    def _place(self, key: int, value: int) -> None:
        keys, mask = self._keys, self._mask
        at = key >> 2 & mask
        while keys[at] != _EMPTY:
            at = (at + 1) & mask
        keys[at] = key
        self._values[at] = value
        self._filled += 1

    def _grow(self) -> None:
        # Equal keys lie in the order they were added from the first free place on, and a table
        # may wrap round: starting behind an empty place keeps that order.
        keys, values, size = self._keys, self._values, self._mask + 1
        self._mask = 2 * size - 1
        self._keys = array("Q", bytes(16 * size))
        self._values = array("q", bytes(16 * size))
        self._filled = 0
        start = keys.index(_EMPTY)
        for step in range(size):
            at = (start + step) % size
            if keys[at] > _TAKEN:
                self._place(keys[at], values[at])


def _key(content: bytes) -> int:
    """The first 64 bits, keeping clear of the two values that mark a place in the table."""
    return int.from_bytes(content[:8], "little") | 2
