"""Run a whole file: admit a request when there is room for it, send it, write its row.

intake (read, claimed, measured) -> targets.acquire -> send -> disk
"""

import asyncio
from collections.abc import Callable

from request_engine.disk import Disk
from request_engine.errors import Stopped
from request_engine.intake import Intake
from request_engine.records import Failure, Kind, Request, Success, Unusable
from request_engine.reservation import Reservation
from request_engine.send import Send
from request_engine.shares import Binding
from request_engine.sizes import Size
from request_engine.stopping import Abandoned, Stopping
from request_engine.tally import Tally
from request_engine.targets import Targets

CANARY = 5
"""Requests in flight until the first answer, where there are many: a wrong model or a shape that
the service refuses then costs five requests and not all that fit in flight."""
MANY = 500
"""Requests from which on that is worth the time of one answer."""


class Run:
    """One pass over a stream of requests. Use it once."""

    def __init__(
        self,
        send: Send,
        targets: Targets,
        disk: Disk,
        stopping: Stopping,
        tally: Tally,
        is_large: Callable[[], bool] = lambda: False,
        most_open: int | None = None,
    ) -> None:
        """*is_large*: whether so much is to do that a few requests go first, as canaries.

        *most_open*: requests that may be under way, where each holds much.
        """
        self._send = send
        self._targets = targets
        self._disk = disk
        self._stopping = stopping
        self._tally = tally
        self._open: set[asyncio.Task[None]] = set()
        # Those that wait for another attempt hold no slot, but do hold memory.
        self._most_open = most_open or 2 * targets.max_concurrent + 100
        self._is_large = is_large
        self._answered = False
        self._one_done = asyncio.Event()
        self._bug: BaseException | None = None

    async def run(self, intake: Intake) -> None:
        """Give every request its row, or as many as can be before something stops the run."""
        self._stopping.on_give_up(self._give_up)
        try:
            try:
                await self._admit_all(intake)
            except Abandoned:
                pass
            except Stopped as unreadable:
                self._stopping.stop(str(unreadable))
            finally:
                await intake.close()
            self._waits_for(Binding.SERVICE)
            while self._open:
                done, _ = await asyncio.wait(tuple(self._open))
                self._open -= done  # those that were given up before they began
        finally:
            self._stopping.close()
            self._give_up()
            await asyncio.gather(*self._open, return_exceptions=True)
        if self._bug is not None:
            raise self._bug

    async def _admit_all(self, intake: Intake) -> None:
        # One rest for all: a stop ends whatever is awaited here, now or next.
        with self._stopping.resting():
            while True:
                await asyncio.sleep(0)  # so that what was admitted is sent
                if intake.waits:
                    self._waits_for(Binding.FILE)
                batch = await intake.next()
                if batch is None:
                    return await asyncio.sleep(0)  # for a stop that was asked for just now
                for item, size in batch:
                    if self._stopping.reason is not None:
                        await asyncio.sleep(0)
                    if isinstance(item, Unusable):
                        self._disk.keep(item, Failure(Kind.BAD_REQUEST, item.message))
                    else:
                        await self._admit(item, size)

    async def _admit(self, request: Request, size: Size) -> None:
        while len(self._open) >= self._room():
            self._waits_for(Binding.SERVICE)
            self._one_done.clear()
            await self._one_done.wait()
        reservation = await self._targets.acquire(size)
        self._open.add(asyncio.create_task(self._carry(request, size, reservation)))

    async def _carry(self, request: Request, size: Size, reservation: Reservation) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            outcome = await self._send(request, size, reservation)
            self._disk.keep(request, outcome)
            self._stopping.judge(outcome, self._tally)
            self._answered = self._answered or isinstance(outcome, Success)
        except Abandoned:
            pass
        except Exception as error:  # noqa: BLE001  raised when the run ends
            self._bug = self._bug or error
            self._stopping.stop(f"a fault in the program: {error!r}")
        finally:
            self._open.discard(task)
            self._one_done.set()

    def _room(self) -> int:
        """How many requests may be open now."""
        return self._most_open if self._answered or not self._is_large() else CANARY

    def _give_up(self) -> None:
        for task in self._open:
            task.cancel()

    def _waits_for(self, binding: Binding) -> None:
        self._targets.nobody_asks(binding)
