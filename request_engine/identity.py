"""Which request is which: by content, so that an edited or reordered file still resumes."""

import json
from array import array
from bisect import bisect_left
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast


def _encoder() -> Callable[[Any], str]:
    """Compact JSON with sorted keys. JSONEncoder makes its C encoder anew for each text, which is a
    quarter of the time of a short one; this one is made once."""
    encoder: Any = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without it
        return cast(Callable[[Any], str], encoder.encode)
    escape = json.encoder.encode_basestring_ascii
    encode = make(None, encoder.default, escape, None, ":", ",", True, False, True)
    return lambda value: "".join(encode(value, 0))


_spelled = _encoder()

_DRAWERS = 1_024
"""Few enough to cost little empty, enough that taking one of ten million moves only some 40 KB."""
_DRAWER = 54
"""The bits of a 64-bit key below those that say which drawer it is in."""


def content_id(body: Any, metadata: Any) -> bytes:
    """16 bytes that are equal for equal *body* and *metadata*, however they were spelled."""
    return sha256(_spelled([body, metadata]).encode()).digest()[:16]


def key_of(content: bytes) -> int:
    """The first 64 bits of a content id, which stand for the whole of it in an index.

    That two of ten million share them has odds of 3 in a million.
    """
    return int.from_bytes(content[:8], "big")


class Fingerprints:
    """A multiset of keys at 8 to 9 bytes an entry, 16 to 18 with a number for each.

    Arrays chosen by the first bits, and sorted when the first is asked for: a Python dict of the
    same entries takes some 150 bytes each, and resuming 10 million lines should fit anywhere.
    """

    def __init__(self, *, numbered: bool = False) -> None:
        """*numbered*: `add` takes a number with each key, and `take` gives it back."""
        self._keys = [array("Q") for _ in range(_DRAWERS)]
        self._numbers = [array("q") for _ in range(_DRAWERS)] if numbered else None
        self._count = 0
        self._sorted = True

    def __len__(self) -> int:
        return self._count

    def add(self, key: int, number: int = 0) -> None:
        """Hold one more *key*."""
        drawer = key >> _DRAWER
        self._keys[drawer].append(key)
        if self._numbers is not None:
            self._numbers[drawer].append(number)
        self._count += 1
        self._sorted = False

    def take(self, key: int) -> int | None:
        """Remove one *key*, the one of least number, and return its number; None if there is none.

        Without numbers it is 0.
        """
        if not self._sorted:
            self._sort()
        drawer = self._keys[key >> _DRAWER]
        at = bisect_left(drawer, key)
        if at == len(drawer) or drawer[at] != key:
            return None
        del drawer[at]
        self._count -= 1
        return self._numbers[key >> _DRAWER].pop(at) if self._numbers is not None else 0

    def _sort(self) -> None:
        for at, keys in enumerate(self._keys):
            if self._numbers is None:
                self._keys[at] = array("Q", sorted(keys))
            else:
                pairs = sorted(zip(keys, self._numbers[at], strict=True))
                self._keys[at] = array("Q", (key for key, _ in pairs))
                self._numbers[at] = array("q", (number for _, number in pairs))
        self._sorted = True
