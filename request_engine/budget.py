"""Who may send next: limits a minute, requests in flight, spacing and pauses in one queue.

    acquire -> Reservation -> (send) -> settle
                                 `-> pause, when the service lets nobody in

First come, first served; one timer for all who wait; nothing is polled. The wait is computed.
Limits that the user gave are never exceeded (`allowance.py`); what the service shows beside them
is learned (`pace.py`, `window.py`); what an attempt will take is learned as well (`sizes.py`).
"""

import asyncio
from collections import deque
from collections.abc import Callable

from request_engine.charges import Charges
from request_engine.gate import Gate
from request_engine.limit_headers import Announced
from request_engine.pause import Pause
from request_engine.records import Limit, Usage
from request_engine.reservation import Reservation
from request_engine.shares import Binding, Shares
from request_engine.sizes import NO_TOKENS, Size, Sizes
from request_engine.window import Window

_TOGETHER, _BY_SECOND = 0.5, 0.003
"""Seconds' worth that may go at once, before anything is learned; the last where limits are also
enforced by the second."""
_HEARD = 20
"""Replies in which limits are looked for: reading headers costs some 4 us."""
_ROUNDING = 1e-6
"""Seconds. A wait this short is the rounding of a clock, and no timer can keep it."""
_TOKENS = frozenset({Limit.TOKENS, Limit.INPUT_TOKENS, Limit.OUTPUT_TOKENS})
_NEVER = float("-inf")
_FOR_EVER = float("inf")


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
        burst = burst_seconds
        together = _TOGETHER
        at_once = together if burst else _BY_SECOND
        self.requests = Gate(Binding.REQUESTS, requests_per_minute, burst, at_once)
        self.tokens = Gate(Binding.TOKENS, tokens_per_minute, burst, together)
        self._input = Gate(Binding.INPUT_TOKENS, input_tokens_per_minute, burst, together)
        self._output = Gate(Binding.OUTPUT_TOKENS, output_tokens_per_minute, burst, together)
        self.window = Window(max_concurrent, learned=learn_concurrency)
        self.sizes = Sizes(charges_ceiling=charges_ceiling)
        self.charges = Charges(self.sizes, self.tokens, burst)
        self.pauses = Pause()
        self.shares = Shares()
        self._otherwise = Binding.FILE
        self.in_flight = 0
        self.held_by: str | None = None
        """Why nothing is admitted until `release`; None while nobody holds it."""
        self.on_room: Callable[[], None] | None = None
        """Called whenever there may be room again and nobody waits for it here."""
        self._split = input_tokens_per_minute is not None or output_tokens_per_minute is not None
        self._spacing = seconds_between_sends
        self._next_send = _NEVER
        self._waiting: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._announced: Announced | None = None
        self._heard = 0
        """Replies in which limits were looked for."""

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

    def acquire_now(self, size: Size) -> Reservation | None:
        """Reserve one attempt of *size* if it may be sent at once; None if it has to wait."""
        if self._waiting:
            return None
        now = asyncio.get_running_loop().time()
        held, paced = self._held(now, size)
        wait, binding = self._wait(now, size, held, paced)
        if wait > 0:
            self._wake_in(now, wait, binding)
            return None
        self.shares.bind(now, self._otherwise)
        return self._grant(now, size, held, paced)

    async def acquire(self, size: Size, *, first: bool = False) -> Reservation:
        """Wait until one attempt of *size* may be sent; reserve what it is expected to take.

        *first*: before all who wait, since it had its turn and was refused.
        """
        reservation = self.acquire_now(size)
        if reservation is not None:
            return reservation
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        if first and self._waiting:
            self._waiting.appendleft(waiter)
            self._serve()
        else:
            self._waiting.append(waiter)
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
        if self.pauses.settled(reservation, admitted=admitted):
            self._resume(now)
        if self._waiting or self.on_room is not None:
            self._serve()

    def answered(self, reservation: Reservation, used: Usage | None) -> None:
        """Learn from an answer, before `settle`; *used* None where the service does not say."""
        now = asyncio.get_running_loop().time()
        work = 1.0
        if used is not None:
            if reservation.held is not NO_TOKENS:
                self.sizes.learn(reservation.size, used)
                self.charges.answered(reservation.size, used)
            work = used.completion or 1.0
        self.window.answered(now, self.in_flight, work, now - reservation.at)

    def timed_out(self, reservation: Reservation) -> None:
        """Learn from an attempt that was not answered in time."""
        self.window.timed_out(asyncio.get_running_loop().time(), reservation.at)

    def announced(self, limits: Announced) -> None:
        """Take the limits that a reply states for a hint, once two of them state the same."""
        if limits == self._announced:
            self._heard = _HEARD
            now = asyncio.get_running_loop().time()
            for gate, limit in ((self.requests, limits.requests), (self.tokens, limits.tokens)):
                if limit is not None and (gate is self.requests or gate.pace.counts):
                    gate.pace.believe(now, limit / 60.0)
                    if gate is self.tokens:
                        self.charges.presume(now)
        self._announced = limits
        self._heard += 1

    @property
    def listens(self) -> bool:
        """Whether it is of use to look for limits in a reply."""
        return self._heard < _HEARD

    def pause(
        self,
        reservation: Reservation,
        hint: float | None,
        limit: Limit | None = None,
        *,
        refused: bool = True,
        requested: int | None = None,
    ) -> None:
        """Stop sending for a while, since *reservation* was refused or met no service.

        *hint* is the seconds the service asks for, *limit* the one it names, *requested* the tokens
        that it counts for the attempt; not *refused* means that nobody was there.
        """
        now = asyncio.get_running_loop().time()
        pauses = self.pauses
        pauses.begin(now, reservation, hint, limit, self.in_flight, refused=refused)
        if limit is Limit.CONCURRENCY:
            self.window.size = max(1, min(self.window.size, pauses.let_in))
        self.charges.refused(now, reservation.size, reservation.held, requested)
        self._serve()

    def nobody_asks(self, binding: Binding) -> None:
        """While no attempt waits here, from now on it is *binding* that is waited for."""
        self._otherwise = binding
        if not self._waiting:
            self.shares.bind(asyncio.get_running_loop().time(), binding)

    def is_far(self, tokens: int) -> bool:
        """Whether *tokens* more come nowhere near a limit for tokens, or none is known."""
        return all(gate.is_far(tokens) for gate in (self.tokens, self._input, self._output))

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
        limit, learns, let_in = self.pauses.limit, self.pauses.refused, self.pauses.let_in
        began = self.pauses.end()
        if began is None:
            return
        blamed = set[Gate]()
        if limit is Limit.CONCURRENCY:
            self.window.refused(now, let_in, now - began)
        elif learns:
            # A refusal that names nothing may be for either; what is not in the way of the next
            # request does not slow it down.
            if self.tokens.pace.counts and (limit in _TOKENS or limit is None):
                blamed.add(self.tokens)
                self.charges.paused(began)
            if limit not in _TOKENS or not blamed:
                blamed.add(self.requests)
        growth = limit is Limit.GROWTH
        for gate in (self.requests, self.tokens):
            gate.pace.resumed(now, began, blamed=gate in blamed, growth=growth)

    def _held(self, now: float, size: Size) -> tuple[Usage, int]:
        """What an attempt is expected to take, and what it may count for until it is settled."""
        held = self.sizes.expected(size)
        return held, 0 if held is NO_TOKENS else self.charges.at_first(now, size, held)

    def _wait(self, now: float, size: Size, held: Usage, paced: int) -> tuple[float, Binding]:
        """Seconds until it may be sent, infinite when only a settlement can tell; and what for."""
        if self.in_flight >= self.window.size:
            return _FOR_EVER, Binding.CONCURRENCY
        if self.held_by is not None:
            return _FOR_EVER, Binding.DISK
        wait, binding = self.requests.wait(now, 1, 1), Binding.REQUESTS
        if held is not NO_TOKENS:
            total, uneven = held.total, 0.0
            if self._split or self.tokens.is_tight(total):
                uneven = self.sizes.margin(size, self.in_flight)
            other = self.tokens.wait(now, total, paced, uneven)
            if other > wait:
                wait, binding = other, Binding.TOKENS
            if self._split:
                for gate, amount in self._apart(held):
                    margin = uneven if gate is self._output else 0.0
                    if (other := gate.wait(now, amount, paced, margin)) > wait:
                        wait, binding = other, gate.binding
        if self._next_send - now > wait:
            wait, binding = self._next_send - now, Binding.SPACING
        pause, why = self.pauses.wait(now)
        if pause > wait:
            wait, binding = pause, why
        return (wait if wait > _ROUNDING else 0.0), binding

    def _apart(self, held: Usage) -> tuple[tuple[Gate, int], ...]:
        """What counts where the user limits prompts and completions apart."""
        return (self._input, held.prompt), (self._output, held.completion)

    def _grant(self, now: float, size: Size, held: Usage, paced: int) -> Reservation:
        reservation = Reservation(size, held, paced, self.pauses.episode, now)
        if self.pauses.granted(now, reservation):
            self._resume(now)  # before it is spent: what is due afterwards waits for this one too
        self.requests.spend(now, 1, 1)
        if held is not NO_TOKENS:
            spendings = [self.tokens.spend(now, held.total, paced)]
            if self._split:
                spendings += [gate.spend(now, one, paced) for gate, one in self._apart(held)]
            reservation.spendings = spendings
        self._next_send = now + self._spacing
        self.in_flight += 1
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
        spending, *apart = reservation.spendings
        total = used.total
        counted = self.charges.counted(reservation)
        self.tokens.correct(now, spending, total - held.total, total - counted)
        if apart:
            more = Usage(used.prompt - held.prompt, used.completion - held.completion)
            for (gate, amount), spending in zip(self._apart(more), apart, strict=True):
                gate.correct(now, spending, amount, 0)

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
            held, paced = self._held(now, waiter.size)
            wait, binding = self._wait(now, waiter.size, held, paced)
            if wait > 0:
                self._wake_in(now, wait, binding)
                return
            self._waiting.popleft()
            waiter.future.set_result(self._grant(now, waiter.size, held, paced))
        if self._otherwise is not Binding.FILE:
            self.shares.bind(loop.time(), self._otherwise)
        if self.on_room is not None:
            self.on_room()

    def _wake_in(self, now: float, wait: float, binding: Binding) -> None:
        """Serve the first who waits after *wait* seconds; for ever is until one is settled."""
        self.shares.bind(now, binding)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait < _FOR_EVER:
            self._timer = asyncio.get_running_loop().call_at(now + wait, self._serve)

    def _leave(self, waiter: _Waiter) -> None:
        """Give up a place in the queue, or a reservation that was granted too late."""
        if waiter.future.done() and not waiter.future.cancelled():
            self.settle(waiter.future.result(), NO_TOKENS, admitted=True)
        else:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self._serve()
