"""How fast the command is beside the least that aiohttp needs, and beside what people use instead.

    python benchmarks/throughput.py                               # a service that answers at once
    python benchmarks/throughput.py --latency 0.2 --in_flight 2000
    python benchmarks/throughput.py --embeddings                  # replies of 30 KB
    python benchmarks/throughput.py --flat                        # does a request's cost grow?
    ... --peers_python /a/venv/bin/python --cookbook script.py    # with those it can import

Whole processes against a stub in a process of its own, each client pinned to one core and the stub
to another. First ours and the floor side by side, all at once on that core, which is never idle: so
the floor's CPU for a request over that of another is how many requests it serves for each of the
floor's, and the machine's moods cancel out. Then every case alone, in turn: there rates are the
stub's, from the first request's arrival to the last reply's departure, so starting costs nothing;
it does in wall and CPU, which are the whole process's. Ratios are taken within a round, and what is
printed are medians over the rounds. Exits with 1 if a bound is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import flat, stub  # noqa: E402  found by the path above
from benchmarks.cases import (  # noqa: E402
    COUNTED,
    FAR_OFF,
    UNLIMITED,
    Bench,
    Case,
    Found,
    Limits,
    Run,
    packages,
    side_by_side,
)
from benchmarks.measured import cores, raise_descriptors  # noqa: E402

FLOOR, OURS, FAR = "floor", "ours", "ours, limits far off"
COUNTING, BOTH = "ours, counting", "ours, counting, both cores"
COOKBOOK, OPENAI, LITELLM, LOOP = "cookbook script", "openai SDK", "litellm", "requests loop"
PEERS = {
    # script, package it needs, its share of the requests, and the most in flight: the SDKs slow
    # down with more, and nearly stop beyond the 1,000 connections of their pools
    COOKBOOK: ("cookbook_script.py", "tiktoken", 0.2, 500),
    OPENAI: ("openai_sdk.py", "openai", 0.1, 500),
    LITELLM: ("litellm_sdk.py", "litellm", 0.05, 500),
    LOOP: ("requests_loop.py", "requests", 0.1, 1),
}
SLOWLY = 0.01
"""Share of the requests of what sends one after the other to a service with latency."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What was promised of a figure, and what was found."""

    said: str
    limit: float
    found: float
    least: bool = True

    @property
    def kept(self) -> bool:
        return self.found >= self.limit if self.least else self.found <= self.limit

    def __str__(self) -> str:
        sense = "at least" if self.least else "at most"
        verdict = "OK" if self.kept else "MISSED"
        return f"{self.said:<52} {sense} {self.limit:>6.3f}: {self.found:>7.3f}  {verdict}"


def ratio(found: Found, name: str, to: str, figure: Callable[[Run], float]) -> float:
    """*figure* of one case over that of another, each round by itself; the median of the rounds."""
    pairs = zip(found[name], found[to], strict=True)
    return median(figure(one) / figure(other) for one, other in pairs)


def rate(run: Run) -> float:
    return run.seen.rate


def cpu(run: Run) -> float:
    return run.cpu


def on_one_core(asked: argparse.Namespace) -> dict[str, Callable[[Bench], Case]]:
    """The floor, and ours."""
    count, in_flight = asked.requests, asked.in_flight

    def ours(name: str, limits: Limits, bench: Bench) -> Case:
        return bench.ours(name, count, in_flight, limits, bench.cores.client)

    limits = {OURS: UNLIMITED, FAR: FAR_OFF, COUNTING: COUNTED}
    made = {name: partial(ours, name, asks) for name, asks in limits.items()}
    return {FLOOR: lambda bench: bench.floor(count, in_flight), **made}


def planned(bench: Bench, asked: argparse.Namespace) -> list[Case]:
    """The cases that run alone, in their order."""
    both = bench.ours(BOTH, asked.requests, asked.in_flight, COUNTED, bench.cores.both)
    cases = [*(make(bench) for make in on_one_core(asked).values()), both]
    return cases if asked.embeddings else cases + list(peers(bench, asked))


def peers(bench: Bench, asked: argparse.Namespace) -> Iterator[Case]:
    """What can be compared with here; what cannot is said."""
    there = packages(asked.peers_python, [package for _, package, *_ in PEERS.values()])
    for name, (script, package, share, most) in PEERS.items():
        if name == COOKBOOK and not asked.cookbook:
            print(f"without the {name}: no --cookbook was given")
        elif package not in there:
            print(f"without {name}: {asked.peers_python} has no package {package}")
        else:
            in_flight = min(asked.in_flight, most)
            if name == LOOP and asked.latency:
                share = SLOWLY
            count = min(asked.requests, max(round(asked.requests * share), 2 * in_flight))
            more = [str(Path(asked.cookbook).resolve())] if name == COOKBOOK else []
            yield bench.peer(name, script, count, in_flight, asked.peers_python, *more)


def in_turn(bench: Bench, cases: Sequence[Case], rounds: int) -> Found:
    """Every case once a round."""
    found: Found = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            print(f"\r\033[Kround {number + 1}: {case.name}", end="", file=sys.stderr, flush=True)
            found[case.name].append(bench.run(case))
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return found


def table(found: Found) -> str:
    lines = [
        f"{'case':<27}{'requests':>9}{'connections':>12}{'req/s':>8}"
        f"{'x floor':>9}{'(least-most)':>15}"
        f"{'wall s/1k':>11}{'cpu s/1k':>10}{'x floor':>9}{'peak MB':>9}"
    ]
    for name, runs in found.items():
        ratios = [rate(one) / rate(other) for one, other in zip(runs, found[FLOOR], strict=True)]
        count = runs[0].seen.replies
        lines.append(
            f"{name:<27}{count:>9,}{median(run.seen.connections for run in runs):>12,.0f}"
            f"{median(map(rate, runs)):>8,.0f}{median(ratios):>9.3f}"
            f"{f'({min(ratios):.3f}-{max(ratios):.3f})':>15}"
            f"{1000 * median(run.needed.seconds / count for run in runs):>11.3f}"
            f"{1000 * median(map(cpu, runs)):>10.3f}{ratio(found, name, FLOOR, cpu):>9.2f}"
            f"{median(run.needed.peak for run in runs) / 2**20:>9.0f}"
        )
    return "\n".join(lines)


def beside(found: Found) -> str:
    """The table of those that ran side by side."""
    lines = [
        f"{'side by side on one core':<27}{'cpu us':>8}{'served x floor':>16}{'(least-most)':>15}"
    ]
    for name, runs in found.items():
        shares = [cpu(floor) / cpu(one) for one, floor in zip(runs, found[FLOOR], strict=True)]
        lines.append(
            f"{name:<27}{1e6 * median(map(cpu, runs)):>8.0f}{median(shares):>16.3f}"
            f"{f'({min(shares):.3f}-{max(shares):.3f})':>15}"
        )
    return "\n".join(lines)


def bounds(together: Found, found: Found, *, latency: float, embeddings: bool) -> Iterator[Bound]:
    """What was promised of this preset: with latency within 15 % of what holds without."""
    share = 0.85 if latency else 1.0
    promised = {OURS: 0.7} if embeddings else {OURS: 0.85, COUNTING: 0.65}
    for name, limit in promised.items():
        served = ratio(together, FLOOR, name, cpu)
        yield Bound(f"{name}: served over the floor's", limit * share, served)
        yield Bound(
            f"{name}: rate over the floor's", limit * share, ratio(found, name, FLOOR, rate)
        )
    if not embeddings:
        both = ratio(found, BOTH, FLOOR, rate)
        yield Bound(f"{BOTH}: rate over the floor's", 0.75 * share, both)
    twice = ratio(together, COUNTING, FLOOR, cpu)
    yield Bound(f"{COUNTING}: CPU a request over the floor's", 2.0, twice, least=False)
    for name, limit in ((COOKBOOK, 8.0), (OPENAI, 6.0)):
        if name in found and not latency:
            # The same flags first: limits far off is what the script is given, too.
            for ours in (FAR, COUNTING):
                times = ratio(found, ours, name, rate)
                yield Bound(f"{ours}: rate over the {name}'s", limit, times)
    if not latency:
        able = median(run.seen.capacity / rate(run) for run in found[FLOOR])
        yield Bound("stub: rate its core could serve over the floor's", 2.0, able)


def compare(bench: Bench, asked: argparse.Namespace) -> bool:
    """Print the tables and their bounds; True if all are kept."""
    together = side_by_side(
        on_one_core(asked),
        bench.cores,
        bench.folder,
        asked.rounds,
        latency=asked.latency,
        embeddings=asked.embeddings,
    )
    found = in_turn(bench, planned(bench, asked), asked.rounds)
    print(
        f"\n{1000 * asked.latency:g} ms, {asked.in_flight:,} in flight, "
        f"{'embeddings' if asked.embeddings else 'chat'}, medians of {asked.rounds} rounds"
    )
    print(beside(together) + "\n\n" + table(found) + "\n")
    for name in filter(found.__contains__, PEERS):
        times = {ours: ratio(found, ours, name, rate) for ours in (OURS, FAR, COUNTING, BOTH)}
        told = ", ".join(f"{ours} {value:.1f}" for ours, value in times.items())
        print(f"times the rate of the {name}: {told}")
    promised = list(bounds(together, found, latency=asked.latency, embeddings=asked.embeddings))
    print(*promised, sep="\n")
    return all(one.kept for one in promised)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--in_flight", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.0, help="the stub's, in seconds")
    parser.add_argument("--embeddings", action="store_true", help="replies of 30 KB")
    parser.add_argument("--flat", action="store_true", help="does a request's cost grow?")
    parser.add_argument(
        "--most", type=int, default=100_000, help="lines of the longest job of --flat"
    )
    parser.add_argument(
        "--peers_python", default=sys.executable, help="the Python that has the peers' packages"
    )
    parser.add_argument("--cookbook", help="the cookbook's api_request_parallel_processor.py")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = arguments(words)
    raise_descriptors()
    chosen = cores()
    print(chosen.said)
    with (
        tempfile.TemporaryDirectory() as folder,
        stub.running(asked.latency, chosen.server) as service,
    ):
        bench = Bench(service, chosen, Path(folder), asked.embeddings)
        if asked.flat:
            kept = flat.show(bench, asked.rounds, asked.most, asked.in_flight)
        else:
            kept = compare(bench, asked)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
