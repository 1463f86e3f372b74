"""The exam that every entry of PROVIDERS sits, whatever service it stands for."""

import copy
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import services
from multidict import CIMultiDict

from providers import PROVIDERS
from request_engine import preflight, splice
from request_engine.encodings import encoder
from request_engine.lines import read_line
from request_engine.records import Failure, Kind, Limit, Reply, Request, Success
from request_engine.redaction import Redaction

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = [one.name for one in PROVIDERS]
BY_NAME = {one.name: one for one in PROVIDERS}
KEY = "sk-canary-0123456789abcdefABCDEF"

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=NAMES)


SERVICES = {name: services.of(name) for name in NAMES}


# Which service a URL belongs to.

URLS = [(url, name) for name, service in SERVICES.items() for url in service.urls]
LOOK_ALIKES = [url for service in SERVICES.values() for url in service.look_alikes]


@pytest.mark.parametrize(("url", "name"), URLS, ids=[url for url, _ in URLS])
def test_a_url_selects_its_provider_and_no_other(url, name):
    chosen = preflight.service(PROVIDERS, None, url).provider
    others = [one.name for one in PROVIDERS[:-1] if one.matches(urlsplit(url))]
    assert (chosen.name, others) == (name, [name] if name != NAMES[-1] else [])


@pytest.mark.parametrize("url", LOOK_ALIKES)
def test_a_host_that_only_looks_like_a_known_one_is_unknown(url):
    assert [one.name for one in PROVIDERS if one.matches(urlsplit(url))] == NAMES[-1:]


@each_provider
def test_its_base_url_selects_it_and_without_one_it_has_a_row_above(provider):
    if provider.base_url is None:
        assert provider.name in {name for _, name in URLS}
    else:
        # What people run themselves has no host to be known by: only its name selects it.
        name = None if provider.hosts else provider.name
        assert preflight.service(PROVIDERS, name, provider.base_url).provider is provider


def test_names_and_aliases_each_mean_one_provider():
    names = [name for one in PROVIDERS for name in (one.name, *one.aliases)]
    assert sorted(names) == sorted(set(names))


# What is sent.


def request_of(line: bytes) -> Request:
    request = read_line(1, line)
    assert isinstance(request, Request)
    return request


ODD_BODY = (
    b'{"model": "m", "n": 1.10, "seed": 12345678901234567890, "a": 1, "a": 2, "x": "\\u00e9"}'
)


@each_provider
def test_the_body_is_left_untouched(provider):
    request = request_of(ODD_BODY)
    body, raw = copy.deepcopy(request.body), bytes(request.raw_body)
    provider.wire_body(request, KEY)
    provider.headers(KEY)
    assert (request.body, request.raw_body) == (body, raw)


@each_provider
def test_the_users_own_bytes_reach_the_service(provider):
    sent = provider.wire_body(request_of(ODD_BODY), KEY)
    if provider.name == "lab_gateway":
        assert json.loads(sent) == {"username": KEY, "request": ODD_BODY.decode()}
    else:
        assert sent == ODD_BODY


STREAMED = b'{"model": "m", "n": 1.10, "messages": [], "stream": true, "x": "}" }'
USAGE_WANTED = b', "stream_options": {"include_usage": true}}'
TELL_THEIR_USAGE_UNASKED = {"mistral"}
"""And would refuse to be asked."""


@each_provider
def test_a_streamed_answer_is_asked_for_its_usage_and_the_rest_is_the_users_own(provider):
    request = request_of(STREAMED)
    raw = bytes(request.raw_body)
    for endpoint in ("chat/completions", "completions", None):
        sent = provider.wire_body(request, KEY, endpoint)
        if provider.name == "lab_gateway":
            assert json.loads(sent)["request"] == STREAMED.decode()  # it has no streams
        elif provider.name in TELL_THEIR_USAGE_UNASKED:
            assert sent == STREAMED
        elif endpoint is None and provider.endpoint_of_body(request.body) == "messages":
            assert sent == STREAMED  # a shape that tells it unasked
        else:
            assert sent == STREAMED[:-1] + USAGE_WANTED
            assert json.loads(sent) == request.body | {"stream_options": {"include_usage": True}}
    assert request.raw_body == raw


@pytest.mark.parametrize(
    ("line", "endpoint"),
    [
        (STREAMED, "messages"),
        (STREAMED, "responses"),
        (b'{"model": "m", "input": "x", "max_output_tokens": 9, "stream": true}', None),
        (b'{"model": "text-embedding-x", "input": "x", "stream": true}', None),
        (b'{"messages": [], "stream": true, "stream_options": {"include_usage": false}}', None),
        (b'{"messages": [], "stream": true, "stream_options": null}', None),
        (b'{"messages": [], "stream": false}', None),
        (b'{"messages": [], "stream": 1}', None),
        (b'{"messages": []}', None),
    ],
)
@each_provider
def test_every_other_body_is_sent_as_it_is(provider, line, endpoint):
    if provider.name != "lab_gateway":
        assert provider.wire_body(request_of(line), KEY, endpoint) == line


def test_a_line_of_a_batch_is_asked_in_the_shape_of_its_own_path():
    line = b'{"custom_id": "1", "url": "/v1/%s", "body": {"messages": [], "stream": true}}'
    sent = [
        BY_NAME["openai_compatible"].wire_body(request_of(line % path), KEY)
        for path in (b"messages", b"chat/completions", b"elsewhere")
    ]
    assert [USAGE_WANTED in one for one in sent] == [False, True, True]


def test_a_service_that_would_refuse_the_option_is_not_asked_for_the_usage():
    class Strict(type(BY_NAME["openai_compatible"])):
        stream_usage_option = False

    assert Strict().wire_body(request_of(STREAMED), KEY) == STREAMED


@each_provider
def test_the_key_is_sent_once(provider):
    sent = repr(provider.headers(KEY)) + provider.wire_body(request_of(ODD_BODY), KEY).decode()
    assert sent.count(KEY) == 1


@each_provider
def test_without_a_key_nothing_pretends_to_be_one(provider):
    assert set(provider.headers(None)) <= {"anthropic-version"}
    assert b"None" not in provider.wire_body(request_of(ODD_BODY), None)


def test_azure_takes_its_own_key_and_a_token_of_entra():
    azure = BY_NAME["azure"]
    assert azure.headers("0123abcd") == {"api-key": "0123abcd"}
    assert azure.headers("eyJ0.eyJh.c2ln") == {"Authorization": "Bearer eyJ0.eyJh.c2ln"}


# What comes back, at its worst.

STATUSES = [
    *(200, 204, 301, 307, 400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 498),
    *(500, 502, 503, 504, 520, 524, 529),
]
RETRY_AFTER = ["7", "nan", "soon, hopefully", "-3"]
DIGITS = b"9" * 5_000
CHOICES = b'{"choices": [{"message": {"content": "ok"}}]}'


def nested(depth: int, core: bytes = b"") -> bytes:
    return b"[" * depth + core + b"]" * depth


def enveloped(raw: object, **more: object) -> bytes:
    return json.dumps({"raw": raw, **more}).encode()


UGLY = {
    "empty": b"",
    "whitespace": b" \r\n\t \n",
    "NUL": b"\x00",
    "HTML": b"<html><head><title>502 Bad\nGateway</title></head><body>...</body></html>",
    "HTML without a title": b"<!DOCTYPE html><p>Sorry!</p>",
    "HTML with an empty title": b"<title></title>",
    "truncated": b'{"choices": [{"message": {"content": "hel',
    "two objects": b"{}{}",
    "words": b"upstream connect error or disconnect/reset before headers",
    "list": b"[]",
    "list of errors": b'[{"error": {"code": 429, "message": "slow down"}}]',
    "list of lists": b"[[[]]]",
    "null": b"null",
    "true": b"true",
    "string": b'"Too many requests"',
    "blank string": b'" "',
    "number": b"42",
    "object": b"{}",
    "string error": b'{"error": "no"}',
    "blank error": b'{"error": " "}',
    "null error": b'{"error": null}',
    "empty error": b'{"error": {}}',
    "true error": b'{"error": true}',
    "number error": b'{"error": 7}',
    "list error": b'{"error": [1, 2]}',
    "error of nulls": b'{"error": {"message": null, "type": null, "code": null}}',
    "error of blanks": b'{"error": {"message": " \\n ", "type": "", "code": ""}}',
    "error of lists": b'{"error": {"message": [], "type": [], "code": [1], "innererror": [2]}}',
    "error of objects": b'{"error": {"message": {"a": 1}, "code": {"b": 2}, "metadata": 3}}',
    "error with a number": b'{"error": {"message": "no", "code": 1e400}}',
    "error over many lines": b'{"error": {"message": "one\\ntwo\\r\\nthree\\u2028four"}}',
    "huge error": b'{"error": {"message": "' + b"word\\n " * 20_000 + b'"}}',
    "detail": b'{"detail": [{"loc": ["body"], "msg": "field required"}]}',
    "flat": b'{"code": 20012, "message": "no such model", "data": null}',
    "flat without words": b'{"code": "Throttling"}',
    "choices null": b'{"choices": null}',
    "choices empty": b'{"choices": []}',
    "choices of nulls": b'{"choices": [null]}',
    "choices number": b'{"choices": 5}',
    "choices true": b'{"choices": true}',
    "choices string": b'{"choices": "abc"}',
    "choices object": b'{"choices": {"0": {}}}',
    "odd usage": CHOICES[:-1] + b', "usage": {"prompt_tokens": -1, "total_tokens": NaN}}',
    "list usage": CHOICES[:-1] + b', "usage": [1]}',
    "output null": b'{"output": null}',
    "output string": b'{"output": "text"}',
    "output odd": b'{"output": {"choices": 3, "text": null, "embeddings": {}}}',
    "status": b'{"status": "failed", "output": []}',
    "incomplete": b'{"status": "incomplete", "incomplete_details": 7, "output": [1]}',
    "NaN": b'{"choices": [{"message": {"content": "ok"}, "logprobs": NaN}], "x": -Infinity}',
    "NaN, alone": b"NaN",
    "BOM": b"\xef\xbb\xbf" + CHOICES,
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbf" + CHOICES,
    "UTF-16": CHOICES.decode().encode("utf-16"),
    "not UTF-8": b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
    "odd blanks": "\u00a0\u2003".encode() + CHOICES + b"\x0c\x1c",
    "deep": b'{"error": ' + nested(800) + b"}",
    "deeper": b'{"error": ' + nested(985) + b"}",
    "deepest": nested(100_000),
    "deep and NaN": CHOICES[:-1] + b', "x": ' + nested(900, b"NaN") + b"}",
    "5,000 digits": b'{"choices": [{"message": {"content": "ok"}}], "created": ' + DIGITS + b"}",
    "5,000 digits of a code": b'{"error": {"message": "no", "code": ' + DIGITS + b"}}",
    "5,000 digits of usage": CHOICES[:-1] + b', "usage": {"prompt_tokens": ' + DIGITS + b"}}",
    "lone surrogate": b'{"error": {"message": "\\ud83d"}}',
    "raw that is not JSON": enveloped("<html>busy</html>"),
    "raw that is cut off": enveloped('{"choices": [{"mess'),
    "raw that is empty": enveloped(""),
    "raw that is not a string": enveloped({"choices": [{"message": {"content": "ok"}}]}),
    "raw that is null": enveloped(None),
    "raw with an error": enveloped('{"error": {"message": "slow down", "code": "slow_down"}}'),
    "raw that is deep": enveloped(nested(5_000).decode()),
    "raw with a lone surrogate": b'{"raw": "{\\"choices\\": [{\\"text\\": \\"\\ud83d\\"}]}"}',
    "credits that are odd": b'{"raw": "{\\"choices\\": [{\\"text\\": \\"\\"}]}",'
    b' "credits_total": ' + nested(900) + b', "credits_consumed": NaN}',
}

ECHOES = {
    "error": json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}."}}),
    "string error": json.dumps({"error": f"no user {KEY}"}),
    "nested echo": json.dumps({"error": {"request": {"headers": {"Authorization": KEY}}}}),
    "string": json.dumps(f"Bearer {KEY}"),
    "words": f"invalid: {KEY}",
    "glued words": f"x{KEY}x",
    "HTML": f"<html><title>{KEY}</title>{KEY}</html>",
    "cut within a title": f"<title>{'x' * 185}{KEY}{'y' * 50}</title>",
    "cut within a message": json.dumps({"error": {"message": "x" * 1_980 + KEY + "y" * 90}}),
    "cut within a text": "x" * 1_985 + KEY + "y" * 90,
    "answer": json.dumps({"choices": [{"message": {"content": KEY}}]}),
    "request": json.dumps({"username": KEY, "request": f'{{"username": "{KEY}"}}'}),
    "request beside an error": json.dumps({"error": "no", "username": KEY, "request": KEY}),
    "request beside raw": json.dumps(
        {"raw": '{"choices": [{"text": "ok"}]}', "username": KEY, "credits_total": f"20$ {KEY}"}
    ),
    "raw": enveloped(f'{{"error": "{KEY}"}}').decode(),
}


def ugly_replies(content: bytes):
    """*content* with every status: each without a hint, and with one of them by turns."""
    for number, status in enumerate(STATUSES, len(content)):
        for hint in (None, RETRY_AFTER[number % len(RETRY_AFTER)]):
            headers = CIMultiDict({"Retry-After": hint} if hint is not None else {})
            if 300 <= status < 400:
                headers["Location"] = "https://elsewhere.example/"
            yield Reply(status, headers, content)


def wall() -> float:
    return 1_800_000_000.0


def assert_is_an_outcome(outcome, status):
    if isinstance(outcome, Success):
        assert 200 <= status < 300
        assert isinstance(splice.parse(outcome.response.decode()), dict)
        assert b"\n" not in outcome.response
        assert b"NaN" not in outcome.response + (outcome.extra or b"")
        return
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.message, str)
    assert outcome.message.strip()
    assert len(outcome.message.splitlines()) == 1
    assert len(outcome.message) < 2_500
    assert len(outcome.raw or "") <= 2_000
    assert outcome.wait is None or 0 <= outcome.wait < float("inf")
    assert outcome.limit is None or outcome.kind is Kind.RATE_LIMIT


@each_provider
@pytest.mark.parametrize("content", UGLY.values(), ids=UGLY.keys())
def test_every_status_with_every_ugly_reply_gives_an_outcome(provider, content):
    """Whatever comes back, `read` says what it means; it never raises."""
    for reply in ugly_replies(content):
        assert_is_an_outcome(provider.read(reply, wall), reply.status)


REFUSED = b'{"error": {"message": "no: on tokens per min (TPM)", "code": "rate_limit_exceeded"}}'


@each_provider
def test_a_refusal_for_speed_names_its_limit(provider):
    outcome = provider.read(Reply(429, CIMultiDict(), REFUSED), wall)
    assert (outcome.kind, outcome.limit) == (Kind.RATE_LIMIT, Limit.TOKENS)


@each_provider
@pytest.mark.parametrize("text", ["60", "0", "-1", "1e999", "nan", "", "soon"])
def test_whatever_limits_its_headers_tell_they_are_positive_or_none(provider, text):
    names = ("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens")
    told = provider.announced(CIMultiDict(dict.fromkeys(names, text)))
    for limit in (told.requests, told.tokens, told.input_tokens, told.output_tokens):
        assert limit is None or 0 < limit < float("inf")


@each_provider
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_the_key_is_in_no_outcome_whatever_the_service_echoes(provider, echo):
    hide = Redaction(KEY).outcome
    for reply in ugly_replies(echo.encode()):
        outcome = hide(provider.read(reply, wall))
        assert_is_an_outcome(outcome, reply.status)
        assert KEY[:12] not in repr(outcome)


@each_provider
def test_the_key_is_not_told_when_the_service_redirects_to_it(provider):
    there = {"location": f"https://elsewhere.example/?key={KEY}"}
    outcome = Redaction(KEY).outcome(provider.read(Reply(302, there, b""), wall))
    assert "elsewhere.example" in outcome.message
    assert KEY[:12] not in repr(outcome)


def test_a_short_user_name_is_hidden_in_failures_and_credits_but_may_be_a_word_of_an_answer():
    hide = Redaction("rose").outcome
    gateway = BY_NAME["lab_gateway"]
    refused = Reply(200, {}, b'{"error": "user rose (rose) is unknown, roses are not"}')
    assert hide(gateway.read(refused)).message == "user [key] ([key]) is unknown, roses are not"
    raw = '{"choices": [{"message": {"content": "a rose"}}]}'
    answered = Reply(200, {}, enveloped(raw, username="rose", credits_total="1$ of rose"))
    outcome = hide(gateway.read(answered))
    assert outcome.response == raw.encode()
    assert outcome.extra == b'{"credits_total": "1$ of [key]"}'


# Its example files.


def examples_of(provider) -> list[Path]:
    """The files whose name begins with the provider's, unless a longer name fits better."""
    if SERVICES[provider.name].examples:
        return list(SERVICES[provider.name].examples)
    return [
        path
        for path in sorted(EXAMPLES.glob("*.jsonl"))
        if not path.stem.endswith("_results")
        and max((name for name in NAMES if path.stem.startswith(name)), key=len, default="")
        == provider.name
    ]


EXAMPLE_URLS = {stem: url for one in SERVICES.values() for stem, url in one.example_urls.items()}


@each_provider
def test_every_provider_has_an_example(provider):
    stems = {path.stem for path in examples_of(provider)}
    assert provider.name in stems or SERVICES[provider.name].examples


@each_provider
def test_every_line_of_its_examples_is_a_request_with_a_price_in_tokens(provider):
    encode = encoder("o200k_base")
    for path in examples_of(provider):
        url = EXAMPLE_URLS.get(path.stem, provider.base_url)
        address = preflight.service(PROVIDERS, provider.name, url).address
        lines = path.read_bytes().splitlines()
        assert lines, path.name
        for number, line in enumerate(lines, 1):
            request = read_line(number, line)
            assert isinstance(request, Request), f"{path.name} {request}"
            endpoint = address.endpoint(request)
            assert provider.prompt_tokens(request.body, endpoint, encode) > 0, path.name
            embeds = "embedding" in endpoint or "embedding" in path.stem or "inputs" in request.body
            completion = provider.completion_tokens(request.body, endpoint)
            assert (completion == 0) is embeds, f"{path.name} line {number}: {endpoint}"


# Its recorded or documented replies.

ANSWERS = [(name, one) for name in NAMES for one in SERVICES[name].answers]
REFUSALS = [(name, one) for name in NAMES for one in SERVICES[name].refusals]


@pytest.mark.parametrize(
    ("name", "answered"), ANSWERS, ids=[f"{name} {one.what}" for name, one in ANSWERS]
)
def test_its_reply_is_a_success_with_usage_and_the_services_own_spelling(name, answered):
    outcome = BY_NAME[name].read(Reply(200, {}, answered.content))
    assert outcome == Success(answered.text.encode(), answered.usage, answered.extra)


@pytest.mark.parametrize(
    ("name", "refused"), REFUSALS, ids=[f"{name}: {one.what}" for name, one in REFUSALS]
)
def test_what_it_refuses_or_fails_is_judged_as_it_means_it(name, refused):
    outcome = services.judged(BY_NAME[name], refused)
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.wait, outcome.limit) == (
        refused.kind,
        pytest.approx(refused.wait),
        refused.limit,
    )


@each_provider
def test_a_reply_is_spliced_onto_one_line_whatever_its_layout(provider):
    spread = '\r\n\n{\n\t"choices": [\r\n{"message": {"content": "a\\nb"}}]\n, "x": 1.10}\n\n'
    told = '{ \t"choices": [  {"message": {"content": "a\\nb"}}] , "x": 1.10}'
    content = spread if provider.name != "lab_gateway" else json.dumps({"raw": spread})
    assert provider.read(Reply(200, {}, content.encode())) == Success(told.encode())


@each_provider
def test_the_key_in_an_answer_is_hidden_there_too(provider):
    text = json.dumps({"choices": [{"message": {"content": f"your key is {KEY}"}}]})
    content = text if provider.name != "lab_gateway" else json.dumps({"raw": text})
    outcome = Redaction(KEY).outcome(provider.read(Reply(200, {}, content.encode())))
    assert outcome.response == text.replace(KEY, "[key]").encode()
