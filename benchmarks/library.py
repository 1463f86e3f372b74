"""What a request in memory costs beside one of a file: the library and the command, in turn.

    python benchmarks/library.py                        # some three minutes
    python benchmarks/library.py --requests 100000 --rounds 3
    python benchmarks/library.py --share off            # all that is asked is known to be different

The same requests, all different, without limits: the command reads them from a file and writes
rows, the library has them in memory and hands out results, on each of its faces. Whole processes on
one core, against a stub in a process of its own on another; CPU is the whole process's, that of
starting included, but not what it takes to get the library's requests into memory. Every round runs
each case once, in turn; ratios are taken within a round, and what is printed are medians over the
rounds. Exits with 1 if a bound is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import in_memory, stub  # noqa: E402  found by the path above
from benchmarks.cases import NEVER_REACHED, NO_LIMIT, Bench, Case, Run  # noqa: E402
from benchmarks.measured import cores, raise_descriptors  # noqa: E402
from benchmarks.throughput import Bound, Found, cpu, in_turn, rate, ratio  # noqa: E402

FILE = "file"
MOST = 1.15
"""CPU of a request over that of one of a file."""


def planned(bench: Bench, asked: argparse.Namespace) -> list[Case]:
    """The cases of one round, in their order."""
    count, in_flight, client = asked.requests, asked.in_flight, bench.cores.client
    limit = NEVER_REACHED if asked.counting else NO_LIMIT
    return [
        bench.ours(FILE, count, in_flight, limit, client),
        *(bench.in_memory(face, count, in_flight, limit, asked.share) for face in asked.faces),
    ]


def table(found: Found) -> str:
    head = f"{'case':<14}{'cpu us':>8}{'x file':>8}{'(least-most)':>15}{'req/s':>8}{'peak MB':>9}"
    lines = [head]
    for name, runs in found.items():
        ratios = [cpu(one) / cpu(file) for one, file in zip(runs, found[FILE], strict=True)]
        lines.append(
            f"{name:<14}{1e6 * median(map(cpu, runs)):>8.0f}{median(ratios):>8.3f}"
            f"{f'({min(ratios):.3f}-{max(ratios):.3f})':>15}{median(map(rate, runs)):>8,.0f}"
            f"{median(map(peak, runs)):>9.0f}"
        )
    return "\n".join(lines)


def peak(run: Run) -> float:
    return run.needed.peak / 2**20


def compare(bench: Bench, asked: argparse.Namespace) -> bool:
    """Print the table and its bounds; True if all are kept."""
    found = in_turn(bench, planned(bench, asked), asked.rounds)
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
    parser.add_argument("--rounds", type=int, default=5)
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
    with stub.running(cores=chosen.server) as service, tempfile.TemporaryDirectory() as folder:
        kept = compare(Bench(service, chosen, Path(folder)), asked)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
