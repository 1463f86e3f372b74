"""Peak memory and open files of a small job and of one a hundred times longer.

    python benchmarks/memory.py                    # 10,000 and 1,000,000 lines, about 20 minutes
    python benchmarks/memory.py --lines 100000     # a shorter look

Both jobs run against the local endpoint, then the long one is run again, which only finds what is
done. Exits with 1 if the long job's peak is more than 40 MB and 16 bytes a line above the small
one's, or if it has more files open.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, str(ROOT / "api_request_parallel_processor.py")]
ENDPOINT = [sys.executable, "-m", "request_engine.local_endpoint", "--port", "0"]
SMALL = 10_000
MORE, A_LINE = 40 * 2**20, 16
"""Bytes that the long job may take more, at all and for each line."""


@dataclass(slots=True)
class Used:
    """What one process needed."""

    seconds: float
    peak: int
    descriptors: int


@contextmanager
def endpoint(folder: Path) -> Iterator[str]:
    """The URL of a local endpoint in a process of its own."""
    port = folder / "port"
    process = subprocess.Popen(
        [*ENDPOINT, "--port_file", str(port)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        while not (port.exists() and port.read_text().strip()):
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port.read_text().strip()}/v1/chat/completions"
    finally:
        process.terminate()
        process.wait()


def write_requests(path: Path, count: int) -> None:
    """*count* chat requests of some 200 bytes with metadata."""
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            message = {"role": "user", "content": f"Say {number}, and then a word or two about it."}
            body = {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 5}
            file.write(json.dumps(body | {"metadata": {"row_id": number}}) + "\n")


def measured(arguments: list[str]) -> Used:
    """Run the command and watch it."""
    started = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = descriptors = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, 1024 * int(status.partition("VmHWM:")[2].split()[0]))
            descriptors = max(descriptors, len(os.listdir(f"/proc/{process.pid}/fd")))
        except (OSError, IndexError):  # it has just ended
            pass
        time.sleep(0.05)
    assert process.stderr is not None
    said = process.stderr.read()
    if process.returncode:
        raise SystemExit(f"the job ended with {process.returncode}:\n{said}")
    return Used(time.monotonic() - started, peak, descriptors)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    lines = parser.parse_args().lines
    found: dict[str, Used] = {}
    with tempfile.TemporaryDirectory() as name, endpoint(Path(name)) as url:
        for label, count in (("small", SMALL), ("long", lines), ("long, again", lines)):
            path = Path(name, f"{count}.jsonl")
            if not path.exists():
                write_requests(path, count)
            none = ("--max_requests_per_minute", "none", "--max_tokens_per_minute", "none")
            arguments = ["--requests_filepath", str(path), "--request_url", url, *none]
            used = found[label] = measured([*arguments, "--max_concurrent_requests", "100"])
            print(
                f"{label:<12} {count:>9,} lines {used.seconds:>8.1f} s "
                f"{used.peak / 2**20:>8.1f} MiB {used.descriptors:>5} files open",
                flush=True,
            )
        rows = sum(1 for _ in open(Path(name, f"{lines}_results.jsonl"), "rb"))
    allowed = found["small"].peak + MORE + A_LINE * lines
    most = max(found["long"].peak, found["long, again"].peak)
    print(f"rows {rows:,}; peak {most / 2**20:.1f} MiB of {allowed / 2**20:.1f} MiB allowed")
    flat = found["long"].descriptors <= found["small"].descriptors + 2
    return 0 if rows == lines and most <= allowed and flat else 1


if __name__ == "__main__":
    sys.exit(main())
