"""The table: each service against what a user knows of it, with the bounds that must hold."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.simulator import floor, greedy, measures
from benchmarks.simulator.play import FACTORS, KNOWN, UNKNOWN, WRONG, Run, play
from benchmarks.simulator.profiles import LOCKOUT, SCENARIOS, Scenario
from benchmarks.simulator.queueing import Queue

COLUMNS = (KNOWN, WRONG, UNKNOWN)
Bound = tuple[float, float]
"""Most makespan over the least possible, and most 429s for each request."""
BOUNDS: dict[str, Bound] = {KNOWN: (1.05, 0.005), UNKNOWN: (1.15, 0.03)}
OTHER_BOUNDS: dict[tuple[str, str], Bound] = {
    ("B", KNOWN): (1.05, 0.04),
    ("D", KNOWN): (1.10, 0.005),
    ("D", UNKNOWN): (1.25, 0.03),
    ("F", KNOWN): (1.15, 0.005),
    ("F", UNKNOWN): (2.2, 0.03),
    ("Fh", KNOWN): (1.15, 0.005),
    ("Fh", UNKNOWN): (2.2, 0.03),
    ("G", KNOWN): (1.15, 0.01),
    ("G", UNKNOWN): (1.25, 0.03),
}
UNBOUNDED = ("As", "T", "5xx", "Half", "Double")
"""Rows that are only shown: the floor of the first puts its lines into another order; that of the
second knows beforehand what each answer will take, and what we leave free because we do not costs
some 3 % of a limit that only tokens reach; that of the third fails nothing; and the others are
judged by how they follow the change."""
LONG = {"A60": 2.0, "C": 2.0, "S": 2.0}
"""Times as long as other jobs: at their start the floor sends a whole minute's worth at once, and
nobody else does. That is a minute of the whole."""


@dataclass(slots=True)
class Figures:
    """One run."""

    service: str
    knowledge: str
    seed: int
    ratio: float
    refused: float
    failed: int
    stopped: str | None
    requests: int
    makespan: float
    least: float
    brisk: float
    """The least ratio of a job that sends no more than its burst at once, where that is known."""
    greedy: float | None
    """The ratio of a client in the file's order that always knows whether there is room."""
    over_requests: float
    over_tokens: float
    wasted: int
    locked_out: float
    refused_for: dict[str, int]
    seconds: float


def columns(scenario: Scenario) -> tuple[str, ...]:
    """What of *scenario* a user may know; there is no wrong limit where there is none."""
    limited = scenario.requests or scenario.slots
    return COLUMNS if limited else (KNOWN, UNKNOWN)


def figures(name: str, knowledge: str, seed: int, minutes: float) -> Figures:
    """Run the service called *name* once."""
    minutes *= LONG.get(name, 1.0)
    run = play(SCENARIOS[name], knowledge, seed, minutes)
    over = measures.excess(run)
    return Figures(
        service=name,
        knowledge=knowledge,
        seed=seed,
        ratio=run.ratio,
        refused=measures.refusals(run),
        failed=measures.failed(run),
        stopped=run.clients[0].stopped,
        requests=run.clients[0].work.count,
        makespan=run.makespan,
        least=run.least,
        brisk=_brisk(SCENARIOS[name], run) if knowledge == KNOWN else 1.0,
        greedy=_greedy(SCENARIOS[name], run, seed, minutes) if knowledge == KNOWN else None,
        over_requests=over[0],
        over_tokens=over[1],
        wasted=measures.wasted(run),
        locked_out=measures.locked_out(run, LOCKOUT) if name in ("F", "Fh") else 0.0,
        refused_for=run.service.seen.refused_for,
        seconds=run.seconds,
    )


def _brisk(scenario: Scenario, run: Run) -> float:
    requests, tokens = run.limits
    if requests is None or tokens is None:
        return 1.0
    work = run.clients[0].work
    last = floor.evenly(work, requests, tokens, max(1.0, scenario.profile.burst_seconds))
    return max(1.0, floor.whole(work, last) / run.least)


def _greedy(scenario: Scenario, run: Run, seed: int, minutes: float) -> float | None:
    service, least = scenario.build(seed, 60.0 * minutes)
    if isinstance(service, Queue):  # which has room for everything
        return None
    work = run.clients[0].work
    return greedy.makespan(scenario, service, work) / least(work)


@dataclass(slots=True)
class Cell:
    """The runs of one service with one knowledge of it."""

    runs: Sequence[Figures]

    @property
    def ratio(self) -> float:
        return statistics.mean(one.ratio for one in self.runs)

    @property
    def refused(self) -> float:
        return statistics.mean(one.refused for one in self.runs)

    def remarks(self) -> list[str]:
        """What is to be known of the figures: what others would reach."""
        found = []
        told = [one.greedy for one in self.runs if one.greedy is not None]
        if told:
            found.append(f"who always knows whether there is room: {statistics.mean(told):.3f}")
        brisk = statistics.mean(one.brisk for one in self.runs)
        if brisk > 1.005:
            found.append(f"who sends no more than 10 s' worth at once: at least {brisk:.3f}")
        return found

    @property
    def bound(self) -> Bound | None:
        name, knowledge = self.runs[0].service, self.runs[0].knowledge
        if name in UNBOUNDED:
            return None
        return OTHER_BOUNDS.get((name, knowledge)) or BOUNDS.get(knowledge)

    @property
    def missed(self) -> bool:
        """Whether it is slower, or refused more, than it may be."""
        bound = self.bound
        return bound is not None and (
            round(self.ratio, 3) > bound[0] or round(self.refused, 4) > bound[1]
        )

    def faults(self) -> list[str]:
        """What must not happen in any run, whatever the figures."""
        name, knowledge = self.runs[0].service, self.runs[0].knowledge
        found = []
        rows = sum(one.failed for one in self.runs)
        if rows and name != "5xx":
            found.append(f"{rows:,} failed rows")
        if stopped := next((one.stopped for one in self.runs if one.stopped), None):
            found.append(f"stopped: {stopped[:70]}")
        if wasted := sum(one.wasted for one in self.runs):
            found.append(f"{wasted:,} tokens bought twice")
        for what in ("requests", "tokens"):
            over = max(getattr(one, f"over_{what}") for one in self.runs)
            if over > 0 and knowledge in FACTORS:
                found.append(f"{over:.2%} above the {what} given")
        return [f"{knowledge}: {one}" for one in found]

    def text(self) -> str:
        """Ratio and refusals, with what they may be."""
        told = f"{self.ratio:6.3f}{self.refused:8.2%}"
        if self.bound is None:
            return told
        most = f"({self.bound[0]:.2f} {self.bound[1]:.1%})"
        return f"{told} {most:>12} {'MISSED' if self.missed else 'OK'}"
