"""One simulated service: it admits, refuses or fails what arrives, answers, and settles.

arrive -> Reply at once (a refusal, a failure)
       `> admitted -> (its seconds) -> leave -> Reply
"""

import asyncio
from array import array
from collections.abc import Callable
from dataclasses import replace

from benchmarks.simulator.voices import Voice
from benchmarks.simulator.workload import Workload
from request_engine.local_endpoint.limiters import Limits, Refusal
from request_engine.records import Failure, Reply

Charge = Callable[[Workload, int], int]
"""Tokens that a line of a job costs when it arrives."""


class Call:
    """One attempt on its way."""

    __slots__ = ("admitted_at", "charged", "client", "future", "number")

    def __init__(
        self, number: int, client: int, future: "asyncio.Future[Reply | Failure] | None" = None
    ) -> None:
        self.number = number
        self.client = client
        self.future = future
        self.admitted_at = 0.0
        self.charged = 0


class Seen:
    """When what came to a service, in its own time: the material of every figure."""

    def __init__(self) -> None:
        self.admitted_at = array("d")
        self.admitted = array("l")
        """Line numbers."""
        self.clients = array("b")
        """Which job each admission was of."""
        self.refused_at = array("d")
        self.failed_at = array("d")
        self.left = 0
        self.refused_for: dict[str, int] = {}


class Service:
    """Limits of the usual kinds. Variants change what it charges, and what comes before them."""

    def __init__(
        self,
        limits: Limits,
        voice: Voice,
        *,
        charge: Charge = Workload.ceiling,
    ) -> None:
        """*charge* says what a request costs when it arrives; the rest is settled at its end."""
        self.limits = limits
        self.voice = voice
        self.seen = Seen()
        self.works: list[Workload] = []
        self.charge = charge

    def serve(self, work: Workload) -> int:
        """Take on one more client with *work*; the number it is known by."""
        self.works.append(work)
        return len(self.works) - 1

    def arrive(self, call: Call, now: float) -> Reply | None:
        """A reply at once, or None for a request that is let in."""
        call.charged = self.charge(self.works[call.client], call.number)
        refusal = self.refusal(call, now)
        if refusal is not None:
            self.seen.refused_at.append(now)
            told = self.seen.refused_for
            told[refusal.what] = told.get(refusal.what, 0) + 1
            return self.voice.refusal(refusal, self.limits, now)
        call.admitted_at = now
        self.seen.admitted_at.append(now)
        self.seen.admitted.append(call.number)
        self.seen.clients.append(call.client)
        return None

    def refusal(self, call: Call, now: float) -> Refusal | None:
        """Why *call* is not let in; if it is, its place and its tokens are taken."""
        return self.limits.admit(now, call.charged)

    def begin(self, call: Call, leave: Callable[[Call], None]) -> None:
        """Work on *call*, which was let in, and have *leave* called when its answer is whole."""
        seconds = self.works[call.client].seconds(call.number)
        asyncio.get_running_loop().call_later(seconds, leave, call)

    def leave(self, call: Call, now: float) -> Reply:
        """The answer of *call*, with its charge corrected."""
        work = self.works[call.client]
        self.seen.left += 1
        used = work.used(call.number)
        self.limits.settle(now, call.admitted_at, call.charged, used)
        prompt = work.prompts[call.number - 1]
        return self.voice.answer(prompt, used - prompt, self.limits, now)


def nothing(work: Workload, number: int) -> int:
    """The charge of a service that counts what an answer took when it is there."""
    return 0


class Failing(Service):
    """Fails some of what arrives during outages, before it looks at any limit."""

    def __init__(
        self,
        limits: Limits,
        voice: Voice,
        outages: Callable[[float], int | None],
    ) -> None:
        """*outages*: the status that what arrives at some moment is failed with, None if not."""
        super().__init__(limits, voice)
        self._outages = outages

    def arrive(self, call: Call, now: float) -> Reply | None:
        status = self._outages(now)
        if status is None:
            return super().arrive(call, now)
        self.seen.failed_at.append(now)
        return self.voice.failure(status)


class Closing(Service):
    """Refuses everything from some moment on."""

    def __init__(self, limits: Limits, voice: Voice, at: float, refusal: Refusal) -> None:
        super().__init__(limits, voice)
        self._at = at
        self._refusal = refusal

    def refusal(self, call: Call, now: float) -> Refusal | None:
        return self._refusal if now >= self._at else super().refusal(call, now)


class Changing(Service):
    """Says other limits from some moment on; its meters change by themselves."""

    def __init__(self, limits: Limits, voice: Voice, at: float, share: float) -> None:
        super().__init__(limits, voice)
        self._at = at
        self._share = share

    def refusal(self, call: Call, now: float) -> Refusal | None:
        if now >= self._at:
            self._at = float("inf")
            self.limits.rates = tuple(
                replace(rate, limit=round(rate.limit * self._share)) for rate in self.limits.rates
            )
        return super().refusal(call, now)
