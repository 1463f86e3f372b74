"""The stub service as a benchmark sees it: started, reset, asked what it served."""

import http.client
import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import on_cores

SERVER = Path(__file__).resolve().parent / "stub_server.py"


@dataclass(frozen=True, slots=True)
class Seen:
    """One case as the service saw it. Times are seconds of the monotonic clock."""

    requests: int
    replies: int
    connections: int
    """That brought requests."""
    most_in_flight: int
    first: float
    last: float
    cpu: float
    """Seconds of the stub's own."""

    @property
    def rate(self) -> float:
        """Requests a second, from the first request's arrival to the last reply's departure."""
        return self.replies / max(self.last - self.first, 1e-9)

    @property
    def capacity(self) -> float:
        """Requests a second that its core could have served."""
        return self.replies / max(self.cpu, 1e-9)


class Stub:
    """One stub that runs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.base_url = f"http://127.0.0.1:{port}/v1"

    def reset(self) -> None:
        """Forget what was served."""
        self._asked("POST", "/reset")

    def seen(self) -> Seen:
        """What was served since the last reset."""
        return Seen(**self._asked("GET", "/stats"))

    def _asked(self, method: str, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(method, path)
        answer: dict[str, Any] = json.load(connection.getresponse())
        connection.close()
        return answer


@contextmanager
def running(latency: float = 0.0, cores: Collection[int] = ()) -> Iterator[Stub]:
    """A stub in a process of its own, on *cores*."""
    with on_cores(cores):
        process = subprocess.Popen(
            [sys.executable, str(SERVER), "--latency", str(latency)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    with process:  # at the end its standard input is closed, and it ends
        assert process.stdout is not None
        yield Stub(int(process.stdout.readline()))
