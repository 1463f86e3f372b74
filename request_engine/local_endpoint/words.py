"""What a canned answer says: prose that quotes the question, or JSON where that was asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_128
from itertools import cycle, islice
from typing import Any

from . import schemas
from .asked_schema import wanted_schema
from .calls import Call
from .spelling import dumps

_PLAIN_WORDS = (
    "the of and to in is that for it with as on be by this are from or an at which but not have"
    " has was were one all their more can time other some these two may then first new any people"
    " over such after also most our day way long little very great own each where good well here"
)
_CHOICE = list(islice(cycle(_PLAIN_WORDS.split()), 256))
"""A word for each byte."""

_DEEPEST = 8
_QUOTED = 60
"""Characters of the last message that an answer repeats."""


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    tokens: int
    cut: bool


def said(call: Call, index: int, mean_tokens: int) -> Said:
    seed = call.seed + index.to_bytes(4, "big")
    schema = wanted_schema(call.body)
    text = _prose(call, seed, mean_tokens) if schema is None else _json_text(call, schema)
    return _fitted(text, call)


def _fitted(text: str, call: Call) -> Said:
    """The longest start of *text* within the ceiling."""
    count = len(call.encode(text))
    if call.ceiling is None or count <= call.ceiling:
        return Said(text, count, cut=False)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(call.encode(text[:middle])) <= call.ceiling:
            low = middle
        else:
            high = middle - 1
    return Said(text[:low], len(call.encode(text[:low])), cut=True)


def _prose(call: Call, seed: bytes, mean_tokens: int) -> str:
    opening = f'(canned) You wrote "{_quote(call)}".'
    length = mean_tokens // 2 + int.from_bytes(seed[:4], "big") % (mean_tokens + 1)
    return f"{opening} {' '.join(map(_CHOICE.__getitem__, shake_128(seed).digest(length)))}."


def _json_text(call: Call, schema: dict[str, Any]) -> str:
    if not schema:
        return dumps({"canned": True, "you_wrote": _quote(call)})
    return dumps(schemas.instance(schema, about=_asked(call)))


def _quote(call: Call) -> str:
    """The start of what was asked last, on one line."""
    line = " ".join(_asked(call).split()).encode("utf-8", "replace").decode()
    return f"{line[:_QUOTED].rstrip()}..." if len(line) > _QUOTED else line


def _asked(call: Call) -> str:
    """The start of what was asked last."""
    return next(_texts(_last(call)), "")[: 4 * _QUOTED]


def _last(call: Call) -> Any:
    body = call.body
    asked = body.get("messages") or body.get("prompt") or body.get("input")
    if not isinstance(asked, list):
        return asked
    users = [item for item in asked if _object(item).get("role") == "user"]
    return (users or asked)[-1]


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth > _DEEPEST:
        return
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict):
        yield from _texts(value.get("text") or value.get("content"), depth + 1)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
