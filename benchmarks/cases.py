"""What is measured against what: the floor, the real command, and what people use instead."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import stub, workload
from benchmarks.measured import Cores, Needed, measured
from benchmarks.stub import Seen, Stub

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
DOOR = HERE.parent / "api_request_parallel_processor.py"
RESULTS = "results.jsonl"
"""In a folder of its own for each run: nothing is found done, and no journal is left behind."""
Limits = Mapping[str, str]
"""Parameters of a job, by their names."""
UNLIMITED: Limits = {"max_requests_per_minute": "none", "max_tokens_per_minute": "none"}
FAR_OFF: Limits = dict.fromkeys(UNLIMITED, "1000000000000")
"""So that tokens are guessed only, since they come nowhere near."""
COUNTED: Limits = {**FAR_OFF, "token_encoding_name": "o200k_base"}
"""The same, with every request's tokens counted: the encoding is named."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    command: Sequence[str]
    """It writes its rows, if any, to RESULTS in its working directory."""
    requests: int
    cores: frozenset[int]


@dataclass(frozen=True, slots=True)
class Run:
    """One case once."""

    needed: Needed
    seen: Seen

    @property
    def cpu(self) -> float:
        """Seconds of CPU for each request, those of starting included."""
        return self.needed.cpu / self.seen.replies


@dataclass(frozen=True, slots=True)
class Bench:
    """Where cases are run: against which stub, on which cores, with which files."""

    stub: Stub
    cores: Cores
    folder: Path
    embeddings: bool = False

    def run(self, case: Case) -> Run:
        """Run *case* in a process of its own. Nothing may be missing, sent twice or refused."""
        with TemporaryDirectory(dir=self.folder) as name:
            self.stub.reset()
            needed = measured(case.command, case.cores, folder=Path(name))
            seen = self.stub.seen()
            results = Path(name, RESULTS)
            rows = lines_of(results) if results.exists() else case.requests
        if not case.requests == seen.replies == rows:
            raise SystemExit(
                f"{case.name}: {case.requests} requests, {seen.replies} replies, {rows} rows"
            )
        return Run(needed, seen)

    def floor(self, requests: int, in_flight: int) -> Case:
        bodies = str(self._file(requests).with_suffix(".bodies"))
        command = [sys.executable, str(HERE / "floor.py"), bodies, self._url, str(in_flight)]
        return Case("floor", command, requests, self.cores.client)

    def ours(
        self, name: str, requests: int, in_flight: int, limits: Limits, cores: frozenset[int]
    ) -> Case:
        """The real command line, with such *limits*."""
        flags = {
            "--requests_filepath": str(self._file(requests)),
            "--save_filepath": RESULTS,
            "--request_url": self._url,
            "--max_concurrent_requests": str(in_flight),
            **{f"--{name}": value for name, value in limits.items()},
        }
        words = [word for flag in flags.items() for word in flag]
        return Case(name, [sys.executable, str(DOOR), *words, "--strict"], requests, cores)

    def peer(
        self, name: str, script: str, requests: int, in_flight: int, python: str, *more: str
    ) -> Case:
        """A script of `peers/`, run by *python*."""
        file = str(self._file(requests))
        words = [file, RESULTS, self.stub.base_url, str(in_flight), *more]
        return Case(name, [python, str(PEERS / script), *words], requests, self.cores.client)

    def in_memory(
        self, face: str, requests: int, in_flight: int, limits: Limits, share: str
    ) -> Case:
        """The library, on one of its faces."""
        bodies = workload.marshalled(self._file(requests))
        script = str(HERE / "in_memory.py")
        words = [script, face, str(bodies), self._url, str(in_flight), json.dumps(limits), share]
        return Case(face, [sys.executable, *words], requests, self.cores.client)

    @property
    def _url(self) -> str:
        return self.stub.base_url + ("/embeddings" if self.embeddings else "/chat/completions")

    def _file(self, requests: int) -> Path:
        return workload.written(self.folder, requests, embeddings=self.embeddings)


Found = dict[str, list[Run]]
"""By the name of its case, one of each round."""


def side_by_side(
    cases: Mapping[str, Callable[[Bench], Case]],
    chosen: Cores,
    folder: Path,
    rounds: int,
    *,
    latency: float = 0.0,
    embeddings: bool = False,
) -> Found:
    """Every case once a round, all at the same time, each with a stub of its own.

    They share one core, so that whatever the machine does hits all alike, to the millisecond: one
    after the other, the same code differed by a third from itself. What is to be compared then is
    their CPU.
    """
    with ExitStack() as running, ThreadPoolExecutor(len(cases)) as pool:
        stubs = [running.enter_context(stub.running(latency, chosen.server)) for _ in cases]
        benches = [Bench(one, chosen, folder, embeddings) for one in stubs]
        made = [make(bench) for make, bench in zip(cases.values(), benches, strict=True)]
        found: Found = {name: [] for name in cases}
        for number in range(rounds):
            print(f"\r\033[Kround {number + 1}", end="", file=sys.stderr, flush=True)
            for name, run in zip(cases, pool.map(Bench.run, benches, made), strict=True):
                found[name].append(run)
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return found


def lines_of(path: Path) -> int:
    """Read a line at a time: what this process holds counts in the peak of those it starts."""
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def packages(python: str, wanted: Sequence[str]) -> set[str]:
    """Those of *wanted* that *python* could import."""
    ask = "import importlib.util as u, sys; print(*filter(u.find_spec, sys.argv[1:]))"
    asked = subprocess.run(
        [python, "-c", ask, *wanted], check=True, stdout=subprocess.PIPE, text=True
    )
    return set(asked.stdout.split())
