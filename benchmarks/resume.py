"""How fast a run finds what earlier ones did, in rows of about 1 KB a second.

    python benchmarks/resume.py [--rows 200000]

Scans a results file as every run does before its first request, five times, and reads it bare five
times in between: the ratio tells what understanding the rows costs. Then the whole command, over
as many requests that are all done.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from request_engine.results_file import ResultsFile  # noqa: E402  found by the path above

COMMAND = [sys.executable, str(ROOT / "api_request_parallel_processor.py")]
TIMES = 5
NOWHERE = "http://127.0.0.1:9/v1/chat/completions"


def write(folder: Path, count: int) -> None:
    """Requests with a prompt of 40 words, and rows with answers of 100."""
    with open(folder / "in.jsonl", "w") as requests, open(folder / "r.jsonl", "w") as results:
        for number in range(count):
            message = {"role": "user", "content": f"Question {number}: " + "what is it " * 10}
            body = {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 200}
            metadata = {"row_id": number}
            requests.write(json.dumps(body | {"metadata": metadata}) + "\n")
            reply = {"role": "assistant", "content": f"{number} is " + "a word " * 70}
            choice = {"index": 0, "message": reply, "logprobs": None, "finish_reason": "stop"}
            usage = {"prompt_tokens": 44, "completion_tokens": 145, "total_tokens": 189}
            answer = {"id": f"chatcmpl-{number}", "object": "chat.completion", "choices": [choice]}
            answer |= {"created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18", "usage": usage}
            results.write(json.dumps([body, answer, metadata]) + "\n")


def scanned(path: Path, count: int) -> float:
    """Rows a second."""
    file = ResultsFile(str(path))
    started = time.perf_counter()
    found = asyncio.run(file.recover())
    seconds = time.perf_counter() - started
    file.close()
    assert len(found.answered) == count
    return count / seconds


def read(path: Path, count: int) -> float:
    """Lines a second of nothing but reading."""
    started = time.perf_counter()
    with open(path, "rb") as file:
        assert sum(1 for _ in file) == count
    return count / (time.perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, count)
        path = folder / "r.jsonl"
        print(f"{count:,} rows of {path.stat().st_size / count:,.0f} bytes")
        runs = [(scanned(path, count), read(path, count)) for _ in range(TIMES)]
        scan, bare = (statistics.median(one) for one in zip(*runs, strict=True))
        best = max(one for one, _ in runs)
        print(f"scan: {scan:,.0f} rows/s (median of {TIMES}; best {best:,.0f})")
        print(f"bare reading: {bare:,.0f} lines/s; {bare / scan:.1f} times the scan")
        files = ["--requests_filepath", str(folder / "in.jsonl"), "--save_filepath", str(path)]
        started = time.perf_counter()
        subprocess.run(
            [*COMMAND, *files, "--request_url", NOWHERE], check=True, stderr=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - started
        print(f"the command, all done before: {seconds:.1f} s, {count / seconds:,.0f} lines/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
