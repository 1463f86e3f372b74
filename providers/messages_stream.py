"""Events of the Messages API, made into the message they build block by block.

message_start {"message": {...}}
content_block_start {"index", "content_block"}, content_block_delta {"index", "delta"}, ...
message_delta {"delta": {"stop_reason"}, "usage"}, message_stop
"""

from typing import Any

from request_engine import splice
from request_engine.runaway import Speech

from .growing import Said, grow, grown

_TEXTS = frozenset({"text", "thinking"})


class MessagesStream:
    """One message."""

    def __init__(self, speech: Speech) -> None:
        self.ended = False
        self.usage: dict[str, Any] | None = None
        """What was counted at the end; the message's start counts the prompt alone."""
        self._speech = speech
        self._message: dict[str, Any] = {"type": "message", "role": "assistant", "content": []}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}

    @property
    def whole(self) -> bool:
        return self.ended or bool(self._message.get("stop_reason"))

    def take(self, kind: str, payload: dict[str, Any], data: str) -> bool:
        """Whether the event *payload* added anything."""
        index = payload.get("index")
        index = index if isinstance(index, int) else 0
        match kind:
            case "message_start" if isinstance(payload.get("message"), dict):
                self._message = dict(payload["message"])
            case "content_block_start" if isinstance(payload.get("content_block"), dict):
                grow(self._block(index), payload["content_block"], [])
            case "content_block_delta" if isinstance(payload.get("delta"), dict):
                return self._take_delta(index, payload["delta"])
            case "message_delta":
                self._take_end(payload)
            case "message_stop":
                self.ended = True
            case _:
                return False
        return True

    def reply(self) -> dict[str, Any]:
        """The message in the shape of the unstreamed call."""
        blocks = [
            grown(block) | self._input(index) for index, block in sorted(self._blocks.items())
        ]
        return self._message | ({"content": blocks} if blocks else {})

    def _block(self, index: int) -> dict[str, Any]:
        return self._blocks.setdefault(index, {})

    def _take_delta(self, index: int, delta: dict[str, Any]) -> bool:
        added, said = dict(delta), Said()
        added.pop("type", None)  # the delta's own, not the block's
        if isinstance(partial := added.pop("partial_json", None), str) and partial:
            self._inputs.setdefault(index, []).append(partial)
            said.append(("text", partial))
        if citation := added.pop("citation", None):
            added["citations"] = [citation]
        grow(self._block(index), added, said)
        for name, text in said:
            if name in _TEXTS:
                self._speech.hear(0, text)
        return bool(said) or bool(citation)

    def _take_end(self, payload: dict[str, Any]) -> None:
        if isinstance(payload.get("delta"), dict):
            self._message |= _told(payload["delta"])
        if isinstance(payload.get("usage"), dict):
            before = self._message.get("usage")
            self.usage = (before if isinstance(before, dict) else {}) | _told(payload["usage"])
            self._message["usage"] = self.usage

    def _input(self, index: int) -> dict[str, Any]:
        """The input of a tool; its text as it came where max_tokens cut it off."""
        if index not in self._inputs:
            return {}
        text = "".join(self._inputs[index])
        try:
            return {"input": splice.parse_reply(text)}
        except ValueError:
            return {"input": text}


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
