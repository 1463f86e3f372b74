"""What is asked for in memory, and the requests that are made of it."""

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from request_engine.errors import BadInput
from request_engine.packing import Pack
from request_engine.records import Failure, Kind, Request

Body = Mapping[str, Any]
Bodies = Iterable[Body] | AsyncIterable[Body]

_ascii = json.JSONEncoder(allow_nan=False).encode
_spelled = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def request_of(number: int, body: Body) -> Request | Failure:
    """The request in *body*, or why it is none. Its metadata is not sent, as in files."""
    if isinstance(body, Pack):
        return replace(body, number=number)
    try:
        if not isinstance(body, Mapping):
            raise TypeError(f"it is no mapping but {type(body).__name__}")
        asked = dict(body)
        metadata = asked.pop("metadata", None)
        raw = _ascii(asked)  # half the time, and the same where all is ASCII
        if "\\u" in raw:
            raw = _spelled(asked)
        return Request(number, asked, raw.encode(), metadata)
    except (TypeError, ValueError, RecursionError) as error:
        return Failure(Kind.BAD_REQUEST, f"not a request: {error}", sent=False)


def checked(bodies: object) -> None:
    """BadInput where *bodies* is one request, rather than many."""
    if isinstance(bodies, Mapping | str | bytes):
        raise BadInput("bodies is one request and not a list of them: use ask(), or put it into []")
