"""The local endpoint answers, refuses and fails as the services do, and its ledger tells all."""

import asyncio
import base64
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from request_engine import tokens
from request_engine.encodings import encoder, encoding_name
from request_engine.errors import BadInput
from request_engine.local_endpoint import LocalEndpoint, Settings, faults, schemas, serving
from request_engine.local_endpoint.hints import go_duration, refusal_error
from request_engine.local_endpoint.limiters import Limits, Lockout, Refusal, rates
from request_engine.local_endpoint.meters import FixedWindow, SlidingWindow, TokenBucket
from request_engine.local_endpoint.settings import HINTS
from request_engine.records import Limit
from request_engine.refusals import limit_named

ROOT = Path(__file__).resolve().parent.parent
MODEL = "gpt-4o-mini"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "What is a tide?"}]}
EMBED = {"model": "text-embedding-3-small", "input": "What is a tide?"}
MESSAGES = CHAT | {"max_tokens": 50}
CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Got:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def said(self) -> str:
        said: str = self.json["choices"][0]["message"]["content"]
        return said


async def post(
    endpoint: LocalEndpoint,
    body: Any,
    path: str = CHAT_PATH,
    key: str | None = None,
    seconds: float = 5.0,
) -> Got:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.post(endpoint.url + path, data=data, allow_redirects=False) as response,
    ):
        return Got(response.status, response.headers, await response.read())


async def get(endpoint: LocalEndpoint, path: str, key: str | None = None) -> Got:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(endpoint.url + path) as response,
    ):
        return Got(response.status, response.headers, await response.read())


async def post_to_gateway(
    endpoint: LocalEndpoint, body: Any, path: str = "/gpt", username: str = "lab-user"
) -> Got:
    return await post(endpoint, {"username": username, "request": json.dumps(body)}, path)


@pytest.fixture
async def plain() -> AsyncIterator[LocalEndpoint]:
    async with serving() as endpoint:
        yield endpoint


def events(got: Got) -> list[Any]:
    """What a stream's events say, [DONE] aside."""
    lines = got.content.decode().split("\n")
    said = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(one) for one in said if one != "[DONE]"]


def count(text: str, model: str = MODEL) -> int:
    return len(encoder(encoding_name(model))(text))


class TestShapes:
    @pytest.mark.parametrize("path", [CHAT_PATH, "/chat/completions"])
    async def test_chat(self, plain: LocalEndpoint, path: str) -> None:
        got = await post(plain, CHAT, path)
        choice = got.json["choices"][0]
        assert (got.status, got.headers["Content-Type"]) == (200, "application/json")
        assert got.json["object"] == "chat.completion"
        assert (choice["index"], choice["finish_reason"]) == (0, "stop")
        assert choice["message"]["role"] == "assistant"
        assert got.said.startswith('(canned) You wrote "What is a tide?"')

    async def test_usage_is_what_the_tokenizer_counts(self, plain: LocalEndpoint) -> None:
        got = await post(plain, CHAT | {"n": 2})
        usage = got.json["usage"]
        said = [choice["message"]["content"] for choice in got.json["choices"]]
        encode = encoder(encoding_name(MODEL))
        assert usage["prompt_tokens"] == tokens.chat_tokens(CHAT, encode, lambda url, detail: 0)
        assert usage["completion_tokens"] == sum(map(count, said))
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert said[0] != said[1]

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    async def test_chat_stops_at_the_ceiling(self, plain: LocalEndpoint, name: str) -> None:
        got = await post(plain, CHAT | {name: 12})
        assert got.json["choices"][0]["finish_reason"] == "length"
        assert count(got.said) == got.json["usage"]["completion_tokens"] <= 12

    async def test_the_same_body_is_answered_alike_with_an_id_of_its_own(
        self, plain: LocalEndpoint
    ) -> None:
        first, again = await post(plain, CHAT), await post(plain, CHAT)
        other = await post(plain, CHAT | {"seed": 7})
        assert first.said == again.said != other.said
        assert first.json["id"] != again.json["id"]

    async def test_json_is_answered_where_it_is_asked_for(self, plain: LocalEndpoint) -> None:
        schema = {
            "type": "object",
            "properties": {
                "score": {"type": "integer", "minimum": 3},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            },
            "required": ["score", "tags"],
            "$defs": {"tag": {"enum": ["low", "high"]}},
        }
        shaped = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
        any_json = await post(plain, CHAT | {"response_format": {"type": "json_object"}})
        by_schema = await post(plain, CHAT | {"response_format": shaped})
        assert json.loads(any_json.said)["canned"] is True
        assert json.loads(by_schema.said) == {"score": 3, "tags": ["low"]}

    async def test_a_function_that_is_insisted_on_is_called(self, plain: LocalEndpoint) -> None:
        parameters = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
        tool = {"type": "function", "function": {"name": "judge", "parameters": parameters}}
        got = await post(plain, CHAT | {"tools": [tool], "tool_choice": "required"})
        called = got.json["choices"][0]["message"]["tool_calls"][0]["function"]
        assert (called["name"], json.loads(called["arguments"])) == ("judge", {"ok": True})

    async def test_completions(self, plain: LocalEndpoint) -> None:
        body = {"model": MODEL, "prompt": ["one", "two"], "n": 2}
        got = await post(plain, body, "/v1/completions")
        texts = [choice["text"] for choice in got.json["choices"]]
        assert got.json["object"] == "text_completion"
        assert [choice["index"] for choice in got.json["choices"]] == [0, 1, 2, 3]
        assert got.json["usage"]["prompt_tokens"] == count("one") + count("two")
        assert got.json["usage"]["completion_tokens"] == sum(map(count, texts))
        assert all(count(text) <= 16 for text in texts)

    async def test_responses(self, plain: LocalEndpoint) -> None:
        body = {"model": MODEL, "input": "What is a tide?"}
        whole = await post(plain, body, "/v1/responses")
        cut = await post(plain, body | {"max_output_tokens": 10}, "/v1/responses")
        content = whole.json["output"][0]["content"][0]
        assert (whole.json["status"], content["type"]) == ("completed", "output_text")
        assert whole.json["usage"]["output_tokens"] == count(content["text"])
        assert cut.json["status"] == "incomplete"
        assert cut.json["incomplete_details"] == {"reason": "max_output_tokens"}

    async def test_messages(self, plain: LocalEndpoint) -> None:
        got = await post(plain, MESSAGES, "/v1/messages")
        refused = await post(plain, CHAT, "/v1/messages")
        assert got.json["type"] == "message"
        assert got.json["stop_reason"] in ("end_turn", "max_tokens")
        assert got.json["usage"]["output_tokens"] == count(got.json["content"][0]["text"])
        assert (refused.status, refused.json["type"]) == (400, "error")

    async def test_stream_says_what_the_whole_answer_says(self, plain: LocalEndpoint) -> None:
        got = await post(plain, CHAT | {"stream": True, "stream_options": {"include_usage": True}})
        chunks = events(got)
        said = "".join(
            chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]
        )
        assert got.headers["Content-Type"] == "text/event-stream"
        assert got.content.endswith(b"\n\ndata: [DONE]\n\n")
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] == count(said)

    async def test_stream_of_a_tool_call(self, plain: LocalEndpoint) -> None:
        tool = {"type": "function", "function": {"name": "tide", "parameters": {}}}
        got = await post(plain, CHAT | {"stream": True, "tools": [tool], "tool_choice": "required"})
        deltas = [chunk["choices"][0]["delta"] for chunk in events(got)]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        assert deltas[0] == {"role": "assistant", "content": None, "refusal": None}
        assert calls[0]["function"] == {"name": "tide", "arguments": ""}
        arguments = "".join(call["function"]["arguments"] for call in calls)
        assert json.loads(arguments)["canned"]

    async def test_stream_of_completions(self, plain: LocalEndpoint) -> None:
        body = {"model": MODEL, "prompt": "What is a tide?", "stream": True}
        choices = [chunk["choices"][0] for chunk in events(await post(plain, body, "/completions"))]
        assert "".join(choice["text"] for choice in choices).startswith("(canned)")
        assert [choice["finish_reason"] for choice in choices[-2:]] == [None, "length"]

    async def test_stream_of_responses(self, plain: LocalEndpoint) -> None:
        body = {"model": MODEL, "input": "What is a tide?", "stream": True}
        told = events(await post(plain, body, "/v1/responses"))
        said = "".join(event.get("delta", "") for event in told)
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        assert told[0]["type"] == "response.created"
        assert (told[-1]["type"], told[-1]["response"]["status"]) == (
            "response.completed",
            "completed",
        )
        assert told[-1]["response"]["output"][0]["content"][0]["text"] == said

    async def test_stream_of_messages(self, plain: LocalEndpoint) -> None:
        got = await post(plain, MESSAGES | {"stream": True}, "/v1/messages")
        told = events(got)
        assert got.content.startswith(b"event: message_start\ndata: {")
        assert told[0]["message"]["content"] == []
        assert [event["type"] for event in told[-3:]] == [
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        said = "".join(event["delta"].get("text", "") for event in told if "delta" in event)
        assert told[-2]["usage"]["output_tokens"] == count(said)

    async def test_messages_have_no_stream_options(self, plain: LocalEndpoint) -> None:
        body = MESSAGES | {"stream": True, "stream_options": {"include_usage": True}}
        got = await post(plain, body, "/v1/messages")
        assert (got.status, got.error["type"]) == (400, "invalid_request_error")

    async def test_the_gateway_does_not_stream(self, plain: LocalEndpoint) -> None:
        got = await post_to_gateway(plain, CHAT | {"stream": True})
        assert json.loads(got.json["raw"])["object"] == "chat.completion"

    @pytest.mark.parametrize("content", ["\ud800", "<|endoftext|>", "", None, 7, [[[]]], [{}]])
    async def test_odd_content_is_answered(self, plain: LocalEndpoint, content: Any) -> None:
        deep: Any = content
        for _ in range(200):
            deep = [deep]
        for odd in (content, deep):
            got = await post(plain, CHAT | {"messages": [{"role": "user", "content": odd}]})
            assert got.said.startswith("(canned)")

    async def test_models_and_unknown_paths(self, plain: LocalEndpoint) -> None:
        assert (await get(plain, "/v1/models")).json["data"][0]["object"] == "model"
        assert (await post(plain, CHAT, "/v1/nowhere")).status == 404


class TestEmbeddings:
    @pytest.mark.parametrize(
        ("extra", "size"),
        [
            ({}, 1536),
            ({"model": "text-embedding-3-large"}, 3072),
            ({"dimensions": 256}, 256),
            ({"dimensions": 7}, 7),
            ({"dimensions": 1}, 1),
        ],
    )
    async def test_vectors_have_unit_length(
        self, plain: LocalEndpoint, extra: dict[str, Any], size: int
    ) -> None:
        vector = (await post(plain, EMBED | extra, "/v1/embeddings")).json["data"][0]["embedding"]
        assert len(vector) == size
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)

    async def test_the_same_text_has_the_same_vector(self, plain: LocalEndpoint) -> None:
        texts = {"input": ["tide", "moon", "tide"]}
        got = await post(plain, EMBED | texts, "/v1/embeddings")
        first, second, third = (item["embedding"] for item in got.json["data"])
        assert first == third != second
        assert [item["index"] for item in got.json["data"]] == [0, 1, 2]
        assert abs(sum(map(float.__mul__, first, second))) < 0.2

    async def test_base64_packs_the_same_vector(self, plain: LocalEndpoint) -> None:
        spelled = await post(plain, EMBED, "/v1/embeddings")
        packed = await post(plain, EMBED | {"encoding_format": "base64"}, "/v1/embeddings")
        data = base64.b64decode(packed.json["data"][0]["embedding"])
        vector = list(struct.unpack("<1536f", data))
        assert vector == pytest.approx(spelled.json["data"][0]["embedding"], abs=1e-6)

    async def test_token_arrays_are_inputs(self, plain: LocalEndpoint) -> None:
        one = await post(plain, EMBED | {"input": [1, 2, 3]}, "/v1/embeddings")
        two = await post(plain, EMBED | {"input": [[1, 2, 3], [4]]}, "/v1/embeddings")
        assert one.json["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        assert len(two.json["data"]) == 2
        assert two.json["data"][0]["embedding"] == one.json["data"][0]["embedding"]

    async def test_usage_is_what_the_tokenizer_counts(self, plain: LocalEndpoint) -> None:
        got = await post(plain, EMBED, "/v1/embeddings")
        assert got.json["usage"]["prompt_tokens"] == count(EMBED["input"], EMBED["model"])


class TestGateway:
    async def test_gpt_answers_chat_inside_an_envelope(self, plain: LocalEndpoint) -> None:
        got = await post_to_gateway(plain, CHAT)
        inside = json.loads(got.json["raw"])
        assert got.headers["Content-Type"].startswith("text/html")
        assert got.json["credits_consumed"].endswith("$")
        assert got.json["credits_total"] == "20.0$"
        assert "lab-user" in got.json["request"]
        assert inside["choices"][0]["message"]["content"].startswith("(canned)")

    async def test_gpt_answers_embeddings(self, plain: LocalEndpoint) -> None:
        inside = json.loads((await post_to_gateway(plain, EMBED)).json["raw"])
        assert len(inside["data"][0]["embedding"]) == 1536

    async def test_claude_answers_in_the_messages_shape(self, plain: LocalEndpoint) -> None:
        inside = json.loads((await post_to_gateway(plain, MESSAGES, "/claude")).json["raw"])
        assert inside["content"][0]["type"] == "text"
        assert set(inside["usage"]) == {"input_tokens", "output_tokens"}

    async def test_a_bad_request_inside_is_an_error_inside(self, plain: LocalEndpoint) -> None:
        got = await post_to_gateway(plain, {"model": MODEL})
        assert got.status == 200
        assert "messages" in json.loads(got.json["raw"])["error"]["message"]

    async def test_the_username_is_the_key(self) -> None:
        async with serving(Settings(key="lab-user")) as endpoint:
            assert (await post_to_gateway(endpoint, CHAT)).status == 200
            refused = await post_to_gateway(endpoint, CHAT, username="nobody")
        assert (refused.status, "raw" in refused.json) == (401, False)

    async def test_the_fault_gateway_gives_an_error_or_no_raw(self) -> None:
        async with serving(Settings(fault={"gateway": 1.0})) as endpoint:
            replies = [(await post_to_gateway(endpoint, CHAT)).json for _ in range(12)]
            elsewhere = await post(endpoint, CHAT)
        assert {type(reply) for reply in replies} == {str, dict}
        assert all("raw" not in reply for reply in replies)
        assert elsewhere.status == 200


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "path", "code", "words"),
        [
            (b"not json", CHAT_PATH, None, "could not parse the JSON"),
            (b"[1]", CHAT_PATH, None, "could not parse the JSON"),
            ({"messages": []}, CHAT_PATH, None, "model parameter"),
            ({"model": MODEL}, CHAT_PATH, "missing_required_parameter", "'messages'"),
            (CHAT | {"messages": []}, CHAT_PATH, "empty_input", "messages"),
            (CHAT | {"messages": ["x"]}, CHAT_PATH, "invalid_type", "messages[0]"),
            (CHAT | {"max_tokens": 0}, CHAT_PATH, "integer_below_min_value", "max_tokens"),
            (CHAT | {"n": 1000}, CHAT_PATH, "integer_above_max_value", "'n'"),
            (EMBED | {"input": [""]}, "/v1/embeddings", "empty_input", "input[0]"),
            (EMBED | {"input": ["x"] * 2049}, "/v1/embeddings", "array_above_max_length", "2048"),
            ({"model": MODEL}, "/v1/responses", "missing_required_parameter", "'input'"),
        ],
    )
    async def test_a_bad_body_is_told_what_is_wrong(
        self, plain: LocalEndpoint, body: Any, path: str, code: str | None, words: str
    ) -> None:
        got = await post(plain, body, path)
        assert got.status == 400
        assert (got.error["type"], got.error["code"]) == ("invalid_request_error", code)
        assert words in got.error["message"]
        assert plain.ledger.refusals == {"bad_request": 1}

    async def test_a_context_that_is_too_long(self) -> None:
        async with serving(Settings(context_length=100)) as endpoint:
            got = await post(endpoint, CHAT | {"max_tokens": 99})
        assert (got.status, got.error["code"]) == (400, "context_length_exceeded")
        assert "maximum context length is 100 tokens" in got.error["message"]

    async def test_only_the_key_is_let_in(self) -> None:
        async with serving(Settings(key="sk-right-key")) as endpoint:
            statuses = [
                (await post(endpoint, CHAT, key=key)).status
                for key in ("sk-right-key", "sk-wrong-key", None)
            ]
            wrong = await post(endpoint, CHAT, key="sk-wrong-key")
            models = await get(endpoint, "/v1/models", key="sk-right-key")
        assert statuses == [200, 401, 401]
        assert wrong.error["code"] == "invalid_api_key"
        assert "sk-wrong-key" not in wrong.error["message"]
        assert models.status == 200

    async def test_only_the_models_named_exist(self) -> None:
        async with serving(Settings(models=(MODEL,))) as endpoint:
            known = await post(endpoint, CHAT)
            unknown = await post(endpoint, CHAT | {"model": "other"})
        assert known.status == 200
        assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")


class TestMeters:
    def test_a_token_bucket_refills_evenly_and_holds_its_burst(self) -> None:
        bucket = TokenBucket(60, span=10)
        for _ in range(10):
            assert bucket.wait(100.0, 1) == 0
            bucket.take(100.0, 1)
        assert bucket.wait(100.0, 1) == pytest.approx(1.0)
        assert bucket.wait(100.5, 1) == pytest.approx(0.5)
        assert bucket.reset(101.0) == pytest.approx(9.0)
        assert bucket.used(1000.0) == 0

    def test_a_fixed_window_forgets_at_its_end(self) -> None:
        window = FixedWindow(3)
        for _ in range(3):
            window.take(59.0, 1)
        assert window.wait(59.5, 1) == pytest.approx(0.5)
        assert window.wait(60.0, 1) == 0
        window.take(60.0, 3)
        window.give_back(61.0, 59.0, 3)
        assert window.used(61.0) == 3
        window.give_back(61.0, 60.0, 2)
        assert window.used(61.0) == 1

    def test_a_sliding_window_waits_for_what_it_remembers(self) -> None:
        window = SlidingWindow(10)
        window.take(0.0, 6)
        window.take(20.0, 4)
        assert window.wait(30.0, 5) == pytest.approx(30.0)
        assert window.wait(30.0, 7) == pytest.approx(50.0)
        assert window.wait(60.0, 6) == 0
        window.give_back(60.0, 20.0, 3)
        assert window.used(60.0) == 1
        assert window.reset(60.0) == pytest.approx(20.0)

    @pytest.mark.parametrize("made", [TokenBucket, FixedWindow, SlidingWindow])
    def test_more_than_the_whole_fits_once_nothing_is_used(self, made: type[TokenBucket]) -> None:
        meter = made(10)
        assert meter.wait(0.0, 25) == 0
        meter.take(0.0, 25)
        assert 0 < meter.wait(1.0, 1) <= 120


def limits(limiter: str, rpm: int | None = None, tpm: int | None = None, **more: Any) -> Limits:
    return Limits(rates(limiter, {"requests": rpm, "tokens": tpm}), **more)


class TestLimits:
    def test_a_refusal_takes_nothing(self) -> None:
        both = limits("sliding_window", rpm=2, tpm=100)
        assert both.admit(0.0, 90) is None
        refusal = both.admit(1.0, 20)
        assert refusal is not None
        assert (refusal.what, refusal.limit, refusal.used) == ("tokens", 100, 90)
        assert refusal.requested == 20
        assert refusal.wait == pytest.approx(59.0)
        assert both.admit(2.0, 10) is None
        assert both.admit(3.0, 0) is not None

    def test_what_was_not_used_is_given_back(self) -> None:
        tokens_only = limits("token_bucket", tpm=100)
        tokens_only.admit(0.0, 100)
        tokens_only.settle(0.0, 0.0, reserved=100, used=30)
        assert tokens_only.admit(0.0, 70) is None

    def test_without_refund_it_is_kept(self) -> None:
        kept = limits("token_bucket", tpm=100, refund=False)
        kept.admit(0.0, 100)
        kept.settle(0.0, 0.0, reserved=100, used=30)
        assert kept.admit(0.0, 1) is not None

    def test_what_was_used_beyond_is_charged_at_the_end(self) -> None:
        later = limits("fixed_window", tpm=100)
        later.admit(0.0, 10)
        later.settle(5.0, 0.0, reserved=10, used=300)
        refusal = later.admit(6.0, 1)
        assert refusal is not None
        assert refusal.used == 300
        assert refusal.wait == pytest.approx(54.0)

    def test_per_second_allows_a_sixtieth_each_second(self) -> None:
        per_second = limits("per_second", rpm=120)
        assert [per_second.admit(0.0, 0) for _ in range(2)] == [None, None]
        refusal = per_second.admit(0.25, 0)
        assert refusal is not None
        assert (refusal.per, refusal.limit) == ("requests per sec (RPS)", 2)
        assert refusal.wait == pytest.approx(0.75)
        assert per_second.admit(1.0, 0) is None

    def test_concurrency_is_free_again_when_an_answer_is_done(self) -> None:
        one = Limits(max_concurrent=1)
        assert one.admit(0.0, 5) is None
        refusal = one.admit(0.0, 5)
        assert refusal is not None
        assert (refusal.what, refusal.limit, refusal.used) == ("concurrency", 1, 1)
        one.settle(1.0, 0.0, reserved=5, used=5)
        assert one.admit(1.0, 5) is None

    def test_a_request_larger_than_the_limit_never_fits(self) -> None:
        refusal = limits("sliding_window", tpm=100).admit(0.0, 101)
        assert refusal is not None
        assert refusal.wait is None

    def test_a_lockout_refuses_everything_after_one_refusal(self) -> None:
        locked = limits("token_bucket", rpm=60, lockout=Lockout(180.0))
        assert [locked.admit(0.0, 0) for _ in range(60)] == [None] * 60
        assert locked.admit(0.0, 0) is not None
        refusal = locked.admit(100.0, 0)
        assert refusal is not None
        assert refusal.wait == pytest.approx(80.0)
        assert locked.admit(180.0, 0) is None


class TestHints:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "0s"),
            (0.0001, "1ms"),
            (0.12, "120ms"),
            (1, "1s"),
            (5.289, "5.289s"),
            (360, "6m0s"),
            (86.4, "1m26.4s"),
            (3600.5, "1h0m0.5s"),
        ],
    )
    def test_go_durations(self, seconds: float, text: str) -> None:
        assert go_duration(seconds) == text

    async def refusal(self, hints: str) -> tuple[Got, Got]:
        async with serving(Settings(max_requests_per_minute=1, hints=hints)) as endpoint:
            admitted = await post(endpoint, CHAT)
            await asyncio.sleep(0.005)  # so that the wait is not a whole minute
            return admitted, await post(endpoint, CHAT)

    async def test_openai_spelling(self) -> None:
        admitted, refused = await self.refusal("openai")
        assert admitted.headers["x-ratelimit-limit-requests"] == "1"
        assert admitted.headers["x-ratelimit-remaining-requests"] == "0"
        assert admitted.headers["x-ratelimit-reset-requests"] == "1m0s"
        assert refused.status == 429
        assert 59_000 < int(refused.headers["retry-after-ms"]) <= 60_000
        assert int(refused.headers["retry-after"]) == 60
        assert (refused.error["type"], refused.error["code"]) == ("requests", "rate_limit_exceeded")
        assert refused.error["message"].startswith(
            f"Rate limit reached for {MODEL} in organization org-canned on requests per min (RPM): "
            "Limit 1, Used 1, Requested 1. Please try again in 59."
        )

    async def test_azure_spelling(self) -> None:
        admitted, refused = await self.refusal("azure")
        assert admitted.headers["x-ratelimit-reset-requests"] == "60"
        assert "retry-after-ms" in refused.headers
        assert refused.error["code"] == "429"
        assert refused.error["message"].endswith("Please retry after 60 seconds.")

    async def test_seconds_only(self) -> None:
        admitted, refused = await self.refusal("seconds")
        assert not any(name.startswith("x-ratelimit") for name in admitted.headers)
        assert refused.headers["Retry-After"] == "60"
        assert "try again" not in refused.error["message"]

    async def test_a_date(self) -> None:
        _, refused = await self.refusal("date")
        until = parsedate_to_datetime(refused.headers["Retry-After"]).timestamp()
        assert 58 < until - time.time() < 62

    async def test_text_only(self) -> None:
        _, refused = await self.refusal("text")
        assert "Retry-After" not in refused.headers
        assert "Please try again in 59." in refused.error["message"]

    async def test_none(self) -> None:
        _, refused = await self.refusal("none")
        assert "Retry-After" not in refused.headers
        assert "try again" not in refused.error["message"]

    @pytest.mark.parametrize("spelling", HINTS)
    @pytest.mark.parametrize(
        ("what", "per", "limit"),
        [
            ("requests", "requests per min (RPM)", Limit.REQUESTS),
            ("requests", "requests per sec (RPS)", Limit.REQUESTS),
            ("tokens", "tokens per min (TPM)", Limit.TOKENS),
            ("concurrency", "concurrent requests", Limit.CONCURRENCY),
        ],
    )
    def test_a_refusal_names_its_limit(
        self, what: str, per: str, limit: Limit, spelling: str
    ) -> None:
        error = refusal_error(spelling, Refusal(what, per, 10, 10, 1, 1.0), MODEL)
        assert limit_named(error["message"], (), {}) is limit
        typed = "rate_limit_error" if limit is Limit.CONCURRENCY else what
        assert error.get("type", typed) == typed  # Azure has none

    def test_a_lockout_names_none(self) -> None:
        locked_out = Refusal("requests", "requests (locked out)", 0, 0, 1, 60.0)
        error = refusal_error("openai", locked_out, MODEL)
        assert limit_named(error["message"], (error["code"], error["type"]), {}) is None

    async def test_too_large_for_the_limit(self) -> None:
        async with serving(Settings(max_tokens_per_minute=50)) as endpoint:
            refused = await post(endpoint, CHAT | {"max_tokens": 500})
        assert (refused.status, refused.error["type"]) == (429, "tokens")
        assert refused.error["message"].startswith(f"Request too large for {MODEL}")
        assert "Retry-After" not in refused.headers

    async def test_concurrency_and_latency(self) -> None:
        async with serving(Settings(max_concurrent=2, latency=0.1)) as endpoint:
            replies = await asyncio.gather(*(post(endpoint, CHAT) for _ in range(5)))
            assert endpoint.ledger.refusals == {"concurrency": 3}
        assert sorted(reply.status for reply in replies) == [200, 200, 429, 429, 429]

    async def test_the_gateway_refuses_with_an_error_and_the_same_headers(self) -> None:
        async with serving(Settings(max_requests_per_minute=1)) as endpoint:
            replies = [await post_to_gateway(endpoint, CHAT) for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 429]
        assert "raw" not in replies[1].json
        assert "retry-after-ms" in replies[1].headers

    @pytest.mark.parametrize(
        ("settings", "charged"),
        [
            ({}, "usage"),
            ({"refund": False}, "ceiling"),
            ({"charge": "usage", "refund": False}, "usage"),
        ],
    )
    async def test_what_is_charged(self, settings: dict[str, Any], charged: str) -> None:
        async with serving(Settings(max_tokens_per_minute=10_000, **settings)) as endpoint:
            usage = (await post(endpoint, CHAT | {"max_tokens": 900})).json["usage"]
            after = await post(endpoint, CHAT | {"max_tokens": 1})
        ceiling, prompt = usage["prompt_tokens"] + 900, usage["prompt_tokens"]
        first = usage["total_tokens"] if charged == "usage" else ceiling
        second = prompt if settings.get("charge") == "usage" else prompt + 1
        assert int(after.headers["x-ratelimit-remaining-tokens"]) == 10_000 - first - second

    async def test_long_answers_take_longer(self) -> None:
        async with serving(Settings(tokens_per_second=500)) as endpoint:
            for stream in (False, True):
                started = time.monotonic()
                await post(endpoint, CHAT | {"stream": stream})
                (*_, entry) = endpoint.ledger.entries
                assert time.monotonic() - started >= entry.completion_tokens / 500

    async def test_a_model_has_limits_of_its_own(self) -> None:
        async with serving(Settings(max_requests_per_minute=1)) as endpoint:
            models = (MODEL, "gpt-4o", MODEL)
            got = [(await post(endpoint, CHAT | {"model": model})).status for model in models]
        assert got == [200, 200, 429]


class TestFaults:
    @pytest.mark.parametrize(
        ("name", "status", "code"),
        [
            ("429", 429, "rate_limit_exceeded"),
            ("500", 500, None),
            ("503", 503, "server_is_overloaded"),
            ("529", 529, None),
            ("quota", 429, "insufficient_quota"),
            ("auth", 401, "invalid_api_key"),
            ("filter", 400, "content_filter"),
            ("error200", 200, None),
        ],
    )
    async def test_error_objects(self, name: str, status: int, code: str | None) -> None:
        async with serving(Settings(fault={name: 1.0})) as endpoint:
            got = await post(endpoint, CHAT)
            assert endpoint.ledger.faults == {name: 1}
            assert endpoint.ledger.billed == 0
        assert (got.status, got.error["code"]) == (status, code)

    async def one(self, name: str, billed: bool, **body: Any) -> Got:
        async with serving(Settings(fault={name: 1.0}, slow_seconds=0.1)) as endpoint:
            try:
                return await post(endpoint, CHAT | body, seconds=0.5)
            finally:
                assert endpoint.ledger.faults == {name: 1}
                assert endpoint.ledger.billed == billed

    async def test_502_is_a_page(self) -> None:
        got = await self.one("502", billed=False)
        assert (got.status, got.content[:9]) == (502, b"<!doctype")

    async def test_redirect(self) -> None:
        got = await self.one("redirect", billed=False)
        assert (got.status, got.headers["Location"]) == (307, "/redirected")

    async def test_empty(self) -> None:
        got = await self.one("empty", billed=False)
        assert (got.status, got.content) == (200, b"")

    @pytest.mark.parametrize(("name", "billed"), [("reset", False), ("reset_after", True)])
    async def test_reset(self, name: str, billed: bool) -> None:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await self.one(name, billed)

    async def test_hang(self) -> None:
        with pytest.raises(TimeoutError):
            await self.one("hang", billed=False)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_cut(self, stream: bool) -> None:
        with pytest.raises(aiohttp.ClientPayloadError):
            await self.one("cut", billed=True, stream=stream)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_truncated_is_whole_to_http_only(self, stream: bool) -> None:
        got = await self.one("truncated", billed=True, stream=stream)
        assert got.status == 200
        assert b"[DONE]" not in got.content
        with pytest.raises(json.JSONDecodeError):
            _ = got.json

    async def test_html(self) -> None:
        got = await self.one("html", billed=True)
        assert (got.status, got.content[:9]) == (200, b"<!doctype")

    async def test_nochoices(self) -> None:
        got = await self.one("nochoices", billed=True)
        assert got.json["choices"] is None

    async def test_blank_lines_come_before_the_answer(self) -> None:
        got = await self.one("blank", billed=True)
        assert got.content.startswith(b"\n" * 10 + b"{")
        assert got.said.startswith("(canned)")

    async def test_comments_come_before_a_stream(self) -> None:
        got = await self.one("blank", billed=True, stream=True)
        assert got.content.startswith(b": keep-alive\n\n" * 10 + b"data: {")
        assert got.content.endswith(b"[DONE]\n\n")

    async def test_a_stream_without_its_end(self) -> None:
        got = await self.one("unended", billed=True, stream=True)
        choices = [chunk["choices"][0] for chunk in events(got)]
        assert b"[DONE]" not in got.content
        assert {choice["finish_reason"] for choice in choices} == {None}
        assert choices[-1]["delta"]["content"].endswith(".")

    @pytest.mark.parametrize(
        ("path", "last"),
        [
            (CHAT_PATH, {"error": {"code": "server_error"}}),
            ("/v1/responses", {"type": "error", "code": "server_error"}),
            ("/v1/messages", {"type": "error", "error": {"type": "api_error"}}),
        ],
    )
    async def test_an_error_inside_a_stream(self, path: str, last: dict[str, Any]) -> None:
        body = MESSAGES | {"input": "What is a tide?", "stream": True}
        async with serving(Settings(fault={"stream_error": 1.0})) as endpoint:
            told = events(await post(endpoint, body, path))
        assert len(told) > 2
        stated = told[-1].get("error", {})
        assert stated.items() >= last.pop("error", {}).items()
        assert told[-1].items() >= last.items()

    @pytest.mark.parametrize("name", ["whitespace", "repetition"])
    async def test_a_stream_without_end_goes_on_until_the_client_leaves(self, name: str) -> None:
        with pytest.raises(TimeoutError):
            await self.one(name, billed=True, stream=True)

    @pytest.mark.parametrize("name", ["unended", "stream_error", "whitespace", "repetition"])
    async def test_faults_of_streams_leave_other_answers_alone(self, name: str) -> None:
        async with serving(Settings(fault={name: 1.0})) as endpoint:
            assert (await post(endpoint, CHAT)).said
            assert (await post_to_gateway(endpoint, CHAT | {"stream": True})).status == 200
            assert endpoint.ledger.faults == {}

    async def test_slow(self) -> None:
        started = time.monotonic()
        got = await self.one("slow", billed=True)
        assert time.monotonic() - started >= 0.1
        assert got.said.startswith("(canned)")

    def test_every_fault_is_in_the_table(self) -> None:
        assert [line.split()[0] for line in faults.table().splitlines()] == [
            fault.name for fault in faults.FAULTS
        ]

    def test_the_same_seed_draws_the_same_faults(self) -> None:
        odds = {"500": 0.2, "reset": 0.3}
        drawn = [[dice.fault() for _ in range(500)] for dice in map(_dice, [odds] * 2)]
        names = [fault.name for fault in drawn[0] if fault is not None]
        assert drawn[0] == drawn[1]
        assert 60 < names.count("500") < 140
        assert 100 < names.count("reset") < 200

    async def test_a_fault_429_starts_the_lockout(self) -> None:
        async with serving(Settings(fault={"429": 1.0}, lockout=60, hints="seconds")) as endpoint:
            waits = [(await post(endpoint, CHAT)).headers["Retry-After"] for _ in range(2)]
            assert endpoint.ledger.faults == {"429": 1}
        assert waits == ["1", "60"]


def _dice(odds: dict[str, float]) -> faults.Dice:
    return faults.Dice(odds, seed=11)


class TestLedger:
    async def test_every_answer_is_in_it(self, tmp_path: Path) -> None:
        filepath = tmp_path / "ledger.jsonl"
        settings = Settings(ledger=str(filepath), key="k", max_requests_per_minute=3)
        async with serving(settings) as endpoint:
            replies = [await post(endpoint, CHAT, key=key) for key in ("k", "k", "no", "k", "k")]
            ledger = endpoint.ledger
            assert {replies[n].json["id"] for n in (0, 1, 3)} == ledger.billed_ids()
            assert ledger.billed_times() == {sha256(json.dumps(CHAT).encode()).hexdigest(): 3}
            counts = (await get(endpoint, "/ledger")).json
        lines = [json.loads(line) for line in filepath.read_text(encoding="utf-8").splitlines()]
        assert [line["number"] for line in lines] == [1, 2, 3, 4, 5]
        assert [line["refusal"] for line in lines] == [None, None, "auth", None, "requests"]
        assert lines[0]["prompt_tokens"] == replies[0].json["usage"]["prompt_tokens"]
        assert lines[0]["completion_tokens"] == replies[0].json["usage"]["completion_tokens"]
        assert counts["requests"] == 5
        assert (counts["answered"], counts["billed"], counts["billed_again"]) == (3, 3, 2)
        assert counts["refusals"] == {"auth": 1, "requests": 1}

    async def test_its_memory_is_bounded_and_its_counts_are_not(self) -> None:
        async with serving(Settings(ledger_memory=2)) as endpoint:
            for _ in range(5):
                await post(endpoint, CHAT)
            assert len(endpoint.ledger.entries) == 2
            assert (endpoint.ledger.requests, endpoint.ledger.billed) == (5, 5)

    async def test_a_billed_fault_is_billed_under_its_id(self) -> None:
        async with serving(Settings(fault={"html": 1.0})) as endpoint:
            await post(endpoint, CHAT)
            (entry,) = endpoint.ledger.entries
        assert (entry.billed, entry.fault) == (True, "html")
        assert entry.id is not None
        assert entry.completion_tokens > 0


class TestSchemas:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"const": 4}, 4),
            ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
            ({"type": ["string", "null"]}, "(canned)"),
            ({"type": "string", "minLength": 10}, "(canned).."),
            ({"type": "number", "maximum": 0.5}, 0.5),
            ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
            ({"type": "array", "maxItems": 0}, []),
            ("nonsense", None),
        ],
    )
    def test_the_plainest_value(self, schema: Any, value: Any) -> None:
        assert schemas.instance(schema) == value

    def test_a_schema_inside_itself_ends(self) -> None:
        tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]}
        assert json.dumps(schemas.instance(tree))


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"host": "0.0.0.0"},
            {"host": "example.org"},
            {"port": 70_000},
            {"limiter": "leaky"},
            {"limiter": "token_bucket"},
            {"limiter": "concurrency"},
            {"hints": "loud"},
            {"charge": "nothing"},
            {"max_requests_per_minute": 0},
            {"latency": -1.0},
            {"latency": math.nan},
            {"fault": {"gremlins": 0.5}},
            {"fault": {"500": 1.5}},
            {"fault": {"500": 0.7, "reset": 0.7}},
        ],
    )
    def test_nonsense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(BadInput):
            Settings(**wrong)

    @pytest.mark.parametrize(
        ("given", "limiter"),
        [
            ({}, "none"),
            ({"max_tokens_per_minute": 5}, "sliding_window"),
            ({"max_concurrent": 5}, "concurrency"),
            ({"max_concurrent": 5, "max_requests_per_minute": 5}, "sliding_window"),
        ],
    )
    def test_the_limiter_follows_from_the_limits(self, given: dict[str, Any], limiter: str) -> None:
        assert Settings(**given).chosen_limiter == limiter


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "request_engine.local_endpoint", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, **more)


ASK = """
import json, os, sys, urllib.request
body = json.dumps({"model": "m", "messages": [{"role": "user", "content": sys.stdin.read()}]})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(sys.argv[1] + "/v1/chat/completions", body.encode()) as reply:
    print(json.load(reply)["choices"][0]["message"]["content"])
assert os.environ["LOCAL_ENDPOINT_URL"] + "/x" == sys.argv[2]
sys.exit(7)
"""


class TestCommand:
    def test_a_command_talks_to_it_and_its_status_is_passed_on(self) -> None:
        done = run("--", sys.executable, "-c", ASK, "{url}", "{url}/x", input="Any tide?")
        assert (done.returncode, done.stdout[:29]) == (7, '(canned) You wrote "Any tide?')
        assert len(done.stderr.splitlines()) == 1
        assert "its answers are canned" in done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_a_child_ended_by_a_signal_is_128_and_its_number(self) -> None:
        done = run("--", "sh", "-c", "kill -9 $$")
        assert done.returncode == 128 + 9

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_sigterm_is_passed_on_and_sigint_left_to_the_child(self, tmp_path: Path) -> None:
        ready = tmp_path / "ready"
        script = f"trap 'exit 5' TERM; : > '{ready}'; while :; do sleep 0.02; done"
        command = [sys.executable, "-m", "request_engine.local_endpoint", "--", "sh", "-c", script]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while not ready.exists():
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.05)
            assert process.poll() is None
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(timeout=10) == 5

    def test_a_command_that_does_not_exist(self) -> None:
        done = run("--", "no-such-command-here")
        assert done.returncode == 127
        assert "cannot run no-such-command-here" in done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_it_serves_until_it_is_told_to_stop(self, tmp_path: Path) -> None:
        port_file = tmp_path / "port"
        command = [sys.executable, "-m", "request_engine.local_endpoint", "--port", "0"]
        command += ["--port-file", str(port_file)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            while not port_file.exists():
                time.sleep(0.01)
            port = port_file.read_text(encoding="ascii").strip()
            process.terminate()
            _, errors = process.communicate(timeout=10)
        assert (process.returncode, port_file.exists()) == (0, False)
        assert f"http://127.0.0.1:{port}, its answers are canned" in errors

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--nonsense"], "--nonsense"),
            (["--port", "many"], "whole number"),
            (["--host", "0.0.0.0"], "loopback"),
            (["--max-tokens-per-minute=-5"], "max_tokens_per_minute must be above 0"),
            (["--fault", "500"], "NAME=PROBABILITY"),
            (["--ledger", "/nonexistent/folder/ledger"], "cannot write the ledger"),
            (["--"], "no COMMAND"),
        ],
    )
    def test_a_bad_flag_costs_one_line_and_exit_2(self, flags: list[str], words: str) -> None:
        done = run(*flags)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert words in done.stderr

    def test_help_lists_the_faults_without_loading_the_server(self) -> None:
        code = (
            "import sys; from request_engine.local_endpoint.flags import read\n"
            "try: read(['--help'])\n"
            "except SystemExit: sys.exit('aiohttp' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 0
        assert all(fault.name in done.stdout for fault in faults.FAULTS)
