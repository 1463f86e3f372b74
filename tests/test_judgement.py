"""What holds for the judgement of every service; `services/` has what each one means by itself."""

import json

import pytest
import services
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from services import answer, error

from providers import PROVIDERS
from request_engine.records import Failure, Kind, Reply, Success, Usage

BY_NAME = {one.name: one for one in PROVIDERS}
RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG


def read(name: str, status: int, body: object, **headers: str) -> Success | Failure:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = CIMultiDict({key.replace("_", "-"): value for key, value in headers.items()})
    return BY_NAME[name].read(Reply(status, named, content), lambda: 1_800_000_000.0)


each = pytest.mark.parametrize("name", BY_NAME)

DEFAULTS = [
    (301, MODEL_CONFIG),
    (307, MODEL_CONFIG),
    (400, BAD_REQUEST),
    (401, AUTH),
    (402, QUOTA),
    (403, AUTH),
    (404, MODEL_CONFIG),
    (405, MODEL_CONFIG),
    (408, TRANSIENT),
    (409, TRANSIENT),
    (410, MODEL_CONFIG),
    (413, BAD_REQUEST),
    (415, BAD_REQUEST),
    (422, BAD_REQUEST),
    (424, BAD_REQUEST),
    (425, TRANSIENT),
    (429, RATE_LIMIT),
    (498, RATE_LIMIT),
    (499, TRANSIENT),
    *((status, TRANSIENT) for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)),
]


@each
@pytest.mark.parametrize(("status", "kind"), DEFAULTS)
def test_a_status_without_a_word_means_the_same_everywhere(name, status, kind):
    assert {read(name, status, body).kind for body in (b"", b"{}", b"<html></html>")} == {kind}


@each
def test_a_success_without_an_answer_is_a_bad_answer_with_its_text_kept(name):
    failed = read(name, 200, {"choices": None, "usage": {"prompt_tokens": 4}})
    assert failed.kind is services.of(name).cut_off
    assert '"prompt_tokens": 4' in failed.raw


def test_what_an_unusable_answer_used_is_known():
    body = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 9}}
    assert read("openai", 200, body).usage == Usage(4, 9)
    assert read("openai", 200, {**body, "error": "broken"}).usage == Usage(4, 9)


def test_one_answer_of_many_that_was_filtered_leaves_the_others_usable():
    body = answer("stop")
    body["choices"].append({"message": {}, "finish_reason": "content_filter"})
    assert isinstance(read("azure", 200, body), Success)


def test_an_empty_answer_that_was_asked_for_is_an_answer():
    for reason in ("stop", "length", "tool_calls", None):
        assert isinstance(read("openai", 200, answer(reason, "")), Success)


@each
def test_a_number_in_an_echoed_prompt_is_no_status(name):
    body = error(None, "Invalid prompt: 'why do I get 429, 503 and rate limit errors?'")
    assert read(name, 400, body).kind is BAD_REQUEST


def test_words_deep_in_an_echoed_prompt_do_not_count():
    body = error(None, "Invalid prompt: " + "x" * 600 + " insufficient balance")
    assert read("openai", 400, body).kind is BAD_REQUEST


def test_words_do_not_turn_a_breakdown_into_something_hopeless():
    body = error(None, "upstream said: invalid api key")
    assert read("openai", 502, body).kind is TRANSIENT
    within = {"error": {"code": 502, "message": "upstream said: invalid api key"}}
    assert read("openrouter", 200, within).kind is TRANSIENT


def test_the_name_of_an_error_counts_wherever_it_stands():
    for body in (
        {"error": {"message": "no", "error_type": "rate_limit_exceeded"}},
        {"error": {"message": "no"}, "error_type": "rate_limit_exceeded"},
    ):
        assert read("openrouter", 200, body).kind is Kind.RATE_LIMIT


MESSAGES = [
    (400, {"error": {"message": "a"}}, "a"),
    (400, {"error": "a"}, "a"),
    (400, "a", "a"),
    (400, {"message": "a"}, "a"),
    (400, {"msg": "a"}, "a"),
    (400, {"err": "a"}, "a"),
    (400, {"error_msg": "a"}, "a"),
    (400, {"detail": "a"}, "a"),
    (400, {"header": {"message": "a"}}, "a"),
    (400, {"response": {"error": {"message": "a"}}}, "a"),
    (400, {"error": {"code": 1}, "message": "a"}, "a"),
    (400, {"detail": {"message": "a"}}, "a"),
    (400, b"a\n b", "a b"),
    (400, b"<html><TITLE>\n a \n</TITLE></html>", "a"),
    (400, {"error": {"message": "a\n\n  b\tc"}}, "a b c"),
    (400, b"", "the service answered 400 without a word"),
    (400, {"error": {"message": " "}}, "the service answered 400 without a word"),
    (200, b"", "an empty answer instead of JSON"),
    (200, b"<html><title>a</title>", "an HTML page (a) instead of JSON"),
    (200, b"[]", "the answer is not a JSON object but a list"),
    (200, b"null", "the answer is not a JSON object but null"),
    (200, b"1.5", "the answer is not a JSON object but a number"),
    (200, b'{"a"', "the answer is not valid JSON"),
]


@pytest.mark.parametrize(("status", "body", "message"), MESSAGES)
def test_the_message_is_the_services_own_words_on_one_line(status, body, message):
    assert read("openai", status, body).message == message


def test_a_redirect_is_told_with_its_target():
    failed = read("openai", 308, b"", location="https://llm.example.org/v2")
    assert failed.kind is MODEL_CONFIG
    assert failed.message == (
        "the service redirects to https://llm.example.org/v2: give that as the URL if it is right"
    )


KEYS = [
    "choices",
    "code",
    "completion_tokens_details",
    "content",
    "data",
    "detail",
    "error",
    "finish_reason",
    "header",
    "incomplete_details",
    "innererror",
    "message",
    "metadata",
    "output",
    "prompt_tokens",
    "raw",
    "reason",
    "response",
    "results",
    "status",
    "stop_reason",
    "text",
    "total_tokens",
    "type",
    "usage",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(payload=json_values, status=st.integers(100, 599), name=st.sampled_from(sorted(BY_NAME)))
def test_any_json_with_any_status_is_judged(payload, status, name):
    outcome = read(name, status, payload)
    assert isinstance(outcome, Success) or outcome.message.strip()
    assert not isinstance(outcome, Success) or 200 <= status < 300


@given(content=st.binary(max_size=60), name=st.sampled_from(sorted(BY_NAME)))
def test_any_bytes_are_judged(content, name):
    assert read(name, 200, content).message.strip()
    assert read(name, 500, content).message.strip()
