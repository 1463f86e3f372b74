"""Where requests may go: one place, or several that share the work.

    room at several     the one with the fewest in flight, by weight
    room nowhere        wait in one queue for the first that has some
    paused, nobody there, out of money, key refused
                        the others go on, and one request probes it from time to time
    its key is renewed  the others go on

Each place has a budget, or shares that of its account, and an attempt counts in the one it went to.
Those that are alone in their budget pause with it; one that shares it is left alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence

from request_engine.budget import Budget
from request_engine.gate import Gate
from request_engine.records import Failure, Kind
from request_engine.reservation import Reservation
from request_engine.shares import Binding, Shares
from request_engine.sizes import NO_TOKENS, Size
from request_engine.stopping import why
from request_engine.target import Target

_NEVER = float("inf")


class _Waiter:
    __slots__ = ("future", "past", "size")

    def __init__(
        self, size: Size, past: Collection[Target], future: "asyncio.Future[Reservation]"
    ) -> None:
        self.size = size
        self.past = past
        self.future = future


class _Those(list[Callable[[], None]]):
    """All who wait for room in one budget, such as several clients with the same account."""

    def __call__(self) -> None:
        for serve in tuple(self):
            serve()


class Targets:
    """All places that the requests of a run may go to, seen as one budget."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.all = tuple(targets)
        self.several = len(self.all) > 1
        self.budgets: tuple[Budget, ...] = tuple(dict.fromkeys(one.budget for one in self.all))
        self._weights = {
            budget: sum(one.weight for one in self.all if one.budget is budget)
            for budget in self.budgets
        }
        self._only = None if self.several else self.all[0]
        self._waiting: deque[_Waiter] = deque()
        self._serving = False
        self._timer: asyncio.TimerHandle | None = None
        """For the next place that was left and may be probed."""
        self._shares = Shares()
        self._otherwise = Binding.FILE
        if self.several:
            for budget in self.budgets:
                if not isinstance(budget.on_room, _Those):
                    budget.on_room = _Those()
                budget.on_room.append(self._serve)

    @property
    def max_concurrent(self) -> int:
        """Most that may ever be in flight."""
        return sum(one.max_concurrent for one in self.budgets)

    @property
    def in_flight(self) -> int:
        return sum(one.in_flight for one in self.budgets)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting) + sum(one.waiting for one in self.budgets)

    @property
    def held_by(self) -> str | None:
        """Why nothing is admitted until `release`."""
        return self.budgets[0].held_by

    @property
    def shares(self) -> Shares:
        """What the time went into."""
        return self._shares if self._only is None else self._only.budget.shares

    @property
    def binding(self) -> Binding:
        """What the next request waits for."""
        return self.shares.binding

    @property
    def requests(self) -> list[Gate]:
        return [one.requests for one in self.budgets]

    @property
    def tokens(self) -> list[Gate]:
        return [one.tokens for one in self.budgets]

    def is_far(self, tokens: int) -> bool:
        """Whether *tokens* more, wherever they go, come nowhere near a limit that is known."""
        return all(one.is_far(tokens) for one in self.budgets)

    async def acquire(
        self, size: Size, *, first: bool = False, past: Collection[Target] = ()
    ) -> Reservation:
        """Wait until one attempt of *size* may be sent somewhere, but not to those it is *past*.

        *first*: before all who wait.
        """
        if self._only is not None:
            reservation = await self._only.budget.acquire(size, first=first)
            reservation.target = self._only
            return reservation
        waiter = _Waiter(size, past, asyncio.get_running_loop().create_future())
        if first:
            self._waiting.appendleft(waiter)
        else:
            self._waiting.append(waiter)
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def acquire_now(self, size: Size) -> Reservation | None:
        """The same if it need not be waited for; None if it may have to."""
        if self._only is None:
            return None
        reservation = self._only.budget.acquire_now(size)
        if reservation is not None:
            reservation.target = self._only
        return reservation

    def give_back(self, reservation: Reservation) -> None:
        """End a reservation with which nothing was sent."""
        target = reservation.target
        target.budget.settle(reservation, NO_TOKENS, admitted=True)
        if self.several:
            target.in_flight -= 1
            target.back_at = _now()  # if it was a probe, then the next one is

    def elsewhere(self, past: Collection[Target]) -> bool:
        """Whether there is a place that may do what those could not."""
        return any(one not in past and not one.gone for one in self.all)

    def open_beside(self, target: Target) -> bool:
        """Whether another place lets requests in."""
        return any(one.lets_in for one in self.all if one is not target)

    def is_one_of_an_account(self, target: Target) -> bool:
        """Whether others of its account go on without it."""
        return any(
            one.budget is target.budget and one.left is None
            for one in self.all
            if one is not target
        )

    def leave(self, target: Target, failure: Failure, seconds: float) -> None:
        """Nothing is sent there for so many *seconds*, and then one probe."""
        now = _now()
        if target.left is not None and now < target.back_at < _NEVER:
            return  # the same news once more, of what was sent before
        target.leave(failure, now + seconds)
        self.look_again()

    def look_again(self) -> None:
        """Serve who waits, and once more when the next of those that were left may be probed."""
        self._serve()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = _now()
        later = (one.back_at for one in self.all if one.left and now < one.back_at < _NEVER)
        at = min(later, default=None)
        if at is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self.look_again)

    def least_wait(self) -> float:
        """Seconds until the first place may be asked, where all are paused or left."""
        there = [one for one in self.all if not one.gone] or self.all
        return max(0.0, min(max(one.budget.pauses.until, one.back_at) for one in there) - _now())

    def tried_in_vain(self) -> int:
        """Pauses in a row at the place that had the fewest; 0 where one refuses for speed."""
        pauses = [one.budget.pauses for one in self.all if not one.gone]
        return min((0 if one.refused else one.in_a_row for one in pauses), default=0)

    def all_lack_the_model(self) -> bool:
        """Whether every place says that what it is asked for is not there."""
        return all(one.left and one.left.kind is Kind.MODEL_CONFIG for one in self.all)

    def come_back(self) -> None:
        """Ask all again, as if nothing had been the matter."""
        for target in self.all:
            target.come_back()

    def why_none_is_left(self) -> str:
        """What every place says, once all are gone."""
        told = [f"{one.name}: {why(one.left)}" for one in self.all if one.left is not None]
        return f"no endpoint is left; {'; '.join(told)}"

    def told(self) -> list[str]:
        """What each place does, where there are several."""
        return [one.told(_now()) for one in self.all] if self.several else []

    def told_at_the_end(self) -> list[str]:
        """What each did."""
        return [one.told_at_the_end() for one in self.all] if self.several else []

    def nobody_asks(self, binding: Binding) -> None:
        """While no attempt waits here, from now on it is *binding* that is waited for."""
        if self._only is not None:
            self._only.budget.nobody_asks(binding)
            return
        self._otherwise = binding
        if not self._waiting:
            self._shares.bind(_now(), binding)

    def hold(self, reason: str) -> None:
        """Admit nothing, for *reason*, until `release`."""
        for budget in self.budgets:
            budget.hold(reason)

    def release(self) -> None:
        """Admit again, if it was held."""
        for budget in self.budgets:
            budget.release()
        self._serve()

    def close(self) -> None:
        """The run is over."""
        if self._timer is not None:
            self._timer.cancel()
        for budget in self.budgets:
            if isinstance(budget.on_room, _Those) and self._serve in budget.on_room:
                budget.on_room.remove(self._serve)
        for target in self.all:
            if target.renewable is not None:
                target.renewable.close()

    def _serve(self) -> None:
        """Give to whoever waits what there is room for, first come first served."""
        if self._serving or not self._waiting:  # granting one may end a pause, and so come here
            return
        self._serving = True
        try:
            self._give()
        finally:
            self._serving = False

    def _give(self) -> None:
        kept = deque[_Waiter]()
        in_vain: list[Collection[Target]] = []
        while self._waiting:
            waiter = self._waiting.popleft()
            if waiter.future.done():  # cancelled, and about to leave by itself
                continue
            if any(past == waiter.past for past in in_vain):  # the same choice as one before it
                kept.append(waiter)
                continue
            reservation = self._granted(waiter.size, waiter.past)
            if reservation is not None:
                waiter.future.set_result(reservation)
                continue
            kept.append(waiter)
            in_vain.append(waiter.past)
            if not waiter.past:  # those behind it have no other choice
                break
        self._waiting.extendleft(reversed(kept))
        if not self._waiting:
            self._shares.bind(_now(), self._otherwise)

    def _granted(self, size: Size, past: Collection[Target]) -> Reservation | None:
        """Of the places with room the one with the fewest in flight; None if none has any."""
        now = _now()
        for target in sorted(self.all, key=self._load):
            if target in past or not target.may_be_asked(now):
                continue
            reservation = target.budget.acquire_now(size)
            if reservation is not None:
                target.grant()
                reservation.target = target
                return reservation
        self._shares.bind(now, self._nearest(now))
        return None

    def _load(self, target: Target) -> tuple[float, float]:
        budget = target.budget
        return budget.in_flight / self._weights[budget], target.granted / target.weight

    def _nearest(self, now: float) -> Binding:
        """What is waited for: an open place's limits rather than a pause elsewhere."""
        asked = (one for one in self.all if one.may_be_asked(now))
        bindings = [one.budget.binding for one in asked] or [Binding.PROBE]
        pauses = (Binding.PAUSE, Binding.PROBE)
        return next((one for one in bindings if one not in pauses), bindings[0])

    def _leave(self, waiter: _Waiter) -> None:
        """Give up a place in the queue, or a reservation that was granted too late."""
        if waiter.future.done() and not waiter.future.cancelled():
            self.give_back(waiter.future.result())
        elif waiter in self._waiting:
            self._waiting.remove(waiter)
            self._serve()


def _now() -> float:
    return asyncio.get_running_loop().time()
