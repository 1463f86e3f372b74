"""The services by name: what each enforces, how it speaks, and what it cannot be beaten by."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.simulator import floor, queueing
from benchmarks.simulator.meters import ChangingBucket, Growth, PhasedWindow, Steps, shared
from benchmarks.simulator.queueing import Queue
from benchmarks.simulator.service import Changing, Closing, Failing, Service, nothing
from benchmarks.simulator.voices import GROWTH, Voice
from benchmarks.simulator.workload import TOKENS_A_SECOND, Shape, Workload
from providers.aliyun import Aliyun
from request_engine.local_endpoint.limiters import Limits, Lockout, Rate, Refusal
from request_engine.local_endpoint.meters import FixedWindow, Meter, SlidingWindow, TokenBucket
from request_engine.provider import Profile

REQUESTS, TOKENS = 1_200, 1_500_000
"""Limits a minute: requests bind, and tokens nearly, at some 1,190 a request."""
BOUND_BY_TOKENS = 400_000
MEAN_USED, MEAN_CEILING, SECONDS = 1_190, 2_874, 6.6
"""The mean request: tokens it takes, tokens it may take, and how long its answer lasts."""
SLOTS = 200
LOCKOUT = 180.0

Built = tuple[Service, Callable[[Workload], float]]
"""A service, and the least time in which it could serve a workload."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One service, and a job for it."""

    name: str
    title: str
    build: Callable[[int, float], Built]
    """From the seed, and how long an ideal job takes in seconds."""
    requests: float | None = REQUESTS
    """The limits a minute, as the user may know them."""
    tokens: float | None = TOKENS
    slots: int | None = None
    """How many may be in flight, where that is the limit."""
    shape: Shape = field(default_factory=Shape)
    profile: Profile = field(default_factory=Profile)
    per_minute: float = REQUESTS
    """Requests that an ideal job does in a minute."""

    def count(self, minutes: float) -> int:
        """Requests of a job of *minutes*."""
        return max(1, round(self.per_minute * minutes))


def rates(make: Callable[[float], Meter], requests: float, tokens: float) -> list[Rate]:
    """Both limits, each with a meter that *make* gives."""
    return [
        Rate("requests", "requests per min (RPM)", round(requests), make(requests)),
        Rate("tokens", "tokens per min (TPM)", round(tokens), make(tokens)),
    ]


def bucket(
    spelling: str,
    burst: float,
    *,
    requests: float = REQUESTS,
    tokens: float = TOKENS,
    refund: bool = True,
    lockout: float = 0.0,
) -> Callable[[int, float], Built]:
    """A token bucket that holds *burst* seconds' worth."""

    def build(seed: int, ideal: float) -> Built:
        made = rates(lambda limit: TokenBucket(limit, burst), requests, tokens)
        limits = Limits(made, refund=refund, lockout=Lockout(lockout))

        def least(work: Workload) -> float:
            taken = work.all_foreseen if refund else work.all_ceilings
            by_requests = floor.bucket(work.count, requests, burst)
            by_tokens = floor.bucket(taken, tokens, burst)
            return floor.whole(work, max(by_requests, by_tokens))

        return Service(limits, Voice(spelling)), least

    return build


def changing(
    spelling: str, burst: float, steps_of: Callable[[int, float], Steps], *, told: bool = False
) -> Callable[[int, float], Built]:
    """A bucket whose capacity changes; with *told* its stated limits change once as well."""

    def build(seed: int, ideal: float) -> Built:
        steps = steps_of(seed, ideal)
        limits = Limits(rates(lambda limit: ChangingBucket(limit, burst, steps), REQUESTS, TOKENS))

        def least(work: Workload) -> float:
            by_requests = floor.changing(work.count, REQUESTS, burst, steps)
            by_tokens = floor.changing(work.all_foreseen, TOKENS, burst, steps)
            return floor.whole(work, max(by_requests, by_tokens))

        if told:
            return Changing(limits, Voice(spelling), *steps[1]), least
        return Service(limits, Voice(spelling)), least

    return build


def at_half_time(share: float) -> Callable[[int, float], Steps]:
    """All of it, and *share* of it from half time on."""
    return lambda seed, ideal: [(0.0, 1.0), (ideal / 2, share)]


def fixed_window(seed: int, ideal: float) -> Built:
    """Windows of 60 s that begin at some moment; tokens count when the answer is there."""
    phase = random.Random(f"phase {seed}").uniform(0.0, 60.0)
    made = rates(lambda limit: PhasedWindow(limit, phase), REQUESTS, TOKENS)

    def least(work: Workload) -> float:
        # Tokens that count afterwards bound nobody who sends a whole window's requests at once.
        return floor.whole(work, floor.window(work.count, REQUESTS, phase))

    return Service(Limits(made), Voice("text"), charge=nothing), least


def sliding_window(seed: int, ideal: float) -> Built:
    """Never more in any 60 s, with max_tokens charged until the answer is there."""

    def least(work: Workload) -> float:
        by_requests = floor.window(work.count, REQUESTS)
        return floor.whole(work, max(by_requests, floor.held(work, TOKENS)))

    return Service(Limits(rates(SlidingWindow, REQUESTS, TOKENS)), Voice("openai")), least


def per_second(seed: int, ideal: float) -> Built:
    """A sixtieth of the requests in each second, and no sudden growth; tokens by the minute."""
    by_second = Rate(
        "requests", "requests per sec (RPS)", REQUESTS // 60, SlidingWindow(REQUESTS, 1.0)
    )
    growth = Rate(GROWTH, "request growth", REQUESTS // 60, Growth(2.0, 5.0))
    limits = Limits([growth, by_second, *rates(SlidingWindow, REQUESTS, TOKENS)])

    def least(work: Workload) -> float:
        by_requests = floor.bucket(work.count, REQUESTS, 1.0)
        return floor.whole(work, max(by_requests, floor.held(work, TOKENS)))

    return Service(limits, Voice("none")), least


def concurrency(seed: int, ideal: float) -> Built:
    """So many at once, and no other limit."""

    def least(work: Workload) -> float:
        return floor.whole(work, 0.0, work.all_seconds / SLOTS)

    return Service(Limits(max_concurrent=SLOTS), Voice("none")), least


def queue(seed: int, ideal: float) -> Built:
    """Never a refusal: what finds no place waits."""

    def least(work: Workload) -> float:
        tokens = work.all_seconds * TOKENS_A_SECOND
        return floor.whole(work, 0.0, tokens / queueing.MOST_TOKENS)

    return Queue(Voice("bare")), least


def outages(seed: int, ideal: float) -> Built:
    """Half of what comes fails for 10 s every 3 minutes."""
    rng = random.Random(f"outages {seed}")

    def status(now: float) -> int | None:
        if now % 180.0 < 170.0 or rng.random() < 0.5:
            return None
        return 503 if rng.random() < 0.5 else 500

    _, least = bucket("openai", 1.0)(seed, ideal)
    made = rates(lambda limit: TokenBucket(limit, 1.0), REQUESTS, TOKENS)
    return Failing(Limits(made), Voice("openai"), status), least


def afterwards(seed: int, ideal: float) -> Built:
    """A bucket of 60 s that charges what an answer took when it is there, bound by tokens."""
    made = rates(TokenBucket, REQUESTS, BOUND_BY_TOKENS)
    return Service(Limits(made), Voice("text"), charge=nothing), lambda work: floor.whole(
        work, floor.bucket(work.count, REQUESTS, 60.0)
    )


def daily(seed: int, ideal: float) -> Built:
    """A bucket with half as many requests a day as the job has."""
    service, least = bucket("openai", 1.0)(seed, ideal)
    a_day = round(REQUESTS * ideal / 120.0)
    meter = FixedWindow(a_day / 1_440.0, 86_400.0)
    rate = Rate("requests", "requests per day (RPD)", a_day, meter)
    service.limits = Limits([rate, *service.limits.rates])
    return service, least


def closing(spelling: str, wait: float | None, at: float = 120.0) -> Callable[[int, float], Built]:
    """A bucket that from some moment on lets nobody in, and asks to wait *wait* s."""

    def build(seed: int, ideal: float) -> Built:
        refusal = Refusal("requests", "requests per min (RPM)", REQUESTS, REQUESTS, 1, wait)
        made = rates(lambda limit: TokenBucket(limit, 1.0), REQUESTS, TOKENS)
        _, least = bucket(spelling, 1.0)(seed, ideal)
        return Closing(Limits(made), Voice(spelling), at, refusal), least

    return build


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("A", "bucket, 1 s burst, settles", bucket("openai", 1.0)),
        Scenario("Ab", "the same, no hint", bucket("bare", 1.0)),
        Scenario("Az", "10 s burst, limits told wrong", bucket("azure", 10.0)),
        Scenario("As", "A, sorted by length", bucket("openai", 1.0), shape=Shape(order="sorted")),
        Scenario("Am", "A, no max_tokens", bucket("openai", 1.0), shape=Shape(None)),
        Scenario("Ac", "A, counted 15 % short", bucket("openai", 1.0), shape=Shape(counting=1.15)),
        Scenario("A60", "bucket, 60 s burst, settles", bucket("openai", 60.0)),
        Scenario(
            "B",
            "bucket, max_tokens not given back",
            bucket("text", 1.0, refund=False),
            per_minute=TOKENS / MEAN_CEILING,
        ),
        Scenario("C", "fixed windows, counted afterwards", fixed_window),
        Scenario("S", "sliding window", sliding_window),
        Scenario("D", "per second, and growth", per_second, profile=Aliyun.profile),
        Scenario(
            "E", "200 at once", concurrency, None, None, SLOTS, per_minute=SLOTS * 60 / SECONDS
        ),
        Scenario("F", "lockout of 180 s, no hint", bucket("bare", 5.0, lockout=LOCKOUT)),
        Scenario("Fh", "lockout of 180 s, hint", bucket("text", 5.0, lockout=LOCKOUT)),
        Scenario(
            "G",
            "others take 0 to 65 %, no hint",
            changing("bare", 1.0, lambda seed, ideal: shared(seed, 4 * ideal)),
            per_minute=REQUESTS * 0.67,
        ),
        Scenario(
            "V",
            "queue, never a 429",
            queue,
            None,
            None,
            per_minute=queueing.MOST_TOKENS / TOKENS_A_SECOND / SECONDS * 60,
        ),
        Scenario(
            "T",
            "bucket, bound by tokens",
            bucket("openai", 10.0, tokens=BOUND_BY_TOKENS),
            tokens=BOUND_BY_TOKENS,
            per_minute=BOUND_BY_TOKENS / MEAN_USED,
        ),
        Scenario("5xx", "bucket with outages", outages),
        Scenario(
            "Half",
            "bucket, halves",
            changing("openai", 1.0, at_half_time(0.5), told=True),
            per_minute=REQUESTS * 0.75,
        ),
        Scenario(
            "Double",
            "bucket, doubles",
            changing("openai", 1.0, at_half_time(2.0), told=True),
            per_minute=REQUESTS * 1.5,
        ),
    )
}
