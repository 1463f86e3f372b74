"""Stop a run early: let what is in flight come home for a while, and wake whoever only waits.

stop -> nothing more is sent -> drain -> the run is over
                                    `-> give_up, at the deadline or at a second signal
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from request_engine.records import HOPELESS, Failure, Kind, Outcome, Success
from request_engine.tally import Alike, Tally, alike

FEW = 3
"""Requests in a row that fail as every other would, after which the run stops."""
NEVER_THERE = 5
"""Pauses in a row, some 15 s, after which a service that never answered is given up."""
_NEVER = float("-inf")
_WORDS = 60
"""Characters of a refusal that fit on a line of the display."""


class Abandoned(Exception):
    """The run stops, so this wait is over; the request keeps no row and is tried next time."""


class Stopping:
    """Whether the run goes on, and why not."""

    def __init__(
        self,
        max_wait: float,
        *,
        drain_timeout: float = 300.0,
        max_same_refusals: int | None = 10,
    ) -> None:
        """*max_wait*: seconds the service may refuse everything before the run stops.

        *drain_timeout*: seconds that answers in flight may take once it stops.
        *max_same_refusals*: lines refused in the same words, with none answered; None for any.
        """
        self.reason: str | None = None
        self.interrupted = False
        self.kept_out_by = ""
        """Why nobody is let in, while that is so."""
        self.max_wait = max_wait
        self.backing_off = 0
        """Requests that wait before their next attempt, with nothing in flight."""
        self._drain_timeout = drain_timeout
        self._drained_by = _NEVER
        self._give_up: Callable[[], None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._resting: set[asyncio.Task[object]] = set()
        self._hopeless = 0
        self._max_same_refusals = max_same_refusals
        self._same_refusals = 0
        self._refused_as: Alike | None = None
        self._kept_out_since: float | None = None
        self._turned_away: set[int] = set()
        self._admitted_at = _NEVER

    def stop(self, reason: str, *, interrupted: bool = False) -> None:
        """Send nothing more. The first reason given is the one that is told."""
        if self.reason is not None:
            return
        self.reason = reason
        self.interrupted = interrupted
        for task in tuple(self._resting):
            task.cancel()
        loop = asyncio.get_running_loop()
        self._drained_by = loop.time() + self._drain_timeout
        if self._give_up is not None:
            self._deadline = loop.call_at(self._drained_by, self.give_up)

    def on_give_up(self, give_up: Callable[[], None]) -> None:
        """Whom to call, once, when a stopped run waits no longer for what is in flight."""
        self._give_up = give_up

    def give_up(self) -> None:
        """Wait no longer for what is in flight: it may have been billed, and is tried next time."""
        give_up = self._give_up
        self.close()
        if give_up is not None:
            give_up()

    def close(self) -> None:
        """The run is over: nothing is left to be given up."""
        self._give_up = None
        if self._deadline is not None:
            self._deadline.cancel()

    def time_left(self) -> float:
        """Seconds a stopped run still waits for what is in flight."""
        return max(0.0, self._drained_by - asyncio.get_running_loop().time())

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

    async def back_off(self, seconds: float) -> None:
        """Rest before the next attempt of one request."""
        self.backing_off += 1
        try:
            with self.resting():
                await asyncio.sleep(seconds)
        finally:
            self.backing_off -= 1

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
                self.stop(why(outcome))
        else:
            self._hopeless = 0
            if outcome.kind in (Kind.BAD_REQUEST, Kind.BAD_ANSWER) and not tally.any_answer:
                self._refused(outcome)

    def judge_whole_run(self, tally: Tally) -> None:
        """A short run that met nothing but such failures was stopped by them as well."""
        if tally.last_hopeless and tally.hopeless == tally.failed and not tally.any_answer:
            self.stop(why(tally.last_hopeless))

    def kept_out(self, now: float, number: int, failure: Failure, in_a_row: int) -> None:
        """Stop when everybody is kept out for longer than the user wants to wait.

        Or sooner where the service was never there at all: after a few pauses in a row. Not where
        the request of line *number* is refused alone by a service that has let others in.
        """
        self.kept_out_by = _kept_out_by(failure)
        self._turned_away.add(number)
        if self._kept_out_since is None:
            self._kept_out_since = now
        waited, asked = now - self._kept_out_since, failure.wait or 0.0
        limit = f"longer than --max_wait {self.max_wait:,.0f}: {failure.message}"
        if asked > self.max_wait:
            self.stop(f"the service asks to wait {asked:,.0f} s, {limit}")
        elif waited > self.max_wait and not (failure.sent and self._only_one_is_kept_out()):
            self.stop(f"the service has let nothing in for {waited:,.0f} s, {limit}")
        elif not failure.sent and in_a_row > NEVER_THERE and self._admitted_at == _NEVER:
            self.stop(f"the service cannot be reached: {failure.message}")

    def admitted(self, now: float) -> None:
        """The service let a request in."""
        self._kept_out_since = None
        self._turned_away.clear()
        self._admitted_at = now

    def refused_alone(self, now: float, since: float) -> bool:
        """Whether one request was refused from *since* on for too long, and it alone.

        Either others get in meanwhile, or they did before and it is the only one left.
        """
        others_get_in = self._admitted_at > since or self._only_one_is_kept_out()
        return now - since > self.max_wait and others_get_in

    def _only_one_is_kept_out(self) -> bool:
        return len(self._turned_away) == 1 and self._admitted_at > _NEVER

    def _refused(self, failure: Failure) -> None:
        """Stop when line after line is refused in the same words."""
        words = alike(failure)
        self._same_refusals = self._same_refusals + 1 if words == self._refused_as else 1
        self._refused_as = words
        if self._same_refusals == self._max_same_refusals:
            self.stop(
                f"{self._same_refusals:,} requests in a row were all refused alike"
                f"{_status(failure)}: {failure.message}; if these lines alone are bad, "
                "give --max_same_refusals none"
            )


def _kept_out_by(failure: Failure) -> str:
    words = failure.message[:_WORDS]
    return f"refused for speed ({words})" if failure.sent else words


def why(failure: Failure) -> str:
    """What a failure that every other request would meet means for the run."""
    meaning = {
        "auth": "the key was refused",
        "quota": "the account is out of money or quota",
        "model_config": "the model or URL is not there",
    }
    return f"{meaning[failure.kind]}{_status(failure)}: {failure.message}"


def _status(failure: Failure) -> str:
    return f" ({failure.status})" if failure.status else ""
