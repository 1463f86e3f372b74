"""How near the engine comes to what each kind of service allows, in virtual time.

    python benchmarks/limits.py                        # all of it, some 40 minutes on two cores
    python benchmarks/limits.py --only A,C --seeds 1   # a quick look at two services
    python benchmarks/limits.py --checks half,jain     # two of the checks below the table
    python benchmarks/limits.py --only A --trace a.json --knowledge unknown

The table: makespan over the least that anybody could reach (benchmarks/simulator/floor.py), and
429s for each request, as means over the seeds; in brackets the most they may be. Below it, what
else must hold. Exits with 1 if anything is missed.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.simulator import gates  # noqa: E402  found by the path above
from benchmarks.simulator.checks import CHECKS  # noqa: E402
from benchmarks.simulator.play import UNKNOWN, play  # noqa: E402
from benchmarks.simulator.profiles import SCENARIOS  # noqa: E402
from benchmarks.simulator.trace import Trace  # noqa: E402

_WIDE = 36


def check(name: str, seed: int, minutes: float) -> float:
    """The figure of one check, for another process."""
    return next(one for one in CHECKS if one.name == name).measure(seed, minutes)


def table(
    pool: Executor, names: Sequence[str], columns: Sequence[str], seeds: range, minutes: float
) -> list[gates.Cell]:
    """Print a row for each service, as soon as it is there."""
    runs = {
        (name, column): [pool.submit(gates.figures, name, column, seed, minutes) for seed in seeds]
        for name in names
        for column in gates.columns(SCENARIOS[name])
        if column in columns
    }
    print(" " * 40 + "".join(f"{column:<{_WIDE}}" for column in columns))
    cells = []
    for name in names:
        print(f"{name:<7}{SCENARIOS[name].title:<33}", end="", flush=True)
        notes: list[str] = []
        for column in columns:
            told = ""
            if (name, column) in runs:
                cell = gates.Cell([run.result() for run in runs[name, column]])
                cells.append(cell)
                notes += [f"FAULT {fault}" for fault in cell.faults()]
                if remarks := cell.remarks():
                    notes.append("; ".join(remarks))
                told = cell.text()
            print(f"{told:<{_WIDE}}", end="", flush=True)
        print("\n".join(["", *(f"{'':7}{note}" for note in notes)]))
    return cells


def checked(pool: Executor, names: Sequence[str], seeds: range, minutes: float) -> dict[str, bool]:
    """Print a line for each check; whether it held."""
    figures: dict[str, list[Future[float]]] = {
        name: [pool.submit(check, name, seed, minutes) for seed in seeds] for name in names
    }
    held = {}
    for one in CHECKS:
        if one.name in figures:
            found = [figure.result() for figure in figures[one.name]]
            mean = statistics.mean(found)
            worst = min(found) if one.at_least else max(found)
            held[one.name] = one.holds(mean)
            least = "at least" if one.at_least else "at most"
            print(
                f"{one.name:<11}{one.title:<44}{mean:8.2f} {one.unit:<5} (worst {worst:.2f}; "
                f"{least} {one.bound:g})  {'OK' if held[one.name] else 'MISSED'}",
                flush=True,
            )
    return held


def traced(name: str, knowledge: str, seed: int, minutes: float, path: Path) -> None:
    """Write what happened in each second of one run."""
    trace = Trace()
    run = play(SCENARIOS[name], knowledge, seed, minutes, watch=trace)
    told = {"service": name, "knowledge": knowledge, "seed": seed, "ratio": run.ratio}
    path.write_text(json.dumps(told | {"seconds": trace.rows}))
    print(f"{name}, {knowledge}, seed {seed}: ratio {run.ratio:.3f}; {len(trace.rows)} s in {path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="services of the table, by comma; then no checks")
    parser.add_argument("--checks", help="checks, by comma; then no table unless --only")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=30.0, help="an ideal job's")
    parser.add_argument("--wrong", action="store_true", help="also limits twice too high")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where each run's figures go")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="one run, second by second")
    parser.add_argument("--knowledge", default=UNKNOWN, choices=gates.COLUMNS, help="of --trace")
    asked = parser.parse_args()
    began = time.monotonic()
    seeds = range(1, asked.seeds + 1)
    columns = [one for one in gates.COLUMNS if asked.wrong or one != gates.WRONG]
    everything = asked.only is None and asked.checks is None
    names = _named(asked.only, list(SCENARIOS), everything)
    checks = _named(asked.checks, [one.name for one in CHECKS], everything)
    if asked.trace:
        traced((names or ["A"])[0], asked.knowledge, 1, asked.minutes, asked.trace)
        return 0
    print(f"seeds {seeds[0]} to {seeds[-1]}, jobs of {asked.minutes:g} minutes")
    with ProcessPoolExecutor(asked.processes) as pool:
        cells = table(pool, names, columns, seeds, asked.minutes) if names else []
        held = checked(pool, checks, seeds, asked.minutes) if checks else {}
    missed = sum(cell.missed or bool(cell.faults()) for cell in cells)
    missed += sum(not one for one in held.values())
    runs = [run for cell in cells for run in cell.runs]
    took = f"{time.monotonic() - began:.0f} s"
    if runs:
        cost = sum(run.seconds for run in runs) / sum(run.requests for run in runs)
        took += f", {cost * 1e6:.0f} us a request"
    print(f"{missed} missed; {took}")
    if asked.json:
        told = {"runs": [asdict(run) for run in runs], "checks": held}
        asked.json.write_text(json.dumps(told, indent=1))
    return 1 if missed else 0


def _named(given: str | None, known: list[str], everything: bool) -> list[str]:
    names = given.split(",") if given else known if everything else []
    if wrong := [name for name in names if name not in known]:
        raise SystemExit(f"there is no {', '.join(wrong)}; there are {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
