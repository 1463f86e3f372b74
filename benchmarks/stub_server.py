"""A service that answers with the same bytes each time: never the slow part of a benchmark.

    python benchmarks/stub_server.py [--latency 0.2]

Understands no more of HTTP than Content-Length and keep-alive. Paths that end in `embeddings` get
30 KB, others a chat completion; `GET /stats` says what was served since `POST /reset`. Prints the
port it listens on, at 127.0.0.1, and serves until its standard input ends.
"""

import argparse
import asyncio
import importlib.util
import json
import random
import sys
import time
from collections.abc import Callable
from typing import cast

DIMENSIONS = 1_536
WAITING = 4_096
"""Connections that may wait to be accepted."""
_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = b"content-length:"


def chat_answer() -> dict[str, object]:
    """One of about 600 bytes."""
    text = (
        "The two figures differ because the first counts every request that was sent, and the "
        "second only those that were answered within the minute."
    )
    message = {"role": "assistant", "content": text, "refusal": None}
    details = {"reasoning_tokens": 0, "accepted_prediction_tokens": 0}
    return {
        "id": "chatcmpl-C0ffeeC0ffeeC0ffeeC0ffee",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 207,
            "completion_tokens": 26,
            "total_tokens": 233,
            "completion_tokens_details": details,
        },
        "service_tier": "default",
        "system_fingerprint": "fp_b8bc95a0ac",
    }


def embeddings_answer() -> dict[str, object]:
    """One of about 30 KB."""
    draw = random.Random(30)
    numbers = [round(draw.gauss(0, 0.025), 16) for _ in range(DIMENSIONS)]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": numbers}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 200, "total_tokens": 200},
    }


def http_reply(answer: dict[str, object]) -> bytes:
    content = json.dumps(answer, separators=(",", ":")).encode()
    lines = (
        "HTTP/1.1 200 OK",
        "date: Fri, 20 Jun 2025 10:00:00 GMT",
        "server: stub",
        f"content-length: {len(content)}",
        "content-type: application/json",
    )
    return "\r\n".join(lines).encode() + _HEAD_ENDS + content


class Served:
    """What happened since the last reset. Times are the monotonic clock's, which all share."""

    def __init__(self) -> None:
        self.requests = self.replies = self.connections = self.most_in_flight = 0
        self.first = self.last = 0.0
        self._cpu = time.process_time()

    def arrived(self) -> None:
        if not self.requests:
            self.first = time.monotonic()
        self.requests += 1
        self.most_in_flight = max(self.most_in_flight, self.requests - self.replies)

    def departed(self) -> None:
        self.replies += 1
        self.last = time.monotonic()

    def stats(self) -> dict[str, float]:
        return {
            "requests": self.requests,
            "replies": self.replies,
            "connections": self.connections,
            "most_in_flight": self.most_in_flight,
            "first": self.first,
            "last": self.last,
            "cpu": time.process_time() - self._cpu,
        }


class Service:
    """What the connections share."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.served = Served()
        self.chat = http_reply(chat_answer())
        self.embeddings = http_reply(embeddings_answer())

    def reset(self) -> None:
        self.served = Served()


class Connection(asyncio.Protocol):
    """Answers the requests of one client, in their order."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._call_later = asyncio.get_running_loop().call_later
        self._received = b""
        self._transport: asyncio.Transport
        self._counted: Served | None = None
        """Where this connection is counted already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has no such ancestor

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        while received:
            end = received.find(_HEAD_ENDS)
            if end < 0:
                return
            head = received[:end].lower()
            at = head.find(_LENGTH)
            size = 0 if at < 0 else int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
            end += len(_HEAD_ENDS) + size
            if len(received) < end:
                return
            self._received = received = received[end:]
            self._take(head)

    def _take(self, head: bytes) -> None:
        """Answer the request that starts with *head*, in lower case."""
        service = self._service
        first_line = head[: head.find(b"\r\n")]
        if not first_line.startswith(b"post /v1/"):
            self._transport.write(self._aside(first_line))
            return
        reply = service.embeddings if b"/embeddings " in first_line else service.chat
        if self._counted is not service.served:
            self._counted = service.served
            service.served.connections += 1
        service.served.arrived()
        if service.latency:
            self._call_later(service.latency, self._answer, reply)
        else:
            self._answer(reply)
        if b"connection: close" in head:
            self._call_later(service.latency, self._transport.close)

    def _answer(self, reply: bytes) -> None:
        self._service.served.departed()
        self._transport.write(reply)

    def _aside(self, first_line: bytes) -> bytes:
        """The reply to what is no part of the benchmark."""
        if first_line.startswith(b"post /reset "):
            self._service.reset()
        return http_reply(dict(self._service.served.stats()))


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's if it is there."""
    if not importlib.util.find_spec("uvloop"):
        return None
    import uvloop

    return uvloop.new_event_loop


async def serve(latency: float) -> None:
    loop = asyncio.get_running_loop()
    service = Service(latency)
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=WAITING)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    latency = parser.parse_args().latency
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(serve(latency))


if __name__ == "__main__":
    main()
