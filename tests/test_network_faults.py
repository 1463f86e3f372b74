"""Whatever a network does becomes a failure that says so; each fault of the table has its test."""

import asyncio
import errno
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import certificates
import pytest
from loopback import (
    ANSWER,
    BODY,
    CHUNKED,
    CUT_SHORT,
    EVENTS,
    FIRST,
    KEY,
    LOST,
    TIMED_OUT,
    UNSENT,
    Reading,
    answering,
    chunk,
    closing,
    dripping,
    half_closing,
    in_silence,
    in_turn,
    post,
    resetting,
    saying,
    serving,
    then,
    told,
    transport_to,
    unused_port,
    writing,
)

from request_engine import network_errors
from request_engine import transport as transport_module
from request_engine.records import Failure, Kind

ROOT = Path(transport_module.__file__).resolve().parent.parent


@pytest.fixture(autouse=True, params=["ready", "by aiohttp's session"])
def _either_way_out(request, monkeypatch):
    """Small bodies go out one way, large ones and those for a proxy the other."""
    if request.param != "ready":
        monkeypatch.setattr(transport_module, "LARGE_BODY", 0)


async def test_a_connection_that_is_refused_was_never_sent():
    outcome = await post(f"http://127.0.0.1:{unused_port()}/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("cannot connect to 127.0.0.1:")


async def test_fault_dns_failure():
    outcome = await post("https://no-such-service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("cannot connect to no-such-service.invalid:443: ")


async def test_fault_dns_flap(monkeypatch):
    """A name that cannot be looked up now may be found by the next attempt."""
    look_up, flaps = socket.getaddrinfo, [socket.gaierror(socket.EAI_AGAIN, "try again")]

    def flapping(host, *arguments, **options):
        if flaps and host == "service.invalid":
            raise flaps.pop()
        return look_up("127.0.0.1" if host == "service.invalid" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", flapping)
    async with serving(answering()) as server, transport_to() as transport:
        url = f"http://service.invalid:{server.port}/v1"
        assert told(await transport.post(url, BODY)) == UNSENT
        reply = await transport.post(url, BODY)
    assert reply.content == ANSWER


async def test_fault_dns_hangs(monkeypatch):
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(10) and [])
    try:
        outcome = await post("http://service.invalid/v1", connect=0.1)
    finally:
        found.set()
    assert told(outcome) == UNSENT
    assert outcome.message == "no connection within 0.1 s"


@pytest.mark.parametrize(("connect", "total"), [(0.1, 5.0), (5.0, 0.1)])
async def test_no_connection_in_time_was_never_sent(connect, total):
    """The server takes the connection and then says nothing, so that TLS never begins."""
    async with serving(in_silence) as server:
        url = f"https://127.0.0.1:{server.port}/v1"
        outcome = await post(url, connect=connect, total=total)
    assert told(outcome) == UNSENT
    assert outcome.message == "no connection within 0.1 s"


async def test_fault_closed_before_the_first_byte():
    async with serving(closing) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST
    assert outcome.message == "the connection was closed before the answer"


async def test_fault_reset_before_the_first_byte():
    async with serving(resetting) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST
    assert outcome.message.startswith("the connection broke: ")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-", "the connection broke: "),
        (CUT_SHORT, "the connection was closed within the answer"),
        (CHUNKED + chunk(ANSWER), "the connection was closed within the answer"),
    ],
    ids=["head", "length", "chunks"],
)
async def test_fault_reset_after_the_first_byte(data, words):
    async with serving(then(writing(data), resetting)) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST
    assert outcome.message.startswith(words)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-", CUT_SHORT])
async def test_fault_half_close(data):
    """The service sends no more, though it would still read."""
    async with serving(then(writing(data), half_closing)) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST


@pytest.mark.parametrize(
    "data",
    [
        CUT_SHORT,
        CHUNKED + b"5\r\n{",
        CHUNKED + b"nonsense\r\n",
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
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ],
    ids=["words", "another protocol", "endless header", "bad header"],
)
async def test_what_is_not_http_is_a_failure_on_one_line(data):
    async with serving(saying(data)) as server:
        outcome = await post(server.url + "?key=in-the-url")
    assert told(outcome) == LOST
    assert outcome.message.startswith("the answer is not HTTP: ")
    assert len(outcome.message) < 500
    assert "in-the-url" not in outcome.message


async def test_fault_endless_headers():
    endless = dripping(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 1_000, every=0)
    async with serving(endless) as server:
        outcome = await post(server.url)
    assert told(outcome) == LOST
    assert outcome.message.startswith("the answer is not HTTP: ")


async def test_fault_stale_reused_socket():
    """A connection that the service closes just as it is used again is told from a new one."""
    for breaking in (closing, resetting, half_closing):
        async with serving(in_turn(answering(), breaking)) as server, transport_to() as transport:
            await transport.post(server.url, BODY)
            outcome = await transport.post(server.url, BODY)
        assert told(outcome) == LOST
        assert (outcome.stale, outcome.maybe_billed) == (True, True)
        assert len(server.connections) == 1


async def test_fault_reset_on_a_fresh_socket_is_not_stale():
    for breaking in (closing, resetting):
        async with serving(breaking) as server:
            outcome = await post(server.url)
        assert not outcome.stale


@pytest.mark.parametrize("data", [b"HTTP/1.1 2", CUT_SHORT], ids=["head", "body"])
async def test_a_reused_connection_that_breaks_after_the_first_byte_is_not_stale(data):
    """The service has read the request."""
    second = then(writing(data), closing)
    async with serving(in_turn(answering(), second)) as server, transport_to() as transport:
        await transport.post(server.url, BODY)
        outcome = await transport.post(server.url, BODY)
    assert told(outcome) == LOST
    assert not outcome.stale


# What takes too long.


async def test_silence_ends_at_the_first_byte_deadline_and_may_have_been_billed():
    async with serving(in_silence) as server:
        outcome = await post(server.url, first_byte=0.1)
    assert told(outcome) == TIMED_OUT
    assert outcome.message == "no answer within 0.1 s of sending (nothing came)"


async def test_a_service_that_does_not_read_ends_at_the_first_byte_deadline():
    async with serving(in_silence) as server, transport_to(first_byte=0.1) as transport:
        outcome = await transport.post(server.url, b"x" * 30_000_000)
    assert told(outcome) == TIMED_OUT


async def test_an_answer_that_stops_ends_at_the_progress_deadline():
    async with serving(then(writing(CUT_SHORT), in_silence)) as server:
        outcome = await post(server.url, progress=0.1)
    assert told(outcome) == TIMED_OUT
    assert outcome.message == f"the answer stopped for 0.1 s after {len(ANSWER)} bytes"


async def test_fault_slowloris_head():
    """One byte at a time is no answer as long as the head is not through."""
    async with serving(dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x")) as server:
        outcome = await post(server.url, first_byte=0.1)
    assert told(outcome) == TIMED_OUT
    assert outcome.message == "no answer within 0.1 s of sending (nothing came)"


async def test_fault_slowloris_body():
    """One byte at a time is progress, and ends at the total deadline."""
    async with serving(dripping(CHUNKED, chunk(b"x"))) as server:
        outcome = await post(server.url, progress=0.3, total=0.5)
    assert told(outcome) == TIMED_OUT
    assert outcome.message.startswith("no complete answer in 0.5 s (only ")


@pytest.mark.parametrize(
    ("head", "part"),
    [(CHUNKED, b"\n"), (CHUNKED, b" \r\n"), (EVENTS, b": keep-alive\n\n"), (EVENTS, b"\n:\n")],
    ids=["blank lines", "blanks", "SSE comments", "SSE empty comments"],
)
async def test_fault_blank_lines_or_sse_comments_for_ever(head, part):
    """What only keeps the connection open is not an answer, however long it goes on."""
    async with serving(dripping(head, chunk(part))) as server:
        outcome = await post(server.url, first_byte=0.15)
    assert told(outcome) == TIMED_OUT
    seen = "only blank or keep-alive lines came"
    assert outcome.message == f"no answer within 0.15 s of sending ({seen})"


async def test_an_answer_after_many_blank_lines_is_an_answer():
    """Some services send them for minutes while the request waits in their queue."""
    queued = dripping(CHUNKED, chunk(b"\n"), times=20)
    late = then(queued, writing(chunk(ANSWER) + b"0\r\n\r\n"))
    async with serving(late) as server:
        reply = await post(server.url, progress=0.1)
    assert reply.content.lstrip() == ANSWER


async def test_fault_sse_comments_for_ever_within_a_stream():
    silent = then(writing(EVENTS + FIRST), dripping(b"", chunk(b": keep-alive\n\n")))
    async with serving(silent) as server:
        outcome = await post(server.url, assembler=Reading, progress=0.15)
    assert told(outcome) == TIMED_OUT
    assert outcome.message.startswith("the answer stopped for 0.15 s after ")


# What is too large.


async def test_fault_1_gb_answer(monkeypatch):
    """It is not read to its end."""
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1024 * 1024)
    sent = 0

    async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while sent < 10**9:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with serving(endless) as server:
        outcome = await post(server.url)
    assert outcome == Failure(Kind.BAD_ANSWER, "the answer is larger than 1 MiB", 200)
    assert sent < 100_000_000


def bomb(encoding: str) -> bytes:
    """64 MiB of zeros."""
    zeros = bytes(64 * 1024 * 1024)
    if encoding == "br":
        brotli = pytest.importorskip("brotli", reason="aiohttp reads br only where this is")
        return brotli.compress(zeros, quality=5)
    if encoding == "zstd":
        zstd = pytest.importorskip(
            "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
            reason="aiohttp reads zstd only where this is",
        )
        return zstd.compress(zeros)
    return gzip.compress(zeros) if encoding == "gzip" else zlib.compress(zeros)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_fault_compression_bomb(encoding, monkeypatch):
    """It is taken apart step by step, never at once: aiohttp before 3.14.1 did that."""
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1024 * 1024)
    async with serving(answering(bomb(encoding), Content_Encoding=encoding)) as server:
        tracemalloc.start()
        try:
            outcome = await post(server.url)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome == Failure(Kind.BAD_ANSWER, "the answer is larger than 1 MiB", 200)
    assert most < 8 * 1024 * 1024


# Redirects.

REDIRECTS = ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize(
    "target", ["/other/path", "http://other.invalid/v1", "http://127.0.0.1:{}"]
)
async def test_fault_redirect_to_another_path_host_or_port(status, target):
    """It is not followed: the key is for one origin, and a POST may turn into a GET."""
    async with serving(answering()) as other:
        location = target.format(other.port)
        async with serving(answering(b"", status, Location=location)) as server:
            reply = await post(server.url)
    assert (reply.status, reply.headers["location"]) == (int(status[:3]), location)
    assert (len(server.seen), other.connections) == (1, [])


# Certificates.


@pytest.fixture
def certified(tmp_path):
    """TLS with one of our certificates, and the file of the authority that signed it."""

    def use(certificate: str) -> tuple[ssl.SSLContext, Path]:
        pem = tmp_path / "service.pem"
        pem.write_text(certificates.KEY + certificate, encoding="ascii")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        authority = tmp_path / "authority.pem"
        authority.write_text(certificate, encoding="ascii")
        return context, authority

    return use


async def test_fault_tls_self_signed(certified):
    """It gets no request; the failure says how to trust it."""
    context, _ = certified(certificates.TRUSTED)
    async with serving(answering(), context) as server:
        outcome = await post(f"https://127.0.0.1:{server.port}/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("the service's certificate is not trusted: ")
    assert "self-signed" in outcome.message.replace("self signed", "self-signed")
    assert outcome.message.endswith("to trust a private authority, name its file in SSL_CERT_FILE")
    assert server.seen == []


ASK = """
import asyncio, sys
from request_engine.transport import Transport

async def ask():
    names = ("connect_timeout", "first_byte_timeout", "progress_timeout", "total_timeout")
    async with Transport({}, **dict.fromkeys(names, 10.0)) as service:
        outcome = await service.post(sys.argv[1], b"{}")
    print(getattr(outcome, "message", None) or outcome.status, end="")

asyncio.run(ask())
"""


async def asked_trusting(authority: Path, url: str) -> str:
    """What a process says to a service whose *authority* it was told to trust."""
    environment = os.environ | {"SSL_CERT_FILE": str(authority)}
    command = [sys.executable, "-W", "error", "-c", ASK, url]
    settings = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    ran = await asyncio.to_thread(subprocess.run, command, timeout=60, **settings)
    assert ran.stderr == ""
    return ran.stdout


async def test_fault_redirect_from_https_to_http(certified):
    """A private authority is trusted by SSL_CERT_FILE; and still no redirect is followed."""
    context, authority = certified(certificates.TRUSTED)
    async with serving(answering()) as other:
        serve = answering(b"", "307 Temporary", Location=other.url)
        async with serving(serve, context) as server:
            said = await asked_trusting(authority, f"https://127.0.0.1:{server.port}/v1")
    assert said == "307"
    assert (len(server.seen), other.connections) == (1, [])


@pytest.mark.parametrize(
    ("certificate", "words"),
    [(certificates.EXPIRED, "certificate has expired"), (certificates.ELSEWHERE, "mismatch")],
    ids=["expired", "wrong host"],
)
async def test_fault_tls_expired_or_wrong_host(certified, certificate, words):
    """Trusting who signed does not help."""
    context, authority = certified(certificate)
    async with serving(answering(), context) as server:
        said = await asked_trusting(authority, f"https://127.0.0.1:{server.port}/v1")
    assert said.startswith("the service's certificate is not trusted: ")
    assert words in said
    assert "SSL_CERT_FILE" not in said
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
        async with transport_to(key=None) as keyless:
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


async def test_fault_proxy_refuses(through):
    port = unused_port()
    through(port)
    outcome = await post("http://service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith(f"the proxy http://127.0.0.1:{port} cannot be reached: ")
    assert SECRET not in repr(outcome)


async def test_fault_proxy_with_a_name_that_is_not_found(monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@proxy.invalid:3128")
    outcome = await post("https://service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith("the proxy http://proxy.invalid:3128 cannot be reached: ")
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_fault_proxy_407(through, status):
    """A proxy that refuses the tunnel is told from the service."""
    async with serving(answering(b"", status)) as proxy:
        through(proxy.port, "https")
        outcome = await post("https://service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message == f"the proxy http://127.0.0.1:{proxy.port} answered {status}"
    (request,) = proxy.seen
    assert request.startswith(b"CONNECT service.invalid:443 HTTP/1.1\r\n")
    assert KEY.encode() not in request
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("dropping", [closing, resetting, saying(b"SSH-2.0-OpenSSH_9.6\r\n")])
async def test_fault_proxy_drops_connect(through, dropping):
    """The service saw nothing of it."""
    async with serving(dropping) as proxy:
        through(proxy.port, "https")
        outcome = await post("https://service.invalid/v1")
    assert told(outcome) == UNSENT
    assert outcome.message.startswith(f"the proxy http://127.0.0.1:{proxy.port} made no tunnel: ")
    assert SECRET not in repr(outcome)


async def test_fault_proxy_hangs_at_connect(through):
    async with serving(in_silence) as proxy:
        through(proxy.port, "https")
        outcome = await post("https://service.invalid/v1", connect=0.1)
    assert told(outcome) == UNSENT
    assert outcome.message == "no connection within 0.1 s"


# Errors that a loopback cannot make.

URL = "https://llm.example.org/v1/chat/completions"
WHERE = SimpleNamespace(host="llm.example.org", port=443, ssl=True, is_ssl=True)
PROXY = "http://proxy.example.org:3128"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


BEFORE_SENDING = [
    (
        aiohttp.ClientConnectorError(WHERE, OSError(errno.ENETUNREACH, "Network is unreachable")),
        "cannot connect to llm.example.org:443: Network is unreachable",
    ),
    (
        aiohttp.ClientConnectorDNSError(WHERE, OSError(-3, "Temporary failure")),
        "cannot connect to llm.example.org:443: Temporary failure",
    ),
    (
        aiohttp.ClientConnectorCertificateError(WHERE, ssl.SSLCertVerificationError(1, "too old")),
        "the service's certificate is not trusted: too old",
    ),
    (aiohttp.ServerDisconnectedError(), "no connection: the connection was closed before"),
    (OSError(errno.EMFILE, "Too many open files"), "the connection broke: Too many open files"),
    (ValueError("odd\nheader"), "it cannot be sent: odd header"),
    (aiohttp.ClientError(), "ClientError: no reason given"),
]
AFTER_SENDING = [
    (aiohttp.ServerDisconnectedError(), "the connection was closed before the answer"),
    (aiohttp.ClientPayloadError("not enough"), "the connection was closed within the answer"),
    (
        aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"),
        "the connection broke: Connection reset by peer",
    ),
    (
        caused(
            aiohttp.ClientOSError(None, f"Can not write request body for {URL}?key={KEY}"),
            aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
        ),
        "the connection broke: Cannot write to closing transport",
    ),
    (
        caused(
            aiohttp.ClientConnectionError(f"Failed to send into Connection<{KEY}>"),
            RuntimeError("unable to perform operation"),
        ),
        "the connection broke: unable to perform operation",
    ),
    (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "the connection broke: "),
    (aiohttp.ClientError(), "ClientError: no reason given"),
]


def named(rows: list[tuple[Exception, str]]) -> Any:
    ids = [type(error).__name__ for error, _ in rows]
    return pytest.mark.parametrize(("error", "words"), rows, ids=ids)


@named(BEFORE_SENDING)
def test_every_error_before_sending_is_a_failure_that_was_not_sent(error, words):
    outcome = network_errors.failure_of(error, sent=False, unanswered_again=False, proxy=None)
    assert told(outcome) == UNSENT
    assert words in outcome.message


@named(AFTER_SENDING)
def test_every_error_after_sending_is_a_failure_that_may_have_been_billed(error, words):
    outcome = network_errors.failure_of(error, sent=True, unanswered_again=False, proxy=PROXY)
    assert told(outcome) == LOST
    assert words in outcome.message
    assert KEY not in outcome.message


def test_only_a_broken_connection_is_stale():
    stale = [
        network_errors.failure_of(error, sent=True, unanswered_again=True, proxy=None).stale
        for error, _ in AFTER_SENDING
    ]
    assert stale == [True, False, True, True, False, False, False]
