"""What travels along the path: a request, the reply to it, and the outcome that is judged from it.

line -> Request -> Reply -> Success | Failure -> row
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any

from request_engine.record import record


class Kind(StrEnum):
    """Why an attempt failed, which alone decides what is done about it (README, "Failures")."""

    RATE_LIMIT = "rate_limit"
    TRANSIENT = "transient"
    BAD_REQUEST = "bad_request"
    CONTENT_FILTER = "content_filter"
    BAD_ANSWER = "bad_answer"
    AUTH = "auth"
    QUOTA = "quota"
    MODEL_CONFIG = "model_config"


class Limit(StrEnum):
    """What a service counts, and refuses a request for when there is too much of it."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    CONCURRENCY = "concurrency"
    GROWTH = "growth"
    """The rate rose too quickly, whatever it was."""


HOPELESS = frozenset({Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG})
"""Kinds that every other line of the run would meet as well."""

_LOST_ON_THE_WAY = (502, 504)
_REFUSALS = HOPELESS | {Kind.RATE_LIMIT, Kind.BAD_REQUEST}

RETRIED = frozenset({Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_ANSWER})
"""Kinds for which another attempt can end differently."""


@record(frozen=True, slots=True)
class Request:
    """One line of work. `raw_body` and `raw_metadata` are the user's own bytes, on one line."""

    number: int
    body: dict[str, Any]
    raw_body: bytes
    metadata: Any = None
    raw_metadata: bytes | None = None
    custom_id: str | None = None
    url: str | None = None
    """The path a batch line names for itself; None means the run's own URL."""


@record(frozen=True, slots=True)
class Unusable:
    """A line that cannot be a request. It costs exactly itself: one failure row saying why."""

    number: int
    raw_body: bytes
    """The line as a JSON string, shortened if it is very long."""
    message: str
    custom_id: str | None = None


class Claim(Enum):
    """What a request found of its own in the results of earlier runs."""

    ANSWER = 1
    FAILURE = 2


@record(frozen=True, slots=True)
class Reply:
    """What came back, unjudged. Header names are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    first_token: float | None = None
    """Seconds from sending to the first word, where the reply was streamed."""


@record(frozen=True, slots=True)
class Usage:
    """Tokens the service says it counted; `prompt` includes cached, `completion` reasoning."""

    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@record(frozen=True, slots=True)
class Success:
    """A usable answer. `response` and `extra` are JSON on one line, ready for the row."""

    response: bytes
    usage: Usage | None = None
    extra: bytes | None = None
    first_token: float | None = None
    """Seconds from sending to the first word of a streamed answer, None if it was not streamed."""
    earlier: tuple["Failure", ...] = ()
    """The attempts that failed before it."""
    cached: bool = False
    """True when it was not asked for now, but kept from an earlier time."""


@record(frozen=True, slots=True)
class Failure:
    """One attempt that gave no usable answer, and the attempts that failed before it."""

    kind: Kind
    message: str
    status: int | None = None
    attempt: int = 1
    wait: float | None = None
    """Seconds the service asks us to wait."""
    limit: Limit | None = None
    """The limit that a refusal for speed names; None where it names none."""
    raw: str | None = None
    """The start of an answer that may have been paid for and could not be used."""
    sent: bool = True
    """False when the request certainly never reached the service."""
    timed_out: bool = False
    """True when time ran out after sending."""
    stale: bool = False
    """True when the connection, used before, broke before the first byte of a reply: the service
    may never have read the request."""
    usage: Usage | None = None
    answer: str | None = None
    """An answer that its model may put right when it is told what is wrong with it."""
    final: bool = False
    """True when another attempt would end the same, although others of its kind may not."""
    earlier: tuple["Failure", ...] = ()

    @property
    def maybe_billed(self) -> bool:
        """Whether it may have been executed, and so billed, without a usable answer.

        That is so where it was sent and nobody refused it: silence, a cut connection, a gateway
        that lost the answer, or an answer that cannot be used.
        """
        if not self.sent or self.kind in _REFUSALS:
            return False
        return self.status is None or self.status < 300 or self.status in _LOST_ON_THE_WAY


Outcome = Success | Failure


def used(outcome: Outcome) -> Usage | None:
    """Tokens of all attempts that *outcome* took; None where the service told of none."""
    told = [one.usage for one in (*outcome.earlier, outcome) if one.usage is not None]
    if not told:
        return None
    return Usage(sum(one.prompt for one in told), sum(one.completion for one in told))
