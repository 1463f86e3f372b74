"""Kill a job with SIGKILL at random moments until it is done, and count what that cost.

    python benchmarks/kills.py --kills 1000

Each round is one job over --lines lines against the local endpoint, whose answers are sometimes
refused, reset or cut off. It is killed and started again, then let run to its end, and the ledger
says what became of it: exactly one row a line, each with an answer that was given for that line,
and no more bought twice than was in flight at the kills and than the runs themselves reported.
Exits with 1 if any of that does not hold, and then leaves the files where it says.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks import oracle  # noqa: E402  found by the path above

CONCURRENT = 20
"""Requests in flight at most, and so the most that one kill may cost."""
FAULTS = "429=0.002,500=0.01,reset=0.01,reset_after=0.01,cut=0.01,filter=0.005"
SPELLINGS = ((), ("--ordered",), ("--errors_filepath", "errors.jsonl"), ("--fsync", "0"))
"""Flags of the first round, of the second, and so on: each is another way to write the results."""
_ROWS = 40
"""Rows that a run adds before it is killed, on average, where that is by its rows."""
_PATIENCE = 120.0
"""Seconds until a run counts as hung."""
_reported = re.compile(r"([\d,]+) attempts(?: in all)? may have been billed").search


@dataclass(slots=True)
class Run:
    """One process, from its start to its end."""

    killed: bool
    code: int
    said: str
    bills: list[oracle.Bill]
    """What the endpoint billed it for."""
    seconds: float

    @property
    def reported(self) -> int:
        """Attempts that it says may have been billed for nothing; a killed run says nothing."""
        found = _reported(self.said)
        return int(found[1].replace(",", "")) if found else 0


@dataclass(slots=True)
class Round:
    """One job, killed and gone on with until it was done."""

    lines: list[oracle.Line]
    runs: list[Run] = field(default_factory=list)
    verdict: oracle.Verdict = field(default_factory=oracle.Verdict)
    torn: int = 0
    """Rows that a kill cut off and that were put aside."""
    left_behind: list[str] = field(default_factory=list)
    """Files that nobody asked for."""

    @property
    def kills(self) -> int:
        return sum(run.killed for run in self.runs)

    def bought_again(self, run: Run) -> int:
        """Answers that left the endpoint whole for *run* and are in no row."""
        recorded = self.verdict.recorded
        return sum(not bill.damaged and bill.id not in recorded for bill in run.bills)

    def broken(self) -> list[str]:
        """The promises that did not hold."""
        verdict = self.verdict
        said = list(self.left_behind)
        if not verdict.kept:
            said.append(
                f"{verdict.lost} rows lost, {verdict.duplicated} duplicated, "
                f"{verdict.unreadable} unreadable, {verdict.foreign} with another line's answer"
            )
        for run in self.runs:
            again = self.bought_again(run)
            if run.killed:
                if again > CONCURRENT:
                    said.append(f"a kill cost {again} answers, with {CONCURRENT} in flight")
            elif run.code != 0:
                said.append(f"a run ended with {run.code}")
            elif (nothing := again + sum(bill.damaged for bill in run.bills)) > run.reported:
                said.append(f"{nothing} answers are in no row, {run.reported} were reported")
            if "Traceback" in run.said or "a fault in the program" in run.said:
                said.append(f"a run failed: {run.said[-300:]}")
        return said


class Endpoint:
    """The local endpoint in a process of its own, and its ledger."""

    def __init__(self, folder: Path, *flags: str) -> None:
        port, ledger = folder / "port", folder / "ledger.jsonl"
        command = [sys.executable, "-m", "request_engine.local_endpoint", "--port", "0"]
        command += ["--port_file", str(port), "--ledger", str(ledger), "--ledger_memory", "1"]
        self._process = subprocess.Popen(
            [*command, *flags], cwd=ROOT, stderr=subprocess.DEVNULL, env=environment()
        )
        deadline = time.monotonic() + 30
        while not port.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise SystemExit("the local endpoint did not start")
            time.sleep(0.01)
        self._entries = ledger.open(encoding="utf-8")
        self._address = f"127.0.0.1:{port.read_text().strip()}"
        self.url = f"http://{self._address}/v1/chat/completions"

    def new_bills(self) -> list[oracle.Bill]:
        """What was billed since the last call, once nothing is in flight any more."""
        connection = http.client.HTTPConnection(self._address, timeout=30)
        in_flight = 1
        while in_flight:
            connection.request("GET", "/ledger")
            in_flight = json.load(connection.getresponse())["in_flight"]
        connection.close()
        return oracle.bills(self._entries)

    def stop(self) -> None:
        self._entries.close()
        self._process.terminate()
        self._process.wait()


@contextmanager
def endpoint(folder: Path, *flags: str) -> Iterator[Endpoint]:
    serving = Endpoint(folder, *flags)
    try:
        yield serving
    finally:
        serving.stop()


def environment() -> dict[str, str]:
    """Ours without keys and proxies, which are for other services."""
    foreign = ("_API_KEY", "_TOKEN", "_PROXY")
    return {name: value for name, value in os.environ.items() if not name.upper().endswith(foreign)}


def requests(count: int, draw: random.Random) -> list[oracle.Line]:
    """*count* lines: one in ten equal to another, one in ten with only its metadata changed."""
    lines: list[oracle.Line] = []
    for number in range(count):
        text = f"question {number} " + "word " * draw.randrange(40)
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        kind = draw.random()
        if lines and kind < 0.1:
            lines.append(draw.choice(lines))
        elif kind < 0.2:
            lines.append(oracle.line(body, {"id": number}))
            lines.append(oracle.line(body, [number, "again"], first=True))
        else:
            lines.append(oracle.line(body, number if kind < 0.6 else None))
    return lines[:count]


class Job:
    """The command with one file of requests, and where its rows go."""

    _torn_names = ("results.jsonl.torn", "errors.jsonl.torn")

    def __init__(self, folder: Path, url: str, lines: list[oracle.Line], *flags: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.results = folder / "results.jsonl"
        (folder / "in.jsonl").write_text("".join(f"{line.text}\n" for line in lines))
        self.command = [sys.executable, str(ROOT / "api_request_parallel_processor.py")]
        self.command += ["--requests_filepath", "in.jsonl", "--save_filepath", "results.jsonl"]
        self.command += ["--request_url", url, "--max_concurrent_requests", str(CONCURRENT)]
        self.command += ["--max_requests_per_minute", "none", "--max_tokens_per_minute", "none"]
        self.command += flags

    def start(self) -> "subprocess.Popen[bytes]":
        with open(self.folder / "said", "wb") as said:
            return subprocess.Popen(
                self.command, cwd=self.folder, stderr=said, env=environment(), close_fds=False
            )

    def said(self) -> str:
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    def rows(self) -> bytes:
        """The bytes of all rows, failures included."""
        paths = (self.results, self.folder / "errors.jsonl")
        return b"".join(path.read_bytes() for path in paths if path.exists())

    def torn(self) -> int:
        """Rows of which a kill left a part: the system may stop within a write of two pages."""
        paths = (self.folder / name for name in self._torn_names)
        return sum(path.read_bytes().count(b"\n") for path in paths if path.exists())

    def left_behind(self) -> list[str]:
        known = {"in.jsonl", "said", "results.jsonl", "errors.jsonl", *self._torn_names}
        return [f"{name} was left behind" for name in os.listdir(self.folder) if name not in known]


class Moment:
    """When to kill: after a random time, or when so many rows have been added."""

    def __init__(self, draw: random.Random, seconds: float, rows: int) -> None:
        """*seconds*: how long a run takes to send something; *rows*: how many are missing."""
        by_rows = draw.random() < 0.5
        # Most soon, so that a round takes many kills; some at the very last row.
        soon = min(rows, 1 + int(draw.expovariate(1 / _ROWS)))
        self._rows = (rows if draw.random() < 0.05 else soon) if by_rows else None
        self._seconds = _PATIENCE if by_rows else draw.uniform(0.0, 2.0 * seconds)

    def wait(self, process: "subprocess.Popen[bytes]", results: Path) -> None:
        """Until it has come, or *process* has ended."""
        deadline = time.monotonic() + self._seconds
        size = results.stat().st_size if results.exists() else 0
        added, pause = 0, 0.001
        while process.poll() is None and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            if self._rows is None or not results.exists():
                continue
            with results.open("rb") as file:
                # The rows of failures may just have been taken out.
                file.seek(min(size, results.stat().st_size))
                part = file.read()
                size = file.tell()
            added += part.count(b"\n")
            if added >= self._rows:
                return


def run_once(job: Job, serving: Endpoint, moment: Moment | None) -> Run:
    """Start the job and kill it at *moment*, or let it run to its end."""
    started = time.monotonic()
    process = job.start()
    try:
        if moment is None:
            process.wait(_PATIENCE)
        else:
            moment.wait(process, job.results)
    finally:
        process.kill()
        process.wait()
    seconds = time.monotonic() - started
    killed = process.returncode == -signal.SIGKILL
    return Run(killed, process.returncode, job.said(), serving.new_bills(), seconds)


def play(
    job: Job, serving: Endpoint, lines: list[oracle.Line], kills: int, draw: random.Random
) -> Round:
    """One round: at most *kills* kills, as many as fit before the job is done, and the end."""
    done = Round(lines)
    seconds = 0.4  # a start, more or less
    while done.kills < kills:
        missing = max(1, len(lines) - job.rows().count(b"\n"))
        run = run_once(job, serving, Moment(draw, seconds, missing))
        done.runs.append(run)
        if not run.killed:
            break
    if done.runs[-1].killed:
        done.runs.append(run_once(job, serving, None))
    billed = [bill for run in done.runs for bill in run.bills]
    done.verdict = oracle.judge(lines, job.rows(), billed)
    done.torn = job.torn()
    done.left_behind = job.left_behind()
    return done


def totals(rounds: list[Round], seconds: float) -> str:
    """The figures of all rounds, as a table."""
    runs = [(one, run) for one in rounds for run in one.runs]
    killed = [(one, run) for one, run in runs if run.killed]
    ended = [(one, run) for one, run in runs if not run.killed]
    kills = len(killed)
    figures = {
        "kills": kills,
        "rounds": len(rounds),
        "lines": sum(len(one.lines) for one in rounds),
        "rows": sum(one.verdict.rows for one in rounds),
        "  of them failures": sum(one.verdict.failed for one in rounds),
        "rows lost": sum(one.verdict.lost for one in rounds),
        "rows duplicated": sum(one.verdict.duplicated for one in rounds),
        "rows unreadable": sum(one.verdict.unreadable for one in rounds),
        "rows with another line's answer": sum(one.verdict.foreign for one in rounds),
        "rows torn by a kill, and put aside": sum(one.torn for one in rounds),
        "answers billed": sum(len(run.bills) for _, run in runs),
        "bought again after a kill": sum(one.bought_again(run) for one, run in killed),
        f"  may be, {CONCURRENT} in flight a kill": CONCURRENT * kills,
        "  most after one kill": max((one.bought_again(run) for one, run in killed), default=0),
        "damaged by the endpoint in killed runs": sum(
            b.damaged for _, r in killed for b in r.bills
        ),
        "in no row in runs that ended": sum(
            one.bought_again(run) + sum(bill.damaged for bill in run.bills) for one, run in ended
        ),
        "  reported by them": sum(run.reported for _, run in ended),
        "seconds": round(seconds),
        "milliseconds a kill": round(1000 * seconds / max(1, kills)),
    }
    return "".join(f"{name:<40}{figure:>10,}\n" for name, figure in figures.items())


def torture(
    folder: Path, *, kills: int, lines: int, seed: int, faults: str = FAULTS, latency: float = 0.02
) -> list[Round]:
    """Rounds until there have been *kills* kills; stops at the first promise broken."""
    draw = random.Random(seed)
    rounds: list[Round] = []
    flags = ("--latency", str(latency), "--latency_jitter", str(latency))
    with endpoint(folder, *flags, "--fault", faults, "--seed", str(seed)) as serving:
        while (left := kills - sum(one.kills for one in rounds)) > 0:
            number = len(rounds)
            asked = requests(lines, draw)
            spelling = SPELLINGS[number % len(SPELLINGS)]
            job = Job(folder / f"round{number}", serving.url, asked, *spelling)
            done = play(job, serving, asked, left, draw)
            rounds.append(done)
            broken = "; ".join(done.broken())
            say(
                f"round {number}: {done.kills} kills, {done.verdict.rows:,} rows, "
                f"{sum(done.bought_again(run) for run in done.runs)} bought again "
                f"{' '.join(spelling)} {broken}"
            )
            if broken:
                break
            shutil.rmtree(job.folder)
    return rounds


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--lines", type=int, default=2_000, help="of each job (default 2000)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    started = time.monotonic()
    say(f"--seed {asked.seed}, in {folder}")
    rounds = torture(folder, kills=asked.kills, lines=asked.lines, seed=asked.seed)
    sys.stdout.write(totals(rounds, time.monotonic() - started))
    if any(one.broken() for one in rounds):
        say(f"a promise is broken; what is left of it is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
