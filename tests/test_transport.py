"""Bytes go out and come back unchanged, and in any case something comes back."""

import asyncio
import contextlib
import gzip
import json
import os
import socket

import aiohttp
import pytest
from aioresponses import aioresponses
from loopback import (
    ANSWER,
    BODY,
    CHUNKED,
    CUT_SHORT,
    EVENTS,
    FIRST,
    KEY,
    LAST,
    LOST,
    UNSENT,
    Reading,
    answering,
    chunk,
    closing,
    dripping,
    half_closing,
    in_silence,
    post,
    resetting,
    saying,
    serving,
    then,
    told,
    transport_to,
    writing,
)

from providers.any_other import AnyOther
from request_engine import transport as transport_module
from request_engine.ready_post import TRIED
from request_engine.records import Failure, Kind, Reply
from request_engine.transport import LARGE_BODY

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
    transport = transport_to()
    async with serving(answering(Set_Cookie="id=1; Path=/")) as server, transport:
        for _ in range(3):
            await transport.post(server.url, BODY)
    assert (len(server.seen), len(server.connections)) == (3, 1)
    assert b"cookie" not in b"".join(server.seen).lower()


async def test_what_came_before_the_request_is_not_its_answer():
    """A service may say 408 to a connection that was idle, and leave it open."""
    unasked = writing(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    async with serving(then(answering(), unasked)) as server, transport_to() as transport:
        await transport.post(server.url, BODY)
        await asyncio.sleep(0.05)
        outcome = await transport.post(server.url, BODY)
    assert told(outcome) == LOST
    assert outcome.stale
    assert len(server.seen) == 1


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


async def test_a_large_body_goes_out_as_it_is():
    body = os.urandom(3_000_000)
    async with serving(answering()) as server, transport_to() as transport:
        await transport.post(server.url, body)
    head, _, sent = server.seen[0].partition(b"\r\n\r\n")
    assert sent == body
    assert b"\r\nContent-Type: application/json\r\n" in head


LARGE = b"a" * LARGE_BODY
ELSEWHERE = "https://service.invalid/v1/chat/completions"


async def post_large():
    async with transport_to() as transport:
        return await transport.post(ELSEWHERE, LARGE)


async def test_what_goes_by_the_session_is_the_body_and_what_comes_back_are_the_bytes():
    """The general way, which large bodies, proxies and odd URLs go."""
    odd = b"\xff\x00 {not JSON} \r\n"
    with aioresponses() as service:
        service.post(ELSEWHERE, body=odd, status=429, headers={"Retry-After": "7"})
        reply = await post_large()
    ((asked,),) = service.requests.values()
    assert asked.kwargs["data"].getvalue() == LARGE
    assert isinstance(reply, Reply), reply
    assert (reply.status, reply.content, reply.headers["retry-after"]) == (429, odd, "7")


async def test_by_the_session_a_redirect_is_not_followed_either():
    """P9: the key and the body are for one origin."""
    other = "https://other.invalid/v1"
    with aioresponses() as service:
        service.post(ELSEWHERE, status=307, headers={"Location": other})
        service.post(other, body=ANSWER)
        reply = await post_large()
    assert isinstance(reply, Reply), reply
    assert reply.status == 307
    assert [str(url) for _, url in service.requests] == [ELSEWHERE]


@pytest.mark.parametrize(
    "error", [aiohttp.ClientConnectionError("no route"), ConnectionResetError("by peer")]
)
async def test_by_the_session_a_network_error_is_a_failure(error):
    with aioresponses() as service:
        service.post(ELSEWHERE, exception=error)
        assert told(await post_large()) == UNSENT


def test_the_installed_aiohttp_is_one_that_the_usual_way_knows():
    """With another its session sends everything, and the tests here are of that alone."""
    assert aiohttp.__version__.startswith(TRIED)


ODD_URLS = ["http://", "http:///v1", "http://[::1/v1", "http://h:99999/v1", "/v1", ""]


@pytest.mark.parametrize("url", ODD_URLS)
async def test_a_url_that_cannot_be_sent_to_fails_as_every_other_line_would(url):
    assert told(await post(url)) == (Kind.MODEL_CONFIG, False, False)


async def test_a_slow_answer_is_waited_for():
    async with serving(then(dripping(b"", b"", times=5), answering())) as server:
        reply = await post(server.url)
    assert reply.content == ANSWER


async def test_what_happens_is_known_while_it_happens():
    async with serving(then(writing(CUT_SHORT), in_silence)) as server, transport_to() as transport:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert transport.waiting_since() is None
        assert transport.moved_at <= begun
        attempt = asyncio.create_task(transport.post(server.url, BODY))
        await asyncio.sleep(0.05)
        assert begun <= transport.waiting_since() <= transport.moved_at <= loop.time()
        attempt.cancel()
        await asyncio.wait([attempt])
        assert transport.waiting_since() is None


async def test_a_bug_of_ours_is_not_taken_for_a_failure_of_the_network(monkeypatch):
    def buggy(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(socket, "getaddrinfo", buggy)
    with pytest.raises(ZeroDivisionError):
        await post("https://service.invalid/v1")


async def test_an_attempt_that_is_cancelled_stays_cancelled():
    async with serving(in_silence) as server:
        attempt = asyncio.create_task(post(server.url))
        await asyncio.sleep(0.05)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    assert len(server.seen) == 1


async def test_the_system_probes_a_silent_connection(monkeypatch):
    """Boxes on the way forget a connection that is silent while the model thinks."""
    options = set()
    set_option = socket.socket.setsockopt

    def noted(self, level, option, value):
        options.add((level, option, value))
        set_option(self, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", noted)
    async with serving(answering()) as server:
        await post(server.url)
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in options
    idle = getattr(socket, "TCP_KEEPIDLE", None) or socket.TCP_KEEPALIVE
    assert (socket.IPPROTO_TCP, idle, 60) in options


# What is too large.


@pytest.mark.parametrize("way", ["plain", "chunked", "compressed"])
async def test_an_answer_larger_than_any_should_be_is_not_kept(way, monkeypatch):
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1024 * 1024)
    large = b" " * (1024 * 1024 + 1)
    if way == "plain":
        serve = answering(large)
    elif way == "compressed":
        serve = answering(gzip.compress(large), Content_Encoding="gzip")
    else:
        serve = saying(CHUNKED + chunk(large) + b"0\r\n\r\n")
    async with serving(serve) as server:
        outcome = await post(server.url)
    assert outcome == Failure(Kind.BAD_ANSWER, "the answer is larger than 1 MiB", 200)


async def test_an_answer_exactly_as_large_as_allowed_is_kept(monkeypatch):
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1024 * 1024)
    async with serving(answering(b" " * 1024 * 1024)) as server:
        reply = await post(server.url)
    assert len(reply.content) == 1024 * 1024


# Answers that come event by event.


async def test_a_stream_of_events_comes_back_as_one_answer_and_its_connection_is_used_again():
    whole = writing(EVENTS + FIRST + LAST + b"0\r\n\r\n")
    async with serving(whole) as server, transport_to(assembler=Reading) as transport:
        for _ in range(2):
            reply = await transport.post(server.url, BODY)
            assert (reply.status, reply.content) == (200, b'{"read": 24}')
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [("200 OK", "application/json"), ("500 Oh", "text/event-stream")]
)
async def test_what_is_no_stream_of_an_answer_comes_back_as_it_is(status, kind):
    async with serving(answering(status=status, Content_Type=kind)) as server:
        reply = await post(server.url, assembler=Reading)
    assert reply.content == ANSWER


async def test_a_stream_that_is_cut_off_closes_the_connection_at_once():
    """So that the service stops, and no more is paid for."""
    closed = asyncio.Event()

    async def repeating(request: bytes, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await dripping(EVENTS, chunk(b"data: again and again\n\n"))(request, writer)
        closed.set()

    async with serving(repeating) as server, transport_to(assembler=Reading) as transport:
        outcome = await transport.post(server.url, BODY)
        await asyncio.wait_for(closed.wait(), 5)
    assert outcome == Failure(Kind.BAD_ANSWER, "it repeats itself")


async def test_a_stream_that_breaks_is_no_answer():
    async with serving(then(writing(EVENTS + FIRST), resetting)) as server:
        outcome = await post(server.url, assembler=Reading)
    assert told(outcome) == LOST
    assert outcome.message == "the connection was closed within the answer"


@pytest.mark.parametrize("afterwards", [resetting, half_closing, closing, in_silence])
async def test_nothing_that_follows_a_complete_stream_takes_the_answer_away(afterwards):
    async with serving(then(writing(EVENTS + FIRST + LAST), afterwards)) as server:
        reply = await post(server.url, assembler=Reading, progress=0.3)
    assert reply.content == b'{"read": 24}'


async def test_a_stream_that_breaks_after_its_last_sentence_is_an_answer():
    """Every choice has ended and only the closing word is missing: it was paid for."""
    choice = {"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}
    said = b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode()
    async with serving(then(writing(EVENTS + chunk(said)), resetting)) as server:
        reply = await post(server.url, assembler=AnyOther().assembler)
    assert isinstance(reply, Reply), reply
    assert json.loads(reply.content)["choices"][0]["message"]["content"] == "ok"
