"""Chunks of streamGenerateContent, made into the reply of generateContent they are pieces of.

data: {"candidates": [{"content": {"parts": [{"text"}], "role"}, "index"}], "usageMetadata"}
data: {"candidates": [{"content", "finishReason"}], "usageMetadata", "modelVersion"}    the last
"""

from typing import Any

from request_engine.runaway import Speech

from .growing import Said, grow, grown
from .openai_streams import Streamed

_OURS = frozenset({"candidates", "promptFeedback", "usageMetadata"})


class GeminiStreamed(Streamed):
    """The Assembler of one reply; an error, or a chat's chunk, is read as everywhere."""

    def _take_payload(self, name: str, payload: Any, data: str) -> bool:
        if not isinstance(payload, dict) or "error" in payload or not _OURS & payload.keys():
            return super()._take_payload(name, payload, data)
        self._shape = self._shape or GeminiStream(self._speech)
        moved = self._shape.take(name, payload, data)
        if self._speech.runaway is not None:
            self._stop(f"the answer was cut off: {self._speech.runaway}")
        return moved


class GeminiStream:
    """The candidates of one answer, by their index."""

    def __init__(self, speech: Speech) -> None:
        self.ended = False
        """Never set: no event says that it is the last."""
        self.usage: dict[str, Any] | None = None
        self._speech = speech
        self._shell: dict[str, Any] = {}
        self._candidates: dict[int, _Candidate] = {}

    @property
    def whole(self) -> bool:
        """Whether every candidate has said why it ended, or the prompt was refused."""
        if self._candidates:
            return all(one.fields.get("finishReason") for one in self._candidates.values())
        feedback = self._shell.get("promptFeedback")
        return isinstance(feedback, dict) and bool(feedback.get("blockReason"))

    def take(self, kind: str, payload: dict[str, Any], data: str) -> bool:
        """Whether the chunk *payload* added anything."""
        added = False
        for name, value in payload.items():
            if name == "candidates":
                added |= self._take_candidates(value)
            else:
                added |= name == "promptFeedback"
                self._shell[name] = value
        usage = payload.get("usageMetadata")
        self.usage = usage if isinstance(usage, dict) else self.usage
        return added

    def reply(self) -> dict[str, Any]:
        """The answer in the shape of the unstreamed call."""
        candidates = [one.reply() for _, one in sorted(self._candidates.items())]
        return ({"candidates": candidates} if candidates else {}) | self._shell

    def _take_candidates(self, candidates: Any) -> bool:
        added = False
        for position, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
            if isinstance(candidate, dict):
                added |= self._take_candidate(position, candidate)
        return added

    def _take_candidate(self, position: int, candidate: dict[str, Any]) -> bool:
        index = candidate.get("index")
        index = index if isinstance(index, int) else position
        known = self._candidates.setdefault(index, _Candidate())
        said = Said()
        added = known.take(candidate, said)
        for name, text in said:
            if name == "text":
                self._speech.hear(index, text)
        if known.fields.get("finishReason"):
            self._speech.ended(index)
        return added or bool(said)


class _Candidate:
    """One candidate, growing: its texts by what they say, everything else by its latest value."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._content: dict[str, Any] = {}
        self._parts: list[dict[str, Any]] = []

    def take(self, candidate: dict[str, Any], said: Said) -> bool:
        """Whether more came than texts, which go to *said*."""
        added = "finishReason" in candidate
        for name, value in candidate.items():
            if name == "content" and isinstance(value, dict):
                self.fields.setdefault(name, None)
                self._content |= {key: one for key, one in value.items() if key != "parts"}
                parts = value.get("parts")
                for part in parts if isinstance(parts, list) else ():
                    added |= isinstance(part, dict) and self._take_part(part, said)
            else:
                self.fields[name] = value
        return added

    def _take_part(self, part: dict[str, Any], said: Said) -> bool:
        """Whether it is no text; one that goes on, and thinks or speaks as before, is one part."""
        if not isinstance(part.get("text"), str):
            self._parts.append(part)
            return True
        last = self._parts[-1] if self._parts else {}
        if "text" not in last or bool(last.get("thought")) != bool(part.get("thought")):
            last = {}
            self._parts.append(last)
        grow(last, part, said)
        return False

    def reply(self) -> dict[str, Any]:
        if "content" not in self.fields:
            return self.fields
        parts = {"parts": grown(self._parts)} if self._parts else {}
        return self.fields | {"content": parts | self._content}
