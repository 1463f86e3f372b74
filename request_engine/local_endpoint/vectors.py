"""Embeddings out of nothing: the same text gives the same unit vector, in a few microseconds.

A hash of the text picks one of 256 angles for every two components. Each pair has the same length,
so any choice of them makes a unit vector, and all its digits can be written beforehand.
"""

import base64
import json
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import shake_128
from typing import Any

_PLACES = 9


def dimensions(model: str, asked: Any) -> int:
    if isinstance(asked, int) and not isinstance(asked, bool):
        return asked
    return 3072 if model.endswith("embedding-3-large") else 1536


def vector_json(text: Any, size: int) -> str:
    """The vector as a JSON array of numbers."""
    pairs, odd = _spelled(size)
    choice = _digest(text, size)
    spelled = [pairs[angle] for angle in choice[: size // 2]]
    return f"[{','.join(spelled + [odd] * (size % 2))}]"


def vector_base64(text: Any, size: int) -> str:
    """The vector as a JSON string: 32-bit floats, little end first."""
    pairs, odd = _packed(size)
    choice = _digest(text, size)
    packed = b"".join([pairs[angle] for angle in choice[: size // 2]]) + odd * (size % 2)
    return f'"{base64.b64encode(packed).decode()}"'


def _digest(text: Any, size: int) -> bytes:
    spelled = text if isinstance(text, str) else json.dumps(text)
    return shake_128(spelled.encode("utf-8", "surrogatepass")).digest(size // 2)


def _angles(size: int) -> list[tuple[float, float]]:
    length = math.sqrt(2 / size)
    steps = [math.tau * (step + 0.37) / 256 for step in range(256)]
    return [(length * math.cos(angle), length * math.sin(angle)) for angle in steps]


@lru_cache(maxsize=16)
def _spelled(size: int) -> tuple[Sequence[str], str]:
    pairs = [f"{x:.{_PLACES}f},{y:.{_PLACES}f}" for x, y in _angles(size)]
    return pairs, f"{math.sqrt(1 / size):.{_PLACES}f}"


@lru_cache(maxsize=16)
def _packed(size: int) -> tuple[Sequence[bytes], bytes]:
    pairs = [struct.pack("<2f", x, y) for x, y in _angles(size)]
    return pairs, struct.pack("<f", math.sqrt(1 / size))
