"""One use of a client: bodies in on this side, results out, a batch on the background between.

bodies  -> a few taken ahead -> chunks -> Batch.add
results <- a deque <- deliver, which wakes whoever waits here
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from request_engine import background
from request_engine.background import Background
from request_engine.records import Failure, Outcome, Request
from request_engine.result import Result
from request_engine.session import Batch, Session, request_of

T = TypeVar("T")
Body = Mapping[str, Any]
Bodies = Iterable[Body] | AsyncIterable[Body]

AHEAD = 2_000
"""Bodies taken before their results are, at most."""
_CHUNK = 64
"""Requests handed to the other thread at once: waking it costs some 10 us."""


class Asking:
    """Results of bodies as they come. To be entered, and iterated over once."""

    def __init__(
        self,
        held: Background,
        session: Session,
        bodies: Bodies,
        *,
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
    ) -> None:
        """See `client.AsyncClient.as_completed`."""
        self._background = held
        self._session = session
        self._bodies = bodies
        self._concurrency = concurrency
        self._deadlines = deadline, batch_deadline
        self._batch: Batch | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._open: dict[int, Body] = {}
        """Bodies whose results have not been handed out."""
        self._chunk: list[Request] = []
        self._arrived: deque[tuple[int, Outcome]] = deque()
        self._outcomes = 0
        """Outcomes that have arrived; only the background's thread counts them."""
        self._taken = self._handed = 0
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        """Set when something has arrived, or has been handed out, since somebody waits for it."""
        self._asleep = False

    async def __aenter__(self) -> Self:
        self._batch = await self._there(self._begun())
        self._feeder = asyncio.create_task(self._feed())
        self._feeder.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._feeder is not None
        assert self._batch is not None
        self._feeder.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._feeder
        if background.is_current(self._background):
            await self._there(self._batch.close())

    def __aiter__(self) -> AsyncIterator[Result]:
        return self

    async def __anext__(self) -> Result:
        assert self._feeder is not None
        while not self._arrived:
            if self._feeder.done() and not self._open:
                self._feeder.result()  # raises what the bodies raised
                raise StopAsyncIteration
            await self._wait(lambda: bool(self._arrived))
        index, outcome = self._arrived.popleft()
        return Result(index, self._open.pop(index), outcome)

    def hand(self, count: int = 1) -> None:
        """So many results are held no longer: more bodies may be taken."""
        self._handed += count
        self._news.set()

    async def _begun(self) -> Batch:
        deadline, batch_deadline = self._deadlines
        return Batch(self._session, self._deliver, deadline=deadline, batch_deadline=batch_deadline)

    async def _feed(self) -> None:
        """Take bodies as long as there is room, and pass them on."""
        async for body in _each(self._bodies):
            index, self._taken = self._taken, self._taken + 1
            self._open[index] = body
            request = request_of(index, body)
            if isinstance(request, Failure):
                self._deliver(index, request)
                continue
            if not self._chunk:
                self._loop.call_soon(self._pass_on)  # at the latest when the next body has to come
            self._chunk.append(request)
            if len(self._chunk) >= _CHUNK:
                self._pass_on()
                await asyncio.sleep(0)
            while not self._room():
                self._pass_on()
                await self._wait(self._room)
        self._pass_on()

    def _room(self) -> bool:
        if self._concurrency is not None and self._taken - self._outcomes >= self._concurrency:
            return False
        return self._taken - self._handed < AHEAD

    def _pass_on(self) -> None:
        assert self._batch is not None
        if self._chunk:
            requests, self._chunk = self._chunk, []
            self._background.loop.call_soon_threadsafe(self._batch.add, requests)

    async def _wait(self, until: Callable[[], bool]) -> None:
        """Wait for news, unless it is there by now."""
        self._news.clear()
        self._asleep = True
        if not until():  # what arrives from here on wakes us
            await self._news.wait()

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work* on the background."""
        return await asyncio.wrap_future(self._background.submit(work))

    def _deliver(self, index: int, outcome: Outcome) -> None:
        """Take an outcome, in whatever thread."""
        self._arrived.append((index, outcome))
        self._outcomes += 1
        if self._asleep:
            self._asleep = False
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                self._loop.call_soon_threadsafe(self._news.set)


async def _each(bodies: Bodies) -> AsyncIterator[Body]:
    if isinstance(bodies, AsyncIterable):
        async for body in bodies:
            yield body
    else:
        for body in bodies:
            yield body
