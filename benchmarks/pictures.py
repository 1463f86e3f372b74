"""Draw the pictures of docs/limits.md from runs of the simulator.

    python benchmarks/pictures.py                      # all of them, a minute or two
    python benchmarks/pictures.py --only bucket,queue  # two of them
    python benchmarks/pictures.py --folder /tmp/look   # somewhere else

Every picture is one run from seed 1, so the same code draws the same pictures.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.drawing import GREY, MINUTE, Curve, Panel, Points, svg  # noqa: E402  by that path
from benchmarks.simulator.measures import by_second  # noqa: E402
from benchmarks.simulator.meters import ChangingBucket, Steps  # noqa: E402
from benchmarks.simulator.play import UNKNOWN, Run, play  # noqa: E402
from benchmarks.simulator.profiles import (  # noqa: E402
    LOCKOUT,
    REQUESTS,
    SCENARIOS,
    SECONDS,
    Built,
    Scenario,
)
from benchmarks.simulator.queueing import MOST_TOKENS, SLOTS  # noqa: E402
from benchmarks.simulator.service import Service  # noqa: E402
from benchmarks.simulator.trace import Trace  # noqa: E402
from benchmarks.simulator.voices import Voice  # noqa: E402
from benchmarks.simulator.workload import TOKENS_A_SECOND  # noqa: E402
from request_engine.local_endpoint.limiters import Limits, Lockout, Rate  # noqa: E402
from request_engine.local_endpoint.meters import Meter, TokenBucket  # noqa: E402

SEED = 1
SMOOTH = 10
"""Seconds over which a rate is averaged."""
STEADY: Steps = ((0.0, 1.0),)
"""A limit that stays what it is."""
LET_IN, FOUND, OTHER = "#1f77b4", "#e6851e", "#2a9d5c"


def rate(moments: Iterable[float]) -> Points:
    """How many of *moments* there were, as so many a minute."""
    sums = [0.0, *accumulate(by_second(moments))]
    return [
        (at, (sums[at] - sums[max(0, at - SMOOTH)]) * MINUTE / min(at, SMOOTH))
        for at in range(2, len(sums), 2)
    ]


def steps(points: Points) -> Points:
    """The same without what lies on a level line."""
    kept = [
        one
        for before, one, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == one[1] == after[1]
    ]
    return [*points[:1], *kept, *points[-1:]]


def told(trace: Trace, name: str, scale: float = 1.0) -> Points:
    """What the engine held *name* for, from the first second in which it was known."""
    rows: list[dict[str, Any]] = [row for row in trace.rows if row.get(name) is not None]
    return steps([(row["second"], row[name] * scale) for row in rows])


def traced(scenario: Scenario, minutes: float) -> tuple[Run, Trace]:
    trace = Trace()
    return play(scenario, UNKNOWN, SEED, minutes, watch=trace), trace


def counting(meter: Meter, lockout: float = 0.0) -> Scenario:
    """A service that limits nothing but requests, and says so without a time to wait."""

    def build(seed: int, ideal: float) -> Built:
        limit = Rate("requests", "requests per min (RPM)", REQUESTS, meter)
        limits = Limits([limit], lockout=Lockout(lockout))
        return Service(limits, Voice("none")), lambda work: ideal

    return Scenario("Picture", "", build)


def found(title: str, scenario: Scenario, minutes: float, top: float, shares: Steps) -> str:
    """What was let in, the pace that was found, and the refusals it was found by."""
    run, trace = traced(scenario, minutes)
    seen = run.service.seen
    panel = Panel(
        "requests a minute",
        top,
        [
            limit(shares, run.makespan),
            Curve("pace found", FOUND, told(trace, "budget.requests.pace.rate", MINUTE)),
            Curve("let in, mean of 10 s", LET_IN, rate(seen.admitted_at)),
        ],
        sorted({int(at) for at in seen.refused_at}),
    )
    return svg(title, [panel], run.makespan)


def limit(shares: Steps, seconds: float) -> Curve:
    ends = [*(at for at, _ in shares[1:]), seconds]
    points = [
        (at, REQUESTS * share)
        for (start, share), end in zip(shares, ends, strict=True)
        for at in (start, end)
    ]
    return Curve("the service's limit", GREY, points, dashed=True)


def bucket() -> str:
    service = counting(TokenBucket(REQUESTS, 1.0))
    return found("A token bucket, limit unknown", service, 6.0, 2_000, STEADY)


def fixed_window() -> str:
    service = SCENARIOS["C"]
    return found("Fixed windows of 60 s, limit unknown", service, 10.0, 4_000, STEADY)


def changes() -> str:
    """Half the limit from minute 4 on, and all of it again from minute 8 on."""
    shares = [(0.0, 1.0), (240.0, 0.5), (480.0, 1.0)]
    service = counting(ChangingBucket(REQUESTS, 1.0, shares))
    return found("A limit that halves and doubles", service, 10.0, 2_000, shares)


def lockout() -> str:
    service = counting(TokenBucket(REQUESTS, 5.0), LOCKOUT)
    return found("A service that locks out for 180 s", service, 20.0, 2_000, STEADY)


def two_clients() -> str:
    """Two jobs with the same account, the second a minute later."""
    service = counting(TokenBucket(REQUESTS, 1.0))
    run = play(service, UNKNOWN, SEED, count=round(4 * REQUESTS), delays=(0.0, 60.0))
    seen = run.service.seen
    curves = [limit(STEADY, run.makespan)]
    for client, (name, colour) in enumerate((("first job", LET_IN), ("second job", OTHER))):
        sent = zip(seen.admitted_at, seen.clients, strict=True)
        moments = [at for at, whose in sent if whose == client]
        curves.append(Curve(f"{name}, mean of 10 s", colour, rate(moments)))
    marks = sorted({int(at) for at in seen.refused_at})
    panel = Panel("requests let in a minute", 2_000, curves, marks)
    return svg("Two jobs that share a limit they do not know", [panel], run.makespan)


def queue() -> str:
    """Requests in flight above, answers a second below."""
    run, trace = traced(SCENARIOS["V"], 6.0)
    flight = steps([(row["second"], row["in_flight"]) for row in trace.rows[::2]])
    left = [
        before["in_flight"] + row["admitted"] - row["in_flight"]
        for before, row in zip([{"in_flight": 0}, *trace.rows], trace.rows, strict=False)
    ]
    sums = [0, *accumulate(left)]
    answers = [
        (at, (sums[at] - sums[max(0, at - SMOOTH)]) / min(at, SMOOTH))
        for at in range(2, len(sums), 2)
    ]
    most = MOST_TOKENS / TOKENS_A_SECOND / SECONDS
    panels = [
        Panel(
            "requests in flight",
            1_200,
            [
                Curve("places", GREY, [(0.0, SLOTS), (run.makespan, SLOTS)], dashed=True),
                Curve("may be in flight", FOUND, told(trace, "budget.window.size")),
                Curve("in flight", LET_IN, flight),
            ],
        ),
        Panel(
            "answers a second",
            24,
            [
                Curve("all places taken", GREY, [(0.0, most), (run.makespan, most)], dashed=True),
                Curve("answers, mean of 10 s", LET_IN, answers),
            ],
        ),
    ]
    return svg("A server that queues and never refuses", panels, run.makespan)


PICTURES: dict[str, Callable[[], str]] = {
    one.__name__: one for one in (bucket, fixed_window, changes, two_clients, queue, lockout)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PICTURES), help="names, by comma")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures")
    asked = parser.parse_args()
    names = asked.only.split(",")
    if wrong := [name for name in names if name not in PICTURES]:
        raise SystemExit(f"there is no {', '.join(wrong)}; there are {', '.join(PICTURES)}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = asked.folder / f"{name}.svg"
        path.write_text(PICTURES[name](), encoding="utf-8")
        print(f"{path}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
