"""What one request in memory came to: an answer, or what went wrong, and never a made-up value."""

import json
from collections.abc import Mapping
from typing import Any

from request_engine.record import record
from request_engine.records import Failure, Outcome, Success, Usage, used


class RequestFailed(RuntimeError):
    """There is no answer to a request; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        status = f" ({failure.status})" if failure.status is not None else ""
        super().__init__(f"{failure.kind}{status}: {failure.message}")
        self.failure = failure


@record(frozen=True, slots=True)
class Result:
    """The outcome of one request."""

    index: int
    """Its place among those that were asked together, from 0 on."""
    body: Mapping[str, Any]
    """The request, as it was given."""
    outcome: Outcome

    @property
    def failure(self) -> Failure | None:
        """Why there is no answer; None if there is one."""
        return self.outcome if isinstance(self.outcome, Failure) else None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.failure is None

    @property
    def usage(self) -> Usage | None:
        """Tokens that the service counted, of every attempt; None where it does not say.

        0 where nothing was asked of it: the answer was in the cache, or an identical request in
        flight has it as well, and counts it. So a sum over results is what was spent.
        """
        return used(self.outcome)

    @property
    def cached(self) -> bool:
        """Whether the answer was in the cache."""
        return isinstance(self.outcome, Success) and self.outcome.cached

    @property
    def response(self) -> dict[str, Any]:
        """The service's reply. RequestFailed where there is none."""
        if isinstance(self.outcome, Failure):
            raise RequestFailed(self.outcome)
        reply: dict[str, Any] = json.loads(self.outcome.response)
        return reply

    @property
    def text(self) -> str:
        """What the model wrote, of several answers the first. RequestFailed where there is none."""
        return text_of(self.response)


def text_of(response: Mapping[str, Any]) -> str:
    """The text in a reply of any shape; empty where it has none, as a call of a tool."""
    for choice in _objects(response.get("choices")):
        return _text(choice.get("message")) or _text(choice)
    for candidate in _objects(response.get("candidates")):
        return _text(candidate.get("content"))
    output = response.get("output")
    if isinstance(output, dict):  # choices, or a text, one level down
        return text_of(output) or _text(output)
    texts = [_text(item) for item in _objects(output) if item.get("type") == "message"]
    for found in (*texts, _text(response.get("message")), _text(response)):
        if found:
            return found
    for item in _objects(response.get("results")):
        return str(item.get("generated_text") or "")
    return ""


def _text(message: Any) -> str:
    """The text of a message: a string, or all texts among its parts."""
    if not isinstance(message, dict):
        return ""
    for key in ("content", "parts", "text", "response"):
        said = message.get(key)
        if isinstance(said, str):
            return said
        if isinstance(said, list):
            return "".join(str(part.get("text") or "") for part in _objects(said))
    return ""


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
