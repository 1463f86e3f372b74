"""What a client sends with: targets, a counter and connections, on the background's loop."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from request_engine import endpoints_file, logs
from request_engine.background import Background
from request_engine.counting import Counter
from request_engine.destination import Asked, Destination, Timeouts
from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Outcome, Request
from request_engine.redaction import Redaction
from request_engine.send import Sender
from request_engine.sizes import UNCOUNTED, Size
from request_engine.stopping import Abandoned, Stopping
from request_engine.tally import Tally
from request_engine.targets import Targets
from request_engine.token_counts import TokenCounts

CANCELLED = Failure(Kind.TRANSIENT, "given up before there was an answer")

Deliver = Callable[[int, Outcome], None]
"""Takes the outcome of the request of a place in a batch, on the background's loop."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a client sends; see `client.AsyncClient` for what they mean."""

    asked: Asked
    endpoints: str | None
    timeouts: Timeouts
    token_encoding_name: str | None
    max_attempts: int
    max_wait: float
    max_same_refusals: int | None


class Session:
    """An open client's side on the background's loop."""

    def __init__(self, settings: Settings, targets: Targets, counter: Counter | None) -> None:
        self.settings = settings
        self.targets = targets
        self.tally = Tally()
        self._counter = counter

    async def measured(self, requests: Sequence[Request]) -> Sequence[Size]:
        """What an attempt of each may take of the limits."""
        if self._counter is None:
            return [UNCOUNTED] * len(requests)
        return await self._counter.measure(requests)

    async def close(self) -> None:
        """Nothing more is sent."""
        self.targets.close()
        if self._counter is not None:
            await self._counter.close()


class Opening:
    """A session and all that has to be closed with it. Every method runs on the background."""

    def __init__(self, settings: Settings, providers: Sequence[Provider]) -> None:
        """BadInput where the settings make no sense."""
        self._settings = settings
        if settings.endpoints is None:
            self._destinations = [Destination(settings.asked, providers)]
        else:
            self._destinations = endpoints_file.read(settings.endpoints, settings.asked, providers)
        self._closing = AsyncExitStack()

    async def open(self, background: Background) -> Session:
        """BadInput where there is no key, or the account is in use with other limits."""
        async with AsyncExitStack() as opened:
            session = await self._opened(background, opened)
            self._closing = opened.pop_all()
        return session

    async def close(self) -> None:
        await self._closing.aclose()

    async def _opened(self, background: Background, opened: AsyncExitStack) -> Session:
        redaction, targets = Redaction(), []
        for one in self._destinations:
            make = partial(one.budget, one.max_concurrent)
            budget = background.budget(one.account, one.limits, make)
            opened.callback(background.give_back, one.account)
            with endpoints_file.told_by(one.asked):
                target, transport = await one.open(budget, redaction, None, self._settings.timeouts)
            logs.hide(redaction)
            await opened.enter_async_context(transport)
            targets.append(target)
        first = self._destinations[0]
        counter = None
        if any(one.counts_tokens for one in self._destinations):
            counter = Counter(
                first.service.provider,
                first.service.address,
                self._settings.token_encoding_name,
                TokenCounts(),
                first.amendment,
            )
        session = Session(self._settings, Targets(targets), counter)
        opened.push_async_callback(session.close)
        return session


class Batch:
    """Requests that were asked together. Every method runs on the background.

    Each gets one outcome, whatever happens. What stops a run of a file makes those of this batch
    that are not answered yet fail at once, with the reason.
    """

    def __init__(
        self,
        session: Session,
        deliver: Deliver,
        *,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> None:
        """Deadlines are seconds: of each request from its turn on, and of all from now on."""
        settings = session.settings
        self._session = session
        self._deliver = deliver
        self._deadline = deadline
        self._open = set[int]()
        self._tasks = set[asyncio.Task[None]]()
        self._stopping = Stopping(settings.max_wait, max_same_refusals=settings.max_same_refusals)
        self._tally = Tally()
        self._sender = Sender(
            session.targets,
            stopping=self._stopping,
            tally=self._tally,
            max_attempts=settings.max_attempts,
        )
        self._over: Failure | None = None
        """What becomes of what is asked after the end."""
        self._timer: asyncio.TimerHandle | None = None
        if batch_deadline is not None:
            over = _unanswered(f"no answer within the batch's deadline of {batch_deadline:g} s")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(batch_deadline, self.give_up, over)

    def add(self, requests: Sequence[Request]) -> None:
        """Ask these as well; their numbers are their places."""
        if self._over is not None:
            for request in requests:
                self._deliver(request.number, self._over)
            return
        self._open.update(request.number for request in requests)
        self._start(self._measure(requests))

    def give_up(self, failure: Failure = CANCELLED) -> None:
        """Wait no longer: *failure* is the outcome of whatever is not answered yet."""
        self._over = self._over or failure
        for number in tuple(self._open):
            self._done(number, failure)
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """Give up what is left, and see it ended."""
        self.give_up()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stopping.close()
        self._session.tally.add(self._tally)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _measure(self, requests: Sequence[Request]) -> None:
        for request, size in zip(requests, await self._session.measured(requests), strict=True):
            self._start(self._carry(request, size))

    async def _carry(self, request: Request, size: Size) -> None:
        try:
            if self._deadline is None:
                outcome = await self._asked(request, size)
            else:
                async with asyncio.timeout(self._deadline):
                    outcome = await self._asked(request, size)
        except TimeoutError:
            outcome = _unanswered(f"no answer within the deadline of {self._deadline:g} s")
        except Exception as fault:  # noqa: BLE001  a fault of ours is told, and costs one request
            outcome = Failure(Kind.TRANSIENT, f"a fault in the program: {fault!r}")
        self._tally.finish(request, outcome)
        self._stopping.judge(outcome, self._tally)
        self._done(request.number, outcome)

    async def _asked(self, request: Request, size: Size) -> Outcome:
        try:
            with self._stopping.resting():
                reservation = await self._session.targets.acquire(size)
            return await self._sender.send(request, size, reservation)
        except Abandoned:
            last = self._tally.last_hopeless
            kind = Kind.TRANSIENT if last is None else last.kind
            return Failure(kind, f"not sent: {self._stopping.reason}", sent=False)

    def _done(self, number: int, outcome: Outcome) -> None:
        if number in self._open:
            self._open.discard(number)
            self._deliver(number, outcome)


def _unanswered(why: str) -> Failure:
    return Failure(Kind.TRANSIENT, why, timed_out=True)


def request_of(number: int, body: Mapping[str, Any]) -> Request | Failure:
    """The request in *body*, or why it is none."""
    try:
        if not isinstance(body, Mapping):
            raise TypeError(f"it is no mapping but {type(body).__name__}")
        asked = dict(body)
        raw = json.dumps(asked, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return Failure(Kind.BAD_REQUEST, f"not a request: {error}", sent=False)
    return Request(number, asked, raw)
