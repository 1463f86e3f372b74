"""Streamed answers in the dialect most services speak: the first event tells which shape it is.

events -> error?  the error's own JSON, judged as that of an unstreamed reply
       -> shape   chat_stream | responses_stream | messages_stream
       -> astray? cut off, before it is paid for up to max_tokens
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from request_engine import judgement, splice
from request_engine.event_stream import LARGEST_EVENT, Event, EventReader
from request_engine.provider import SHOWN
from request_engine.records import Failure, Kind, Usage
from request_engine.runaway import Speech

from .chat_stream import ChatStream
from .messages_stream import MessagesStream
from .responses_stream import ResponsesStream

DONE = "[DONE]"
_MOVING = 16 * 1024
"""Bytes of an unfinished event from which on its growth counts as progress."""


class Shape(Protocol):
    """What the events of one API build."""

    ended: bool
    """Whether nothing can follow."""
    usage: dict[str, Any] | None
    """What was counted so far, None if that is not known."""

    @property
    def whole(self) -> bool:
        """Whether the answer is complete, if the stream should end here."""
        ...

    def take(self, kind: str, payload: dict[str, Any], data: str) -> bool:
        """Whether the event *payload*, of type *kind* and spelled *data*, added anything."""
        ...

    def reply(self) -> dict[str, Any] | bytes:
        """The unstreamed reply, as a value or in the service's own spelling."""
        ...


class Streamed:
    """The Assembler of one reply of a compatible service."""

    def __init__(self, usage: Callable[[Mapping[str, Any]], Usage | None]) -> None:
        """*usage* is the provider's way to read it from a reply."""
        self.cut: str | None = None
        self.ended = False
        self._usage_of = usage
        self._reader = EventReader()
        self._speech = Speech(SHOWN)
        self._shape: Shape | None = None
        self._error: Any = None
        self._start = b""
        self._flat: dict[str, Any] | None = None
        self._bad_event = ""

    @property
    def speaking(self) -> bool:
        return bool(self._speech.start)

    def feed(self, data: bytes) -> bool:
        if self.cut is not None:
            return False
        if len(self._start) < 4 * SHOWN:
            self._start += data[: 4 * SHOWN - len(self._start)]
        moved = [self._take(event) for event in self._reader.feed(data)]
        if self._reader.too_large:
            self._stop(f"an event of the stream is larger than {LARGEST_EVENT >> 20} MiB")
        return any(moved) or self._reader.held > _MOVING

    def finish(self) -> bytes | Failure:
        try:
            self._take_last()
            return self._finished()
        except RecursionError:
            return self._failure(_TOO_DEEP)

    def _take(self, event: Event) -> bool:
        """Whether *event* moved the answer on."""
        data = event.data.strip()
        if self.ended or self.cut is not None or not data:
            return False
        if data == DONE:
            self.ended = True
            return True
        try:
            return self._take_payload(event.name, splice.parse_reply(data), data)
        except RecursionError:
            self._stop(_TOO_DEEP, data)
        except ValueError:
            self._stop("an event of the stream is not JSON", data)
        return False

    def _take_payload(self, name: str, payload: Any, data: str) -> bool:
        fields = payload if isinstance(payload, dict) else {}
        kind = fields["type"] if isinstance(fields.get("type"), str) else name
        if kind != "response.failed" and _states_error(kind, payload):
            self._error, self.ended = payload, True
            return True
        shape = _shape_of(kind, fields)
        if shape is None:
            self._flat = fields if judgement.flat_error_in(fields) else self._flat
            return False
        self._shape = self._shape or shape(self._speech)
        moved = self._shape.take(kind, fields, data)
        self.ended = self._shape.ended
        if self._speech.runaway is not None:
            self._stop(f"the answer was cut off: {self._speech.runaway}")
        return moved

    def _take_last(self) -> None:
        """An event without its blank line, unless it is one that was broken off."""
        event = self._reader.end()
        if event is not None and (event.data.strip() == DONE or _is_json(event.data)):
            self._take(event)

    def _stop(self, why: str, event: str = "") -> None:
        if self.cut is None:
            self.cut, self._bad_event = why, event[:SHOWN]

    def _finished(self) -> bytes | Failure:
        if self.cut is not None:
            return self._failure(self.cut)
        if self._error is not None:
            return _json(self._with_usage(self._error))
        if self._shape and (self._shape.whole or (self.ended and self._flat is None)):
            reply = self._shape.reply()
            return reply if isinstance(reply, bytes) else _json(reply)
        if self._flat is not None:
            return _json(self._with_usage(self._flat))
        if not self._reader.framed and _is_json(_text(self._start)):
            return self._start  # no events at all, whatever its content type says
        return self._failure(
            "the stream ended before the answer did"
            if self._shape
            else "the stream ended before anything was said"
        )

    def _with_usage(self, error: Any) -> Any:
        """What came before the error may be billed."""
        if not isinstance(error, dict):
            return error
        stated = error if judgement.error_in(error) or error is self._flat else {"error": error}
        usage = self._shape.usage if self._shape else None
        return stated if usage is None else {"usage": usage} | stated

    def _failure(self, message: str) -> Failure:
        usage = self._shape.usage if self._shape else None
        return Failure(
            Kind.BAD_ANSWER,
            message,
            200,
            raw=self._bad_event or self._speech.start or _text(self._start)[:SHOWN],
            usage=None if usage is None else self._usage_of({"usage": usage}),
        )


_TOO_DEEP = "the stream is nested deeper than can be read"


def _states_error(kind: str, payload: Any) -> bool:
    if kind == "error" or judgement.error_in(payload) is not None:
        return True
    return isinstance(payload, dict) and payload.get("object") == "error"


def _shape_of(kind: str, fields: Mapping[str, Any]) -> Callable[[Speech], Shape] | None:
    """What an event is a piece of; None for one that is of no answer, such as a ping."""
    if kind.startswith("response."):
        return ResponsesStream
    if kind.startswith(("message_", "content_block_")):
        return MessagesStream
    if "choices" in fields or "usage" in fields:
        return ChatStream
    return None


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _is_json(text: str) -> bool:
    try:
        splice.parse_reply(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # halves of a surrogate pair, which two deltas may share
        return json.dumps(value).encode()
