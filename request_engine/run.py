"""Run a whole file: read a request when there is room for it, send it, write its row.

requests file -> claim (done before?) -> budget.acquire -> send -> disk
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

from request_engine.budget import Budget, Reservation
from request_engine.disk import Disk
from request_engine.errors import Stopped
from request_engine.journal import Journal
from request_engine.records import Failure, Kind, Outcome, Request, Success, Unusable
from request_engine.sizes import Size
from request_engine.stopping import Abandoned, Stopping
from request_engine.tally import Tally

CANARY = 5
"""Requests in flight until the first answer, where there are many: a wrong model or a shape that
the service refuses then costs five requests and not all that fit in flight."""
MANY = 500
"""Requests from which on that is worth the time of one answer."""

Send = Callable[[Request, Size, Reservation], Awaitable[Outcome]]
Measure = Callable[[Request], Size]

_YIELD_EVERY = 100
"""Requests admitted between two turns of the event loop, so that the first of many is sent soon."""


class Run:
    """One pass over a stream of requests. Use it once."""

    def __init__(
        self,
        send: Send,
        measure: Measure,
        budget: Budget,
        journal: Journal,
        disk: Disk,
        stopping: Stopping,
        tally: Tally,
        is_large: Callable[[], bool] = lambda: False,
    ) -> None:
        """*measure* says what one attempt of a request may take of the budget.

        *is_large*: whether so much is to do that a few requests go first, as canaries.
        """
        self._send = send
        self._measure = measure
        self._budget = budget
        self._journal = journal
        self._disk = disk
        self._stopping = stopping
        self._tally = tally
        self._open: set[asyncio.Task[None]] = set()
        # Those that wait for another attempt hold no slot, but do hold memory.
        self._most_open = 2 * budget.max_concurrent + 100
        self._is_large = is_large
        self._answered = False
        self._one_done = asyncio.Event()
        self._bug: BaseException | None = None

    async def run(self, requests: AsyncIterator[Request | Unusable]) -> None:
        """Give every request its row, or as many as can be before something stops the run."""
        self._stopping.on_give_up(self._give_up)
        try:
            try:
                await self._admit_all(requests)
            except Abandoned:
                pass
            except Stopped as unreadable:
                self._stopping.stop(str(unreadable))
            while self._open:
                await asyncio.wait(tuple(self._open))
        finally:
            self._stopping.close()
            self._give_up()
            await asyncio.gather(*self._open, return_exceptions=True)
        if self._bug is not None:
            raise self._bug

    async def _admit_all(self, requests: AsyncIterator[Request | Unusable]) -> None:
        for count in itertools.count(1):
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            with self._stopping.resting():
                request = await anext(requests, None)
            if request is None:
                return
            if claim := self._journal.claim(request):
                self._tally.claim(claim)
            elif isinstance(request, Unusable):
                self._disk.keep(request, Failure(Kind.BAD_REQUEST, request.message))
            else:
                await self._admit(request)

    async def _admit(self, request: Request) -> None:
        size = self._measure(request)
        with self._stopping.resting():
            while len(self._open) >= self._room():
                self._one_done.clear()
                await self._one_done.wait()
            reservation = await self._budget.acquire(size)
        task = asyncio.create_task(self._carry(request, size, reservation))
        self._open.add(task)
        task.add_done_callback(self._forget)

    async def _carry(self, request: Request, size: Size, reservation: Reservation) -> None:
        try:
            outcome = await self._send(request, size, reservation)
        except Abandoned:
            return
        self._disk.keep(request, outcome)
        self._stopping.judge(outcome, self._tally)
        self._answered = self._answered or isinstance(outcome, Success)

    def _room(self) -> int:
        """How many requests may be open now."""
        return self._most_open if self._answered or not self._is_large() else CANARY

    def _give_up(self) -> None:
        for task in self._open:
            task.cancel()

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._open.discard(task)
        self._one_done.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bug = self._bug or error
            self._stopping.stop(f"a fault in the program: {error!r}")
