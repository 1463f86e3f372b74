"""What a run has done so far, counted once here for the display, the log and the summary."""

import re
from dataclasses import dataclass, field

from request_engine.records import (
    HOPELESS,
    Claim,
    Failure,
    Kind,
    Outcome,
    Request,
    Success,
    Unusable,
)
from request_engine.spread import Spread

_MOST_CAUSES = 50
_digits = re.compile(r"\d+(?:[.,]\d+)*")

Alike = tuple[Kind, int | None, str]
"""What failures share that failed alike: kind, status, and the message without its numbers."""


@dataclass(slots=True)
class Cause:
    """Failed requests that failed alike."""

    kind: Kind
    status: int | None
    example: str
    number: int
    """Line of the example in the requests file."""
    count: int = 0


@dataclass(slots=True)
class Tally:
    """Counts of one run."""

    answers_found: int = 0
    """Rows of answers in the results file when the run began."""
    answered_before: int = 0
    """Requests that one of them answers."""
    failed_before: int = 0
    """Rows of failures there."""
    failures_kept: int = 0
    """Requests whose failure of an earlier run stands (--keep_failures)."""
    succeeded: int = 0
    failed: int = 0
    cached: int = 0
    """Those of them whose answer was in the cache; for them nothing was asked or used."""
    shared: int = 0
    """Those that got the outcome of an identical request in flight; the same is true of them."""
    attempts: int = 0
    refusals: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    maybe_billed: int = 0
    """Attempts that may have been executed and billed without a usable answer."""
    maybe_billed_tokens: int = 0
    abandoned: int = 0
    """Those of them that were given up in flight; their requests have no row."""
    hopeless: int = 0
    """Failures of the kinds that every other request would meet."""
    last_hopeless: Failure | None = None
    causes: dict[Alike, Cause] = field(default_factory=dict)
    first_tokens: Spread = field(default_factory=Spread)
    """Seconds from sending to the first word, of attempts whose reply was streamed."""

    @property
    def finished(self) -> int:
        """Requests of this run that have their row."""
        return self.succeeded + self.failed

    @property
    def any_answer(self) -> bool:
        """Whether the service has ever answered, in this run or an earlier one."""
        return bool(self.succeeded or self.answers_found)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def done_before(self) -> int:
        """Requests that have the row of an earlier run."""
        return self.answered_before + self.failures_kept

    def claim(self, claim: Claim) -> None:
        """Count one request that has such a row."""
        if claim is Claim.ANSWER:
            self.answered_before += 1
        else:
            self.failures_kept += 1

    def attempted(self, outcome: Outcome, reserved: int) -> None:
        """Count one attempt by what came of it."""
        if outcome.usage is not None:
            self.prompt_tokens += outcome.usage.prompt
            self.completion_tokens += outcome.usage.completion
        if isinstance(outcome, Failure):
            if outcome.kind is Kind.RATE_LIMIT:
                self.refusals += 1
            if outcome.maybe_billed:
                self.maybe_billed += 1
                self.maybe_billed_tokens += outcome.usage.total if outcome.usage else reserved

    def abandon(self, reserved: int) -> None:
        """Count one attempt that was given up in flight."""
        self.abandoned += 1
        self.maybe_billed += 1
        self.maybe_billed_tokens += reserved

    def finish(self, request: Request | Unusable, outcome: Outcome) -> None:
        """Count one request that has its row."""
        if isinstance(outcome, Success):
            self.succeeded += 1
            return
        self.failed += 1
        if outcome.kind in HOPELESS:
            self.hopeless += 1
            self.last_hopeless = outcome
        key = alike(outcome)
        if key not in self.causes and len(self.causes) >= _MOST_CAUSES:
            key = (outcome.kind, None, "other")
        cause = self.causes.setdefault(
            key, Cause(outcome.kind, key[1], outcome.message, request.number)
        )
        cause.count += 1

    def add(self, other: "Tally") -> None:
        """Count what *other* has counted as well, but for its causes."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_SUMS = (
    "succeeded",
    "failed",
    "cached",
    "shared",
    "attempts",
    "refusals",
    "prompt_tokens",
    "completion_tokens",
    "maybe_billed",
    "maybe_billed_tokens",
    "abandoned",
    "hopeless",
)


def alike(failure: Failure) -> Alike:
    """What *failure* has in common with others of the same cause."""
    return failure.kind, failure.status, _digits.sub("#", failure.message)[:120]
