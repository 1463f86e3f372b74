"""One job for several services at once, of which one dies and one lets in less in mid-run.

The ideal is that of somebody who knew all of it beforehand: the moment at which the capacities that
are left, added up, have let the last request in.
"""

import asyncio
import math
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.simulator import virtual_time
from benchmarks.simulator.carrier import Carrier
from benchmarks.simulator.jobs import LEARN, NO_LIMIT, make_job, quiet, run_job
from benchmarks.simulator.meters import ChangingBucket, Steps
from benchmarks.simulator.service import Service
from benchmarks.simulator.voices import Voice
from benchmarks.simulator.workload import Shape, Simulated, Workload
from request_engine.local_endpoint.limiters import Limits, Rate
from request_engine.provider import Profile
from request_engine.records import Failure, Kind, Reply

FOR_EVER = math.inf
_DEAD = Failure(Kind.TRANSIENT, "cannot connect: connection refused", sent=False)
_CUT = Failure(Kind.TRANSIENT, "the connection was closed before the answer")
_REFUSED_AFTER = 0.001
"""Seconds until a host says that nobody listens there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One service: so many requests a minute, by time."""

    name: str
    rpm: float
    steps: Steps = ((0.0, 1.0),)
    """Which share of them it lets in, from when on."""
    dies: float = FOR_EVER
    spelling: str = "openai"
    burst: float = 1.0
    known: bool = False
    """Whether the user gives the limit that it has at first."""

    def let_in(self, until: float) -> float:
        """How many it can have let in by then."""
        ends = [at for at, _ in self.steps[1:]] + [FOR_EVER]
        spans = (
            (min(end, until, self.dies) - at, share)
            for (at, share), end in zip(self.steps, ends, strict=True)
        )
        full = self.rpm * self.steps[0][1] / 60.0
        return full * self.burst + sum(
            self.rpm * share / 60.0 * seconds for seconds, share in spans if seconds > 0
        )

    def told(self) -> str:
        """What the file of endpoints says of it."""
        limit = f"{self.rpm:g}" if self.known else f'"{LEARN}"'
        return (
            f'[[endpoint]]\nname = "{self.name}"\nprovider = "simulated"\n'
            f'url = "http://{self.name}.localhost/v1"\nrpm = {limit}\ntpm = "{NO_LIMIT}"\n'
        )


def ideal(places: list[Place], work: Workload) -> float:
    """When the last answer of *work* can be there."""
    low, high = 0.0, 1e6
    while high - low > 0.01:
        middle = (low + high) / 2
        enough = sum(one.let_in(middle) for one in places) >= work.count
        low, high = (low, middle) if enough else (middle, high)
    return max(high + work.least_seconds, work.most_seconds)


class Mortal(Carrier):
    """The way to a service that is there until some moment."""

    def __init__(self, service: Service, client: int, seed: int, dies: float) -> None:
        super().__init__(service, client, seed)
        self.tried_in_vain = 0
        self.answered: list[int] = []
        """Lines whose answer came back."""
        self._dies = dies

    async def __aenter__(self) -> "Mortal":
        await super().__aenter__()
        if self._dies < FOR_EVER:
            asyncio.get_running_loop().call_at(self._dies, self._die)
        return self

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        if asyncio.get_running_loop().time() >= self._dies:
            self.tried_in_vain += 1
            await asyncio.sleep(_REFUSED_AFTER)
            return _DEAD
        return await super().post(url, wire_body)

    def _die(self) -> None:
        for call in self._sent:
            assert call.future is not None
            if not call.future.done():
                call.future.set_result(_CUT)


class Carriers:
    """The ways to all services, by the host of a URL."""

    def __init__(self, ways: dict[str, Mortal]) -> None:
        self._ways = ways

    async def __aenter__(self) -> "Carriers":
        for way in self._ways.values():
            await way.__aenter__()
        return self

    async def __aexit__(self, *failed: object) -> None:
        """Nothing is open."""

    @property
    def moved_at(self) -> float:
        return max(way.moved_at for way in self._ways.values())

    def waiting_since(self) -> float | None:
        """When the oldest of what is in flight was sent."""
        since = (way.waiting_since() for way in self._ways.values())
        return min((one for one in since if one is not None), default=None)

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        return await self._ways[urlsplit(url).hostname or ""].post(url, wire_body)


@dataclass(frozen=True, slots=True)
class Shared:
    """What one job came to."""

    seconds: float
    ideal: float
    answered: int
    failed: int
    stopped: str | None
    rows: list[str]
    """Its results file."""
    ways: dict[str, Mortal]

    @property
    def ratio(self) -> float:
        return self.seconds / self.ideal


def share(places: list[Place], count: int, seed: int, **asked: Any) -> Shared:
    """Run a job of *count* requests over *places*; *asked* goes to it."""
    random.seed(f"engine {seed}")
    work = Workload(count, Shape(), seed)
    ways = {}
    for number, one in enumerate(places):
        meter = ChangingBucket(one.rpm, one.burst, one.steps)
        rate = Rate("requests", "requests per min (RPM)", round(one.rpm), meter)
        service = Service(Limits([rate]), Voice(one.spelling))
        ways[f"{one.name}.localhost"] = Mortal(
            service, service.serve(work), 1_000 * seed + number, one.dies
        )
    with tempfile.TemporaryDirectory() as folder, quiet():
        requests, endpoints = Path(folder, "job.jsonl"), Path(folder, "endpoints.toml")
        work.write(requests)
        endpoints.write_text("\n".join(one.told() for one in places))
        told = {"request_url": None, "endpoints": str(endpoints)} | asked
        job = make_job(requests, (LEARN, LEARN), told)

        async def timed() -> tuple[Any, str | None, float]:
            summary, why = await run_job(job, Simulated(Profile()), Carriers(ways))  # type: ignore[arg-type]
            return summary, why, asyncio.get_running_loop().time()

        summary, why, seconds = virtual_time.run(timed(), until=20_000.0)
        rows = requests.with_suffix(".results").read_text().splitlines()
    tally = summary.tally
    return Shared(seconds, ideal(places, work), tally.succeeded, tally.failed, why, rows, ways)
