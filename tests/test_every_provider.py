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
from request_engine.records import Failure, Kind, Limit, Reply, Request, Success, Usage
from request_engine.redaction import Redaction

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = [one.name for one in PROVIDERS]
BY_NAME = {one.name: one for one in PROVIDERS}
KEY = "sk-canary-0123456789abcdefABCDEF"

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=NAMES)


SERVICES = {name: services.of(name) for name in NAMES}


# Which service a URL belongs to.

URLS = [
    *((url, name) for name, service in SERVICES.items() for url in service.urls),
    ("https://api.openai.com/v1/chat/completions", "openai"),
    ("https://api.openai.com/v1", "openai"),
    ("https://API.OpenAI.com:443/v1/responses", "openai"),
    ("https://eu.api.openai.com/v1/embeddings", "openai"),
    ("https://us.api.openai.com/v1/completions", "openai"),
    (
        "https://lab.openai.azure.com/openai/deployments/gpt-4o/chat/completions"
        "?api-version=2024-10-21",
        "azure",
    ),
    ("https://lab.openai.azure.com/openai/v1/chat/completions", "azure"),
    ("https://lab.cognitiveservices.azure.com/openai/v1/embeddings", "azure"),
    ("https://lab.services.ai.azure.com/openai/v1/responses", "azure"),
    ("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions", "aliyun"),
    ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/embeddings", "aliyun"),
    ("https://dashscope-us.aliyuncs.com/compatible-mode/v1/chat/completions", "aliyun"),
    ("https://coding.dashscope.aliyuncs.com/v1/chat/completions", "aliyun"),
    ("https://coding-intl.dashscope.aliyuncs.com/v1/chat/completions", "aliyun"),
    ("https://llm-a1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1/embeddings", "aliyun"),
    ("https://llm-a1.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1", "aliyun"),
    (
        "https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation",
        "aliyun",
    ),
    (
        "https://dashscope.aliyuncs.com/api/v1/services/embeddings/text-embedding/text-embedding",
        "aliyun",
    ),
    ("https://api.deepinfra.com/v1/openai/chat/completions", "deepinfra"),
    ("https://api.deepinfra.com/v1/inference/meta-llama/Meta-Llama-3-8B-Instruct", "deepinfra"),
    ("http://192.0.2.7:8088/gpt", "lab_gateway"),
    ("http://192.0.2.7:8088/claude", "lab_gateway"),
    ("http://192.0.2.7:8088/gpt/", "lab_gateway"),
    ("http://gateway.example/claude", "lab_gateway"),
    ("http://localhost:8000/v1/chat/completions", "openai_compatible"),
    ("http://127.0.0.1:11434/v1/embeddings", "openai_compatible"),
    ("http://[::1]:8000/v1/chat/completions", "openai_compatible"),
    ("https://llm.example.org/v1/chat/completions", "openai_compatible"),
    ("https://openrouter.ai/api/v1/chat/completions", "openai_compatible"),
    ("http://192.0.2.7:8088/gpt/v1/chat/completions", "openai_compatible"),
    ("http://192.0.2.7:8088/?path=/gpt", "openai_compatible"),
]

LOOK_ALIKES = [
    *(url for service in SERVICES.values() for url in service.look_alikes),
    "https://api.openai.com.evil.example/v1/chat/completions",
    "https://evil.example/?api.openai.com",
    "https://evil.example/api.openai.com/v1/chat/completions",
    "https://evil.example/v1/chat/completions#api.openai.com",
    "https://api.openai.com@evil.example/v1/chat/completions",
    "https://api.openai.com:sk@evil.example/v1/chat/completions",
    "https://notapi.openai.com.example/v1",
    "https://evilapi.openai.com/v1",
    "https://openai.com/v1/chat/completions",
    "https://openai.azure.com/openai/v1/chat/completions",
    "https://lab.openai.azure.com.evil.example/openai/v1/chat/completions",
    "https://labopenai.azure.com/openai/v1/chat/completions",
    "https://dashscope.aliyuncs.com.evil.example/compatible-mode/v1/chat/completions",
    "https://evildashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
    "https://maas.aliyuncs.com/compatible-mode/v1/chat/completions",
    "https://api.deepinfra.com.evil.example/v1/openai/chat/completions",
]


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
        assert preflight.service(PROVIDERS, None, provider.base_url).provider is provider


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


@each_provider
def test_a_streamed_answer_is_asked_for_its_usage_and_the_rest_is_the_users_own(provider):
    request = request_of(STREAMED)
    raw = bytes(request.raw_body)
    for endpoint in ("chat/completions", "completions", None):
        sent = provider.wire_body(request, KEY, endpoint)
        if provider.name == "lab_gateway":
            assert json.loads(sent)["request"] == STREAMED.decode()  # it has no streams
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
    assert provider.headers(None) == {}
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
RETRY_AFTER = [None, "7", "nan", "soon, hopefully", "-3"]
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
    for status in STATUSES:
        for hint in RETRY_AFTER:
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
    return [
        path
        for path in sorted(EXAMPLES.glob("*.jsonl"))
        if not path.stem.endswith("_results")
        and max((name for name in NAMES if path.stem.startswith(name)), key=len, default="")
        == provider.name
    ]


EXAMPLE_URLS = {
    **{stem: url for one in SERVICES.values() for stem, url in one.example_urls.items()},
    "azure": "https://lab.openai.azure.com",
    "deepinfra_native": "https://api.deepinfra.com/v1/inference/meta-llama/Meta-Llama-3-8B",
    "lab_gateway": "http://192.0.2.7:8088/gpt",
    "lab_gateway_claude": "http://192.0.2.7:8088/claude",
    "lab_gateway_embeddings": "http://192.0.2.7:8088/gpt",
    "openai_compatible": "http://localhost:8000/v1",
}


@each_provider
def test_every_provider_has_an_example(provider):
    assert (EXAMPLES / f"{provider.name}.jsonl").is_file()


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

# Key order, 1.10 and 20 digits tell whether a reply was spelled again.
CHAT = (
    '{"id": "chatcmpl-1", "object": "chat.completion", "created": 12345678901234567890, '
    '"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", '
    '"content": "caf\\u00e9"}, "logprobs": null, "finish_reason": "stop"}], "score": 1.10, '
    '"usage": {"total_tokens": 21, "prompt_tokens": 9, "completion_tokens": 12, '
    '"completion_tokens_details": {"reasoning_tokens": 8}}}'
)
COMPLETION = (
    '{"id": "cmpl-1", "object": "text_completion", "choices": [{"text": " a test", "index": 0, '
    '"logprobs": null, "finish_reason": "length"}], "p": 1.10, "n": 12345678901234567890, '
    '"usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}'
)
EMBEDDINGS = (
    '{"object": "list", "data": [{"object": "embedding", "index": 0, '
    '"embedding": [1.10, -0.0, 1e-7]}], "model": "text-embedding-3-small", '
    '"n": 12345678901234567890, "usage": {"prompt_tokens": 8, "total_tokens": 8}}'
)
RESPONSES = (
    '{"id": "resp_1", "object": "response", "status": "completed", "error": null, '
    '"incomplete_details": null, "output": [{"type": "message", "role": "assistant", '
    '"content": [{"type": "output_text", "text": "hi", "annotations": []}]}], '
    '"temperature": 1.10, "created_at": 12345678901234567890, "usage": {"input_tokens": 36, '
    '"input_tokens_details": {"cached_tokens": 4}, "output_tokens": 87, '
    '"output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 123}}'
)
MESSAGE = (
    '{"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", '
    '"text": "Hi!"}], "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, '
    '"cache_read_input_tokens": 200, "output_tokens": 25}}'
)
ALIYUN_TEXT = (
    '{"status_code": 200, "request_id": "c1", "code": "", "message": "", "output": {"text": null, '
    '"finish_reason": null, "choices": [{"finish_reason": "stop", "message": {"role": '
    '"assistant", "content": "\u4f60\u597d"}}]}, "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"input_tokens": 22, "output_tokens": 17, "total_tokens": 39}}'
)
ALIYUN_PLAIN_TEXT = (
    '{"output": {"finish_reason": "stop", "text": "ok"}, "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"total_tokens": 39, "output_tokens": 17, "input_tokens": 22}, "request_id": "c2"}'
)
ALIYUN_EMBEDDINGS = (
    '{"status_code": 200, "request_id": "c3", "code": "", "message": "", "output": {"embeddings": '
    '[{"embedding": [-0.0260, 1.10], "text_index": 0}]}, "usage": {"total_tokens": 26}, '
    '"y": 12345678901234567890}'
)
DEEPINFRA_TEXT = (
    '{"request_id": "R7", "inference_status": {"status": "succeeded", "runtime_ms": 243, '
    '"cost": 2.436e-05, "tokens_generated": 16, "tokens_input": 14}, "results": '
    '[{"generated_text": "Hi there"}], "num_tokens": 16, "num_input_tokens": 14, "x": 1.10, '
    '"y": 12345678901234567890}'
)
DEEPINFRA_EMBEDDINGS = (
    '{"embeddings": [[0.1, 1.10], [2, 3]], "input_tokens": 42, "request_id": null, '
    '"inference_status": {"status": "unknown"}, "y": 12345678901234567890}'
)
AZURE_CHAT = (
    '{"choices": [{"content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}, '
    '"finish_reason": "stop", "index": 0, "message": {"content": "ok", "role": "assistant"}}], '
    '"prompt_filter_results": [{"prompt_index": 0}], "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"completion_tokens": 33, "prompt_tokens": 557, "total_tokens": 590}}'
)
FOLDED = (
    '{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}], "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"prompt_tokens": 10, "completion_tokens": 5, '
    '"total_tokens": 115, "completion_tokens_details": {"reasoning_tokens": 100}}}'
)

REPLIES = [
    *((name, one.what, one.text, one.usage) for name in NAMES for one in SERVICES[name].answers),
    ("openai", "chat", CHAT, Usage(9, 12)),
    ("openai", "completions", COMPLETION, Usage(5, 7)),
    ("openai", "embeddings", EMBEDDINGS, Usage(8, 0)),
    ("openai", "responses", RESPONSES, Usage(36, 87)),
    ("azure", "chat", AZURE_CHAT, Usage(557, 33)),
    ("azure", "embeddings", EMBEDDINGS, Usage(8, 0)),
    ("azure", "responses", RESPONSES, Usage(36, 87)),
    ("aliyun", "chat", CHAT, Usage(9, 12)),
    ("aliyun", "embeddings", EMBEDDINGS, Usage(8, 0)),
    ("aliyun", "native text", ALIYUN_TEXT, Usage(22, 17)),
    ("aliyun", "native plain text", ALIYUN_PLAIN_TEXT, Usage(22, 17)),
    ("aliyun", "native embeddings", ALIYUN_EMBEDDINGS, Usage(26, 0)),
    ("deepinfra", "chat", CHAT, Usage(9, 12)),
    ("deepinfra", "embeddings", EMBEDDINGS, Usage(8, 0)),
    ("deepinfra", "native text", DEEPINFRA_TEXT, Usage(14, 16)),
    ("deepinfra", "native embeddings", DEEPINFRA_EMBEDDINGS, Usage(42, 0)),
    ("deepseek", "completions", COMPLETION, Usage(5, 7)),
    ("openai_compatible", "chat", CHAT, Usage(9, 12)),
    ("openai_compatible", "completions", COMPLETION, Usage(5, 7)),
    ("openai_compatible", "embeddings", EMBEDDINGS, Usage(8, 0)),
    ("openai_compatible", "messages", MESSAGE, Usage(213, 25)),
    ("openai_compatible", "reasoning apart", FOLDED, Usage(10, 105)),
]
# A compatible service sits the exam with the dialect's own reply until one of its own is recorded.
_recorded = {name for name, *_ in REPLIES} | {"lab_gateway"}
REPLIES += [(name, "chat", CHAT, Usage(9, 12)) for name in NAMES if name not in _recorded]
REFUSALS = [(name, one) for name in NAMES for one in SERVICES[name].refusals]
GATEWAY_REPLIES = [
    ("gpt", CHAT, Usage(9, 12)),
    ("claude", MESSAGE, Usage(213, 25)),
    ("embeddings", EMBEDDINGS, Usage(8, 0)),
]


@pytest.mark.parametrize(
    ("name", "text", "usage"),
    [(name, text, usage) for name, _, text, usage in REPLIES],
    ids=[f"{name} {endpoint}" for name, endpoint, _, _ in REPLIES],
)
def test_its_reply_is_a_success_with_usage_and_the_services_own_spelling(name, text, usage):
    outcome = BY_NAME[name].read(Reply(200, {}, text.encode()))
    assert outcome == Success(text.encode(), usage)


@pytest.mark.parametrize(
    ("name", "refused"), REFUSALS, ids=[f"{name}: {one.what}" for name, one in REFUSALS]
)
def test_what_it_refuses_or_fails_is_judged_as_it_means_it(name, refused):
    reply = Reply(refused.status, CIMultiDict(refused.headers), refused.content)
    outcome = BY_NAME[name].read(reply, wall)
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.wait, outcome.limit) == (
        refused.kind,
        refused.wait,
        refused.limit,
    )


@pytest.mark.parametrize(
    ("text", "usage"),
    [(text, usage) for _, text, usage in GATEWAY_REPLIES],
    ids=[name for name, _, _ in GATEWAY_REPLIES],
)
def test_the_gateways_reply_is_what_is_inside_with_the_credits_and_without_the_user(text, usage):
    envelope = {
        "request": json.dumps({"username": KEY, "request": "{}"}),
        "raw": text,
        "username": KEY,
        "credits_total": "20.0$",
        "credits_consumed": "0.006715$",
    }
    outcome = BY_NAME["lab_gateway"].read(Reply(200, {}, json.dumps(envelope).encode()))
    extra = b'{"credits_consumed": "0.006715$", "credits_total": "20.0$"}'
    assert outcome == Success(text.encode(), usage, extra)


def test_a_gateways_reply_without_credits_has_no_extra():
    outcome = BY_NAME["lab_gateway"].read(Reply(200, {}, enveloped(CHAT)))
    assert outcome == Success(CHAT.encode(), Usage(9, 12), None)


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
