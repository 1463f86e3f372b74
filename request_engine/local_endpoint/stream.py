"""An answer as server-sent events, in the shape of each endpoint, and the ways a stream goes wrong.

opening (what is coming) -> pieces of text -> closing (why it ended, usage, the end)
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .delivery import FAILED
from .spelling import dumps, encoded

_PIECE = re.compile(r"\S*\s*\S*\s*", re.DOTALL)
"""Two words at a time."""
_BLANKS, _WORDS = "\n   ", "and so on, "
"""What a model says that cannot stop."""
_ERROR = {"message": FAILED, "type": "server_error", "param": None, "code": "server_error"}


@dataclass(frozen=True, slots=True)
class Stream:
    """The events that say what a reply says at once."""

    opening: list[bytes]
    pieces: list[bytes]
    closing: list[bytes]
    more: Callable[[str], bytes]
    """One more piece of text."""
    failed: bytes
    """The event of an error."""

    def __len__(self) -> int:
        return len(self.opening) + len(self.pieces) + len(self.closing)

    def events(self, fault: str | None = None) -> Iterator[bytes]:
        """All events in order, or those of *fault*, perhaps without end."""
        half = self.pieces[: len(self.pieces) // 2]
        told: Iterable[bytes] = [*self.pieces, *self.closing]
        match fault:
            case "unended":
                told = self.pieces
            case "stream_error":
                told = [*half, self.failed]
            case "whitespace":
                told = itertools.chain(half, itertools.repeat(self.more(_BLANKS)))
            case "repetition":
                told = itertools.chain(half, itertools.repeat(self.more(_WORDS)))
        return itertools.chain(self.opening, told)


def stream(endpoint: str, payload: dict[str, Any], include_usage: bool) -> Stream:
    """The stream of the reply *payload*; in two of the shapes usage is told only if asked for."""
    match endpoint:
        case "responses":
            return _responses(payload)
        case "messages":
            return _messages(payload)
    return _choices(payload, include_usage)


def _choices(payload: dict[str, Any], include_usage: bool) -> Stream:
    shell = {name: payload[name] for name in ("id", "created", "model")}
    chat = payload["object"] == "chat.completion"
    shell["object"] = "chat.completion.chunk" if chat else payload["object"]

    def chunk(index: int, said: dict[str, Any], finish_reason: str | None = None) -> bytes:
        told = {"delta": said} if chat else {"text": said.get("content", "")}
        choice = {"index": index, **told, "logprobs": None, "finish_reason": finish_reason}
        return _event(shell | {"choices": [choice]})

    choices = payload["choices"] or []
    closing = [chunk(choice["index"], {}, choice["finish_reason"]) for choice in choices]
    if payload["choices"] is None:
        closing.append(_event(shell | {"choices": None}))
    if include_usage:
        closing.append(_event(shell | {"choices": [], "usage": payload["usage"]}))
    return Stream(
        opening=[chunk(choice["index"], _role(choice["message"])) for choice in choices if chat],
        pieces=[chunk(choice["index"], said) for choice in choices for said in _said(choice)],
        closing=[*closing, b"data: [DONE]\n\n"],
        more=lambda text: chunk(0, {"content": text}),
        failed=_event({"error": _ERROR}),
    )


def _role(message: dict[str, Any]) -> dict[str, Any]:
    content = None if message["content"] is None else ""
    return {"role": "assistant", "content": content, "refusal": None}


def _said(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The deltas of one choice; of a tool's call the name comes first, its arguments in pieces."""
    message = choice.get("message") or {"content": choice.get("text")}
    for piece in _pieces_of(message["content"] or ""):
        yield {"content": piece}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        named = call | {"function": function | {"arguments": ""}}
        yield {"tool_calls": [{"index": index, **named}]}
        for piece in _pieces_of(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _responses(payload: dict[str, Any]) -> Stream:
    numbers = itertools.count()

    def event(kind: str, **fields: Any) -> bytes:
        return _event({"type": kind, "sequence_number": next(numbers)} | fields, kind)

    def more(text: str) -> bytes:
        return event("response.output_text.delta", **part, delta=text)

    begun = payload | {"status": "in_progress", "output": [], "usage": None}
    item: dict[str, Any] = next(iter(payload["output"] or ()), {})
    part = {"item_id": item.get("id"), "output_index": 0, "content_index": 0}
    text = item["content"][0]["text"] if item else ""
    opening, pieces = [event("response.created", response=begun)], []
    if item:
        unsaid = item | {"status": "in_progress", "content": []}
        opening.append(event("response.output_item.added", output_index=0, item=unsaid))
        pieces = [more(piece) for piece in _pieces_of(text)]
    closing = [event("response.output_item.done", output_index=0, item=item)] if item else []
    closing.append(event(f"response.{payload['status']}", response=payload))
    failed = event("error", code="server_error", message=FAILED, param=None)
    return Stream(opening, pieces, closing, more, failed)


def _messages(payload: dict[str, Any]) -> Stream:
    def event(kind: str, **fields: Any) -> bytes:
        return _event({"type": kind} | fields, kind)

    def more(text: str) -> bytes:
        return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    usage, content = payload["usage"], payload["content"]
    begun = {"stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 1}}
    begun |= {"content": content and []}
    opening = [event("message_start", message=payload | begun), event("ping")]
    closing = [
        event(
            "message_delta",
            delta={name: payload[name] for name in ("stop_reason", "stop_sequence")},
            usage={"output_tokens": usage["output_tokens"]},
        ),
        event("message_stop"),
    ]
    if content:
        block = {"type": "text", "text": ""}
        opening.insert(1, event("content_block_start", index=0, content_block=block))
        closing.insert(0, event("content_block_stop", index=0))
    return Stream(
        opening=opening,
        pieces=[more(piece) for piece in _pieces_of(content[0]["text"] if content else "")],
        closing=closing,
        more=more,
        failed=event("error", error={"type": "api_error", "message": FAILED}),
    )


def _pieces_of(text: str) -> Iterator[str]:
    return filter(None, _PIECE.findall(text))


def _event(body: dict[str, Any], name: str | None = None) -> bytes:
    named = f"event: {name}\n".encode() if name else b""
    return named + b"data: " + encoded(dumps(body)) + b"\n\n"
