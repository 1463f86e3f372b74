"""Does a request cost more in a longer job, or with more in flight? CPU, counting included.

What starting takes is measured by a job of a few lines and left out. The floor does the same beside
it: a connection costs CPU too, and thousands of them cost the kernel more. What counts as growth is
what the command's cost grows by beyond the floor's.
"""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.cases import COUNTED, Bench

START = 10
"""Requests of the job that does little but start."""
LINES = 1_000, 10_000, 100_000, 1_000_000
IN_FLIGHT = 10, 100, 1_000, 5_000
MANY = 20_000
"""Requests of the jobs that differ by what is in flight."""
FLAT = 1.25
"""Growth that still counts as none; it has the noise of four measurements in it."""


class Cost(NamedTuple):
    """Seconds of CPU a request, without those of starting."""

    ours: float
    floor: float


def costs(bench: Bench, requests: int, in_flight: int) -> Cost:
    def each(count: int) -> tuple[float, float]:
        command = bench.ours("ours", count, in_flight, COUNTED, bench.cores.client)
        runs = bench.run(command), bench.run(bench.floor(count, min(in_flight, count)))
        return runs[0].needed.cpu, runs[1].needed.cpu

    (ours_start, floor_start), (ours, floor) = each(START), each(requests)
    more = requests - START
    return Cost((ours - ours_start) / more, (floor - floor_start) / more)


def show(bench: Bench, rounds: int, most: int, in_flight: int) -> bool:
    """Print both sweeps; True if both are flat."""
    lengths = [(lines, in_flight) for lines in LINES if lines <= most]
    return all(
        [
            swept(bench, "longer jobs", lengths, rounds),
            swept(bench, "more in flight", [(MANY, many) for many in IN_FLIGHT], rounds),
        ]
    )


def swept(bench: Bench, title: str, points: Sequence[tuple[int, int]], rounds: int) -> bool:
    """Measure and print *points*, each some requests and so many in flight; True if flat."""
    found: dict[tuple[int, int], list[Cost]] = {point: [] for point in points}
    for _ in range(rounds):
        for point, runs in found.items():
            runs.append(costs(bench, *point))
    print(f"\n{title}, medians of {rounds} rounds")
    print(
        f"{'requests':>10}{'in flight':>11}{'ours cpu s/1k':>15}{'floor cpu s/1k':>16}{'growth':>9}"
    )
    most = 0.0
    for (requests, in_flight), runs in found.items():
        ours, floor = (1000 * median(side) for side in zip(*runs, strict=True))
        growth = median(map(grown, runs, found[points[0]]))
        most = max(most, growth)
        print(f"{requests:>10,}{in_flight:>11,}{ours:>15.3f}{floor:>16.3f}{growth:>9.2f}")
    print(f"growth, at most {FLAT}: {most:.2f}  {'OK' if most <= FLAT else 'MISSED'}")
    return most <= FLAT


def grown(now: Cost, first: Cost) -> float:
    """How many times *first* ours is, over how many times the floor's, if that is more at all."""
    return (now.ours / first.ours) / max(1.0, now.floor / first.floor)
