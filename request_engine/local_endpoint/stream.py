"""A chat answer as server-sent events: role, pieces of text, finish reason, usage, [DONE]."""

import re
from collections.abc import Iterator
from typing import Any

from .spelling import dumps, encoded

_PIECE = re.compile(r"\S*\s*\S*\s*", re.DOTALL)
"""Two words at a time."""


def events(payload: dict[str, Any], include_usage: bool) -> list[bytes]:
    """Every event of the stream that says what *payload* says at once."""
    shell = {name: payload[name] for name in ("id", "created", "model")}
    shell["object"] = "chat.completion.chunk"
    chunks = [chunk for choice in payload["choices"] or () for chunk in _of_choice(choice)]
    bodies: list[dict[str, Any]] = [shell | {"choices": [chunk]} for chunk in chunks]
    if payload["choices"] is None:
        bodies.append(shell | {"choices": None})
    if include_usage:
        bodies.append(shell | {"choices": [], "usage": payload["usage"]})
    return [_event(dumps(body)) for body in bodies] + [_event("[DONE]")]


def _of_choice(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    index, message = choice["index"], choice["message"]
    yield _chunk(index, {"role": "assistant", "content": ""})
    for piece in filter(None, _PIECE.findall(message["content"] or "")):
        yield _chunk(index, {"content": piece})
    if calls := message.get("tool_calls"):
        yield _chunk(index, {"tool_calls": [{"index": 0, **calls[0]}]})
    yield _chunk(index, {}, choice["finish_reason"])


def _chunk(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(data: str) -> bytes:
    return b"data: " + encoded(data) + b"\n\n"
