"""How soon the command is there: `--help`, and the first request on the wire.

    python benchmarks/startup.py [--times 15]

CPU of `--help`, and the time from starting a job that counts tokens to the arrival of its first
request at a stub, with warm bytecode caches; and where it goes: the bare interpreter, and the
packages that take longest to import. Exits with 1 if a bound is missed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import stub  # noqa: E402  found by the path above
from benchmarks.cases import COUNTED, UNLIMITED, Bench, Case  # noqa: E402
from benchmarks.measured import cores, environment, measured  # noqa: E402

HELP, HELP_BOUND = "CPU of --help", 0.15
FIRST, FIRST_BOUND = "first request on the wire", 0.6
BARE = "CPU of a bare interpreter"
UNCOUNTED = "first request, tokens not counted"
LINES = 300
DEAREST = 5
_imported = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*([\w.]+)").match


def imports(command: Sequence[str], folder: Path) -> Counter[str]:
    """Microseconds that each top-level package took, its own modules only."""
    run = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    took: Counter[str] = Counter()  # microseconds, which are whole
    for line in run.stderr.splitlines():
        if found := _imported(line):
            took[found[2].partition(".")[0]] += int(found[1])
    return took


def told(name: str, seconds: Sequence[float], bound: float | None = None) -> bool:
    """Print the figures of one thing; True if their median keeps its *bound*."""
    middle = median(seconds)
    line = f"{name:<34} median {middle:.3f} s, least {min(seconds):.3f} s"
    if bound is None:
        print(line)
        return True
    kept = middle <= bound
    print(f"{line}; at most {bound} s: {'OK' if kept else 'MISSED'}")
    return kept


def tell_imports(command: Sequence[str], folder: Path, bare: Sequence[str]) -> None:
    took = imports(command, folder)
    took.subtract(imports(bare, folder))  # what every interpreter imports
    dearest = ", ".join(f"{name} {spent / 1e3:.0f} ms" for name, spent in took.most_common(DEAREST))
    print(f"{'':<4}imports {took.total() / 1e6:.3f} s, dearest: {dearest}")


def first_request(bench: Bench, case: Case) -> float:
    """Seconds from starting the command to the arrival of its first request."""
    run = bench.run(case)
    return run.seen.first - run.needed.started


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=15)
    times = parser.parse_args(words).times
    chosen = cores()
    print(chosen.said)
    with tempfile.TemporaryDirectory() as name, stub.running(cores=chosen.server) as service:
        folder = Path(name)
        bench = Bench(service, chosen, folder)
        job = bench.ours("job", LINES, 100, COUNTED, chosen.client)
        uncounted = bench.ours("job, not counted", LINES, 100, UNLIMITED, chosen.client)
        bare = [sys.executable, "-c", "pass"]
        help_ = [*job.command[:2], "--help"]
        first_request(bench, job)  # which fills the bytecode caches
        found: dict[str, list[float]] = {BARE: [], HELP: [], FIRST: [], UNCOUNTED: []}
        for _ in range(times):
            found[BARE].append(measured(bare, chosen.client).cpu)
            found[HELP].append(measured(help_, chosen.client).cpu)
            found[FIRST].append(first_request(bench, job))
            found[UNCOUNTED].append(first_request(bench, uncounted))
        told(BARE, found[BARE])
        brisk = told(HELP, found[HELP], HELP_BOUND)
        tell_imports(help_, folder, bare)
        told(UNCOUNTED, found[UNCOUNTED])
        soon = told(FIRST, found[FIRST], FIRST_BOUND)
        tell_imports(job.command, folder, bare)
    return 0 if brisk and soon else 1


if __name__ == "__main__":
    sys.exit(main())
