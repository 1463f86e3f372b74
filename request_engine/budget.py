"""Who may send next: requests and tokens a minute, concurrency, spacing and pauses in one queue.

    acquire -> Reservation -> (send) -> settle
                                 `-> pause, when the service lets nobody in

First come, first served; one timer for all who wait; nothing is polled. The wait is computed.
"""

import asyncio
import random
from collections import deque
from enum import StrEnum

from request_engine.allowance import Allowance, Spending
from request_engine.backoff import backoff

_PROBE_PATIENCE = 2.0
"""Seconds. A refusal comes back at once, so a probe unanswered for this long was let in."""
_ROUNDING = 1e-6
"""Seconds. A wait this short is the rounding of a clock, and no timer can keep it."""
_HINTS_BELIEVED = 4
"""Refusals in a row after which a service's hint is only the least we wait."""


class Binding(StrEnum):
    """What the next request waits for."""

    NOTHING = "nothing"
    REQUESTS = "its turn among the requests a minute"
    TOKENS = "its turn among the tokens a minute"
    CONCURRENCY = "an answer, as no more may be in flight"
    SPACING = "the time between two sends"
    DISK = "room on the disk"
    PAUSE = "a pause to end"
    PROBE = "the answer to a probe"


class Reservation:
    """The right to send one attempt, to be settled when its reply is in."""

    __slots__ = ("episode", "settled", "spending", "tokens")

    def __init__(self, tokens: int, episode: int, spending: Spending | None) -> None:
        self.tokens = tokens
        self.episode = episode
        self.spending = spending
        self.settled = False


class _Waiter:
    __slots__ = ("future", "tokens")

    def __init__(self, tokens: int, future: "asyncio.Future[Reservation]") -> None:
        self.tokens = tokens
        self.future = future


class Budget:
    """Requests and tokens a minute for one account, and how many may be in flight."""

    def __init__(
        self,
        *,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        max_concurrent: int,
        seconds_between_sends: float = 0.0,
        burst_seconds: float = 10.0,
    ) -> None:
        """Limits are above 0; None is no limit. Needs a running loop from the first acquire on."""
        self.requests = _allowance(requests_per_minute, burst_seconds)
        self.tokens = _allowance(tokens_per_minute, burst_seconds)
        self.max_concurrent = max_concurrent
        self.in_flight = 0
        self.binding = Binding.NOTHING
        self.paused_until = float("-inf")
        self._spacing = seconds_between_sends
        self._next_send = float("-inf")
        self._waiting: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._episode = 0
        self.refused_in_a_row = 0
        """Pauses since something was last let in."""
        self.held_by: str | None = None
        """Why nothing is admitted until `release`; None while nobody holds it."""
        self._probing = False
        self._probe: Reservation | None = None
        self._probe_until = float("-inf")

    def __repr__(self) -> str:
        limits = ", ".join(
            f"{name} {allowance.used:,.0f}/{allowance.per_minute:,.0f}"
            for name, allowance in (("requests", self.requests), ("tokens", self.tokens))
            if allowance
        )
        flight = f"in flight {self.in_flight}/{self.max_concurrent}"
        return f"<Budget {limits or 'no limits'}, {flight}, waits for {self.binding}>"

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    async def acquire(self, tokens: int) -> Reservation:
        """Wait until one attempt of *tokens* may be sent, then reserve it."""
        loop = asyncio.get_running_loop()
        if not self._waiting and self._wait(loop.time(), tokens) <= 0:
            return self._grant(loop.time(), tokens)
        waiter = _Waiter(tokens, loop.create_future())
        self._waiting.append(waiter)
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def settle(self, reservation: Reservation, tokens: int | None, *, admitted: bool) -> None:
        """End the attempt of *reservation*; a second call does nothing.

        *tokens* is what it really used; None keeps what was reserved, up to one minute's worth,
        since more than that was only feared. *admitted* says that the service let it in.
        """
        if reservation.settled:
            return
        reservation.settled = True
        self.in_flight -= 1
        now = asyncio.get_running_loop().time()
        if self.tokens and reservation.spending:
            used = min(reservation.tokens, self.tokens.per_minute) if tokens is None else tokens
            self.tokens.correct(now, reservation.spending, used - reservation.tokens)
        if reservation is self._probe:
            self._probe = None
            self._probing = self._probing and not admitted
        if admitted:
            self.refused_in_a_row = 0
        self._serve()

    def pause(self, reservation: Reservation, hint: float | None) -> None:
        """Stop sending for a while, since *reservation* was refused or met no service.

        *hint* is the seconds the service asks for. Refusals of what was sent before the last
        decision are the same news once more: they may lengthen the pause, never double it.
        """
        now = asyncio.get_running_loop().time()
        if reservation.episode == self._episode:
            self._episode += 1
            self.refused_in_a_row += 1
            length = self._pause_length(hint)
        else:
            length = hint or 0.0
        self.paused_until = max(self.paused_until, now + length)
        self._probing = True
        self._serve()

    def hold(self, reason: str) -> None:
        """Admit nothing, for *reason*, until `release`."""
        self.held_by = reason

    def release(self) -> None:
        """Admit again, if it was held."""
        if self.held_by is not None:
            self.held_by = None
            self._serve()

    def _pause_length(self, hint: float | None) -> float:
        own = backoff(self.refused_in_a_row)
        if not hint:
            return own
        if self.refused_in_a_row > _HINTS_BELIEVED:
            return max(hint, own)
        # A hint is when there is room again, to the millisecond: arriving just before is a refusal.
        return hint + 0.01 + 0.05 * random.random()

    def _wait(self, now: float, tokens: int) -> float:
        """Seconds until *tokens* may be sent; infinite when only a settlement can tell."""
        waits = [
            (self.paused_until - now, Binding.PAUSE),
            (self._next_send - now, Binding.SPACING),
        ]
        if self.requests:
            waits.append((self.requests.wait(now, 1), Binding.REQUESTS))
        if self.tokens:
            waits.append((self.tokens.wait(now, tokens), Binding.TOKENS))
        if self._probe is not None and self._probing:
            waits.append((self._probe_until - now, Binding.PROBE))
        if self.held_by is not None:
            waits.append((float("inf"), Binding.DISK))
        if self.in_flight >= self.max_concurrent:
            waits.append((float("inf"), Binding.CONCURRENCY))
        wait, binding = max(waits)
        if wait <= _ROUNDING:
            wait, binding = 0.0, Binding.NOTHING
        self.binding = binding
        return wait

    def _grant(self, now: float, tokens: int) -> Reservation:
        if self.requests:
            self.requests.spend(now, 1)
        spending = self.tokens.spend(now, tokens) if self.tokens else None
        reservation = Reservation(tokens, self._episode, spending)
        self._next_send = now + self._spacing
        self.in_flight += 1
        if self._probing:
            if self._probe is None:
                self._probe = reservation
                self._probe_until = now + _PROBE_PATIENCE
            else:  # the probe has been out for so long that it must have been let in
                self._probing = False
                self._probe = None
        return reservation

    def _serve(self) -> None:
        """Grant whatever is due, first come first served, and set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            waiter = self._waiting[0]
            if waiter.future.done():  # cancelled, and about to leave by itself
                self._waiting.popleft()
                continue
            now = loop.time()
            wait = self._wait(now, waiter.tokens)
            if wait > 0:
                if wait < float("inf"):
                    self._timer = loop.call_at(now + wait, self._serve)
                return
            self._waiting.popleft()
            waiter.future.set_result(self._grant(now, waiter.tokens))

    def _leave(self, waiter: _Waiter) -> None:
        """Give up a place in the queue, or a reservation that was granted too late."""
        if waiter.future.done() and not waiter.future.cancelled():
            self.settle(waiter.future.result(), 0, admitted=True)
        else:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self._serve()


def _allowance(per_minute: float | None, burst_seconds: float) -> Allowance | None:
    return None if per_minute is None else Allowance(per_minute, burst_seconds)
