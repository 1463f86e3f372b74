"""What a run came to, in the words that close it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from request_engine.durations import lasting
from request_engine.shares import SHORT, Binding
from request_engine.tally import Cause, Tally

_SHOWN = 8
_TOLD = 0.005
"""Of the time; less is not worth a word."""
_WORTH = 5.0
"""Seconds of a run from which on it is worth a line what they went into."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished, or stopped, run."""

    tally: Tally
    seconds: float
    save_filepath: str
    errors_filepath: str | None = None
    stopped: str | None = None
    """Why it ended early; None when every request has its row."""
    interrupted: bool = False
    unwritten: int = 0
    waited: Mapping[Binding, float] = field(default_factory=dict)
    """The share of the time that each reason kept the next request from being sent."""
    endpoints: Sequence[str] = ()
    """What each did, where there were several."""

    @property
    def rows(self) -> int:
        """Requests that have their row, those of earlier runs included."""
        return self.tally.finished + self.tally.done_before

    def exit_code(self, *, strict: bool = False) -> int:
        """0 ended, 1 with failures if *strict*, 3 stopped early, 130 interrupted (README)."""
        if self.interrupted:
            return 130
        if self.stopped is not None:
            return 3
        return 1 if strict and (self.tally.failed or self.tally.failures_kept) else 0

    def lines(self) -> list[str]:
        """The closing lines: causes of failures first, what matters most last."""
        said = [*self._causes(), *self._billing()]
        if self.stopped is not None:
            said.append(f"Stopped early: {self.stopped}")
        if self.unwritten:
            said.append(f"{self.unwritten:,} rows could not be written and are lost with this run")
        said += [f"  {told}" for told in self.endpoints]
        said += self._waiting()
        said += self._first_tokens()
        said.append(self._counts())
        if self.stopped is not None:
            first = "" if self.interrupted else "Mend that, then "
            said.append(f"{first}run the same command again to go on from here.".capitalize())
        return said

    def _causes(self) -> list[str]:
        causes = sorted(self.tally.causes.values(), key=lambda cause: -cause.count)
        said = [_cause(cause) for cause in causes[:_SHOWN]]
        if len(causes) > _SHOWN:
            rest = sum(cause.count for cause in causes[_SHOWN:])
            said.append(f"  {rest:,} more failed for {len(causes) - _SHOWN} other reasons")
        return [f"{self.tally.failed:,} requests failed:", *said] if said else []

    def _billing(self) -> list[str]:
        tally = self.tally
        said = []
        if tally.abandoned:
            said.append(
                f"{tally.abandoned:,} requests in flight were given up and may have been billed; "
                "they are tried again next time"
            )
        if tally.maybe_billed:
            in_all = " in all" if tally.abandoned else ""
            tokens = tally.maybe_billed_tokens
            upto = f", up to {tokens:,} tokens" if tokens else ""
            said.append(
                f"{tally.maybe_billed:,} attempts{in_all} may have been billed without a usable "
                f"answer{upto}"
            )
        return said

    def _waiting(self) -> list[str]:
        told = [(name, share) for name, share in self.waited.items() if share >= _TOLD]
        if self.seconds < _WORTH or not told:
            return []
        named = ", ".join(f"{SHORT[name]} {share:.0%}" for name, share in told)
        return [f"What the time went into: {named}"]

    def _first_tokens(self) -> list[str]:
        spread = self.tally.first_tokens
        if not spread.count:
            return []
        half, slow = (_short(spread.within(share)) for share in (0.5, 0.95))
        return [f"Streamed answers began after {half} (median), the slowest 5 % after {slow}"]

    def _counts(self) -> str:
        tally = self.tally
        said = f"{tally.succeeded:,} answered, {tally.failed:,} failed"
        if tally.answered_before:
            said += f", {tally.answered_before:,} answered before"
        if tally.failures_kept:
            said += f", {tally.failures_kept:,} failed before"
        if tally.tokens:
            said += f"; {tally.prompt_tokens:,} + {tally.completion_tokens:,} tokens"
        said += f"; {tally.refusals:,} refusals for speed (429) in {tally.attempts:,} attempts"
        took = f"{self.seconds:.1f} s" if self.seconds < 60 else lasting(self.seconds)
        said += f"; {took}. Results: {self.save_filepath}"
        if self.errors_filepath is not None and tally.failed:
            said += f", failures: {self.errors_filepath}"
        return said


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else lasting(seconds)


def _cause(cause: Cause) -> str:
    status = f" {cause.status}" if cause.status is not None else ""
    message = cause.example.removeprefix(f"line {cause.number}: ")
    message = message if len(message) <= 200 else message[:200] + "..."
    return f"  {cause.count:,} x {cause.kind}{status}, such as line {cause.number}: {message}"
