"""One run: real jobs with real files in a temporary folder, a simulated service, virtual time."""

import asyncio
import math
import random
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulator import floor, virtual_time
from benchmarks.simulator.carrier import Carrier
from benchmarks.simulator.jobs import LEARN, NO_LIMIT, make_job, quiet, run_job
from benchmarks.simulator.profiles import Scenario
from benchmarks.simulator.service import Service
from benchmarks.simulator.workload import Simulated, Workload
from request_engine.job import Job

KNOWN, WRONG, UNKNOWN = "known", "x2 wrong", "unknown"
"""What the user knows of a service's limits."""
_PATIENCE = 7_200.0
"""Virtual seconds, and 20 times an ideal job's, after which a run is given up."""


@dataclass(slots=True)
class Client:
    """One job of a run."""

    work: Workload
    carrier: Carrier
    started: float
    """When, in virtual seconds."""
    ended: float = 0.0
    answered: int = 0
    failed: int = 0
    stopped: str | None = None
    """Why it ended early."""

    @property
    def offered_at(self) -> list[float]:
        """When each of its attempts was sent."""
        return self.carrier.offered_at


Watch = Callable[[float, Service, list[Client]], None]
"""What looks on, and is told the time."""


@dataclass(slots=True)
class Run:
    """What there was to measure."""

    service: Service
    clients: list[Client]
    limits: tuple[float | None, float | None]
    """Those that the jobs were given, None where they were to find out."""
    least: float
    """The least makespan that anybody could have reached."""
    seconds: float
    """Of real time."""

    @property
    def makespan(self) -> float:
        return max(one.ended for one in self.clients)

    @property
    def ratio(self) -> float:
        return self.makespan / self.least


FACTORS = {KNOWN: 1, WRONG: 2}
"""What the user gives, of what is true; nothing where the engine is to find out."""


def play(
    scenario: Scenario,
    knowledge: str,
    seed: int,
    minutes: float = 20.0,
    *,
    count: int | None = None,
    delays: tuple[float, ...] = (0.0,),
    watch: Watch | None = None,
    **asked: Any,
) -> Run:
    """Run jobs of *minutes* each (or of *count* requests), which start after *delays*.

    *asked* goes to the jobs; *watch* is called every second of virtual time.
    """
    began = time.perf_counter()
    random.seed(f"engine {seed}")
    service, least = scenario.build(seed, minutes * 60.0)
    factor = FACTORS.get(knowledge)
    limits = (
        factor and _times(scenario.requests, factor),
        factor and _times(scenario.tokens, factor),
    )
    otherwise = LEARN if factor is None else NO_LIMIT
    given = (limits[0] or otherwise, limits[1] or otherwise)
    if factor and scenario.slots:
        asked.setdefault("max_concurrent_requests", factor * scenario.slots)
    clients = []
    for number, delay in enumerate(delays):
        work = Workload(count or scenario.count(minutes), scenario.shape, seed + 1_000 * number)
        carrier = Carrier(service, service.serve(work), seed)
        clients.append(Client(work, carrier, delay))
    provider = Simulated(scenario.profile)
    with tempfile.TemporaryDirectory() as folder, quiet():
        going = []
        for number, one in enumerate(clients):
            requests = Path(folder, f"{number}.jsonl")
            one.work.write(requests)
            going.append(_go(one, make_job(requests, given, asked), provider))
        together = _together(going, service, clients, watch)
        try:
            virtual_time.run(together, until=max(delays) + _PATIENCE + 20 * 60 * minutes)
        except virtual_time.Stuck as stuck:
            _never_ended(clients, str(stuck))
    bound = max(max(least(one.work), _given(one.work, limits)) + one.started for one in clients)
    return Run(service, clients, limits, bound, time.perf_counter() - began)


def _never_ended(clients: list[Client], why: str) -> None:
    for one in clients:
        if not one.ended:
            one.ended, one.stopped = math.inf, why


def _times(limit: float | None, factor: int) -> float | None:
    return None if limit is None else limit * factor


def _given(work: Workload, limits: tuple[float | None, float | None]) -> float:
    return floor.whole(work, floor.given(work, *limits))


async def _together(
    going: list[Coroutine[Any, Any, None]],
    service: Service,
    clients: list[Client],
    watch: Watch | None,
) -> None:
    watching = asyncio.ensure_future(_look_on(watch, service, clients)) if watch else None
    await asyncio.gather(*going)
    if watching is not None:
        watching.cancel()


async def _look_on(watch: Watch, service: Service, clients: list[Client]) -> None:
    while True:
        await asyncio.sleep(1.0)
        watch(asyncio.get_running_loop().time(), service, clients)


async def _go(client: Client, job: Job, provider: Simulated) -> None:
    await asyncio.sleep(client.started)
    summary, client.stopped = await run_job(job, provider, client.carrier)
    client.ended = asyncio.get_running_loop().time()
    client.answered, client.failed = summary.tally.succeeded, summary.tally.failed
