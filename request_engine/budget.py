"""Who may send next: limits a minute, requests in flight, spacing and pauses in one queue.

    acquire -> Reservation -> (send) -> settle
                                 `-> pause, when the service lets nobody in

First come, first served; one timer for all who wait; nothing is polled. The wait is computed.
Limits that the user gave are never exceeded (`allowance.py`); what the service shows beside them
is learned (`pace.py`, `window.py`); what an attempt will take is learned as well (`sizes.py`).
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence

from request_engine.allowance import Spending
from request_engine.backoff import backoff
from request_engine.gate import Gate
from request_engine.records import Limit, Usage
from request_engine.shares import Binding, Shares
from request_engine.sizes import NO_TOKENS, Size, Sizes
from request_engine.window import Window

_PATIENCE = 2.0
"""Seconds. A refusal comes back at once, so a probe unanswered for this long was let in."""
_REFUSED_WITHIN = 4.0
"""Times as long as refusals took so far, after which a probe was let in."""
_LEAST_PATIENCE = 0.2
"""Seconds."""
_ROUNDING = 1e-6
"""Seconds. A wait this short is the rounding of a clock, and no timer can keep it."""
_HINTS_BELIEVED = 4
"""Refusals in a row after which a service's hint is only the least we wait."""
_TOKENS = frozenset({Limit.TOKENS, Limit.INPUT_TOKENS, Limit.OUTPUT_TOKENS})
_NEVER = float("-inf")
_FOR_EVER = float("inf")


class Reservation:
    """The right to send one attempt, to be settled when its reply is in."""

    __slots__ = ("at", "episode", "held", "settled", "size", "spendings")

    def __init__(self, size: Size, held: Usage, episode: int, at: float) -> None:
        self.size = size
        self.held = held
        """Tokens that are held for it."""
        self.episode = episode
        self.at = at
        self.spendings: Sequence[Spending | None] = ()
        self.settled = False


class _Waiter:
    __slots__ = ("future", "size")

    def __init__(self, size: Size, future: "asyncio.Future[Reservation]") -> None:
        self.size = size
        self.future = future


class Budget:
    """The limits of one account, and how many requests may be in flight."""

    def __init__(
        self,
        *,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        max_concurrent: int,
        input_tokens_per_minute: float | None = None,
        output_tokens_per_minute: float | None = None,
        seconds_between_sends: float = 0.0,
        burst_seconds: float = 10.0,
        learn_concurrency: bool = False,
        charges_ceiling: bool = False,
    ) -> None:
        """Limits are above 0; None is no limit, or one that has to be found.

        *learn_concurrency*: begin with few in flight and find out how many are of use.
        *charges_ceiling*: the service charges max_tokens, however short the answer is. Needs a
        running loop from the first acquire on.
        """
        self.requests = Gate(Binding.REQUESTS, requests_per_minute, burst_seconds)
        self.tokens = Gate(Binding.TOKENS, tokens_per_minute, burst_seconds)
        self._input = Gate(Binding.INPUT_TOKENS, input_tokens_per_minute, burst_seconds)
        self._output = Gate(Binding.OUTPUT_TOKENS, output_tokens_per_minute, burst_seconds)
        self.window = Window(max_concurrent, learned=learn_concurrency)
        self.sizes = Sizes(charges_ceiling=charges_ceiling)
        self.shares = Shares()
        self.in_flight = 0
        self.paused_until = _NEVER
        self.refused_in_a_row = 0
        """Pauses since something was last let in."""
        self.held_by: str | None = None
        """Why nothing is admitted until `release`; None while nobody holds it."""
        self._split = input_tokens_per_minute is not None or output_tokens_per_minute is not None
        self._spacing = seconds_between_sends
        self._next_send = _NEVER
        self._waiting: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._episode = 0
        self._began: float | None = None
        """When the pause began that is on now, refusals of its probes included."""
        self._blamed: Limit | None = None
        self._learns = False
        self._let_in = 0
        """Requests in flight when it began, less those that turned out to be refused."""
        self._probing = False
        self._probe: Reservation | None = None
        self._probe_until = _NEVER
        self._refused_within = 0.0
        """Seconds the slowest refusal took to come back."""

    def __repr__(self) -> str:
        limits = ", ".join(
            f"{name} {gate.allowance.used:,.0f}/{gate.allowance.per_minute:,.0f}"
            for name, gate in (("requests", self.requests), ("tokens", self.tokens))
            if gate.allowance
        )
        flight = f"in flight {self.in_flight}/{self.window.size}"
        return f"<Budget {limits or 'no limits'}, {flight}, waits for {self.shares.binding}>"

    @property
    def max_concurrent(self) -> int:
        """Most that may ever be in flight."""
        return self.window.most

    @property
    def binding(self) -> Binding:
        """What the next request waits for."""
        return self.shares.binding

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    async def acquire(self, size: Size) -> Reservation:
        """Wait until one attempt of *size* may be sent; reserve what it is expected to take."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            now = loop.time()
            held = self.sizes.expected(size)
            wait, _ = self._wait(now, held)
            if wait <= 0:
                self.shares.bind(now, Binding.FILE)
                return self._grant(now, size, held)
        waiter = _Waiter(size, loop.create_future())
        self._waiting.append(waiter)
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def settle(self, reservation: Reservation, used: Usage | None, *, admitted: bool) -> None:
        """End the attempt of *reservation*; a second call does nothing.

        *used* is what it really took; None keeps what was held, up to one minute's worth, since
        more than that was only feared. *admitted* says that the service let it in.
        """
        if reservation.settled:
            return
        reservation.settled = True
        self.in_flight -= 1
        now = asyncio.get_running_loop().time()
        held = reservation.held
        if not admitted:
            self.requests.pace.refused(1)
            self.tokens.pace.refused(0)  # its tokens are given back below
            used = NO_TOKENS
        if held is not NO_TOKENS:
            self._correct(now, reservation, held, used)
        if reservation is self._probe:
            self._probe = None
            if self._probing and admitted:
                self._resume(now)
        if admitted and reservation.episode == self._episode:
            self.refused_in_a_row = 0
        if self._waiting:
            self._serve()

    def answered(self, reservation: Reservation, used: Usage | None) -> None:
        """Learn from an answer, before `settle`; *used* None where the service does not say."""
        now = asyncio.get_running_loop().time()
        work = 1.0
        if used is not None:
            if reservation.held is not NO_TOKENS:
                self.sizes.learn(reservation.size, used)
            work = used.completion or 1.0
        self.window.answered(now, self.in_flight, work)

    def timed_out(self, reservation: Reservation) -> None:
        """Learn from an attempt that was not answered in time."""
        self.window.timed_out(asyncio.get_running_loop().time(), reservation.at)

    def pause(
        self,
        reservation: Reservation,
        hint: float | None,
        limit: Limit | None = None,
        *,
        refused: bool = True,
    ) -> None:
        """Stop sending for a while, since *reservation* was refused or met no service.

        *hint* is the seconds the service asks for, *limit* the one it names; not *refused* means
        that nobody was there. Refusals of what was sent before the last decision are the same news
        once more: they may lengthen the pause, never double it.
        """
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
            self._let_in = self.in_flight
            self._blamed, self._learns = None, False
        if refused:
            self._let_in -= reservation.at <= self._began
            self._blamed, self._learns = limit or self._blamed, True
            self._refused_within = max(0.9 * self._refused_within, now - reservation.at)
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

    def _resume(self, now: float) -> None:
        """The service lets requests in again: learn from how long it did not."""
        self._probing = False
        began, self._began = self._began, None
        if began is None:
            return
        blamed = self.requests if self._learns else None
        if self._blamed is Limit.CONCURRENCY:
            self.window.refused(now, self._let_in, now - began)
            blamed = None
        elif self._blamed in _TOKENS and self.tokens.pace.counts:
            blamed = self.tokens
        growth = self._blamed is Limit.GROWTH
        for gate in (self.requests, self.tokens):
            gate.pace.resumed(now, began, blamed=gate is blamed, growth=growth)

    def _pause_length(self, hint: float | None) -> float:
        own = backoff(self.refused_in_a_row)
        if not hint:
            return own
        if self.refused_in_a_row > _HINTS_BELIEVED:
            return max(hint, own)
        # A hint is when there is room again, to the millisecond: arriving just before is a refusal.
        return hint + 0.01 + 0.05 * random.random()

    def _wait(self, now: float, held: Usage) -> tuple[float, Binding]:
        """Seconds until it may be sent, infinite when only a settlement can tell; and what for."""
        if self.in_flight >= self.window.size:
            return _FOR_EVER, Binding.CONCURRENCY
        if self.held_by is not None:
            return _FOR_EVER, Binding.DISK
        wait, binding = self.requests.wait(now, 1), Binding.REQUESTS
        if held is not NO_TOKENS:
            for gate, amount in self._amounts(held):
                if (other := gate.wait(now, amount)) > wait:
                    wait, binding = other, gate.binding
        if self._next_send - now > wait:
            wait, binding = self._next_send - now, Binding.SPACING
        if self.paused_until - now > wait:
            wait, binding = self.paused_until - now, Binding.PAUSE
        if self._probing and self._probe is not None and self._probe_until - now > wait:
            wait, binding = self._probe_until - now, Binding.PROBE
        return (wait if wait > _ROUNDING else 0.0), binding

    def _amounts(self, held: Usage) -> tuple[tuple[Gate, int], ...]:
        tokens = (self.tokens, held.total)
        if not self._split:
            return (tokens,)
        return tokens, (self._input, held.prompt), (self._output, held.completion)

    def _grant(self, now: float, size: Size, held: Usage) -> Reservation:
        reservation = Reservation(size, held, self._episode, now)
        self.requests.spend(now, 1)
        if held is not NO_TOKENS:
            reservation.spendings = [
                gate.spend(now, amount) for gate, amount in self._amounts(held)
            ]
        self._next_send = now + self._spacing
        self.in_flight += 1
        if self._probing:
            if self._probe is None:
                self._probe = reservation
                patience = _REFUSED_WITHIN * self._refused_within or _PATIENCE
                self._probe_until = now + min(_PATIENCE, max(_LEAST_PATIENCE, patience))
            else:  # the probe has been out for so long that it must have been let in
                self._probe = None
                self._resume(now)
        return reservation

    def _correct(
        self, now: float, reservation: Reservation, held: Usage, used: Usage | None
    ) -> None:
        if used is None:
            if self.tokens.allowance is None or held.total <= self.tokens.allowance.per_minute:
                return
            used = Usage(round(self.tokens.allowance.per_minute))
        elif self.sizes.charges_ceiling and used is not NO_TOKENS:
            used = Usage(used.prompt, max(used.completion, held.completion))
        taken = [amount for _, amount in self._amounts(used)]
        for (gate, amount), more, spending in zip(
            self._amounts(held), taken, reservation.spendings, strict=True
        ):
            if more != amount:
                gate.correct(now, spending, more - amount)

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
            held = self.sizes.expected(waiter.size)
            wait, binding = self._wait(now, held)
            if wait > 0:
                self.shares.bind(now, binding)
                if wait < _FOR_EVER:
                    self._timer = loop.call_at(now + wait, self._serve)
                return
            self._waiting.popleft()
            waiter.future.set_result(self._grant(now, waiter.size, held))

    def _leave(self, waiter: _Waiter) -> None:
        """Give up a place in the queue, or a reservation that was granted too late."""
        if waiter.future.done() and not waiter.future.cancelled():
            self.settle(waiter.future.result(), NO_TOKENS, admitted=True)
        else:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self._serve()
