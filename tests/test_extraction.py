"""Answers have the wanted shape, or the request fails: nothing is made up, nothing lost."""

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from scripted import Service, answer, error, request
from virtual_time import run

from providers.openai import OpenAI
from request_engine import answer_json
from request_engine.errors import BadInput
from request_engine.extraction import Extraction, Fitting
from request_engine.records import Failure, Kind, Reply, Usage, used
from request_engine.shape import Invalid, Valid, shape_of


class Pet(BaseModel):
    kind: Literal["cat", "dog"]
    name: str | None = None


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    pets: list[Pet] = []
    parent: "Person | None" = None


ANNE = {"name": "Anne", "age": 30, "pets": [{"kind": "cat", "name": None}], "parent": None}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x"],
}


def extracting(replies, shape: Any = Person, **settings) -> tuple[Any, list[dict[str, Any]]]:
    """The outcome of one request, and the bodies that were sent."""

    async def asked() -> tuple[Any, list[dict[str, Any]]]:
        service = Service(replies, extraction=Extraction(shape_of(shape)), **settings)
        outcome = await service.send(request(text="Anne is thirty."))
        return outcome, [json.loads(body) for body in service.sent]

    return run(asked())


def said(value: Any, **usage: int) -> Reply:
    return answer(value if isinstance(value, str) else json.dumps(value), **usage)


def ended(reason: str, text: str, **message: Any) -> Reply:
    choice = {"message": {"content": text, **message}, "finish_reason": reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    return Reply(200, {}, json.dumps({"choices": [choice], "usage": usage}).encode())


def test_an_answer_that_fits_is_read_into_the_model():
    outcome, sent = extracting([said(ANNE)])
    assert isinstance(outcome, Fitting)
    assert outcome.value == Person(name="Anne", age=30, pets=[Pet(kind="cat")])
    assert json.loads(outcome.response)["choices"][0]["message"]["content"] == json.dumps(ANNE)
    assert len(sent) == 1


def test_a_wrong_answer_is_asked_again_with_what_is_wrong_and_every_token_is_counted():
    wrong = json.dumps({"name": "Anne", "age": "thirty"})
    tries = [
        said(wrong, prompt_tokens=10, completion_tokens=3),
        said(ANNE, prompt_tokens=20, completion_tokens=4),
    ]
    outcome, sent = extracting(tries)
    assert outcome.value.age == 30
    assert used(outcome) == Usage(30, 7)
    (failed,) = outcome.earlier
    assert (failed.kind, failed.raw, failed.attempt) == (Kind.BAD_ANSWER, wrong, 1)
    assert "age" in failed.message
    before, after = (body["messages"] for body in sent)
    assert after[:-2] == before
    assert after[-2] == {"role": "assistant", "content": wrong}
    assert after[-1]["role"] == "user"
    assert failed.message in after[-1]["content"]


def test_only_the_latest_wrong_answer_is_repeated():
    _, sent = extracting([said("first"), said("second"), said(ANNE)])
    assert "first" in json.dumps(sent[1])
    assert "second" in json.dumps(sent[2])
    assert "first" not in json.dumps(sent[2])


def test_it_is_put_right_at_once_and_a_service_in_trouble_is_given_time():
    async def asked() -> float:
        import asyncio

        replies = [said("no"), said("no"), said(ANNE)]
        service = Service(replies, extraction=Extraction(shape_of(Person)))
        await service.send(request())
        return asyncio.get_running_loop().time()

    assert run(asked()) == 0.0


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_it_is_asked_no_more_often_than_the_attempts_allow(attempts):
    tries = [said("no JSON", prompt_tokens=2, completion_tokens=1)]
    outcome, sent = extracting(tries, max_attempts=attempts)
    assert isinstance(outcome, Failure)
    assert len(sent) == len(outcome.earlier) + 1 == attempts
    assert {one.kind for one in (outcome, *outcome.earlier)} == {Kind.BAD_ANSWER}
    assert used(outcome) == Usage(2 * attempts, attempts)
    assert "there is no JSON in it" in outcome.message


def test_a_fault_between_does_not_make_it_forget_what_was_wrong():
    outcome, sent = extracting([said("no"), error(500), said(ANNE)])
    assert outcome.value.name == "Anne"
    assert sent[1] == sent[2]
    assert [one.kind for one in outcome.earlier] == [Kind.BAD_ANSWER, Kind.TRANSIENT]


def test_an_answer_that_was_cut_off_is_not_asked_for_again():
    """The next one would be as long."""
    outcome, sent = extracting([ended("length", '{"name": "An')])
    assert (outcome.kind, len(sent)) == (Kind.BAD_ANSWER, 1)
    assert "cut off" in outcome.message
    assert (outcome.raw, outcome.usage) == ('{"name": "An', Usage(5, 7))


def test_an_object_within_one_that_was_cut_off_is_not_taken_for_the_answer():
    text = '{"x": 1, "more": [{"x": 2}, {"x": 3'
    outcome, _ = extracting([ended("length", text)], shape=POINT)
    assert isinstance(outcome, Failure)


def test_whole_json_counts_even_where_the_tokens_were_used_up():
    outcome, _ = extracting([ended("length", '{"x": 1}')], shape=POINT)
    assert outcome.value == {"x": 1}


def test_a_model_that_refuses_is_not_asked_again():
    outcome, sent = extracting([ended("stop", "", refusal="I cannot do that.")])
    assert (outcome.kind, len(sent)) == (Kind.CONTENT_FILTER, 1)
    assert "I cannot do that." in outcome.message
    assert outcome.usage == Usage(5, 7)


def test_the_arguments_of_a_tool_are_an_answer_too():
    call = {"type": "function", "function": {"name": "f", "arguments": json.dumps(ANNE)}}
    outcome, _ = extracting([ended("tool_calls", "", tool_calls=[call])])
    assert outcome.value.name == "Anne"


def test_an_empty_answer_is_said_to_be_empty_and_no_empty_turn_is_sent():
    outcome, sent = extracting([ended("stop", " "), said(ANNE)])
    assert "it is empty" in outcome.earlier[0].message
    assert all(turn["content"].strip() for turn in sent[1]["messages"])


def test_nothing_is_asked_or_checked_where_no_shape_is_wanted():
    async def asked() -> tuple[Any, bytes]:
        service = Service([said("prose")])
        one = request()
        return await service.send(one), service.sent[0] == one.raw_body

    outcome, same = run(asked())
    assert not isinstance(outcome, Fitting)
    assert same


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1}', '{"a": 1}'),
        (" \n[1, 2]\n", "[1, 2]"),
        ('Here it is:\n```json\n{"a": "}"}\n```\nBye', '{"a": "}"}'),
        ('```\n{"a": 1}\n```', '{"a": 1}'),
        ('It is {"a": {"b": [1]}}, I think.', '{"a": {"b": [1]}}'),
        ('<think>{"a": 0}, or not</think>\n{"a": 1}', '{"a": 1}'),
        ('As {name} says: {"name": "x", "long": "er"} or {"a": 1}', '{"name": "x", "long": "er"}'),
        ("5", "5"),
        ('"a"', '"a"'),
        ("no", None),
        ("", None),
        ('{"a": 1', None),
        ('{"a": NaN}', None),
        ("[" * 100_000, None),
        ("{[" * 100_000, None),
    ],
)
def test_the_json_is_found_whatever_is_around_it(text, wanted):
    assert answer_json.json_in(text) == wanted


@given(st.text(alphabet='{}[]",:a1 \n`', max_size=60))
def test_what_is_found_is_json(text):
    found = answer_json.json_in(text)
    if found is not None:
        json.loads(found)


REPLIES = [
    {"output": [{"type": "message", "content": [{"type": "output_text", "text": '{"x": 1}'}]}]},
    {"content": [{"type": "text", "text": '{"x": 1}'}], "stop_reason": "end_turn"},
    {"content": [{"type": "tool_use", "name": "f", "input": {"x": 1}}], "stop_reason": "tool_use"},
    {"candidates": [{"content": {"parts": [{"text": '{"x": 1}'}]}, "finishReason": "STOP"}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"args": {"x": 1}}}]}}]},
    {"message": {"role": "assistant", "content": '{"x": 1}'}, "done_reason": "stop"},
    {"response": '{"x": 1}', "done": True},
    {"output": {"choices": [{"message": {"content": '{"x": 1}'}, "finish_reason": "stop"}]}},
    {"output": [{"type": "function_call", "name": "f", "arguments": '{"x": 1}'}]},
    {"choices": [{"text": '{"x": 1}', "finish_reason": "stop"}]},
]


@pytest.mark.parametrize("reply", REPLIES)
def test_the_answer_is_found_in_every_shape_of_reply(reply):
    assert json.loads(answer_json.said(reply)) == {"x": 1}
    assert not answer_json.was_cut(reply)
    assert answer_json.refusal(reply) is None


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": [{"message": {"content": "{"}, "finish_reason": "length"}]},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"content": [], "stop_reason": "max_tokens"},
        {"candidates": [{"finishReason": "MAX_TOKENS"}]},
        {"message": {"content": "{"}, "done_reason": "length"},
        {"output": {"choices": [{"finish_reason": "length"}]}},
    ],
)
def test_an_answer_that_was_cut_off_is_known_in_every_shape(reply):
    assert answer_json.was_cut(reply)


def test_a_refusal_is_known_in_the_shape_of_responses_too():
    part = {"type": "refusal", "refusal": "No."}
    reply = {"output": [{"type": "message", "content": [part]}]}
    assert answer_json.refusal(reply) == "No."


def test_a_schema_checks_what_pydantic_would():
    """Recursion, unions, lists, enums and optional members, by both libraries."""
    by_model = shape_of(Person)
    by_schema = shape_of(by_model.schema)
    right: list[Any] = [
        ANNE,
        {"name": "A", "age": 0},
        {"name": "A", "age": 1, "parent": {**ANNE, "parent": ANNE}},
        {"name": "A", "age": 1, "pets": []},
    ]
    wrong: list[Any] = [
        {"name": "A"},
        {"name": "A", "age": -1},
        {"name": "A", "age": 1, "pets": [{"kind": "cow"}]},
        {"name": "A", "age": 1, "parent": {"name": "B"}},
        {"name": "A", "age": 1, "parent": [ANNE]},
        [ANNE],
        None,
    ]
    for shape in (by_model, by_schema):
        for value in right:
            assert isinstance(shape.read(json.dumps(value)), Valid), value
        for value in wrong:
            read = shape.read(json.dumps(value))
            assert isinstance(read, Invalid), value
            assert len(read.reason) < 1_500


def test_the_reason_says_where_and_is_short():
    read = shape_of(POINT).read(json.dumps({"x": "a" * 10_000}))
    assert isinstance(read, Invalid)
    assert read.reason.startswith("x: ")
    assert len(read.reason) < 300
    many = shape_of({"type": "array", "items": {"type": "number"}}).read(json.dumps(["a"] * 50))
    assert isinstance(many, Invalid)
    assert many.reason.endswith("and 45 more")


def test_any_type_that_pydantic_reads_is_a_shape():
    read = shape_of(list[Pet]).read('[{"kind": "dog"}]')
    assert read == Valid([Pet(kind="dog")])


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"type": "objekt"}, "objekt"),
        ({"type": "object", "properties": 5}, "properties"),
        ({"$ref": "#/$defs/Nobody"}, "refers to #/$defs/Nobody, which is not in it"),
        ({"$ref": "https://example.invalid/schema"}, "which is not in it"),
        ({"enum": [object()]}, "is no JSON Schema"),
        (object(), "is no type for which there is a schema"),
        (5, "is no type for which there is a schema"),
    ],
)
def test_what_is_no_shape_is_told_in_one_line(shape, told):
    with pytest.raises(BadInput) as wrong:
        shape_of(shape)
    assert told in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_schema_without_end_fails_the_answer_and_nothing_else():
    assert isinstance(shape_of({"allOf": [{"$ref": "#"}]}).read("{}"), Invalid)


def test_a_value_of_the_services_own_place_is_sent_strict():
    _, sent = extracting([said(ANNE)], provider=OpenAI())
    asked = sent[0]["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["additionalProperties"] is False
    assert asked["schema"]["required"] == ["name", "age", "pets", "parent"]
    assert sent[0]["messages"] == [{"role": "user", "content": "Anne is thirty."}]
