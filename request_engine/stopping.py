"""Stop a run early: let what is in flight come home, and wake whoever only waits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from request_engine.records import HOPELESS, Failure, Kind, Outcome, Success
from request_engine.tally import Tally

FEW = 3
"""Requests in a row that fail as every other would, after which the run stops."""
NEVER_THERE = 5
"""Pauses in a row, some 15 s, after which a service that never answered is given up."""


class Abandoned(Exception):
    """The run stops, so this wait is over; the request keeps no row and is tried next time."""


class Stopping:
    """Whether the run goes on, and why not."""

    def __init__(self, max_wait: float) -> None:
        """*max_wait*: seconds the service may refuse everything before the run stops."""
        self.reason: str | None = None
        self.interrupted = False
        self.kept_out_by = ""
        """Why nobody is let in, while that is so."""
        self.max_wait = max_wait
        self._resting: set[asyncio.Task[object]] = set()
        self._hopeless = 0
        self._kept_out_since: float | None = None
        self._admitted_at = float("-inf")

    def stop(self, reason: str, *, interrupted: bool = False) -> None:
        """Send nothing more. The first reason given is the one that is told."""
        if self.reason is None:
            self.reason = reason
            self.interrupted = interrupted
            for task in tuple(self._resting):
                task.cancel()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A wait with nothing in flight, which a stop cuts short with Abandoned."""
        if self.reason is not None:
            raise Abandoned
        task = asyncio.current_task()
        assert task is not None
        self._resting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.reason is not None and task.uncancel() == 0:
                raise Abandoned from None
            raise
        finally:
            self._resting.discard(task)

    def judge(self, outcome: Outcome, tally: Tally) -> None:
        """Stop when a few requests in a row met what every other would meet.

        Where anything was ever answered, an unknown model is the line's own.
        """
        if isinstance(outcome, Success):
            self._hopeless = 0
        elif outcome.kind is Kind.MODEL_CONFIG and tally.any_answer:
            return
        elif outcome.kind in HOPELESS:
            self._hopeless += 1
            if self._hopeless >= FEW:
                self.stop(_why(outcome))
        else:
            self._hopeless = 0

    def judge_whole_run(self, tally: Tally) -> None:
        """A short run that met nothing but such failures was stopped by them as well."""
        if tally.last_hopeless and tally.hopeless == tally.failed and not tally.any_answer:
            self.stop(_why(tally.last_hopeless))

    def kept_out(self, now: float, failure: Failure, in_a_row: int) -> None:
        """Stop when everybody is kept out for longer than the user wants to wait.

        Or sooner where the service was never there at all: after a few pauses in a row.
        """
        self.kept_out_by = failure.message[:80] if not failure.sent else "refused for speed"
        if self._kept_out_since is None:
            self._kept_out_since = now
        waited, asked = now - self._kept_out_since, failure.wait or 0.0
        limit = f"longer than --max_wait {self.max_wait:,.0f}: {failure.message}"
        if asked > self.max_wait:
            self.stop(f"the service asks to wait {asked:,.0f} s, {limit}")
        elif waited > self.max_wait:
            self.stop(f"the service has let nothing in for {waited:,.0f} s, {limit}")
        elif not failure.sent and in_a_row > NEVER_THERE and self._admitted_at == float("-inf"):
            self.stop(f"the service cannot be reached: {failure.message}")

    def admitted(self, now: float) -> None:
        """The service let a request in."""
        self._kept_out_since = None
        self._admitted_at = now

    def refused_alone(self, now: float, since: float) -> bool:
        """Whether one request was refused from *since* on for too long, others getting in."""
        return now - since > self.max_wait and self._admitted_at > since


def _why(failure: Failure) -> str:
    meaning = {
        "auth": "the key was refused",
        "quota": "the account is out of money or quota",
        "model_config": "the model or URL is not there",
    }
    status = f" ({failure.status})" if failure.status else ""
    return f"{meaning[failure.kind]}{status}: {failure.message}"
