"""Replies with vectors: taken apart, a reply for each text, and read as 32-bit floats.

{"data": [{"index": 1, "embedding": B}, {"index": 0, "embedding": A}], "usage": ..., ...}
->  {"data": [{"index": 0, "embedding": A}], "usage": ..., ...}
    {"data": [{"index": 0, "embedding": B}], ...}

Vectors are passed on as they were spelled. What was used is told with the first text's, so that a
sum over the rows is right.
"""

import base64
import binascii
import json
import math
import sys
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

_decoder: Any = json.JSONDecoder()
_value_at = _decoder.scan_once


class _Member(NamedTuple):
    key: str
    start: int
    end: int


def taken_apart(response: bytes, count: int) -> list[bytes]:
    """The reply to *count* texts as one reply for each, in their order.

    ValueError says what is wrong where it does not have exactly one vector for each.
    """
    text = response.decode()
    members = list(_members(text, 0))
    data = next((one for one in members if one.key == "data"), None)
    if data is None or text[data.start] != "[":
        raise ValueError("there is no list of vectors in the reply")
    vectors: list[str | None] = [None] * count
    found = 0
    for place, item in enumerate(_elements(text, data.start)):
        found += 1
        index, vector = _vector(text, item.start, place)
        if not 0 <= index < count:
            raise ValueError(f"a vector has the index {index}, where {count} texts were sent")
        if vectors[index] is not None:
            raise ValueError(f"two vectors have the index {index}")
        vectors[index] = vector
    if found != count:
        raise ValueError(f"{found} vectors came for {count} texts")
    return list(_each(text, members, vectors))


def vector_of(response: bytes) -> "array[float]":
    """The only vector of a reply. ValueError where it has none, or one that is not of numbers."""
    try:
        items = _reader()(response)["data"]
        if len(items) != 1:
            raise ValueError(f"{len(items)} vectors came for one line")
        vector = _floats(items[0]["embedding"])
    except (KeyError, TypeError):
        raise ValueError("there is no vector in the reply") from None
    if not vector:
        raise ValueError("the vector is empty")
    if not math.isfinite(sum(vector)):
        raise ValueError("the vector has numbers in it that are not finite")
    return vector


def without_vectors(response: bytes, row: int) -> bytes:
    """The reply with the *row* of a file in place of its vectors."""
    text = response.decode()
    others = [one for one in _members(text, 0) if one.key != "data"]
    rest = "".join(f", {json.dumps(key)}: {text[start:end]}" for key, start, end in others)
    return f'{{"row": {row}{rest}}}'.encode()


def _floats(spelled: Any) -> "array[float]":
    """Numbers, or base64 of 32-bit floats, little end first."""
    if isinstance(spelled, list):
        return array("f", spelled)
    vector = array("f")
    try:
        vector.frombytes(base64.b64decode(spelled, validate=True))
    except binascii.Error as error:
        raise ValueError(f"the vector is not base64: {error}") from None
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


@cache
def _reader() -> Callable[[bytes], Any]:
    """msgspec reads numbers twice as fast, if it is there (the `fast` extra)."""
    try:
        import msgspec
    except (ImportError, OSError):  # not there, or so few files may be open
        return json.loads
    decoder: Callable[[bytes], Any] = msgspec.json.Decoder().decode
    return decoder


def _each(text: str, members: list[_Member], vectors: list[str | None]) -> Iterator[bytes]:
    """The whole reply again and again, with one vector each."""
    others = [one for one in members if one.key not in ("data", "usage")]
    rest = "".join(f", {json.dumps(key)}: {text[start:end]}" for key, start, end in others)
    used = "".join(f', "usage": {text[start:end]}' for key, start, end in members if key == "usage")
    for index, vector in enumerate(vectors):
        item = f'{{"object": "embedding", "index": 0, "embedding": {vector}}}'
        yield f'{{"data": [{item}]{rest}{"" if index else used}}}'.encode()


def _vector(text: str, at: int, place: int) -> tuple[int, str]:
    """Index and vector of the item at *at*; one that does not tell its index is in its *place*."""
    index, vector = place, None
    if text[at] != "{":
        raise ValueError("there is something else among the vectors")
    for key, start, end in _members(text, at):
        if key == "index":
            index = _value_at(text, start)[0]
        elif key == "embedding":
            vector = text[start:end]
    if type(index) is not int:
        raise ValueError(f"a vector has the index {index!r}")
    if vector is None or not _is_vector(vector):
        raise ValueError(f"text {index} of the request has no vector in the reply")
    return index, vector


def _is_vector(spelled: str) -> bool:
    """Whether it may be one: numbers, or base64."""
    if spelled[0] == "[":
        return len(spelled) > 2 and "null" not in spelled
    return spelled[0] == '"' and len(spelled) > 2


def _members(text: str, at: int) -> Iterator[_Member]:
    """The members of the object at *at*. The text is known to be JSON."""
    at = _past_space(text, at + 1)
    while text[at] != "}":
        key, at = _value_at(text, at)
        start = _past_space(text, _past_space(text, at) + 1)
        end = _end(text, start)
        yield _Member(key, start, end)
        at = _past_comma(text, end)


def _elements(text: str, at: int) -> Iterator[_Member]:
    """Those of the array at *at*."""
    at = _past_space(text, at + 1)
    while text[at] != "]":
        end = _end(text, at)
        yield _Member("", at, end)
        at = _past_comma(text, end)


def _end(text: str, start: int) -> int:
    """Where the value at *start* ends. The numbers of vectors are not looked at: that is most."""
    opening = text[start]
    if opening == "[":
        end = text.index("]", start) + 1
        if text.find("[", start + 1, end) < 0 and text.find('"', start, end) < 0:
            return end
    elif opening != "{":
        return int(_value_at(text, start)[1])
    inside = _elements if opening == "[" else _members
    last = start + 1
    for member in inside(text, start):
        last = member.end
    return _past_space(text, last) + 1


def _past_comma(text: str, at: int) -> int:
    at = _past_space(text, at)
    return _past_space(text, at + 1) if text[at] == "," else at


def _past_space(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at
