"""What else must hold: changes obeyed, fair shares, never frozen, brisk starts, wide ceilings."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.simulator import measures
from benchmarks.simulator.play import KNOWN, UNKNOWN, play
from benchmarks.simulator.profiles import (
    BOUND_BY_TOKENS,
    REQUESTS,
    SCENARIOS,
    TOKENS,
    Scenario,
    afterwards,
    bucket,
    closing,
    daily,
)
from benchmarks.simulator.workload import Shape

Measure = Callable[[int, float], float]
"""A figure, from a seed and the minutes of a job."""


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, and the bound that it has to keep."""

    name: str
    title: str
    unit: str
    bound: float
    measure: Measure
    at_least: bool = False
    """Whether the bound is the least; else it is the most."""

    def holds(self, figure: float) -> bool:
        """Whether *figure*, the mean over the seeds, keeps the bound."""
        return figure >= self.bound if self.at_least else figure <= self.bound


def halved(knowledge: str) -> Measure:
    """Seconds until a halved limit is obeyed, and stays so."""

    def measure(seed: int, minutes: float) -> float:
        run = play(SCENARIOS["Half"], knowledge, seed, minutes)
        return measures.obeyed_after(run, minutes * 30.0, REQUESTS / 2)

    return measure


def doubled(seed: int, minutes: float) -> float:
    """Seconds until a doubled limit is used."""
    run = play(SCENARIOS["Double"], UNKNOWN, seed, minutes)
    return measures.used_after(run, minutes * 30.0, REQUESTS * 2)


def two_clients(knowledge: str, later: float) -> Measure:
    """Jain's index of two jobs, the second started *later*, while both run."""

    def measure(seed: int, minutes: float) -> float:
        half = SCENARIOS["A"].count(minutes) // 2
        run = play(SCENARIOS["A"], knowledge, seed, minutes, count=half, delays=(0.0, later))
        return measures.fairness(run)

    return measure


def endless(spelling: str, wait: float | None) -> Measure:
    """The longest time without a probe while everything is refused for an hour."""

    def measure(seed: int, minutes: float) -> float:
        at = 120.0
        scenario = Scenario("Endless", "", closing(spelling, wait, at))
        run = play(scenario, UNKNOWN, seed, minutes)
        return measures.longest_gap(run.clients[0], at)

    return measure


def day_ended(seed: int, minutes: float) -> float:
    """Seconds from the last request of a day until the job has ended, to go on tomorrow."""
    run = play(Scenario("Day", "", daily), UNKNOWN, seed, minutes)
    stopped = bool(run.clients[0].stopped and not measures.failed(run))
    return run.makespan - run.service.seen.admitted_at[-1] if stopped else float("inf")


def wide_ceiling(scenario: Scenario, knowledge: str) -> Measure:
    """How much longer the same answers take with a max_tokens of 32k than with one of 512."""

    def measure(seed: int, minutes: float) -> float:
        tight, wide = (
            play(
                replace(scenario, shape=Shape(max_tokens, longest=512)), knowledge, seed, minutes
            ).makespan
            for max_tokens in (512, 32_768)
        )
        return wide / tight

    return measure


def small_job(seed: int, minutes: float) -> float:
    """Seconds until the last of 10 requests at 50 RPM is sent."""
    scenario = Scenario("Small", "", bucket("openai", 60.0, requests=50.0), 50.0)
    run = play(scenario, KNOWN, seed, minutes, count=10)
    kept = max(measures.excess(run)) <= 0 and not measures.failed(run)
    return run.clients[0].offered_at[-1] if kept else float("inf")


AFTERWARDS = Scenario(
    "P",
    "bucket counted afterwards",
    afterwards,
    tokens=BOUND_BY_TOKENS,
    per_minute=BOUND_BY_TOKENS / 1_050,
)
GIVEN_BACK = Scenario("A60", "bucket, settles", bucket("openai", 60.0, tokens=TOKENS))

CHECKS = (
    Check("half", "halved limit obeyed, limits known", "s", 20.0, halved(KNOWN)),
    Check("half?", "halved limit obeyed, unknown", "s", 20.0, halved(UNKNOWN)),
    Check("double", "doubled limit used, unknown", "s", 90.0, doubled),
    Check(
        "jain", "two jobs, a minute apart, unknown", "Jain", 0.9, two_clients(UNKNOWN, 60.0), True
    ),
    Check("jain0", "two jobs at once, unknown", "Jain", 0.9, two_clients(UNKNOWN, 0.0), True),
    Check("jain!", "two jobs, a minute apart, known", "Jain", 0.9, two_clients(KNOWN, 60.0), True),
    Check("endless", "endless 429s, no hint: gap", "s", 120.0, endless("bare", None)),
    Check("endless20", "endless 429s, hint 20 s: gap", "s", 120.0, endless("openai", 20.0)),
    Check("endless300", "endless 429s, hint 300 s: gap", "s", 301.0, endless("text", 300.0)),
    Check("day", "daily cap: stopped after", "s", 60.0, day_ended),
    Check(
        "32k", "max_tokens 32k/512, counted afterwards", "x", 1.2, wide_ceiling(AFTERWARDS, KNOWN)
    ),
    Check("32k?", "the same, limits unknown", "x", 1.2, wide_ceiling(AFTERWARDS, UNKNOWN)),
    Check(
        "32kA",
        "max_tokens 32k/512, charged and given back",
        "x",
        1.2,
        wide_ceiling(GIVEN_BACK, KNOWN),
    ),
    Check("small", "10 requests at 50 RPM all sent", "s", 3.0, small_job),
)
