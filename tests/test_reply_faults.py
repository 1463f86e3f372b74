"""Faults that come as replies, each with what a run makes of it: 429s, outages, odd 200s."""

import asyncio
import json
import threading

import pytest
from scripted import Service, answer, error, request
from virtual_time import run

import api_request_parallel_processor as door
from providers.any_other import AnyOther
from request_engine.local_endpoint import Settings, serving
from request_engine.records import Failure, Kind, Reply, Success
from request_engine.stopping import Abandoned

DATE = "Sat, 21 Nov 2026 12:00:00 GMT"


def refused(message="slow down", **headers):
    return error(429, message, "rate_limit_exceeded", **headers)


SHORT = 0.11, 0.15
"""Seconds of the first pause after a refusal that says nothing of use."""


@pytest.mark.parametrize(
    ("refusal", "least", "most"),
    [
        (refused(), *SHORT),
        (refused(retry_after="2"), 2, 2.1),
        (refused(retry_after="1.5"), 1.5, 1.6),
        (refused(retry_after="Sat, 21 Nov 2026 12:00:03 GMT", date=DATE), 3, 3.1),
        (refused(retry_after="Sat, 21 Nov 2026 11:00:00 GMT", date=DATE), *SHORT),
        (refused(retry_after_ms="250"), 0.25, 0.35),
        (refused(retry_after="0"), *SHORT),
        (refused(retry_after="-1"), *SHORT),
        (refused("Please try again in 424ms."), 0.424, 0.5),
        (refused("Rate limit reached, retry after 30 seconds"), 30, 30.1),
        (
            refused(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="6m0s"),
            60,
            60.1,
        ),
        (refused(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="120ms"), 0.12, 0.2),
        (refused(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="7"), 7, 7.1),
        (refused(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="-1"), *SHORT),
        (refused(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="0"), *SHORT),
    ],
    ids=[
        *("none", "seconds", "float", "date", "past-date", "milliseconds", "zero", "negative"),
        *("words-ms", "words-s", "reset-6m0s", "reset-120ms", "reset-int", "reset-minus-1"),
        "reset-0",
    ],
)
def test_fault_429_storm(refusal, least, most):
    """Forty are refused at once: one pause by the service's hint, one probe, then all the rest."""
    flights = []

    async def scenario():
        service = Service([refusal] * 40 + [answer()], latency=0.0, max_wait=100.0)
        post = service.target.post

        async def timed(url, body):
            flights.append((asyncio.get_running_loop().time(), service.budget.in_flight))
            return await post(url, body)

        service.target.post = timed
        outcomes = await asyncio.gather(*(service.send(request(n)) for n in range(40)))
        return service, outcomes

    service, outcomes = run(scenario())
    assert all(isinstance(one, Success) for one in outcomes)
    assert service.tally.refusals == 40
    probe, in_flight = flights[40]
    assert least <= probe <= most
    assert in_flight == 1
    assert len(service.sent) == 80


def test_fault_429_that_asks_for_a_day_stops_the_run_with_its_words():
    async def scenario():
        service = Service([refused("quota used up, retry after 86400 seconds")], max_wait=3_600.0)
        with pytest.raises(Abandoned):
            await service.send(request())
        return service

    service = run(scenario())
    assert "asks to wait 86,400 s, longer than --max_wait 3,600" in service.stopping.reason
    assert "retry after 86400 seconds" in service.stopping.reason
    assert len(service.sent) == 1


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 507, 520, 529, 408, 409, 425, 499])
def test_fault_5xx_and_its_like(status):
    """Tried again, an attempt used each time, and a failed row if it does not pass."""

    async def scenario(replies):
        service = Service(replies, max_attempts=3)
        return await service.send(request()), len(service.sent)

    passing, sent = run(scenario([error(status), answer()]))
    staying, most = run(scenario([error(status)]))
    assert (type(passing), sent) == (Success, 2)
    assert (staying.kind, staying.status, most) == (Kind.TRANSIENT, status, 3)


def test_fault_503_with_retry_after():
    """Its hint is waited for, and an attempt is used: it is no refusal for speed."""

    async def scenario():
        service = Service([error(503, "overloaded", retry_after="20"), answer()], max_attempts=2)
        outcome = await service.send(request())
        return outcome, asyncio.get_running_loop().time(), service.tally.refusals

    outcome, took, refusals = run(scenario())
    assert isinstance(outcome, Success)
    assert 20 <= took <= 20.1
    assert refusals == 0


ODD = {
    "error body": ('{"error": {"message": "no", "code": 500}}', Kind.TRANSIENT),
    "error text": ('{"error": "something went wrong"}', Kind.BAD_ANSWER),
    "choices null": ('{"id": "1", "choices": null, "usage": null}', Kind.BAD_ANSWER),
    "no choices": ('{"id": "1", "choices": []}', Kind.BAD_ANSWER),
    "a list": ("[1, 2]", Kind.BAD_ANSWER),
    "a string": ('"all is well"', Kind.BAD_ANSWER),
    "null": ("null", Kind.BAD_ANSWER),
    "flat, without an error key": (
        '{"code": 50505, "message": "Model service overloaded.", "data": null}',
        Kind.BAD_ANSWER,
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_fault_200_with_an_error_or_no_answer(name):
    """P5: never an answer, and what it said is in the row."""
    text, kind = ODD[name]
    outcome = AnyOther().read(Reply(200, {}, text.encode()))
    assert isinstance(outcome, Failure)
    assert outcome.kind is kind
    assert outcome.raw == text


def test_fault_429_with_a_body_like_a_success():
    """The status is believed where the body states no error; a flat message is one."""
    body = answer().content
    flat = b'{"message": "Request was rejected due to rate limiting. TPM limit reached."}'
    for content in (body, flat):
        assert AnyOther().read(Reply(429, {}, content)).kind is Kind.RATE_LIMIT


def test_fault_html_empty_whitespace_or_truncated_reply():
    read = AnyOther().read
    transient = (b"<html><title>Bad</title></html>", b"", b" \n\n\r\n ")
    broken = (b'{"choices": [{"message": {"con', b"not json", b'{"a": 1} {"b": 2}')
    assert {read(Reply(200, {}, one)).kind for one in transient} == {Kind.TRANSIENT}
    assert {read(Reply(200, {}, one)).kind for one in broken} == {Kind.BAD_ANSWER}


WHOLE = answer().content.decode()


@pytest.mark.parametrize(
    "content",
    [
        WHOLE.encode(),
        b"\xef\xbb\xbf" + WHOLE.encode(),
        WHOLE.replace('"yes"', '"yes", "logprob": NaN').encode(),
        WHOLE.replace('"yes"', '"no", "content": "yes"').encode(),
        WHOLE.replace('"yes"', '"yes", "n": ' + "1" * 10_000).encode(),
        WHOLE.replace('"yes"', '"yes\\ud800"').encode(),
    ],
    ids=["plain", "BOM", "NaN", "duplicate keys", "10,000 digits", "lone surrogate"],
)
def test_fault_odd_json_that_is_an_answer(content):
    """Whatever its content type: an answer that was paid for is kept, as valid JSON on one line."""
    outcome = AnyOther().read(Reply(200, {"content-type": "text/html"}, content))
    assert isinstance(outcome, Success)
    assert b"\n" not in outcome.response
    assert b"NaN" not in outcome.response
    assert b"yes" in outcome.response


@pytest.mark.parametrize(
    "content",
    [b'{"choices": "\xff\xfe"}', b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ids=["invalid UTF-8", "deep nesting"],
)
def test_fault_json_that_cannot_be_read(content):
    outcome = AnyOther().read(Reply(200, {}, content))
    assert isinstance(outcome, Failure)
    assert outcome.kind is Kind.BAD_ANSWER
    assert len(outcome.raw) <= 2_000


def test_fault_running_loop_threads_and_repeated_runs(tmp_path):
    """The function works in a running loop, in threads at once, and again after `asyncio.run`."""
    line = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    done = []

    async def one(name):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps(line) + "\n")
        async with serving(Settings()) as endpoint:
            summary = await door.process_api_requests_from_file(
                str(path), request_url=endpoint.url + "/v1/chat/completions"
            )
        done.append((name, summary.tally.succeeded))

    async def two_in_one_loop():
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(two_in_one_loop())
    asyncio.run(one("again"))
    threads = [threading.Thread(target=lambda n=n: asyncio.run(one(n))) for n in ("t1", "t2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [(name, 1) for name in ("a", "again", "b", "t1", "t2")]
