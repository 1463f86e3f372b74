"""How many tokens an image costs, by the published formulas and its size, never fetched."""

import math
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

PATCH = 32
TILE = 512


class Rule(Protocol):
    """A published formula. Every detail but those it names (`low`, `original`) means high."""

    def tokens(self, width: int, height: int, detail: str) -> int: ...

    def upper_bound(self, detail: str) -> int:
        """The most an image of any size costs."""
        ...


@dataclass(frozen=True, slots=True)
class TileRule:
    """Fit into 2048 x 2048, then the shortest side to 768: so much for each tile of 512."""

    base: int
    per_tile: int

    def tokens(self, width: int, height: int, detail: str) -> int:
        if detail == "low":
            return self.base
        width, height = _fit(width, height, 2048)
        width, height = _shrink(width, height, min(width, height), 768)
        return self.base + self.per_tile * _cells(width, height, TILE)

    def upper_bound(self, detail: str) -> int:
        return self.tokens(2048, 768, detail)


@dataclass(frozen=True, slots=True)
class PatchRule:
    """Patches of 32, the image shrunk until they are within the budget, times a multiplier."""

    multiplier: float
    patch_budget: int
    longest_side: int | None = None
    """What a larger image is first fitted into."""
    low_side: int | None = None
    """The same for detail `low`; None where low costs what high does."""
    original_budget: int | None = None
    """Patches allowed for detail `original`, of an image that is not fitted first."""

    def tokens(self, width: int, height: int, detail: str) -> int:
        budget, side = self._limits(detail)
        if side is not None:
            width, height = _fit(width, height, side)
        return self._priced(_patches(width, height, budget))

    def upper_bound(self, detail: str) -> int:
        budget, side = self._limits(detail)
        return self._priced(budget if side is None else min(budget, _cells(side, side, PATCH)))

    def _limits(self, detail: str) -> tuple[int, int | None]:
        if detail == "low" and self.low_side is not None:
            return self.patch_budget, self.low_side
        if detail == "original" and self.original_budget is not None:
            return self.original_budget, None
        return self.patch_budget, self.longest_side

    def _priced(self, patches: int) -> int:
        return math.ceil(round(patches * self.multiplier, 6))


@dataclass(frozen=True, slots=True)
class GridRule:
    """One token for each cell of so many pixels square, in an image fitted to its limits."""

    cell: int
    longest_side: int
    budget: int

    def tokens(self, width: int, height: int, detail: str) -> int:
        width, height = _fit(width, height, self.longest_side)
        return min(self.budget, _cells(width, height, self.cell))

    def upper_bound(self, detail: str) -> int:
        return min(self.budget, _cells(self.longest_side, self.longest_side, self.cell))


def count(rule: Rule, url: str, detail: str) -> int:
    """Tokens of the image at *url*: by its size when the URL holds the image, else the most."""
    size = image_size(url)
    return rule.upper_bound(detail) if size is None else rule.tokens(*size, detail)


def image_size(data_url: str) -> tuple[int, int] | None:
    """Width and height in a base64 data URL's PNG, JPEG, GIF or WebP; None if unreadable."""
    payload = _base64_payload(data_url)
    if payload is None:
        return None
    try:
        size = _size(partial(_bytes_at, payload))
    except ValueError:
        return None
    return size if size is not None and min(size) > 0 else None


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    return _shrink(width, height, max(width, height), side)


def _shrink(width: int, height: int, seen: int, wanted: int) -> tuple[int, int]:
    """Scale *seen* down to *wanted*; sides round to the nearest pixel, as they are billed."""
    if seen <= wanted:
        return width, height
    return _scaled(width, wanted, seen), _scaled(height, wanted, seen)


def _scaled(side: int, wanted: int, seen: int) -> int:
    return max(1, (2 * side * wanted + seen) // (2 * seen))


def _cells(width: int, height: int, cell: int) -> int:
    return _ceil_div(width, cell) * _ceil_div(height, cell)


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _patches(width: int, height: int, budget: int) -> int:
    """The published shrinking: to the budget's area, then until one side is whole patches."""
    patches = _cells(width, height, PATCH)
    if patches <= budget:
        return patches
    shrink = math.sqrt(budget * PATCH**2 / (width * height))
    across, down = width * shrink / PATCH, height * shrink / PATCH
    whole = min(_whole_part(across), _whole_part(down))
    # Rounding first, since the side made whole may miss its whole number by a float's breadth.
    shrunk = math.ceil(round(across * whole, 6)) * math.ceil(round(down * whole, 6))
    return min(budget, shrunk)


def _whole_part(patches: float) -> float:
    return max(1, math.floor(patches)) / patches


def _base64_payload(data_url: object) -> str | None:
    if not isinstance(data_url, str) or data_url[:5].lower() != "data:":
        return None
    comma = data_url.find(",", 5, 300)
    if comma < 0 or not data_url[5:comma].lower().endswith(";base64"):
        return None
    payload = data_url[comma + 1 :]
    # Lines of 76 characters are common, and offsets can only be computed without the breaks.
    return "".join(payload.split()) if any(map(str.isspace, payload[:100])) else payload


_Read = Callable[[int, int], bytes]


def _bytes_at(payload: str, start: int, length: int) -> bytes:
    """Exactly *length* bytes from *start*, decoding no more; ValueError if they are not there."""
    piece = payload[start // 3 * 4 : _ceil_div(start + length, 3) * 4]
    decoded = b64decode(piece + "=" * (-len(piece) % 4), validate=True)
    found = decoded[start % 3 : start % 3 + length]
    if len(found) < length:
        raise ValueError("the image ends inside its header")
    return found


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _size(read: _Read) -> tuple[int, int] | None:
    start = read(0, 3)
    if start == b"\x89PN":
        return _png_size(read)
    if start == b"GIF":
        return _little(read(6, 2)), _little(read(8, 2))
    if start == b"\xff\xd8\xff":
        return _jpeg_size(read)
    if start == b"RIF" and read(8, 4) == b"WEBP":
        return _webp_size(read)
    return None


def _png_size(read: _Read) -> tuple[int, int] | None:
    if read(12, 4) != b"IHDR":
        return None
    return _big(read(16, 4)), _big(read(20, 4))


def _webp_size(read: _Read) -> tuple[int, int] | None:
    match read(12, 4):
        case b"VP8 ":
            return _little(read(26, 2)) & 0x3FFF, _little(read(28, 2)) & 0x3FFF
        case b"VP8L":
            bits = _little(read(21, 4))
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _little(read(24, 3)) + 1, _little(read(27, 3)) + 1
    return None


_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_PIXELS_BEGIN = frozenset({0xD9, 0xDA})
_MOST_SEGMENTS = 1_000


def _jpeg_size(read: _Read) -> tuple[int, int] | None:
    position = 2
    for _ in range(_MOST_SEGMENTS):
        lead, marker = read(position, 2)
        if lead != 0xFF or marker in _PIXELS_BEGIN:
            return None
        if marker == 0xFF:
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker in _FRAME_HEADERS:
            return _big(read(position + 7, 2)), _big(read(position + 5, 2))
        else:
            position += 2 + _big(read(position + 2, 2))
    return None
