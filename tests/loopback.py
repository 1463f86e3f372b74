"""A server on the loopback that does with the bytes whatever a test wants, and who asks it."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from request_engine.proxies import proxy_for
from request_engine.records import Failure, Kind, Reply
from request_engine.transport import Transport

KEY = "sk-canary-0123456789abcdef"
BODY = b'{"model": "m", "n": 1.10}'
ANSWER = b'{"choices": [{"message": {"content": "ok"}}]}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n")
CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + ANSWER


Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def transport_to(
    *,
    connect: float = 5.0,
    first_byte: float = 5.0,
    progress: float = 5.0,
    total: float = 5.0,
    key: str | None = KEY,
    **more: Any,
) -> Transport:
    return Transport(
        {"Authorization": f"Bearer {key}"} if key else {},
        connect_timeout=connect,
        first_byte_timeout=first_byte,
        progress_timeout=progress,
        total_timeout=total,
        **more,
    )


async def post(url: str, **settings: Any) -> Reply | Failure:
    """One attempt with the key in its headers; the key is in no failure, whatever happens."""
    proxy = None if "[::1/" in url else proxy_for(urlsplit(url))
    async with transport_to(proxy=proxy, **settings) as transport:
        outcome = await transport.post(url, BODY)
    if isinstance(outcome, Failure):
        assert KEY not in repr(outcome)
        assert outcome.message.splitlines() == [outcome.message]
    return outcome


def told(outcome: Reply | Failure) -> tuple[Kind, bool, bool]:
    """(kind, whether it was sent, whether it timed out after that)."""
    assert isinstance(outcome, Failure), outcome
    return outcome.kind, outcome.sent, outcome.timed_out


UNSENT = (Kind.TRANSIENT, False, False)
LOST = (Kind.TRANSIENT, True, False)
TIMED_OUT = (Kind.TRANSIENT, True, True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")


@contextlib.asynccontextmanager
async def serving(
    serve: Serve, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SimpleNamespace]:
    """A server that gives each request to *serve*; it knows its port and what it was sent."""
    seen: list[bytes] = []
    connections: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                seen.append(await read_request(reader))
                await serve(seen[-1], writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield SimpleNamespace(
            port=port, url=f"http://127.0.0.1:{port}/v1", seen=seen, connections=connections
        )
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()
        await asyncio.sleep(0.01)


def answering(
    body: bytes = ANSWER, status: str = "200 OK", length: int | None = None, **headers: str
) -> Serve:
    """Serve *body*; *length* is a Content-Length other than the true one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        if length is not None:
            writer.close()

    return serve


async def in_silence(request: bytes, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def closing(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resetting(request: bytes, writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def saying(data: bytes) -> Serve:
    """Serve exactly *data*, then close."""

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return serve


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def dripping(head: bytes, part: bytes, *, every: float = 0.01, times: int = 10**9) -> Serve:
    """Serve *head*, then *part* again and again."""

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(times):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(every)

    return serve


def then(*serves: Serve) -> Serve:
    """Serve one after the other, all for one request."""

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        for one in serves:
            await one(request, writer)
            await asyncio.sleep(0.02)

    return serve


def in_turn(*serves: Serve) -> Serve:
    """Serve the first request as the first says, the second as the second."""
    left = list(serves)

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        await left.pop(0)(request, writer)

    return serve


def writing(data: bytes) -> Serve:
    """Serve exactly *data*, and leave the connection open."""

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return serve


async def half_closing(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await asyncio.sleep(0.1)
    writer.close()


class Reading:
    """An assembler that keeps what it was fed, and obeys words in it."""

    def __init__(self) -> None:
        self.fed = b""
        self.cut: str | None = None

    @property
    def ended(self) -> bool:
        return b"[DONE]" in self.fed

    @property
    def speaking(self) -> bool:
        return b"data:" in self.fed

    def feed(self, data: bytes) -> bool:
        self.fed += data
        if b"again and again" in self.fed:
            self.cut = "it repeats itself"
        return not data.startswith(b":")

    def finish(self) -> bytes | Failure:
        if self.cut is not None or not self.ended:
            return Failure(Kind.BAD_ANSWER, self.cut or "it has no end")
        return b'{"read": %d}' % len(self.fed)


FIRST, LAST = chunk(b"data: {}\n\n"), chunk(b"data: [DONE]\n\n")
