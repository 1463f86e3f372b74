"""Events of the Responses API, whose last one carries the whole answer.

response.created, ..., response.output_text.delta, ..., response.completed {"response": {...}}
"""

from typing import Any

from request_engine import splice
from request_engine.runaway import Speech

_LAST = ("response.completed", "response.incomplete", "response.failed")
_IDLE = ("response.in_progress", "response.queued", "response.keepalive")


class ResponsesStream:
    """One answer; what comes before its last event is only listened to."""

    def __init__(self, speech: Speech) -> None:
        self.ended = False
        self.usage: dict[str, Any] | None = None
        """Not known before the last event, which needs no help to tell it."""
        self._speech = speech
        self._items: dict[int, Any] = {}
        self._response: dict[str, Any] = {}
        self._last_event = ""

    @property
    def whole(self) -> bool:
        return self.ended

    def take(self, kind: str, payload: dict[str, Any], data: str) -> bool:
        """Whether the event *payload*, spelled *data*, added anything."""
        if kind in _LAST and isinstance(payload.get("response"), dict):
            self._response, self._last_event, self.ended = payload["response"], data, True
        elif kind.endswith(".delta"):
            return self._hear(kind, payload.get("delta"))
        elif kind == "response.output_item.done" and isinstance(payload.get("item"), dict):
            index = payload.get("output_index")
            self._items[index if isinstance(index, int) else len(self._items)] = payload["item"]
        return kind not in _IDLE

    def reply(self) -> dict[str, Any] | bytes:
        """The answer as the service spelled it; with its items where the last event leaves them
        out, as some gateways do."""
        if self._items and not self._response.get("output"):
            items = [item for _, item in sorted(self._items.items())]
            return self._response | {"output": items}
        try:
            pieces = splice.members(self._last_event)
        except ValueError:  # NaN, which only strict reading refuses
            return self._response
        return next(one.text.encode() for one in reversed(pieces) if one.key == "response")

    def _hear(self, kind: str, delta: Any) -> bool:
        if not isinstance(delta, str) or not delta:
            return False
        if "audio.delta" not in kind:
            self._speech.hear(0, delta)
        return True
