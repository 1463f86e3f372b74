"""The simulated service in the place of the transport, with the way there and back."""

import asyncio
import random
import re
from functools import partial

from benchmarks.simulator.service import Call, Service
from request_engine.records import Failure, Reply

THERE = (0.015, 0.035)
"""Seconds to the service, from the least to the most: requests arrive less evenly than they leave.
The way back of a refusal takes the mean of it."""
_BACK = sum(THERE) / 2
_number = re.compile(rb'"user": ?"(\d+)"').search


class Carrier:
    """One client's way to *service*; what a whole run enters, as it does the transport."""

    def __init__(self, service: Service, client: int, seed: int) -> None:
        self.moved_at = 0.0
        self.offered_at: list[float] = []
        """When each attempt was sent."""
        self._service = service
        self._client = client
        self._sent: dict[Call, float] = {}
        self._random = random.Random(f"network {seed} {client}").random
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> "Carrier":
        self._loop = asyncio.get_running_loop()
        self.moved_at = self._loop.time()
        return self

    async def __aexit__(self, *failed: object) -> None:
        """Nothing is open."""

    def waiting_since(self) -> float | None:
        """When the oldest of what is in flight was sent."""
        return next(iter(self._sent.values()), None)

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        """The service's reply to the line that *wire_body* names."""
        found = _number(wire_body)
        loop = self._loop
        assert found is not None
        assert loop is not None
        future: asyncio.Future[Reply | Failure] = loop.create_future()
        call = Call(int(found[1]), self._client, future)
        now = self.moved_at = loop.time()
        self.offered_at.append(now)
        self._sent[call] = now
        way = THERE[0] + (THERE[1] - THERE[0]) * self._random()
        loop.call_later(way, self._arrive, call)
        try:
            return await future
        finally:
            del self._sent[call]
            self.moved_at = loop.time()

    def _arrive(self, call: Call) -> None:
        loop = self._loop
        assert loop is not None
        reply = self._service.arrive(call, loop.time())
        if reply is None:
            self._service.begin(call, self._leave)
        else:
            loop.call_later(_BACK, partial(_give, call, reply))

    def _leave(self, call: Call) -> None:
        assert self._loop is not None
        _give(call, self._service.leave(call, self._loop.time()))


def _give(call: Call, reply: Reply) -> None:
    if call.future is not None and not call.future.done():
        call.future.set_result(reply)
