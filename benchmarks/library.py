"""What a request in memory costs beside one of a file: the library and the command, side by side.

    python benchmarks/library.py                        # some two minutes
    python benchmarks/library.py --requests 100000 --rounds 3
    python benchmarks/library.py --share off            # all that is asked is known to be different

The same requests, all different, without limits: the command reads them from a file and writes
rows, the library has them in memory and hands out results, on each of its faces. Whole processes,
all at the same time on one core; the command runs twice, which shows what noise is left. CPU is the
whole process's, that of starting included, but not what it takes to get the library's requests
into memory. Ratios are taken within a round; what is printed are medians over the rounds. Exits
with 1 if a bound is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import in_memory  # noqa: E402  found by the path above
from benchmarks.cases import (  # noqa: E402
    COUNTED,
    UNLIMITED,
    Bench,
    Case,
    Found,
    Run,
    side_by_side,
)
from benchmarks.measured import cores, raise_descriptors  # noqa: E402
from benchmarks.throughput import Bound, cpu, ratio  # noqa: E402

FILE, AGAIN = "file", "file, again"
MOST = 1.15
"""CPU of a request over that of one of a file."""


def planned(asked: argparse.Namespace) -> dict[str, Callable[[Bench], Case]]:
    """The cases of one round."""
    count, in_flight = asked.requests, asked.in_flight
    limits = COUNTED if asked.counting else UNLIMITED

    def file(name: str, bench: Bench) -> Case:
        return bench.ours(name, count, in_flight, limits, bench.cores.client)

    def library(face: str, bench: Bench) -> Case:
        return bench.in_memory(face, count, in_flight, limits, asked.share)

    files = {name: partial(file, name) for name in (FILE, AGAIN)}
    return files | {face: partial(library, face) for face in asked.faces}


def table(found: Found) -> str:
    lines = [f"{'case':<14}{'cpu us':>8}{'x file':>8}{'(least-most)':>15}{'peak MB':>9}"]
    for name, runs in found.items():
        ratios = [cpu(one) / cpu(file) for one, file in zip(runs, found[FILE], strict=True)]
        lines.append(
            f"{name:<14}{1e6 * median(map(cpu, runs)):>8.0f}{median(ratios):>8.3f}"
            f"{f'({min(ratios):.3f}-{max(ratios):.3f})':>15}{median(map(peak, runs)):>9.0f}"
        )
    return "\n".join(lines)


def peak(run: Run) -> float:
    return run.needed.peak / 2**20


def compare(found: Found, asked: argparse.Namespace) -> bool:
    """Print the table and its bounds; True if all are kept."""
    print(f"{asked.requests:,} requests, {asked.in_flight:,} in flight, {asked.rounds} rounds")
    print(table(found) + "\n")
    promised = [
        Bound(f"{face}: CPU a request over the file's", MOST, ratio(found, face, FILE, cpu), False)
        for face in asked.faces
    ]
    print(*promised, sep="\n")
    return all(one.kept for one in promised)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--in_flight", type=int, default=100)
    parser.add_argument("--share", choices=list(in_memory.SHARE), default="auto")
    parser.add_argument("--counting", action="store_true", help="with limits, never reached")
    parser.add_argument("--faces", nargs="+", choices=in_memory.FACES, default=in_memory.FACES)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    asked = arguments(words)
    raise_descriptors()
    chosen = cores()
    print(chosen.said)
    with tempfile.TemporaryDirectory() as folder:
        found = side_by_side(planned(asked), chosen, Path(folder), asked.rounds)
    kept = compare(found, asked)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
