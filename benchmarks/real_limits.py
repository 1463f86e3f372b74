"""The simulator's figures once more with nothing simulated: real processes, sockets and time.

    python benchmarks/real_limits.py                  # every case at once, some 3 minutes
    python benchmarks/real_limits.py --only bucket    # those whose names begin so

Each case is the command over a file of its own against a local endpoint of its own, 1,200 requests
a minute, once with the limits given and once with none. What is judged is what the ledger says:

    took     from the first admission to the last answer, over the least that anybody could reach
             (benchmarks/simulator/floor.py): a bucket lets in what it holds and then 20 a second;
             a window of 60 s lets in 1,200, and the next 1,200 when it is over; and no limit that
             the user gave is exceeded
    refused  429s for each request
    above    admissions beyond the limit given in any 60 s, counted by the second; none may be

A job of --seconds has 20 requests for each, and what a bucket holds at the start. The least of
windows comes in steps of 60 s, which is for who sends 1,200 at once and then none for a minute; so
there the job is of whole windows and one request, for which sending evenly takes as long. Exits
with 1 if a bound is missed.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import kills, oracle  # noqa: E402  found by the path above
from benchmarks.simulator import floor, measures  # noqa: E402

REQUESTS, TOKENS = 1_200, 600_000
"""Limits a minute. Requests bind; tokens are counted, and are far from it."""
RATE = REQUESTS / 60
LATENCY = 0.3
MINUTE = 60.0
APART = 4.0
"""Seconds from the start of one case to that of the next: interpreters that start together on few
cores are slow for seconds."""
EDGE = 10.0
"""Seconds that are the ramp, and seconds that are the tail."""
LONG = 600.0
"""Seconds of the jobs for which the bounds were set."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of service, and whether the user knows its limits."""

    name: str
    limiter: str
    known: bool
    bound: float
    """The most that it may take over the least."""
    held: float = 0.0
    """Seconds' worth that a bucket holds when it is full."""
    flags: tuple[str, ...] = ()
    """Of the command."""

    @property
    def most_refused(self) -> float:
        return 0.005 if self.known else 0.03

    @property
    def in_steps(self) -> bool:
        """Whether windows bind: the service's, or the user's limit where a bucket lends more."""
        windows = self.limiter in ("fixed_window", "sliding_window")
        return windows or (self.known and self.held >= MINUTE)

    def count(self, seconds: float) -> int:
        """The requests of a job of *seconds*."""
        if self.in_steps:
            return math.ceil(seconds / MINUTE) * REQUESTS + 1
        return round((seconds + self.held) * RATE)

    def least(self, count: int, phase: float) -> float:
        """When the last of *count* can be let in; *phase* is how old a fixed window then was."""
        if self.limiter == "token_bucket":
            last = floor.bucket(count, REQUESTS, self.held)
        elif self.limiter == "fixed_window":
            last = floor.window(count, REQUESTS, phase)
        elif self.limiter == "sliding_window":
            last = floor.window(count, REQUESTS)
        else:  # by the second and by the minute
            last = max(floor.bucket(count, REQUESTS, 1.0), floor.window(count, REQUESTS))
        return max(last, floor.window(count, REQUESTS)) if self.known else last


def cases() -> list[Case]:
    """Each service, with its limits known and unknown."""
    found = []
    for known in (True, False):
        usual, by_second = (1.05, 1.10) if known else (1.15, 1.25)
        # A user of such a service says which it is, and with it that nothing may go at once.
        says = ("--provider", "aliyun")
        found += [
            Case("bucket of 1 s", "token_bucket", known, usual, held=1.0),
            Case("bucket of 60 s", "token_bucket", known, usual, held=60.0),
            Case("fixed window", "fixed_window", known, usual),
            Case("sliding window", "sliding_window", known, usual),
            Case("per second", "per_second", known, by_second, flags=says),
        ]
    return sorted(found, key=lambda one: (one.name, not one.known))


@dataclass(slots=True)
class Seen:
    """One job as the ledger has it. Moments are seconds after its first admission."""

    case: Case
    count: int
    admitted: Sequence[float]
    refused: Sequence[float]
    least: float
    """The least that anybody could take, its last answer included."""
    faults: Sequence[str] = ()

    @property
    def took(self) -> float:
        """Until the last answer, which comes so long after its admission as every other."""
        return self.admitted[-1] + LATENCY if self.admitted else math.inf

    @property
    def ratio(self) -> float:
        return self.took / self.least

    @property
    def share_refused(self) -> float:
        return len(self.refused) / self.count

    @property
    def above(self) -> float:
        """Of the limit, how much more was let in within a minute; below 0 where it was kept."""
        return measures.most_within(measures.by_second(self.admitted), 60) / REQUESTS - 1.0

    def missed(self) -> list[str]:
        """What does not hold."""
        case, found = self.case, list(self.faults)
        if self.ratio > case.bound:
            found.append(f"takes {self.ratio:.3f}, at most {case.bound:.2f}")
        if self.share_refused > case.most_refused:
            found.append(f"refused {self.share_refused:.2%}, at most {case.most_refused:.1%}")
        if case.known and self.above > 0:
            found.append(f"{self.above:.2%} above the limit given")
        return found

    def told(self) -> str:
        """A row of the table."""
        case = self.case
        above = f"{self.above:+8.2%}" if case.known else f"{'-':>8}"
        return (
            f"{case.name:<16}{'known' if case.known else 'unknown':<9}{self.count:>6,}"
            f"{self.took:>8.1f}{self.least:>8.1f}{self.ratio:>8.3f} ({case.bound:.2f})"
            f"{self.share_refused:>8.2%} ({case.most_refused:.1%}){above}"
            f"  {'MISSED' if self.missed() else 'OK'}"
        )

    def arithmetic(self) -> str:
        """Where the time went that is more than the least.

        A stretch loses what it takes longer than its admissions would at the limit's rate. What
        the stretches lose adds up to what the job takes beyond all its requests at that rate; the
        least has the same sum, which is below 0 by what the service lends. The edges of a long job
        are those of a short one.
        """
        end = self.took - LATENCY
        edge = min(EDGE, end / 2)
        ramp = self._lost(-1.0, edge) - 1.0
        tail = self._lost(end - edge, end)
        between = self._lost(edge, end - edge)
        lent = self.count / RATE - (self.least - LATENCY)
        middle = max(end - 2 * edge, 1e-9)
        longer = ramp + tail + lent + between / middle * (LONG - 2 * edge)
        early = sum(at <= edge for at in self.refused)
        later = (len(self.refused) - early) / max(end - edge, 1e-9)
        share = (early + later * (LONG - edge)) / (LONG * RATE)
        return (
            f"{self.took - self.least:+.1f} s = {lent:.1f} that anybody is lent, {ramp:+.1f} in "
            f"the first {edge:.0f} s, {between:+.1f} after it, {tail:+.1f} in the last {edge:.0f} "
            f"s; {early} of {len(self.refused)} refusals in the first {edge:.0f} s; a job of "
            f"{LONG / MINUTE:.0f} minutes that begins and ends so: {1 + longer / LONG:.3f}, "
            f"{share:.2%}"
        )

    def _lost(self, begin: float, end: float) -> float:
        return end - begin - sum(begin < at <= end for at in self.admitted) / RATE


def seen(case: Case, count: int, ledger: Path, faults: Sequence[str] = ()) -> Seen:
    """What the *ledger* says of a job of *count* requests."""
    entries = [json.loads(entry) for entry in ledger.read_text(encoding="utf-8").splitlines()]
    admitted = sorted(one["time"] for one in entries if one["billed"])
    refused = [one["time"] for one in entries if one["refusal"] is not None]
    began = admitted[0] if admitted else math.inf
    # The endpoint's windows begin at multiples of a minute of the monotonic clock.
    phase = (began - time.time() + time.monotonic()) % MINUTE if admitted else 0.0
    return Seen(
        case,
        count,
        [at - began for at in admitted],
        [at - began for at in refused],
        case.least(count, phase) + LATENCY,
        faults,
    )


def run(case: Case, seconds: float, folder: Path, after: float) -> Seen:
    """The command over a job of *seconds*, begun so long *after* now, to its end."""
    time.sleep(after)
    folder.mkdir()
    limits = [f"--max_requests_per_minute={REQUESTS}", f"--max_tokens_per_minute={TOKENS}"]
    serves = ["--limiter", case.limiter, *limits, "--latency", str(LATENCY), "--answer_tokens", "4"]
    if case.held:
        serves += ["--burst", str(case.held)]
    lines = [_line(number) for number in range(case.count(seconds))]
    (folder / "in.jsonl").write_text("".join(f"{line.text}\n" for line in lines))
    command = [sys.executable, str(ROOT / "api_request_parallel_processor.py")]
    command += ["--requests_filepath", "in.jsonl", "--save_filepath", "out.jsonl", *case.flags]
    command += limits if case.known else []
    with kills.endpoint(folder, *serves) as service:
        if case.limiter == "fixed_window":
            time.sleep(MINUTE - time.monotonic() % MINUTE)  # else how much fits is left to chance
        done = subprocess.run(
            [*command, "--request_url", service.url],
            cwd=folder,
            env=kills.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        verdict = oracle.judge(lines, _rows(folder), service.new_bills())
    faults = [f"exit code {done.returncode}: {done.stderr[-300:]}"] if done.returncode else []
    if not verdict.kept or verdict.failed:
        faults.append(f"{verdict.rows:,} rows of {len(lines):,} lines: {verdict}"[:300])
    return seen(case, len(lines), folder / "ledger.jsonl", faults)


def _line(number: int) -> oracle.Line:
    message = {"role": "user", "content": f"What is {number} in words?"}
    return oracle.line({"model": "gpt-4o-mini", "messages": [message], "max_tokens": 50}, number)


def _rows(folder: Path) -> bytes:
    results = folder / "out.jsonl"
    return results.read_bytes() if results.exists() else b""


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=90.0, help="an ideal job's")
    parser.add_argument("--only", default="", metavar="NAME", help="cases whose names begin so")
    asked = parser.parse_args(words)
    chosen = [case for case in cases() if case.name.startswith(asked.only)]
    if not chosen:
        parser.error(f"there is no {asked.only}")
    print("                limits     lines    took   least   ratio (most) refused (most)   above")
    missed = 0
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(len(chosen)) as threads:
        jobs = [
            threads.submit(run, case, asked.seconds, Path(name, str(number)), APART * number)
            for number, case in enumerate(chosen)
        ]
        for job in jobs:
            one = job.result()
            print(one.told(), flush=True)
            if found := one.missed():
                missed += 1
                print(f"{'':16}{'; '.join(found)}\n{'':16}{one.arithmetic()}", flush=True)
    print(f"{missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
