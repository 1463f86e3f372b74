"""Whatever comes in, from the user's files or from a service, is judged and raises nothing.

The streams of events are fuzzed in test_event_stream.py. A long sweep is
`HYPOTHESIS_EXAMPLES=20000 pytest tests/test_fuzz.py`.
"""

import asyncio
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from providers import PROVIDERS
from request_engine import retry_after
from request_engine.errors import BadInput
from request_engine.identity import content_id
from request_engine.lines import read_line
from request_engine.records import Failure, Kind, Reply, Request, Success, Unusable
from request_engine.results_file import ResultsFile
from request_engine.rows import array_row, batch_row, read_row

often = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "100")),
    deadline=None,  # other programs may be busy
    suppress_health_check=[HealthCheck.too_slow],
)

shared = settings(often, max_examples=often.max_examples * 2 // 5)
"""For each provider: most of what they do is the same."""

# JSON, and what is only nearly so.

ODD_TEXTS = ["", "\0", "\n", "\r", "\u2028", "\u0085", "\\", '"', "é", "你", "\U0001f600", "../.."]
texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=8)
numbers = st.integers() | st.floats() | st.sampled_from([2**53 + 1, -0.0, 1e400, 10**400])
leaves = st.none() | st.booleans() | numbers | texts


def trees(keys):
    """Values of JSON, NaN and Infinity included, whose objects have such *keys*."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=10,
    )


def spelled(value, *, plain, indent):
    return json.dumps(value, ensure_ascii=plain, indent=indent).encode("utf-8", "surrogatepass")


def documents(values):
    """*values* as bytes: compact or laid out, escaped or not, lone surrogates raw or escaped."""
    return st.builds(spelled, values, plain=st.booleans(), indent=st.none() | st.just(1))


RAW = [
    *(b"NaN", b"-Infinity", b"1e999", b"9" * 5_000, b'"\\ud800"', b'"\xff"', b"\xed\xa0\x80"),
    *(b"\0", b"\xef\xbb\xbf", b"\n", b"\r\n", b"{}", b"[", b"]", b"{", b"}", b",", b":", b'"'),
    *(b"\\u", b"[" * 2_000, b'{"a":' * 2_000, b"data: ", b": ", b"<html>", b"null", b"[DONE]"),
    b"event: error\n",
]


@st.composite
def damaged(draw, sound):
    """Bytes from *sound* with some taken out, put in, or cut off."""
    data = draw(sound)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 9)))
        inserted = draw(st.sampled_from(RAW) | st.binary(max_size=4))
        data = data[:start] + inserted + data[end:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


# The line parser, and all that is done with what it reads.

LINE_KEYS = ["model", "messages", "metadata", "custom_id", "method", "url", "body", "input", ""]
bodies = st.dictionaries(st.sampled_from(LINE_KEYS) | texts, trees(texts), max_size=5)
lines = documents(
    bodies
    | st.fixed_dictionaries({"custom_id": leaves, "url": leaves, "body": bodies})
    | st.lists(bodies | leaves, max_size=5)
    | leaves
)


@often
@given(line=damaged(lines) | st.binary(max_size=40))
@example(line=b'{"metadata": {"\\ud800": "\\udfff"}, "metadata": NaN}')
@example(line=b'{"custom_id": "\\ud800", "url": "/v1/x", "body": {"": 1e999}}')
@example(line=b'{"n": ' + b"9" * 4_301 + b', "metadata": ' + b"9" * 4_300 + b"}")
def test_P4_any_line_is_a_request_or_a_failed_row_and_is_known_again(line):
    """The row of each, in both spellings and with either outcome, tells which line it is of."""
    item = read_line(7, line)
    if item is None:
        assert not line.strip(b"\xef\xbb\xbf\v\f \t\r\n")
        return
    if isinstance(item, Request):
        content = content_id(item.body, item.metadata)
        outcomes = [Success(b"{}"), Success(b"{}", extra=b"{}"), Failure(Kind.TRANSIENT, "no")]
    else:
        assert isinstance(item, Unusable)
        assert item.message.startswith("line 7: ")
        content = content_id(json.loads(item.raw_body), None)
        outcomes = [Failure(Kind.BAD_REQUEST, item.message)]
    for outcome in outcomes:
        for spelling in (array_row, batch_row):
            row = spelling(item, outcome)
            assert row.endswith(b"\n")
            assert row.count(b"\n") == 1
            found = read_row(row)
            assert found == (content, isinstance(outcome, Success))


# Rows of earlier runs, or what is left of them.

rows = documents(
    st.lists(bodies | leaves | st.lists(bodies, max_size=2), max_size=5)
    | st.fixed_dictionaries(
        {"id": texts | st.sampled_from(["batch_req_", "batch_req_zz", "batch_req_" + "ab" * 16])},
        optional={"response": leaves | bodies, "error": leaves | bodies},
    )
)


@often
@given(row=damaged(rows) | st.binary(max_size=40))
@example(row=b'{"id": "batch_req_\\ud800"}')
@example(row=b'{"id": "batch_req_0"}')
@example(row=b"[{}, {}, " + b"[" * 100_000)
def test_any_bytes_are_a_row_or_are_said_to_be_none(row):
    try:
        found = read_row(row)
    except (ValueError, RecursionError):
        return
    assert isinstance(found[0], bytes)
    assert isinstance(found[1], bool)


# Hints how long to wait.

HINTS = [
    *("retry-after", "Retry-After", "retry-after-ms", "date", "x-ratelimit-reset"),
    *("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    *("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
]
SPELLINGS = [
    *("0", "-1", "1e308", "1e-320", "inf", "nan", "0x10", "1_000", "١٢", "²", "9" * 400, "1e400"),
    *("6m0s", "120ms", "1d99999999999h", "9" * 400 + "s", "0.s", "1h1h1h", "s", "-5s"),
    *("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT", "1 Jan 0000 00:00:00"),
    *("Fri, 31 Dec 9999 23:59:59 -2359", "1 Jan 0001 00:00:00 +2359", "0001-01-01T00:00:00+23:59"),
    *("9999-12-31T23:59:59.999999-23:59", "2024-02-30", "24:00", "1700000000", "1700000000000"),
]
hints = st.sampled_from(SPELLINGS) | st.text(max_size=20) | numbers.map(str)
hints |= st.lists(hints, max_size=3).map(" ".join)
headers = st.dictionaries(st.sampled_from(HINTS) | texts, hints, max_size=5).map(CIMultiDict)
WORDS = ["try again in", "retry after", "wait for", "reset in about", "Please", "\n", "seconds", ""]
messages = st.lists(st.sampled_from(WORDS) | hints, max_size=6).map(" ".join)


def sane(wait):
    return wait is None or (isinstance(wait, float) and math.isfinite(wait) and wait >= 0)


@often
@given(headers=headers, message=messages, now=st.floats(0, 4e9))
def test_any_hint_is_a_time_to_wait_or_none(headers, message, now):
    assert sane(retry_after.wait(headers, message, lambda: now))


# The judge of every provider.

REPLY_KEYS = [
    *("choices", "message", "content", "finish_reason", "delta", "text", "index", "data", "output"),
    *("embedding", "error", "code", "type", "status", "msg", "detail", "metadata", "innererror"),
    *("usage", "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens"),
    *("output_tokens", "raw", "credits", "username", "request", "response", "header", "results"),
    *("stop_reason", "base_resp", "status_code", "status_msg", "object", "id", "model", "event"),
]
payloads = trees(st.sampled_from(REPLY_KEYS) | texts)
answers = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(
            st.fixed_dictionaries(
                {"finish_reason": leaves | st.sampled_from(["stop", "length", "content_filter"])},
                optional={"message": payloads, "text": leaves, "index": leaves, "delta": payloads},
            )
            | payloads,
            max_size=2,
        ),
        "usage": payloads,
        "error": payloads,
        "data": payloads,
        "output": payloads,
        "content": payloads,
        "type": st.sampled_from(["message", "error", "message_start", "response.completed"]),
    },
)
plain = documents(answers | payloads)
events = st.lists(
    st.sampled_from([b"event: error\n", b": x\n", b"data: [DONE]\n\n", b"event: message_start\n"])
    | plain.map(lambda data: b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"),
    max_size=4,
).map(b"".join)
enveloped = (plain | events).map(
    lambda data: json.dumps({"raw": data.decode("utf-8", "surrogatepass"), "credits": 1}).encode()
)
contents = damaged(plain | events | enveloped) | st.binary(max_size=40) | st.sampled_from(RAW)
statuses = st.sampled_from([200, 200, 200, 201, 307, 400, 401, 404, 429, 500, 529])
statuses |= st.integers(100, 999)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
@shared
@given(status=statuses, headers=headers, content=contents)
@example(status=200, headers=CIMultiDict(), content=b'{"raw": "\\ud800"}')
@example(status=429, headers=CIMultiDict({"location": "\ud800"}), content=b"\xff" * 9_000)
@example(status=200, headers=CIMultiDict(), content=b'{"usage": {"prompt_tokens": 1e999}}')
def test_P5_any_reply_is_a_success_or_a_failure_of_some_kind(provider, status, headers, content):
    """A success is JSON on one line; a failure says something, and asks for a sane wait if any."""
    outcome = provider.read(Reply(status, headers, content), lambda: 1.7e9)
    request = read_line(1, b'{"model": "m", "metadata": 7}')
    if isinstance(outcome, Success):
        assert 200 <= status < 300
        assert b"\n" not in outcome.response
        assert b"\r" not in outcome.response
        assert isinstance(json.loads(outcome.response, parse_constant=pytest.fail), dict)
    else:
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.kind, Kind)
        assert outcome.message.strip()
        assert sane(outcome.wait)
        assert outcome.raw is None or len(outcome.raw.encode("utf-8", "replace")) <= 4 * 2_000
    if outcome.usage is not None:
        assert min(outcome.usage.prompt, outcome.usage.completion) >= 0
    for spelling in (array_row, batch_row):
        assert read_row(spelling(request, outcome))[1] == isinstance(outcome, Success)


# Recovery of whatever stands in a results file.

IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where flushing a file costs nothing."""
ANSWERED = [b'[{"a": %d}, {"ok": 1}]\n' % number for number in range(3)]
FAILED = b'[{"a": 9}, [{"kind": "transient", "message": "no"}]]\n'
FOREIGN = [
    *(b"a note\n", b"[1, 2]\n", b'[{"a": 1}, {"ok": 1}][{"a": 2}, {"ok": 1}]\n', b"\xff\xfe\n"),
    *(b"\0\0\0\n", b'{"model": "m"}\n', b"[{}, \n"),
]
pieces = st.sampled_from([*ANSWERED, *ANSWERED, FAILED, *FOREIGN, b"\n", b"\r\n", b" \n"])
tails = st.sampled_from([b"", b"\0", b"\0" * 9_000, ANSWERED[0][:-1], ANSWERED[0][:9], FAILED[:-1]])
files = st.builds(lambda whole, tail: b"".join(whole) + tail, st.lists(pieces, max_size=9), tails)


def recovered(path, *, keep_failures=False):
    """What is found in the file at *path*, which is mended."""
    file = ResultsFile(str(path))
    try:
        return asyncio.run(file.recover(keep_failures=keep_failures))
    finally:
        file.close()


@often
@given(data=files | damaged(files) | st.binary(max_size=60), keep=st.booleans())
@example(data=b"".join(ANSWERED) + FAILED + b"[{", keep=False)
@example(data=ANSWERED[0] + b"NaN" + FAILED + ANSWERED[0], keep=False)  # no row ends in one
def test_P2_any_results_file_is_mended_for_good_or_left_as_it_is(data, keep):
    """No whole answer goes, what was torn off is kept aside, and a second look changes nothing."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        path, torn = Path(folder, "r.jsonl"), Path(folder, "r.jsonl.torn")
        path.write_bytes(data)
        try:
            found = recovered(path, keep_failures=keep)
        except BadInput:
            assert path.read_bytes() == data
            assert os.listdir(folder) == ["r.jsonl"]
            return
        mended = path.read_bytes()
        aside = torn.read_bytes() if found.torn else b""

        assert not mended or mended.endswith(b"\n")
        assert found.torn == torn.exists()
        for answer in ANSWERED:
            assert mended.count(answer) >= data.count(answer)
        assert keep or FAILED not in mended.splitlines(keepends=True)
        tail = data.rstrip(b"\0").rpartition(b"\n")[2]
        assert not tail or tail in mended + aside or not keep

        if found.unreadable > len(found.answered) + len(found.kept):
            return  # its failures gone, it is mostly something else, and would be refused now
        again = recovered(path, keep_failures=keep)
        assert path.read_bytes() == mended
        assert not again.torn
        assert not again.zeros
        assert (len(again.answered), len(again.kept)) == (len(found.answered), len(found.kept))
        assert set(os.listdir(folder)) <= {"r.jsonl", "r.jsonl.torn"}
