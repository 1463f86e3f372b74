"""Chunks of chat/completions and of completions, made into the answer they are the pieces of.

data: {"id", ..., "choices": [{"index", "delta": {"content"}, "finish_reason"}]}    chat
data: {"id", ..., "choices": [{"index", "text", "finish_reason"}]}                  completions
data: {"id", ..., "choices": [], "usage": {...}}                                    the last
"""

from typing import Any

from request_engine.runaway import Speech

from .growing import Said, grow, grown

_PADDING = "obfuscation"
"""Random letters that some services add to a chunk, so that its length tells nobody its words."""
_TEXTS = frozenset(
    {"content", "text", "refusal", "reasoning", "reasoning_content", "thinking", "arguments"}
)
"""What a model writes in words; images and sounds are long runs of one letter for good reason."""


class ChatStream:
    """The choices of one answer, by their index."""

    def __init__(self, speech: Speech) -> None:
        self.ended = False
        """Never set here: only [DONE] says that nothing follows, not even the usage."""
        self.usage: dict[str, Any] | None = None
        self._speech = speech
        self._shell: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    @property
    def whole(self) -> bool:
        """Whether every choice has said why it ended."""
        return bool(self._choices) and all(one.reason for one in self._choices.values())

    def take(self, kind: str, payload: dict[str, Any], data: str) -> bool:
        """Whether the chunk *payload* added anything."""
        added = False
        for name, value in payload.items():
            if name == "choices":
                added |= self._take_choices(value)
            elif name == "usage" and isinstance(value, dict):
                added |= value != self.usage
                self.usage = self._shell["usage"] = value
            elif name != _PADDING:
                self._take_field(name, value)
        return added

    def reply(self) -> dict[str, Any]:
        """The answer in the shape of the unstreamed call."""
        whole = dict(self._shell)
        if self._choices:
            whole["choices"] = [one.reply() for _, one in sorted(self._choices.items())]
        if isinstance(whole.get("object"), str):
            whole["object"] = whole["object"].removesuffix(".chunk")
        return whole

    def _take_field(self, name: str, value: Any) -> None:
        """What is told of the whole answer; a chunk with nothing to tell has it empty or null."""
        old = self._shell.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            old.update(value)
        else:
            self._shell[name] = old or value

    def _take_choices(self, choices: Any) -> bool:
        self._shell["choices"] = choices
        added = False
        for position, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                added |= self._take_choice(position, choice)
        return added

    def _take_choice(self, position: int, choice: dict[str, Any]) -> bool:
        index = choice.get("index")
        index = index if isinstance(index, int) else position
        new = index not in self._choices
        if new:
            self._choices[index] = _Choice(index)
        known, said = self._choices[index], Said()
        ended_before = known.reason
        known.take(choice, said)
        for name, text in said:
            if name in _TEXTS:
                self._speech.hear(index, text)
        if known.reason and not ended_before:
            self._speech.ended(index)
        return new or bool(said) or known.reason != ended_before


class _Choice:
    """One choice, growing."""

    def __init__(self, index: int) -> None:
        self.reason: Any = None
        """Why it ended; None while it has not."""
        self._fields: dict[str, Any] = {"index": index}
        self._message: dict[str, Any] = {}
        self._calls = _ToolCalls()

    def take(self, choice: dict[str, Any], said: Said) -> None:
        for name, value in choice.items():
            match name:
                case "delta":
                    self._fields.setdefault("message", None)
                    if isinstance(value, dict):
                        self._take_delta(value, said)
                case "text" if "delta" in choice:
                    pass  # some services say every word twice
                case "text" | "logprobs":
                    grow(self._fields, {name: value}, said if name == "text" else [])
                case "finish_reason":
                    self.reason = value or self.reason
                    self._fields[name] = self.reason
                case "index":
                    pass
                case _:
                    old = self._fields.get(name)
                    self._fields[name] = old if value is None else value

    def _take_delta(self, delta: dict[str, Any], said: Said) -> None:
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            self._message.setdefault("tool_calls", None)
            self._calls.take(calls, said)
            delta = {name: value for name, value in delta.items() if name != "tool_calls"}
        grow(self._message, delta, said)

    def reply(self) -> dict[str, Any]:
        fields: dict[str, Any] = grown(self._fields)
        if "message" in fields and (self._message or not fields["message"]):
            message = {"role": "assistant", "content": None} | grown(self._message)
            if calls := self._calls.reply():
                message["tool_calls"] = calls
            fields["message"] = message
        return fields


class _ToolCalls:
    """Tool calls by their index; where all have the same or none, by their id."""

    def __init__(self) -> None:
        self._all: list[dict[str, Any]] = []
        self._by_index: dict[int | None, dict[str, Any]] = {}

    def take(self, deltas: list[Any], said: Said) -> None:
        for delta in deltas:
            if isinstance(delta, dict):
                grow(self._call(delta), {k: v for k, v in delta.items() if k != "index"}, said)

    def _call(self, delta: dict[str, Any]) -> dict[str, Any]:
        index = delta.get("index")
        index = index if isinstance(index, int) else None
        call = self._by_index.get(index)
        if call is None or _is_another(call, delta):
            call = self._by_index[index] = {}
            self._all.append(call)
        return call

    def reply(self) -> list[dict[str, Any]]:
        return [grown(call) for call in self._all]


def _is_another(call: dict[str, Any], delta: dict[str, Any]) -> bool:
    """Whether *delta* starts a call of its own under the index of *call*."""
    function = delta.get("function")
    named = isinstance(function, dict) and bool(function.get("name"))
    return named and bool(delta.get("id")) and delta["id"] != call.get("id")
