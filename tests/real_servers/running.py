"""Servers and runs of the door, each a process of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import canary

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DOOR = ROOT / "api_request_parallel_processor.py"
_STARTED_WITHIN = 180.0
"""Seconds. LiteLLM imports for half a minute on a busy machine."""
_NOBODY = "http://127.0.0.1:9"
"""A proxy that is not there: whatever a server would fetch from elsewhere fails at once."""


@dataclass(frozen=True)
class Server:
    url: str
    log: Path


@contextlib.contextmanager
def serving(
    command: list[str], alive: str, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run *command* with a free port put into it until the block ends.

    *alive* is the path that answers once it serves.
    """
    port = _free_port()
    told = [part.format(port=port) for part in command]
    silent = {"HTTP_PROXY": _NOBODY, "HTTPS_PROXY": _NOBODY, "NO_PROXY": "127.0.0.1,localhost"}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            told,
            cwd=log.parent,
            env={"PATH": os.environ["PATH"], "HOME": str(log.parent), **silent, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}{alive}", process, log)
        yield Server(f"http://127.0.0.1:{port}/v1", log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Run:
    """One run of the door over *lines*, under way from the start."""

    def __init__(
        self, folder: Path, url: str, lines: list[dict[str, Any]], *flags: str, key: str
    ) -> None:
        """*key* is the end of the key that is given."""
        folder.mkdir(exist_ok=True)
        requests, self._results = folder / "in.jsonl", folder / "out.jsonl"
        requests.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        files = ["--requests_filepath", str(requests), "--save_filepath", str(self._results)]
        self._process = subprocess.Popen(
            [sys.executable, str(DOOR), *files, "--request_url", url, *flags],
            env={"PATH": os.environ["PATH"], "OPENAI_COMPATIBLE_API_KEY": f"{canary.KEY}-{key}"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""

    def code(self, within: float = 240.0) -> int:
        """Its exit code, once it has ended; *within* seconds."""
        try:
            self.said += self._process.communicate(timeout=within)[1] or ""
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"it takes longer than {within:.0f} s: {self.said}") from None
        return self._process.returncode

    def end(self) -> None:
        """Kill it, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self.said += self._process.communicate()[1] or ""

    @property
    def rows(self) -> list[list[Any]]:
        text = self._results.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    @property
    def answers(self) -> dict[int, dict[str, Any]]:
        """By id; a request with two rows, or one that failed, is no answer."""
        answers: dict[int, dict[str, Any]] = {}
        for _, response, metadata in self.rows:
            assert metadata["id"] not in answers, metadata
            if isinstance(response, dict):
                answers[metadata["id"]] = response
        return answers

    @property
    def errors(self) -> dict[int, list[dict[str, Any]]]:
        """By id: what went wrong with those that have no answer."""
        return {row[2]["id"]: row[1] for row in self.rows if isinstance(row[1], list)}


def chats(count: int, model: str, **more: Any) -> list[dict[str, Any]]:
    """Lines that ask *model*, with their number as the id."""
    return [chat(number, model, **more) for number in range(count)]


def chat(number: int, model: str, **more: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"What is {number} + 4?"}]
    body = {"model": model, "messages": asked, "max_tokens": 20, "temperature": 0}
    return {**body, **more, "metadata": {"id": number}}


def shape(value: Any) -> Any:
    """What kind of values *value* holds, and under which names."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)  # it does not tell when it serves
    raise AssertionError(f"{process.args} does not serve:\n{log.read_text()[-3000:]}")
