"""Gemini's own shape: where a body goes, what is left of it, and what a stream is the same as."""

import json

import pytest
from loopback import KEY, answering, serving

import api_request_parallel_processor as door
from providers.google import Google
from providers.vertex import Vertex
from request_engine import preflight
from request_engine.lines import read_line
from request_engine.records import Failure, Kind, Reply, Success, Usage

GOOGLE, VERTEX = Google(), Vertex()
HOST = "https://generativelanguage.googleapis.com"
PROJECT = "https://aiplatform.googleapis.com/v1/projects/lab/locations/global"
ASKED = '"contents": [{"role": "user", "parts": [{"text": "hi"}]}]'
FLASH = f'{{"model": "gemini-2.5-flash", {ASKED}}}'
STREAMED = f'{{"model": "gemini-2.5-flash", "stream": true, {ASKED}}}'
CHAT = '{"model": "google/gemini-2.5-flash", "messages": []}'


def of(line: str):
    return read_line(1, line.encode())


def sent(provider, url, line):
    """Where a line goes, and in which bytes."""
    address = preflight.service([provider], provider.name, url).address
    request = of(line)
    wire = provider.wire_body(request, "key", address.endpoint(request))
    return address.url(request), wire.decode()


PATHS = [
    (GOOGLE, f"{HOST}/v1beta", FLASH, "/v1beta/models/gemini-2.5-flash:generateContent"),
    (GOOGLE, f"{HOST}/", FLASH, "/v1beta/models/gemini-2.5-flash:generateContent"),
    (GOOGLE, f"{HOST}/v1", FLASH, "/v1/models/gemini-2.5-flash:generateContent"),
    (
        GOOGLE,
        f"{HOST}/v1beta",
        STREAMED,
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ),
    (
        GOOGLE,
        f"{HOST}/v1beta/models/gemini-2.5-pro:generateContent",
        FLASH,
        "/v1beta/models/gemini-2.5-pro:generateContent",
    ),
    (
        GOOGLE,
        f"{HOST}/v1beta",
        '{"model": "tunedModels/mine", "contents": []}',
        "/v1beta/tunedModels/mine:generateContent",
    ),
    (
        GOOGLE,
        f"{HOST}/v1beta",
        '{"model": "models/e", "content": {}}',
        "/v1beta/models/e:embedContent",
    ),
    (
        GOOGLE,
        f"{HOST}/v1beta",
        '{"model": "e", "requests": []}',
        "/v1beta/models/e:batchEmbedContents",
    ),
    (
        GOOGLE,
        f"{HOST}/v1beta",
        '{"model": "a b?c#d", "contents": []}',
        "/v1beta/models/a%20b%3Fc%23d:generateContent",
    ),
    (GOOGLE, f"{HOST}/v1beta", CHAT, "/v1beta/openai/chat/completions"),
    (
        GOOGLE,
        f"{HOST}/v1beta",
        f'{{"custom_id": "1", "url": "/v1beta/models/x:generateContent", "body": {FLASH}}}',
        "/v1beta/models/gemini-2.5-flash:generateContent",
    ),
    (VERTEX, PROJECT, FLASH, "/publishers/google/models/gemini-2.5-flash:generateContent"),
    (
        VERTEX,
        PROJECT,
        STREAMED.replace("gemini", "google/gemini"),
        "/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ),
    (VERTEX, PROJECT, CHAT, "/endpoints/openapi/chat/completions"),
    (VERTEX, f"{PROJECT}/endpoints/openapi", CHAT, "/endpoints/openapi/chat/completions"),
    (
        VERTEX,
        f"{PROJECT}/endpoints/openapi",
        FLASH,
        "/publishers/google/models/gemini-2.5-flash:generateContent",
    ),
    (
        VERTEX,
        PROJECT,
        '{"model": "text-embedding-005", "instances": [{"content": "hi"}]}',
        "/publishers/google/models/text-embedding-005:predict",
    ),
    (
        VERTEX,
        PROJECT,
        '{"model": "endpoints/123", "contents": []}',
        "/endpoints/123:generateContent",
    ),
]


@pytest.mark.parametrize(("provider", "url", "line", "path"), PATHS)
def test_the_model_and_the_wish_for_events_are_in_the_path(provider, url, line, path):
    where, _ = sent(provider, url, line)
    assert where == (PROJECT if provider is VERTEX else HOST) + path


BODIES = [
    (f'{{"model": "m", {ASKED}, "n": 1.10}}', f'{{{ASKED}, "n": 1.10}}'),
    (f'{{"n":1e400,\t"model": "m", "stream": true, {ASKED}}}', f'{{"n":1e400, {ASKED}}}'),
    (f'{{"stream": false, {ASKED} }}', f"{{{ASKED}}}"),
    (f"{{{ASKED} }}", f"{{{ASKED} }}"),
    (
        '{"model": "m", "requests": [{"model": "models/m"}]}',
        '{"requests": [{"model": "models/m"}]}',
    ),
    (CHAT, CHAT),
]


@pytest.mark.parametrize(("line", "wire"), BODIES)
@pytest.mark.parametrize(("provider", "url"), [(GOOGLE, HOST), (VERTEX, PROJECT)])
def test_what_is_in_the_path_is_not_in_the_body_which_is_else_the_users_own(
    provider, url, line, wire
):
    """The service refuses members that it does not know."""
    assert sent(provider, url, line)[1] == wire


def test_P9_the_key_is_in_a_header_and_never_in_the_url():
    assert GOOGLE.headers("secret") == {"x-goog-api-key": "secret"}
    assert VERTEX.headers("secret") == {"Authorization": "Bearer secret"}
    assert "key" not in sent(GOOGLE, f"{HOST}/v1beta", STREAMED)[0]


def tokens(body):
    endpoint = GOOGLE.endpoint_of_body(body)
    counted = GOOGLE.prompt_tokens(body, endpoint, lambda text: [0] * len(text))
    return counted, GOOGLE.completion_tokens(body, endpoint)


PART, PICTURE = {"text": "12345"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
SIZES = [
    ({"contents": [{"role": "user", "parts": [PART, PART]}]}, (10, 256)),
    ({"contents": "12345"}, (5, 256)),
    ({"contents": [{"parts": [PART, PICTURE]}]}, (263, 256)),
    ({"contents": [], "systemInstruction": {"parts": [PART]}}, (5, 256)),
    ({"contents": [], "system_instruction": {"parts": PART}}, (5, 256)),
    ({"contents": [], "tools": [{"functionDeclarations": [{"name": "f"}]}]}, (15, 256)),
    ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, (13, 256)),
    ({"contents": [], "generationConfig": {"maxOutputTokens": 9, "candidateCount": 2}}, (0, 18)),
    ({"contents": [], "generation_config": {"max_output_tokens": 9}}, (0, 9)),
    ({"content": {"parts": [PART]}}, (5, 0)),
    ({"requests": [{"content": {"parts": [PART]}}] * 3}, (15, 0)),
    ({"contents": 7, "generationConfig": [], "tools": "x"}, (1, 256)),
]


@pytest.mark.parametrize(("body", "size"), SIZES)
def test_the_tokens_of_everything_that_is_asked_are_counted(body, size):
    assert tokens(body) == size


# Streams.


def event(payload) -> bytes:
    return f"data: {json.dumps(payload)}\r\n\r\n".encode()


def candidate(*parts, index=0, **fields):
    content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    return content | fields | {"index": index}


def assemble(*payloads, end=b""):
    assembler = GOOGLE.assembler()
    for payload in payloads:
        for byte in event(payload):  # however the network cuts it
            assembler.feed(bytes([byte]))
    assembler.feed(end)
    return assembler.finish()


USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 7, "thoughtsTokenCount": 9}
SHELL = {"modelVersion": "gemini-2.5-flash", "responseId": "r-1"}


def test_a_streamed_answer_has_the_shape_of_an_unstreamed_one():
    """Thoughts and texts in one part each, calls as they came, and the last word on the usage."""
    call = {"functionCall": {"name": "tide", "args": {"at": 3}}, "thoughtSignature": "Ab"}
    chunks = [
        {"candidates": [candidate({"text": "Let", "thought": True})], **SHELL},
        {"candidates": [candidate({"text": " me see", "thought": True})], **SHELL},
        {"candidates": [candidate({"text": "It"})], "usageMetadata": {"promptTokenCount": 4}},
        {"candidates": [candidate({"text": " is."}, call)], **SHELL},
        {"candidates": [candidate({"text": "", "thoughtSignature": "Cd"}, finishReason="STOP")]},
        {"usageMetadata": USAGE},
    ]
    answer = assemble(*chunks)
    assert isinstance(answer, bytes)
    assert json.loads(answer) == {
        "candidates": [
            candidate(
                {"text": "Let me see", "thought": True},
                {"text": "It is."},
                call,
                {"text": "", "thoughtSignature": "Cd"},
                finishReason="STOP",
            )
        ],
        "usageMetadata": USAGE,
        **SHELL,
    }
    assert GOOGLE.read(Reply(200, {}, answer)) == Success(answer, Usage(4, 16))


def test_candidates_grow_apart():
    answer = assemble(
        {"candidates": [candidate({"text": "a"}), candidate({"text": "x"}, index=1)]},
        {"candidates": [candidate({"text": "y"}, index=1, finishReason="STOP")]},
        {"candidates": [candidate({"text": "b"}, finishReason="STOP", avgLogprobs=-0.1)]},
    )
    assert isinstance(answer, bytes)
    assert json.loads(answer)["candidates"] == [
        candidate({"text": "ab"}, finishReason="STOP", avgLogprobs=-0.1),
        candidate({"text": "xy"}, index=1, finishReason="STOP"),
    ]


def test_a_stream_without_a_reason_for_its_end_is_a_bad_answer_with_its_usage():
    lost = assemble({"candidates": [candidate({"text": "half"})], "usageMetadata": USAGE})
    assert isinstance(lost, Failure)
    assert (lost.kind, lost.raw, lost.usage) == (Kind.BAD_ANSWER, "half", Usage(4, 16))


def test_an_error_inside_a_stream_is_judged_with_what_was_used_before_it():
    half = {"candidates": [candidate({"text": "half"})], "usageMetadata": USAGE}
    told = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    answer = assemble(half, told)
    assert isinstance(answer, bytes)
    outcome = GOOGLE.read(Reply(200, {}, answer))
    assert (outcome.kind, outcome.message) == (Kind.TRANSIENT, "overloaded")
    assert outcome.usage == Usage(4, 16)


def test_an_answer_that_repeats_itself_is_cut_off():
    chunks = [{"candidates": [candidate({"text": "again "})]}] * 1_000
    assembler = GOOGLE.assembler()
    fed = 0
    for chunk in chunks:
        fed += assembler.feed(event(chunk))
        if assembler.cut:
            break
    assert 600 < fed < 1_000
    assert "over and over" in str(assembler.cut)


@pytest.mark.parametrize(
    "payload",
    [
        {"candidates": None},
        {"candidates": [None, 7]},
        {"candidates": [{"content": 7, "index": "x"}]},
        {"candidates": [{"content": {"parts": [None, {"text": 7}]}}]},
        {"promptFeedback": 7},
        {"usageMetadata": []},
        {"candidates": [{"content": {"parts": {"text": "x"}}, "finishReason": 7}]},
    ],
)
def test_whatever_chunks_hold_there_is_an_outcome(payload):
    answer = assemble(payload)
    if isinstance(answer, bytes):
        assert GOOGLE.read(Reply(200, {}, answer)) is not None
    else:
        assert answer.kind is Kind.BAD_ANSWER


# A whole run.

WHOLE = {"candidates": [candidate({"text": "It is."}, finishReason="STOP")], "usageMetadata": USAGE}
HALVES = [
    {"candidates": [candidate({"text": "It "})], "usageMetadata": {"promptTokenCount": 4}},
    {"candidates": [candidate({"text": "is."}, finishReason="STOP")], "usageMetadata": USAGE},
]


async def test_streamed_and_unstreamed_requests_leave_the_same_rows(tmp_path):
    """The body says which; the row keeps it as it is, and the key travels in its header."""
    events = b"".join(map(event, HALVES))
    streamed = answering(events, Content_Type="text/event-stream")
    unstreamed = answering(json.dumps(WHOLE).encode(), Content_Type="application/json")

    async def serve(data, writer):
        await (streamed if b"alt=sse" in data.partition(b"\r\n")[0] else unstreamed)(data, writer)

    requests, results = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    requests.write_text(f"{FLASH}\n{STREAMED}\n", encoding="utf-8")
    async with serving(serve) as server:
        summary = await door.process_api_requests_from_file(
            requests_filepath=str(requests),
            save_filepath=str(results),
            request_url=f"http://127.0.0.1:{server.port}/v1beta",
            provider="google",
            api_key=KEY,
            max_tokens_per_minute=None,
        )
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert sorted(map(json.dumps, (row[0] for row in rows))) == sorted([FLASH, STREAMED])
    assert [row[1] for row in rows] == [WHOLE] * 2
    assert (summary.tally.prompt_tokens, summary.tally.completion_tokens) == (8, 32)
    for data in server.seen:
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.count(KEY.encode()) == head.count(f"x-goog-api-key: {KEY}".encode()) == 1
        assert json.loads(body) == {"contents": json.loads(FLASH)["contents"]}
