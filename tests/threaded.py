"""Services in a thread of their own, for clients that block; one answers when the test says so."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

from request_engine import local_endpoint

T = TypeVar("T")

LONG = 20.0
"""Seconds after which a test that waits has failed."""
_HEAD_ENDS = b"\r\n\r\n"


def body(number: int = 0, **more: Any) -> dict[str, Any]:
    """A request that is answered with its number."""
    text = f"number {number}"
    return {"model": "m", "messages": [{"role": "user", "content": text}], "n": number} | more


class Service:
    """Answers requests with their numbers: those that it has been let, and all of them at first."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[int] = []
        self.most_in_flight = 0
        self.given_up = 0
        """Requests whose connections were closed before they were answered."""
        self.pending = deque["_Connection"]()
        self.connections = set["_Connection"]()
        self.let_in = float("inf")
        self._moved = threading.Condition()
        self._loop: asyncio.AbstractEventLoop

    @property
    def asks(self) -> dict[str, Any]:
        """How a client of it is made."""
        return {"request_url": self.url, "api_key": "sk-x", "max_tokens_per_minute": None}

    def hold(self) -> None:
        """Answer nothing until it is let."""
        self.let_in = 0

    def let(self, count: float = float("inf")) -> None:
        """Answer so many more."""
        self._loop.call_soon_threadsafe(self._let, count)

    def wait(self, until: Callable[["Service"], bool]) -> None:
        """Wait until that is so of this service."""
        with self._moved:
            assert self._moved.wait_for(lambda: until(self), LONG), "it never was so"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Service"]:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
        async with server:
            yield self
            self._let(float("inf"))
        for connection in tuple(self.connections):  # whose other ends may not be closed yet
            connection.transport.abort()
        await asyncio.sleep(0)

    def arrived(self, connection: "_Connection", number: int) -> None:
        self.asked.append(number)
        self.pending.append(connection)
        self.most_in_flight = max(self.most_in_flight, len(self.pending))
        self._let(0)

    def left(self, connection: "_Connection") -> None:
        if connection in self.pending:
            self.pending.remove(connection)
            self.given_up += 1
            self._tell()

    def _let(self, count: float) -> None:
        self.let_in += count
        while self.pending and self.let_in > 0:
            self.let_in -= 1
            self.pending.popleft().answer()
        self._tell()

    def _tell(self) -> None:
        with self._moved:
            self._moved.notify_all()


class _Connection(asyncio.Protocol):
    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, content = self._received.partition(_HEAD_ENDS)
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if ended and len(content) >= int(length):
            self._received = b""
            self._number = json.loads(content)["n"]
            self._service.arrived(self, self._number)

    def connection_lost(self, error: Exception | None) -> None:
        self._service.connections.remove(self)
        self._service.left(self)

    def answer(self) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        message = {"role": "assistant", "content": str(self._number)}
        answer = {"choices": [{"message": message}], "usage": usage}
        data = json.dumps(answer).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
        self.transport.write(head % len(data) + _HEAD_ENDS + data)


@contextmanager
def service() -> Iterator[Service]:
    """A service, served in a thread."""
    with in_a_thread(Service().serving()) as served:
        yield served


@contextmanager
def endpoint(**settings: Any) -> Iterator[local_endpoint.LocalEndpoint]:
    """A local endpoint, served in a thread."""
    with in_a_thread(local_endpoint.serving(local_endpoint.Settings(**settings))) as served:
        yield served


@contextmanager
def in_a_thread(context: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What *context* gives, while it is entered in a loop in a thread."""
    there, over = threading.Event(), asyncio.Event()
    found: list[T] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def stay() -> None:
        async with context as entered:
            found.append(entered)
            loops.append(asyncio.get_running_loop())
            there.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(stay(),))
    thread.start()
    assert there.wait(LONG)
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join()
