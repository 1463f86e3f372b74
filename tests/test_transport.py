"""Bytes go out and come back unchanged; whatever a network does becomes a failure that says so."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
import pytest
from aioresponses import aioresponses

from request_engine import transport as transport_module
from request_engine.proxies import proxy_for
from request_engine.records import Failure, Kind, Reply
from request_engine.transport import Transport

KEY = "sk-canary-0123456789abcdef"
BODY = b'{"model": "m", "n": 1.10}'
ANSWER = b'{"choices": [{"message": {"content": "ok"}}]}'

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


async def post(url: str, *, connect: float = 5.0, total: float = 5.0) -> Reply | Failure:
    """One attempt with the key in its headers; the key is in no failure, whatever happens."""
    headers = {"Authorization": f"Bearer {KEY}"}
    proxy = None if "[::1/" in url else proxy_for(urlsplit(url))
    async with Transport(
        headers, connect_timeout=connect, total_timeout=total, proxy=proxy
    ) as transport:
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


# A server on the loopback, which does with the bytes whatever a test wants.


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


# What is sent, and what comes back.


async def test_the_bytes_of_the_answer_come_back_as_they_are():
    odd = b"\xff\x00 {not JSON} \r\n"
    async with serving(answering(odd, X_Request_Id="r1")) as server:
        reply = await post(server.url)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.content) == (200, odd)
    assert reply.headers["x-request-id"] == reply.headers["X-REQUEST-ID"] == "r1"


@pytest.mark.parametrize("status", [204, 304, 400, 401, 404, 429, 500, 529])
async def test_every_status_is_a_reply_and_none_is_an_error(status):
    """What a status means is for the provider to say."""
    async with serving(answering(b"", f"{status} Odd")) as server:
        reply = await post(server.url)
    assert (reply.status, reply.content) == (status, b"")


async def test_the_request_is_the_body_with_our_headers_each_once():
    async with serving(answering()) as server:
        await post(server.url + "/chat/completions?api-version=2024-10-21")
    (request,) = server.seen
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = [line.split(": ", 1) for line in lines]
    names = [name.lower() for name, _ in headers]
    values = {name.lower(): value for name, value in headers}
    assert first == "POST /v1/chat/completions?api-version=2024-10-21 HTTP/1.1"
    assert body == BODY
    assert values["content-type"] == "application/json"
    assert values["authorization"] == f"Bearer {KEY}"
    assert values["user-agent"].startswith("api-request-parallel-processor/")
    assert sorted(names) == sorted(set(names))
    assert request.count(KEY.encode()) == 1


async def test_requests_share_a_connection_and_no_cookie_is_kept():
    transport = Transport({}, connect_timeout=5, total_timeout=5)
    async with serving(answering(Set_Cookie="id=1; Path=/")) as server, transport:
        for _ in range(3):
            await transport.post(server.url, BODY)
    assert (len(server.seen), len(server.connections)) == (3, 1)
    assert b"cookie" not in b"".join(server.seen).lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed_since_the_key_is_for_one_origin(status):
    async with (
        serving(answering()) as other,
        serving(answering(b"", status, Location=other.url)) as server,
    ):
        reply = await post(server.url)
    assert (reply.status, reply.headers["location"]) == (int(status[:3]), other.url)
    assert (len(server.seen), other.seen, other.connections) == (1, [], [])


async def test_a_compressed_answer_is_decompressed():
    async with serving(answering(gzip.compress(ANSWER), Content_Encoding="gzip")) as server:
        reply = await post(server.url)
    assert reply.content == ANSWER
    assert b"gzip" in server.seen[0].lower()


async def test_an_answer_in_chunks_is_put_together():
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, ANSWER[at : at + 1]) for at in range(len(ANSWER)))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(saying(head + chunks + b"0\r\n\r\n")) as server:
        reply = await post(server.url)
    assert reply.content == ANSWER


# What a network can do.


async def test_a_connection_that_is_refused_was_never_sent():
    outcome = await post(f"http://127.0.0.1:{unused_port()}/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("cannot connect to 127.0.0.1:")


async def test_a_name_that_does_not_resolve_was_never_sent():
    outcome = await post("https://no-such-service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("cannot connect to no-such-service.invalid:443: ")


async def test_a_connection_closed_before_the_answer_may_have_been_executed():
    async with serving(closing) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST
    assert outcome.message == "the connection was closed before the answer"


async def test_a_connection_reset_before_the_answer_may_have_been_executed():
    async with serving(resetting) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + ANSWER,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
    ids=["short", "short chunk", "bad chunk", "bad gzip"],
)
async def test_an_answer_cut_off_or_garbled_is_no_answer(data):
    async with serving(saying(data)) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ],
    ids=["words", "another protocol", "endless header", "endless headers", "bad header"],
)
async def test_what_is_not_http_is_a_failure_on_one_line(data):
    async with serving(saying(data)) as server:
        outcome = await post(server.url + "?key=in-the-url")
    assert told(outcome) == LOST
    assert outcome.message.startswith("the answer is not HTTP: ")
    assert len(outcome.message) < 500
    assert "in-the-url" not in outcome.message


async def test_silence_ends_at_the_deadline_and_may_have_been_billed():
    async with serving(in_silence) as server:
        outcome = await post(server.url, total=0.1)
    assert told(outcome) == TIMED_OUT
    assert outcome.message == "no complete answer in 0.1 s"


async def test_an_answer_that_trickles_for_ever_ends_at_the_deadline():
    async def trickle(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(trickle) as server:
        outcome = await post(server.url, total=0.2)
    assert told(outcome) == TIMED_OUT


async def test_no_connection_in_time_was_never_sent():
    """The server takes the connection and then says nothing, so that TLS never begins."""
    async with serving(in_silence) as server:
        outcome = await post(f"https://127.0.0.1:{server.port}/v1", connect=0.1)
    assert told(outcome) == UNSENT
    assert outcome.message == "no connection in time"


async def test_without_a_deadline_a_slow_answer_is_waited_for():
    async def slowly(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await answering()(request, writer)

    async with serving(slowly) as server:
        reply = await post(server.url, total=None)
    assert reply.content == ANSWER


@pytest.mark.parametrize("way", ["plain", "chunked", "compressed"])
async def test_an_answer_larger_than_any_should_be_is_not_kept(way, monkeypatch):
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1024 * 1024)
    large = b" " * (1024 * 1024 + 1)
    if way == "plain":
        serve = answering(large)
    elif way == "compressed":
        serve = answering(gzip.compress(large), Content_Encoding="gzip")
    else:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        serve = saying(head + b"%x\r\n" % len(large) + large + b"\r\n0\r\n\r\n")
    async with serving(serve) as server:
        outcome = await post(server.url)
    assert outcome == Failure(Kind.BAD_ANSWER, "the answer is larger than 1 MiB", 200)


async def test_an_answer_exactly_as_large_as_allowed_is_kept(monkeypatch):
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1024 * 1024)
    async with serving(answering(b" " * 1024 * 1024)) as server:
        reply = await post(server.url)
    assert len(reply.content) == 1024 * 1024


ODD_URLS = ["http://", "http:///v1", "http://[::1/v1", "http://h:99999/v1", "/v1", ""]


@pytest.mark.parametrize("url", ODD_URLS)
async def test_a_url_that_cannot_be_sent_to_fails_as_every_other_line_would(url):
    assert told(await post(url)) == (Kind.MODEL_CONFIG, False, False)


# Certificates. This one is signed by itself: nobody trusts it, and nothing else uses its key.

SELF_SIGNED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3prQ7//dftPqNbzo
qikt++BZQC6uT6eVwGGVFqMWBhmhRANCAARzJ5JCYa271EbE8go9gEFlnFx0jcPg
QQxcjjW5VkENjjdWsjbYLieUW8S7BAqQp2fequmg//O8RbCh19N89l8U
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUMlegPErFCTSGK+xIxi8dgOci088wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTExMDYzMloYDzIxMjYxMDI4
MTEwNjMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARzJ5JCYa271EbE8go9gEFlnFx0jcPgQQxcjjW5VkENjjdWsjbYLieU
W8S7BAqQp2fequmg//O8RbCh19N89l8Uo28wbTAdBgNVHQ4EFgQUHncSw+GwLr1b
5QWkl05B2ASQpiUwHwYDVR0jBBgwFoAUHncSw+GwLr1b5QWkl05B2ASQpiUwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwCgYIKoZI
zj0EAwIDSAAwRQIgPqi+Du8elQSvuHWZEPQKDraWhgkqYHaVEAP49IaOWPgCIQDg
G6qOEhXPCM7xOR2r4XhRWOITLmGNm6SxSreOg6N/9A==
-----END CERTIFICATE-----
"""


@pytest.fixture
def self_signed(tmp_path) -> ssl.SSLContext:
    pem = tmp_path / "self_signed.pem"
    pem.write_text(SELF_SIGNED, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_a_certificate_that_is_not_trusted_gets_no_request(self_signed):
    async with serving(answering(), self_signed) as server:
        outcome = await post(f"https://127.0.0.1:{server.port}/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("the service's certificate is not trusted: ")
    assert "self-signed" in outcome.message.replace("self signed", "self-signed")
    assert server.seen == []


async def test_a_service_without_tls_gets_no_request_that_wants_it():
    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await post(f"https://127.0.0.1:{port}/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("cannot connect to 127.0.0.1:")


# Proxies.

SECRET = "pr0xy-passw0rd"


@pytest.fixture
def through(monkeypatch):
    def use(port: int, scheme: str = "http") -> None:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:{SECRET}@127.0.0.1:{port}")

    return use


async def test_the_proxy_of_the_environment_is_used(through):
    async with serving(answering()) as proxy:
        through(proxy.port)
        reply = await post("http://service.invalid/v1")
    assert reply.content == ANSWER
    (request,) = proxy.seen
    assert request.startswith(b"POST http://service.invalid/v1 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " in request


async def test_P9_passwords_in_netrc_are_nobodys_business(monkeypatch, tmp_path):
    """A key of ours goes out as it is, and a service without one gets no password from there."""
    (tmp_path / ".netrc").write_text("default login me password secret-of-netrc\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with serving(answering()) as server:
        reply = await post(server.url)
        async with Transport({}, connect_timeout=5, total_timeout=5) as keyless:
            await keyless.post(server.url, BODY)
    assert reply.content == ANSWER
    assert b"\r\nAuthorization: Bearer " in server.seen[0]
    assert b"Authorization" not in server.seen[1]


async def test_a_host_the_environment_exempts_is_asked_directly(through, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with serving(closing) as proxy, serving(answering()) as server:
        through(proxy.port)
        reply = await post(server.url)
    assert reply.content == ANSWER
    assert proxy.seen == []


async def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(through):
    through(unused_port())
    outcome = await post("http://service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("the proxy cannot be reached: ")
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_the_tunnel_is_told_from_the_service(through, status):
    async with serving(answering(b"", status)) as proxy:
        through(proxy.port, "https")
        outcome = await post("https://service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message == f"the proxy answered {status}"
    (request,) = proxy.seen
    assert request.startswith(b"CONNECT service.invalid:443 HTTP/1.1\r\n")
    assert KEY.encode() not in request
    assert SECRET not in repr(outcome)


async def test_a_proxy_that_drops_the_tunnel_is_no_answer(through):
    async with serving(closing) as proxy:
        through(proxy.port, "https")
        outcome = await post("https://service.invalid/v1")
    assert told(outcome)[::2] == (Kind.TRANSIENT, False)
    assert SECRET not in repr(outcome)


# Errors that a loopback cannot make.

URL = "https://llm.example.org/v1/chat/completions"
WHERE = SimpleNamespace(host="llm.example.org", port=443, ssl=True, is_ssl=True)

ERRORS = [
    (aiohttp.ServerDisconnectedError(), LOST, "closed before the answer"),
    (aiohttp.ClientPayloadError("not enough"), LOST, "closed within the answer"),
    (aiohttp.ClientOSError(104, "Connection reset by peer"), LOST, "Connection reset by peer"),
    (aiohttp.ConnectionTimeoutError("timed out"), UNSENT, "no connection in time"),
    (aiohttp.SocketTimeoutError("timed out"), TIMED_OUT, "no complete answer in 5 s"),
    (TimeoutError(), TIMED_OUT, "no complete answer in 5 s"),
    (
        aiohttp.ClientConnectorError(WHERE, OSError(101, "Network is unreachable")),
        UNSENT,
        "cannot connect to llm.example.org:443: Network is unreachable",
    ),
    (
        aiohttp.ClientConnectorDNSError(WHERE, OSError(-3, "Temporary failure")),
        UNSENT,
        "cannot connect to llm.example.org:443: Temporary failure",
    ),
    (
        aiohttp.ClientConnectorCertificateError(
            WHERE, ssl.SSLCertVerificationError("certificate has expired")
        ),
        UNSENT,
        "certificate is not trusted: ('certificate has expired',)",
    ),
    (ConnectionResetError(104, "Connection reset by peer"), LOST, "Connection reset by peer"),
    (OSError(24, "Too many open files"), LOST, "Too many open files"),
    (ValueError("odd\nheader"), UNSENT, "odd header"),
    (aiohttp.ClientError(), LOST, "no reason given"),
]


@pytest.mark.parametrize(("error", "verdict", "words"), ERRORS, ids=[repr(e[0]) for e in ERRORS])
async def test_every_error_of_the_network_becomes_a_failure(error, verdict, words):
    with aioresponses() as service:
        service.post(URL, exception=error)
        outcome = await post(URL)
    assert told(outcome) == verdict
    assert words in outcome.message


async def test_a_bug_of_ours_is_not_taken_for_a_failure_of_the_network():
    with aioresponses() as service:
        service.post(URL, exception=ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await post(URL)


async def test_an_attempt_that_is_cancelled_stays_cancelled():
    async with serving(in_silence) as server:
        attempt = asyncio.create_task(post(server.url))
        await asyncio.sleep(0.05)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    assert len(server.seen) == 1
