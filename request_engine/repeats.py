"""Requests of a batch that need no call of their own.

arrived -> what is asked? -> in the cache                       told at once
                          -> asked in this batch already        told with the first of them
                          -> any other                          in line
its turn -> being asked by another batch                        waits for that call as well
         -> in the cache by now                                 told
         -> else                                                a call, which others may join
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from request_engine.extraction import Extraction
from request_engine.records import Failure, Outcome, Request
from request_engine.sharing import Call, Sharing, Wanted, again

_AT_ONCE = 64

Tell = Callable[[Request, Outcome], None]
Late = Callable[[], Failure]


class Turn(NamedTuple):
    """What a request does when it is its turn, and nobody else has done it."""

    ask: Callable[[], Coroutine[Any, Any, Outcome]]
    admitted: asyncio.Event | None
    """Set when it is let in; None if it is already."""
    ended: Callable[[], None]
    """To be called when that is over."""


class Repeats:
    """What a batch knows of equal requests. Every method runs on the background."""

    def __init__(
        self,
        sharing: Sharing,
        extraction: Extraction | None,
        *,
        line_up: Callable[[Sequence[Request]], None],
        told: Tell,
        told_again: Tell,
    ) -> None:
        """*line_up* takes those that need a call, or one to join.

        *told* takes what a call brought for one, and *told_again* for others, or what was kept.
        """
        self._sharing = sharing
        self._extraction = extraction
        self._line_up = line_up
        self._told = told
        self._told_again = told_again
        self._arrived = deque[Request]()
        self._sorting: asyncio.Task[None] | None = None
        self._wanted: dict[int, Wanted] = {}
        """What those in line or under way ask, if it is not for themselves alone."""
        self._equal: dict[Hashable, list[Request]] = {}
        """Those that are told with the first of their like, which is not among them."""
        self._leave: dict[int, Callable[[], None]] = {}
        """How those under way give up."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._at_turn: Request | None = None
        """The one that waits to be let in."""

    def add(self, requests: Iterable[Request]) -> None:
        """Have a look at these as well."""
        self._arrived.extend(requests)
        if self._sorting is None and self._arrived:
            self._sorting = asyncio.get_running_loop().create_task(self._sort_all())

    def give_up(self, failure: Failure) -> list[Request]:
        """Wait no longer; those that nobody has had a look at yet."""
        if self._sorting is not None:
            self._sorting.cancel()
        if self._at_turn is not None:
            self._told(self._at_turn, unsent(failure))
        for number in tuple(self._leave):
            self._leave_call(number)
        left = list(self._arrived)
        self._arrived.clear()
        return left

    def wanted(self, request: Request) -> Wanted | None:
        """What is asked by one in line; None if it has a call of its own."""
        return self._wanted.get(request.number)

    async def admit(
        self,
        request: Request,
        wanted: Wanted,
        turn: Callable[[], Turn],
        ends: float | None,
        late: Late,
    ) -> None:
        """It is the turn of *request*: return when that is over.

        It is told *late* at *ends*, by the loop's time; TimeoutError if it was not let in by then.
        """
        call, answer = self._sharing.in_flight(wanted), self._sharing.at_hand(wanted)
        if call is not None:
            self._join(call, request, self._told_again)
        elif answer is not None:
            self._told_again(request, answer)
            return
        else:
            ask, admitted, ended = turn()
            self._join(self._sharing.begin(wanted, ask, ended), request, self._told)
            if admitted is not None:
                await self._let_in(request, admitted, ends, late)
        if ends is not None and request.number in self._leave:
            at = asyncio.get_running_loop().call_at
            self._timers[request.number] = at(ends, self._is_late, request, late)

    def tell_equal(self, request: Request, outcome: Outcome) -> None:
        """Tell those of this batch that are equal to *request* the same."""
        wanted = self._wanted.pop(request.number, None)
        if wanted is not None and wanted.rule.shares:
            for other in self._equal.pop(wanted.shared_by, ()):
                self._told_again(other, again(outcome))

    async def _let_in(
        self, request: Request, admitted: asyncio.Event, ends: float | None, late: Late
    ) -> None:
        self._at_turn = request
        try:
            async with asyncio.timeout_at(ends):
                await admitted.wait()
        except TimeoutError:
            self._leave_call(request.number)
            self._told(request, unsent(late()))
            raise
        finally:
            self._at_turn = None

    def _join(self, call: Call, request: Request, tell: Tell) -> None:
        def told(outcome: Outcome) -> None:
            del self._leave[request.number]
            self._cancel_timer(request.number)
            tell(request, outcome)

        self._leave[request.number] = partial(self._sharing.leave, call, told)
        call.waiting[told] = None

    def _leave_call(self, number: int) -> None:
        self._cancel_timer(number)
        self._leave.pop(number)()

    def _cancel_timer(self, number: int) -> None:
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()

    def _is_late(self, request: Request, late: Late) -> None:
        self._leave_call(request.number)
        self._told(request, late())

    async def _sort_all(self) -> None:
        try:
            while self._arrived:
                requests = list(islice(self._arrived, _AT_ONCE))
                wanted = [self._sharing.wanted(one, self._extraction) for one in requests]
                kept = await self._sharing.kept(wanted)
                in_line = []
                for request, asks, answer in zip(requests, wanted, kept, strict=True):
                    self._arrived.popleft()
                    if answer is not None:
                        self._told_again(request, answer)
                    elif asks is None or self._is_first(request, asks):
                        in_line.append(request)
                self._line_up(in_line)
                await asyncio.sleep(0)
        finally:
            self._sorting = None

    def _is_first(self, request: Request, wanted: Wanted) -> bool:
        if wanted.rule.shares:
            if wanted.shared_by in self._equal:
                self._equal[wanted.shared_by].append(request)
                return False
            self._equal[wanted.shared_by] = []
        self._wanted[request.number] = wanted
        return True


def unsent(failure: Failure) -> Failure:
    """*failure* of one that was never sent."""
    return replace(failure, sent=False, timed_out=False)
