"""One use of a client: bodies in on this side, results out, a batch on the background between.

bodies  -> take -> an outbox, which the background empties -> Batch.add
results <- the outcomes that have arrived <- deliver, which wakes whoever waits here
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self

from request_engine.background import Background
from request_engine.batch import Batch, Terms
from request_engine.bodies import Bodies, Body, checked, request_of
from request_engine.records import Failure, Outcome, Request
from request_engine.result import Result
from request_engine.session import Session

Next = Callable[[], Result | None]
"""The next result that is to be handed out; None if it has not come yet."""

AHEAD = 2_000
"""Bodies taken before their results are, at most."""
_AT_ONCE = 64
"""Bodies taken before anybody else has a turn."""


class Asking:
    """What is common to both faces. All but `_deliver` is for the one thread that asks."""

    def __init__(self, held: Background, session: Session, terms: Terms) -> None:
        self._background = held
        self._session = session
        self._terms = terms
        self._batch: Batch | None = None
        """There once the background has begun it."""
        self._bodies: Iterator[Body] = iter(())
        self._error: Exception | None = None
        """What the bodies raised."""
        self._exhausted = False
        self._taken = 0
        self._open: dict[int, Body] = {}
        """Bodies whose results have not come."""
        self._held: dict[int, Result] = {}
        """Results whose turn has not come."""
        self._due = 0
        self._outbox = deque[Request]()
        self._posted = False
        """Whether the background is about to empty it."""
        self._arrived = deque[tuple[int, Outcome]]()
        self._asleep = False

    def next_completed(self) -> Result | None:
        """The next in order of completion."""
        if not self._arrived:
            return None
        index, outcome = self._arrived.popleft()
        return Result(index, self._open.pop(index), outcome)

    def next_in_order(self) -> Result | None:
        """The next in the order of the bodies."""
        self.collect(self._held)
        if self._due not in self._held:
            return None
        self._due += 1
        return self._held.pop(self._due - 1)

    def collect(self, results: dict[int, Result]) -> None:
        """Add all that have come to *results*. An interruption loses none: it is added first."""
        while self._arrived:
            index, outcome = self._arrived[0]
            if index in self._open:
                results[index] = Result(index, self._open[index], outcome)
                del self._open[index]
            self._arrived.popleft()

    def _begin(self) -> None:
        self._background.post(self._make_batch)

    def _end(self) -> "Future[None] | None":
        """Ask nothing more; what is to be waited for, if something is under way still."""
        if not self._background.here:
            return None
        with suppress(RuntimeError):  # the client was closed meanwhile
            if self._open:
                return self._background.submit(self._close_batch())
            self._background.post(self._end_batch)
        return None

    def _make_batch(self) -> None:
        self._batch = Batch(self._session, self._deliver, self._terms)

    async def _close_batch(self) -> None:
        assert self._batch is not None
        await self._batch.close()

    def _end_batch(self) -> None:
        assert self._batch is not None
        self._batch.end()

    def _feed(self) -> None:
        """Take a few bodies, while there is room and nothing to be handed out."""
        for _ in range(_AT_ONCE):
            if not self._hungry():
                return
            try:
                body = next(self._bodies)
            except StopIteration:
                self._exhausted = True
                return
            except Exception as error:  # noqa: BLE001  raised when those taken have their results
                self._exhausted, self._error = True, error
                return
            self._take(body)
            if self._arrived:
                return

    def _take(self, body: Body) -> None:
        index, self._taken = self._taken, self._taken + 1
        self._open[index] = body
        request = request_of(index, body)
        if isinstance(request, Failure):
            self._arrived.append((index, request))
            return
        self._outbox.append(request)
        if not self._posted:
            self._posted = True
            self._background.post(self._pass_on)

    def _hungry(self) -> bool:
        """Whether there may be more bodies, and there is room for them."""
        return not self._exhausted and len(self._open) + len(self._held) < AHEAD

    def _all_told(self) -> bool:
        """Whether every body has its result. Raises what the bodies raised."""
        if not self._exhausted or self._open:
            return False
        if self._error is not None:
            raise self._error
        return True

    def _pass_on(self) -> None:
        assert self._batch is not None
        self._posted = False
        requests = []
        while self._outbox:
            requests.append(self._outbox.popleft())
        self._batch.add(requests)

    def _deliver(self, index: int, outcome: Outcome) -> None:
        """Take an outcome; the background does this."""
        self._arrived.append((index, outcome))
        if self._asleep:
            self._asleep = False
            self._background.loop.call_soon(self._ring)  # once for all that come in this turn

    def _ring(self) -> None:
        """Wake the thread that asks."""
        raise NotImplementedError


class AsyncAsking(Asking):
    """For a running loop. Its results are to be iterated over once."""

    def __init__(self, held: Background, session: Session, bodies: Bodies, terms: Terms) -> None:
        """BadInput where *bodies* are none."""
        super().__init__(held, session, terms)
        checked(bodies)
        self._given = bodies
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        """Set when something has arrived, since somebody waits for it."""
        self._space = asyncio.Event()
        """Set when results have been handed out, so that there may be room for bodies."""
        self._feeder: asyncio.Task[None] | None = None
        """What takes the bodies where they have to be awaited."""

    async def results(self, following: Next) -> AsyncGenerator[Result, None]:
        """What *following* gives, until every body has its result."""
        async with self:
            while True:
                if self._feeder is None:
                    self._feed()
                result = following()
                self._space.set()
                if result is not None:
                    yield result
                elif self._all_told():
                    return
                elif self._feeder is None and self._hungry():
                    await asyncio.sleep(0)
                else:
                    await self._wait()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._begin()
        if isinstance(self._given, AsyncIterable):
            self._feeder = asyncio.create_task(self._feed_from(self._given))
        else:
            self._bodies = iter(self._given)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.gather(self._feeder, return_exceptions=True)
        ending = self._end()
        if ending is not None:
            await asyncio.wrap_future(ending)

    async def _feed_from(self, bodies: AsyncIterable[Body]) -> None:
        try:
            async for body in bodies:
                self._take(body)
                if self._arrived:  # perhaps this one, if it is no request
                    self._news.set()
                if not self._taken % _AT_ONCE:
                    await asyncio.sleep(0)
                while not self._hungry():
                    self._space.clear()
                    await self._space.wait()
        except Exception as error:  # noqa: BLE001  raised when those taken have their results
            self._error = error
        self._exhausted = True
        self._news.set()

    async def _wait(self) -> None:
        """Wait for news, unless it is there by now."""
        self._background.must_be_here()
        self._news.clear()
        self._asleep = True
        over = self._feeder is not None and self._exhausted and not self._open
        if not self._arrived and not over:
            await self._news.wait()

    def _ring(self) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            self._loop.call_soon_threadsafe(self._news.set)
