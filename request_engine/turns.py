"""Where a body says what: instructions, what the user says, and what the model answered.

Each method gives the members of the body that it changes, and leaves the body as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_SYSTEM = frozenset({"system", "developer"})

Body = Mapping[str, Any]


class Turns(Protocol):
    """One way to write a conversation down."""

    def begun(self, said: Any) -> dict[str, Any]:
        """The members of a body in which *said* is said: the user's text, or turns."""
        ...

    def instructed(self, body: Body, text: str) -> dict[str, Any]:
        """With *text* among the instructions, behind those that there are."""
        ...

    def answered(self, body: Body, answer: str, text: str) -> dict[str, Any]:
        """With two more turns: what the model answered, and what the user says to that."""
        ...


@dataclass(frozen=True, slots=True)
class Messages:
    """Turns with a role and a content, in the member *turns*.

    Instructions are a turn of their own, or the member *system*.
    """

    turns: str = "messages"
    system: str | None = None

    def begun(self, said: Any) -> dict[str, Any]:
        return {self.turns: [_turn("user", said)] if isinstance(said, str) else said}

    def instructed(self, body: Body, text: str) -> dict[str, Any]:
        if self.system is not None:
            return {self.system: _joined(body.get(self.system), text)}
        turns = self._turns(body)
        first = turns[0] if turns else None
        if isinstance(first, dict) and first.get("role") in _SYSTEM:
            return {
                self.turns: [first | {"content": _joined(first.get("content"), text)}, *turns[1:]]
            }
        return {self.turns: [_turn("system", text), *turns]}

    def answered(self, body: Body, answer: str, text: str) -> dict[str, Any]:
        told = [_turn("assistant", answer)] if answer else []
        return {self.turns: [*self._turns(body), *told, _turn("user", text)]}

    def _turns(self, body: Body) -> list[Any]:
        said = body.get(self.turns)
        return said if isinstance(said, list) else [] if said is None else [_turn("user", said)]


@dataclass(frozen=True, slots=True)
class Contents:
    """Turns that are made of parts, and the model's are called so."""

    system: str = "systemInstruction"

    def begun(self, said: Any) -> dict[str, Any]:
        return {"contents": [_parts("user", said)] if isinstance(said, str) else said}

    def instructed(self, body: Body, text: str) -> dict[str, Any]:
        name = "system_instruction" if "system_instruction" in body else self.system
        given = body.get(name)
        parts = given.get("parts") if isinstance(given, dict) else None
        return {name: {"parts": [*(parts if isinstance(parts, list) else ()), {"text": text}]}}

    def answered(self, body: Body, answer: str, text: str) -> dict[str, Any]:
        said = body.get("contents")
        told = [_parts("model", answer)] if answer else []
        return {
            "contents": [*(said if isinstance(said, list) else ()), *told, _parts("user", text)]
        }


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text, in which all is said; instructions in the member *system* where there is one."""

    system: str | None = None

    def begun(self, said: Any) -> dict[str, Any]:
        return {"prompt": said}

    def instructed(self, body: Body, text: str) -> dict[str, Any]:
        name = self.system or "prompt"
        return {name: _joined(body.get(name), text)}

    def answered(self, body: Body, answer: str, text: str) -> dict[str, Any]:
        return {"prompt": "\n\n".join(filter(None, (str(body.get("prompt")), answer, text)))}


@dataclass(frozen=True, slots=True)
class Within:
    """As *turns*, within the member *holder*."""

    holder: str
    turns: Turns

    def begun(self, said: Any) -> dict[str, Any]:
        return {self.holder: self.turns.begun(said)}

    def instructed(self, body: Body, text: str) -> dict[str, Any]:
        inner = self._inner(body)
        return {self.holder: inner | self.turns.instructed(inner, text)}

    def answered(self, body: Body, answer: str, text: str) -> dict[str, Any]:
        inner = self._inner(body)
        return {self.holder: inner | self.turns.answered(inner, answer, text)}

    def _inner(self, body: Body) -> dict[str, Any]:
        inner = body.get(self.holder)
        return inner if isinstance(inner, dict) else {}


CHAT = Messages()
MESSAGES_TURNS = Messages(system="system")
RESPONSES_TURNS = Messages("input", system="instructions")
CONTENTS = Contents()
PROMPT = Prompt()


def _turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def _parts(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": text}]}


def _joined(given: Any, text: str) -> Any:
    """*given*, a text or parts of one, and then *text*."""
    if isinstance(given, list):
        return [*given, {"type": "text", "text": text}]
    return f"{given}\n\n{text}" if given else text
