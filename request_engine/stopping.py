"""Stop a run early: let what is in flight come home, and wake whoever only waits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from request_engine.records import HOPELESS, Failure, Kind, Outcome, Success
from request_engine.tally import Tally

FEW = 3
"""Requests in a row that fail as every other would, after which the run stops."""


class Abandoned(Exception):
    """The run stops, so this wait is over; the request keeps no row and is tried next time."""


class Stopping:
    """Whether the run goes on, and why not."""

    def __init__(self, max_wait: float) -> None:
        """*max_wait*: seconds the service may refuse everything before the run stops."""
        self.reason: str | None = None
        self.interrupted = False
        self.max_wait = max_wait
        self._resting: set[asyncio.Task[object]] = set()
        self._hopeless = 0
        self._refused_since: float | None = None

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

    def judge(self, outcome: Outcome, *, any_answer: bool) -> None:
        """Stop when a few requests in a row met what every other would meet.

        With *any_answer*, now or in an earlier run, an unknown model is the line's own.
        """
        if isinstance(outcome, Success):
            self._hopeless = 0
        elif outcome.kind is Kind.MODEL_CONFIG and any_answer:
            return
        elif outcome.kind in HOPELESS:
            self._hopeless += 1
            if self._hopeless >= FEW:
                self.stop(_why(outcome))
        else:
            self._hopeless = 0

    def judge_whole_run(self, tally: Tally) -> None:
        """A short run that met nothing but such failures was stopped by them as well."""
        last = tally.last_hopeless
        if last is not None and not tally.succeeded and not tally.answered_before:
            self.stop(_why(last))

    def refused(self, now: float, wait: float, message: str) -> None:
        """Stop when the service would keep us waiting for longer than the user wants."""
        if self._refused_since is None:
            self._refused_since = now
        waited = now - self._refused_since
        if max(wait, waited) > self.max_wait:
            self.stop(
                f"the service lets nothing through for {max(wait, waited):,.0f} s, longer than "
                f"--max_wait {self.max_wait:,.0f}: {message}"
            )

    def admitted(self) -> None:
        """The service let a request in."""
        self._refused_since = None


def _why(failure: Failure) -> str:
    meaning = {
        "auth": "the key was refused",
        "quota": "the account is out of money or quota",
        "model_config": "the model or URL is not there",
    }
    status = f" ({failure.status})" if failure.status else ""
    return f"{meaning[failure.kind]}{status}: {failure.message}"
