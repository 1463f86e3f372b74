"""How a path speaks: the same answer or error in the plain, the Messages or the gateway's shape."""

from dataclasses import dataclass, field
from typing import Any

from .answers import Answer
from .complaints import Complaint
from .gateway import Envelope
from .spelling import dumps, encoded

JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A reply that is ready to go out."""

    status: int
    content: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


class Plain:
    """The OpenAI-compatible way."""

    streams = True

    def answer(self, answer: Answer, headers: dict[str, str]) -> Outgoing:
        return Outgoing(200, encoded(answer.text), JSON, headers)

    def error(self, status: int, error: dict[str, Any], headers: dict[str, str]) -> Outgoing:
        return Outgoing(status, encoded(dumps({"error": error})), JSON, headers)

    def complaint(self, complaint: Complaint) -> Outgoing:
        return self.error(complaint.status, complaint.error(), {})


class Messages(Plain):
    """The Messages way, which names its errors by status."""

    def error(self, status: int, error: dict[str, Any], headers: dict[str, str]) -> Outgoing:
        stated = {"type": _MESSAGES_ERRORS.get(status, "api_error"), "message": error["message"]}
        return Outgoing(status, encoded(dumps({"type": "error", "error": stated})), JSON, headers)


class Gateway(Plain):
    """The gateway's way: the answer as text inside an envelope, and an unreliable content type."""

    streams = False

    def __init__(self, upstream: Plain, envelope: Envelope) -> None:
        self._upstream = upstream
        self._envelope = envelope

    def answer(self, answer: Answer, headers: dict[str, str]) -> Outgoing:
        wrapped = self._envelope.around(answer.text, answer.total_tokens)
        return Outgoing(200, encoded(wrapped), HTML, headers)

    def error(self, status: int, error: dict[str, Any], headers: dict[str, str]) -> Outgoing:
        failed = {"error": error, "request": self._envelope.echo}
        return Outgoing(status, encoded(dumps(failed)), HTML, headers)

    def complaint(self, complaint: Complaint) -> Outgoing:
        """What the service behind the gateway refused arrives as a 200 with the error inside."""
        if complaint.refusal == "auth":
            return super().complaint(complaint)
        inside = self._upstream.complaint(complaint).content.decode()
        return Outgoing(200, encoded(self._envelope.around(inside, 0)), HTML)


_MESSAGES_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
