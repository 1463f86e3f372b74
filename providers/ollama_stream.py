"""Ollama's own streams, made into the answer they are the pieces of: one JSON object a line.

{"model", "message": {"role", "content"}, "done": false}                             api/chat
{"model", "response", "done": false}                                                 api/generate
{"model", ..., "done": true, "done_reason", "prompt_eval_count", "eval_count", ...}  the last
"""

from collections.abc import Callable, Mapping
from typing import Any

from request_engine.event_stream import Event, EventReader
from request_engine.records import Usage
from request_engine.runaway import Speech

from .growing import Said, grow, grown
from .openai_streams import Streamed

LINES = "application/x-ndjson"
"""The content type of such a stream."""
_GROWING = frozenset({"message", "response", "thinking", "logprobs"})
_TEXTS = frozenset({"content", "response", "thinking"})


class OllamaStream(Streamed):
    """Reads either of its dialects: lines here, events as those of any compatible service."""

    def __init__(self, usage: Callable[[Mapping[str, Any]], Usage | None]) -> None:
        super().__init__(usage)
        self._reader = _EventsOrLines()

    def _take_payload(self, name: str, payload: Any, data: str) -> bool:
        if not isinstance(payload, dict) or "done" not in payload or "error" in payload:
            return super()._take_payload(name, payload, data)
        self._shape = self._shape or _Lines(self._speech)
        moved = self._shape.take(name, payload, data)
        self.ended = self._shape.ended
        if self._speech.runaway is not None:
            self._stop(f"the answer was cut off: {self._speech.runaway}")
        return moved


class _EventsOrLines(EventReader):
    """No line of an event stream begins with a brace; one that does is an event by itself."""

    def end(self) -> Event | None:
        last = self._read(self._whole_line(b"")) if self._line else None
        return last or super().end()

    def _read(self, line: bytes) -> Event | None:
        if not line.startswith(b"{"):
            return super()._read(line)
        self._limit(len(line))
        return None if self.too_large else Event("", line.decode(errors="replace"))


class _Lines:
    """The one answer of a request: texts grow, of all else the last line's stands."""

    def __init__(self, speech: Speech) -> None:
        self.ended = False
        self.usage: dict[str, Any] | None = None
        """Never known before the end."""
        self._speech = speech
        self._whole: dict[str, Any] = {}

    @property
    def whole(self) -> bool:
        return self.ended

    def take(self, kind: str, payload: dict[str, Any], data: str) -> bool:
        """Whether the line *payload* added anything."""
        said: Said = []
        for name, value in payload.items():
            if name in _GROWING:
                grow(self._whole, {name: value}, said)
            else:
                self._whole[name] = value
        for name, text in said:
            if name in _TEXTS:
                self._speech.hear(0, text)
        if payload["done"] is True:
            self.ended = True
            self._speech.ended(0)
        return bool(said) or self.ended

    def reply(self) -> dict[str, Any]:
        """The answer as it is with `"stream": false`."""
        whole: dict[str, Any] = grown(self._whole)
        return whole
