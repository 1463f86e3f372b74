"""A server that refuses nothing: so many requests run at once, and the others wait for a place.

All that run share its throughput, which rises with their number ever more slowly.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable

from benchmarks.simulator.service import Call, Service
from benchmarks.simulator.voices import Voice
from benchmarks.simulator.workload import TOKENS_A_SECOND
from request_engine.local_endpoint.limiters import Limits, Refusal

SLOTS = 256
HALF_SPEED = 200
"""Requests running at once that each go half as fast as one alone."""


def speed(running: int) -> float:
    """Tokens a second of each of *running* requests."""
    return TOKENS_A_SECOND / (1 + running / HALF_SPEED)


MOST_TOKENS = SLOTS * speed(SLOTS)
"""Tokens a second, all places taken."""


class Queue(Service):
    """Like vLLM: continuous batching, first come first served, and never a 429."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(Limits(), voice)
        self.waiting: deque[tuple[Call, Callable[[Call], None]]] = deque()
        self._running: list[tuple[float, int, Call, Callable[[Call], None]]] = []
        self._order = itertools.count()
        self._done = 0.0
        """Tokens that a request would have by now that has run from the start."""
        self._done_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def refusal(self, call: Call, now: float) -> Refusal | None:
        call.charged = 0
        return super().refusal(call, now)

    def begin(self, call: Call, leave: Callable[[Call], None]) -> None:
        self.waiting.append((call, leave))
        self._go_on()

    def _go_on(self) -> None:
        """End what is done, fill the free places, and wait for the next to be done."""
        loop = asyncio.get_running_loop()
        now, running = loop.time(), self._running
        self._done += (now - self._done_at) * speed(len(running))
        self._done_at = now
        ended = []
        while running and running[0][0] <= self._done + 1e-6:
            ended.append(heapq.heappop(running))
        while self.waiting and len(running) < SLOTS:
            call, leave = self.waiting.popleft()
            tokens = self.works[call.client].seconds(call.number) * TOKENS_A_SECOND
            heapq.heappush(running, (self._done + tokens, next(self._order), call, leave))
        if self._timer is not None:
            self._timer.cancel()
        if running:
            left = (running[0][0] - self._done) / speed(len(running))
            self._timer = loop.call_at(now + left, self._go_on)
        for _, _, call, leave in ended:
            leave(call)
