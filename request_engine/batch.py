"""Requests that were asked together: each gets one outcome, whatever happens."""

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from request_engine.extraction import Extraction
from request_engine.packing import Pack, Packing
from request_engine.records import Failure, Kind, Outcome, Request, Success
from request_engine.repeats import Repeats, Turn, unsent
from request_engine.reservation import Reservation
from request_engine.send import Sender
from request_engine.session import CANCELLED, Session
from request_engine.sizes import Size
from request_engine.stopping import Abandoned, Stopping
from request_engine.unpacking import Unpacker

T = TypeVar("T")

Deliver = Callable[[int, Outcome], None]
"""Takes the outcome of the request of a place in a batch, on the background's loop."""
_MEASURED_TOGETHER = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked of one use of a client; see `client.AsyncClient.as_completed`."""

    concurrency: int | None = None
    deadline: float | None = None
    batch_deadline: float | None = None
    extraction: Extraction | None = None
    """The shape that answers must have; None for whatever they are."""
    packing: Packing | None = None
    """For packs of texts to embed."""


NO_TERMS = Terms()


class Batch:
    """Requests that were asked together. Every method runs on the background.

    waiting -> its turn: measured, room among those under way -> acquire -> send -> deliver

    Each gets one outcome, whatever happens. What stops a run of a file makes those of this batch
    that are not answered yet fail at once, with the reason.
    """

    def __init__(self, session: Session, deliver: Deliver, terms: Terms = NO_TERMS) -> None:
        settings = session.settings
        self._session = session
        self._deliver = deliver
        self._terms = terms
        self._most = terms.concurrency or sys.maxsize
        self._waiting = deque[Request]()
        self._admitting: asyncio.Task[None] | None = None
        self._open = dict[int, Request]()
        """Those under way."""
        self._tasks = dict[asyncio.Task[None], Reservation]()
        self._room = asyncio.Event()
        self._stopping = Stopping(settings.max_wait, max_same_refusals=settings.max_same_refusals)
        self._sender = Sender(
            session.targets,
            stopping=self._stopping,
            tally=session.tally,
            max_attempts=settings.max_attempts,
            extraction=terms.extraction,
        )
        self._send = self._sender.send
        if terms.packing is not None:
            self._send = Unpacker(
                self._sender.send,
                session.measured,
                terms.packing,
                targets=session.targets,
                stopping=self._stopping,
                tally=session.tally,
            ).send
        self._repeats: Repeats | None = None
        if session.sharing is not None and terms.packing is None:
            self._repeats = Repeats(
                session.sharing,
                terms.extraction,
                line_up=self._line_up,
                told=self._told,
                told_again=self._told_again,
            )
        self.over = session.over
        """What becomes of what is asked after the end; None before."""
        self._timer: asyncio.TimerHandle | None = None
        if terms.batch_deadline is not None:
            why = f"no answer within the batch's deadline of {terms.batch_deadline:g} s"
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(terms.batch_deadline, self.give_up, _unanswered(why))
        session.closings[self.close] = None
        session.garbage.begin()

    def add(self, requests: Iterable[Request]) -> None:
        """Ask these as well; their numbers are their places."""
        if self._repeats is None or self.over is not None:
            self._line_up(requests)
        else:
            self._repeats.add(requests)

    def _line_up(self, requests: Iterable[Request]) -> None:
        self._waiting.extend(requests)
        if self.over is not None:
            self._fail_waiting(self.over)
        elif self._admitting is None and self._waiting:
            self._admitting = asyncio.get_running_loop().create_task(self._admit_all())

    def give_up(self, failure: Failure = CANCELLED) -> None:
        """Wait no longer: *failure* is the outcome of whatever is not answered yet."""
        self.over = self.over or failure
        if self._admitting is not None:
            self._admitting.cancel()
        if self._repeats is not None:
            self._waiting.extend(self._repeats.give_up(failure))
        self._fail_waiting(failure)
        for request in tuple(self._open.values()):
            self._done(request, failure)
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """Give up what is left, and see it ended."""
        self.end()
        tasks = [*self._tasks, self._admitting]
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    def end(self) -> None:
        """Give up what is left."""
        self.over = self.over or CANCELLED
        if self._open or self._waiting or self._repeats is not None:
            self.give_up()
        if self.close in self._session.closings:
            del self._session.closings[self.close]
            self._session.garbage.end()
        self._stopping.close()
        if self._timer is not None:
            self._timer.cancel()

    async def _admit_all(self) -> None:
        try:
            # One rest for all: a stop ends whatever is awaited here, now or next.
            with self._stopping.resting():
                while self._waiting:
                    await asyncio.sleep(0)  # so that what was admitted is sent
                    requests = list(islice(self._waiting, _MEASURED_TOGETHER))
                    sizes = await self._session.measured(self._asking(requests))
                    for request, size in zip(requests, sizes, strict=True):
                        if not await self._admit(request, size):
                            break
        except Abandoned:
            self.over = self.over or self._stopped()
            self._fail_waiting(self.over)
        except Exception as fault:  # noqa: BLE001  a provider that cannot measure, such as the user's
            self.over = self.over or _faulty(fault)
            self._fail_waiting(self.over)
        finally:
            self._admitting = None

    def _asking(self, requests: Sequence[Request]) -> Sequence[Request]:
        """*requests* as they are sent first, to be measured."""
        extraction, first = self._terms.extraction, self._session.targets.all[0]
        if extraction is None:
            return requests
        return [extraction.first(one, first) for one in requests]

    async def _admit(self, request: Request, size: Size) -> bool:
        """Begin with the first who waits, once there is room; False if it waited too long."""
        while len(self._open) >= self._most:
            self._room.clear()
            await self._room.wait()
        loop, deadline = asyncio.get_running_loop(), self._terms.deadline
        ends = None if deadline is None else loop.time() + deadline
        wanted = None if self._repeats is None else self._repeats.wanted(request)
        try:
            if self._repeats is not None and wanted is not None:
                self._begin()
                turn = partial(self._turn, request, size)
                await self._repeats.admit(request, wanted, turn, ends, self._too_late)
                return True
            targets = self._session.targets
            reservation = targets.acquire_now(size)
            if reservation is None:
                reservation = await _within(ends, targets.acquire(size))
        except TimeoutError:
            self._fail_waiting(self._too_late())  # those behind it would wait as long
            return False
        self._begin()
        task = loop.create_task(self._carry(request, size, reservation, ends))
        self._tasks[task] = reservation
        task.add_done_callback(self._ended)
        return True

    def _begin(self) -> None:
        request = self._waiting.popleft()
        self._open[request.number] = request

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._give_back(self._tasks.pop(task))

    def _give_back(self, reservation: Reservation) -> None:
        if not reservation.settled:  # given up before it began
            self._session.targets.give_back(reservation)

    async def _carry(
        self, request: Request, size: Size, reservation: Reservation, ends: float | None
    ) -> None:
        try:
            outcome = await _within(ends, self._sent(request, size, reservation))
        except TimeoutError:
            outcome = self._too_late()
        self._told(request, outcome)

    def _turn(self, request: Request, size: Size) -> Turn:
        """How *request* is sent for several."""
        reservation = self._session.targets.acquire_now(size)
        if reservation is not None:
            sent = partial(self._sent, request, size, reservation)
            return Turn(sent, None, partial(self._give_back, reservation))
        admitted = asyncio.Event()
        return Turn(partial(self._acquire, request, size, admitted), admitted, admitted.set)

    async def _acquire(self, request: Request, size: Size, admitted: asyncio.Event) -> Outcome:
        try:
            with self._stopping.resting():
                reservation = await self._session.targets.acquire(size)
        except Abandoned:
            return self._stopped()
        admitted.set()
        return await self._sent(request, size, reservation)

    async def _sent(self, request: Request, size: Size, reservation: Reservation) -> Outcome:
        try:
            return await self._send(request, size, reservation)
        except Abandoned:
            return self._stopped()
        except Exception as fault:  # noqa: BLE001  a fault of ours is told, and costs one request
            return _faulty(fault)

    def _told(self, request: Request, outcome: Outcome) -> None:
        """*request* got what was asked for it."""
        self._done(request, outcome)
        self._stopping.judge(outcome, self._session.tally)

    def _done(self, request: Request, outcome: Outcome) -> None:
        if self._open.pop(request.number, None) is not None:
            self._room.set()
            self._tell(request, outcome)

    def _fail_waiting(self, failure: Failure) -> None:
        failure = unsent(failure)
        while self._waiting:
            self._tell(self._waiting.popleft(), failure)

    def _tell(self, request: Request, outcome: Outcome) -> None:
        if isinstance(request, Pack):
            for part in request.parts:  # those that have not been told
                request.keep(part, outcome)
        else:
            self._session.tally.finish(request, outcome)
        self._deliver(request.number, outcome)
        if self._repeats is not None:
            self._repeats.tell_equal(request, outcome)

    def _told_again(self, request: Request, outcome: Outcome) -> None:
        """*request* got what was asked before, or for an equal one."""
        self._open.pop(request.number, None)
        if isinstance(outcome, Success) and outcome.cached:
            self._session.tally.cached += 1
        else:
            self._session.tally.shared += 1
        self._room.set()
        self._tell(request, outcome)

    def _stopped(self) -> Failure:
        last = self._session.tally.last_hopeless
        kind = Kind.TRANSIENT if last is None else last.kind
        return Failure(kind, f"not sent: {self._stopping.reason}", sent=False)

    def _too_late(self) -> Failure:
        return _unanswered(f"no answer within the deadline of {self._terms.deadline:g} s")


async def _within(ends: float | None, work: Awaitable[T]) -> T:
    """What comes of *work*; TimeoutError if the loop's time is *ends* before."""
    if ends is None:
        return await work
    async with asyncio.timeout_at(ends):
        return await work


def _faulty(fault: Exception) -> Failure:
    return Failure(Kind.TRANSIENT, f"a fault in the program: {fault!r}")


def _unanswered(why: str) -> Failure:
    return Failure(Kind.TRANSIENT, why, timed_out=True)
