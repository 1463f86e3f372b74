"""Requests that were handed over, to be collected later: they go on while nobody looks.

submit -> the background takes the bodies, a few ahead -> Batch -> outcomes, each in its place
"""

import asyncio
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import suppress

from request_engine import preflight
from request_engine.asking import AHEAD
from request_engine.background import Background, waited
from request_engine.batch import Batch, Terms
from request_engine.bodies import Body, checked, request_of
from request_engine.errors import BadInput
from request_engine.records import Failure, Kind, Outcome
from request_engine.result import Result
from request_engine.session import CANCELLED, Session

_AT_ONCE = 64
"""Bodies taken before the loop has a turn."""


class Handle:
    """Requests under way. Any thread may use it."""

    def __init__(
        self, held: Background, session: Session, bodies: Collection[Body], terms: Terms
    ) -> None:
        """BadInput where *bodies* are no list or the like."""
        checked(bodies)
        if not isinstance(bodies, Collection):
            raise BadInput(f"submit() needs a list of requests, not a {type(bodies).__name__}")
        self._background = held
        self._session = session
        self._terms = terms
        self._bodies = tuple(bodies)
        self._outcomes: list[Outcome | None] = [None] * len(self._bodies)
        self._fresh = deque[int]()
        """Those that have come and were not told by `poll`."""
        self._taken = 0
        self._feeding = False
        self.finished = 0
        """How many have an outcome."""
        self._all = asyncio.Event()
        held.post(self._begin)

    def __len__(self) -> int:
        return len(self._bodies)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.finished} of {len(self)} finished>"

    @property
    def done(self) -> bool:
        """Whether every request has its outcome."""
        return self.finished == len(self)

    def poll(self) -> list[Result]:
        """The results that have come since the last time, without waiting."""
        return [self._result(self._fresh.popleft()) for _ in range(len(self._fresh))]

    def cancel(self) -> None:
        """Give up what is not answered yet; its outcome is a failure."""
        if not self.done and self._background.here:
            with suppress(RuntimeError):  # the client was closed, and all was given up
                self._background.post(self._give_up, CANCELLED)

    def _results(self) -> list[Result]:
        return [self._result(index) for index in range(len(self))]

    def _result(self, index: int) -> Result:
        outcome = self._outcomes[index]
        assert outcome is not None
        return Result(index, self._bodies[index], outcome)

    def _finishing(self, deadline: float | None) -> "Future[None] | None":
        """What is done once all have an outcome, at the latest after *deadline* seconds."""
        if deadline is not None:
            deadline = preflight.seconds(deadline, "deadline", zero=True)
        if self.done:
            return None
        return self._background.submit(self._finish(deadline))

    async def _finish(self, deadline: float | None) -> None:
        try:
            async with asyncio.timeout(deadline):
                await self._all.wait()
        except TimeoutError:
            why = f"no answer within the deadline of {deadline:g} s"
            self._give_up(Failure(Kind.TRANSIENT, why, timed_out=True))
            await self._all.wait()

    def _begin(self) -> None:
        self._batch = Batch(self._session, self._deliver, self._terms)
        if self._bodies:
            self._feed()
        else:
            self._batch.end()

    def _feed(self) -> None:
        """Take a few bodies; all that are left once nothing more is asked."""
        self._feeding = False
        over = self._batch.over
        begin = self._taken
        self._taken = len(self) if over else min(begin + _AT_ONCE, len(self))
        requests = []
        for index in range(begin, self._taken):
            request = over or request_of(index, self._bodies[index])
            if isinstance(request, Failure):
                self._deliver(index, request)
            else:
                requests.append(request)
        self._batch.add(requests)
        self._feed_soon()

    def _feed_soon(self) -> None:
        """Take more, if there is room."""
        if self._feeding or self._taken == len(self) or self._taken - self.finished >= AHEAD:
            return
        self._feeding = True
        self._background.loop.call_soon(self._feed)

    def _give_up(self, failure: Failure) -> None:
        self._batch.give_up(failure)

    def _deliver(self, index: int, outcome: Outcome) -> None:
        self._outcomes[index] = outcome
        self._fresh.append(index)
        self.finished += 1
        if self.done:
            self._batch.end()
            self._all.set()
        else:
            self._feed_soon()


class AsyncHandle(Handle):
    """Requests under way. Any task or thread may use it."""

    async def results(self, deadline: float | None = None) -> list[Result]:
        """Wait for all results, in the order of the requests.

        What is not answered within *deadline* seconds is given up, and has a failure for its
        outcome.
        """
        finishing = self._finishing(deadline)
        if finishing is not None:
            await asyncio.wrap_future(finishing)
        return self._results()


class BlockingHandle(Handle):
    """The same for code that blocks."""

    def results(self, deadline: float | None = None) -> list[Result]:
        """As `AsyncHandle.results`."""
        finishing = self._finishing(deadline)
        if finishing is not None:
            try:
                waited(finishing)
            finally:
                finishing.cancel()  # of no effect, unless this was interrupted
        return self._results()
