"""What a request in memory costs beside one of a file: the library and the command, side by side.

    python benchmarks/library.py                        # some two minutes
    python benchmarks/library.py --requests 100000 --rounds 3
    python benchmarks/library.py --share off            # all that is asked is known to be different

The same requests, all different, without limits: the command reads them from a file and writes
rows, the library has them in memory and hands out results, on each of its faces. Whole processes,
each with a stub of its own. In a round all of them run at the same time and share one core, so
that whatever the machine does hits all alike, to the millisecond: one after the other, the same
code differed by a third from itself. The command runs twice, which shows what is left of that. CPU
is the whole process's, that of starting included, but not what it takes to get the library's
requests into memory. Ratios are taken within a round; what is printed are medians over the rounds.
Exits with 1 if a bound is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import in_memory, stub  # noqa: E402  found by the path above
from benchmarks.cases import COUNTED, UNLIMITED, Bench, Case, Run  # noqa: E402
from benchmarks.measured import Cores, cores, raise_descriptors  # noqa: E402
from benchmarks.throughput import Bound, Found, cpu, ratio  # noqa: E402

FILE, AGAIN = "file", "file, again"
MOST = 1.15
"""CPU of a request over that of one of a file."""


def planned(bench: Bench, name: str, asked: argparse.Namespace) -> Case:
    """The case called *name*, against the stub of *bench*."""
    count, in_flight = asked.requests, asked.in_flight
    limits = COUNTED if asked.counting else UNLIMITED
    if name in (FILE, AGAIN):
        return bench.ours(name, count, in_flight, limits, bench.cores.client)
    return bench.in_memory(name, count, in_flight, limits, asked.share)


def side_by_side(chosen: Cores, folder: Path, asked: argparse.Namespace) -> Found:
    """Every case once a round, all at the same time."""
    names = [FILE, AGAIN, *asked.faces]
    with ExitStack() as running, ThreadPoolExecutor(len(names)) as pool:
        stubs = [running.enter_context(stub.running(cores=chosen.server)) for _ in names]
        benches = [Bench(one, chosen, folder) for one in stubs]
        cases = [planned(*pair, asked) for pair in zip(benches, names, strict=True)]
        found: Found = {name: [] for name in names}
        for number in range(asked.rounds):
            print(f"\r\033[Kround {number + 1}", end="", file=sys.stderr, flush=True)
            for name, run in zip(names, pool.map(Bench.run, benches, cases), strict=True):
                found[name].append(run)
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return found


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
        kept = compare(side_by_side(chosen, Path(folder), asked), asked)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
