"""Every service is asked for JSON in its own way, and never for less than the wanted shape."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from providers import PROVIDERS
from request_engine import strict_schema
from request_engine.extraction import Extraction
from request_engine.json_forms import PLAIN, STRICT
from request_engine.local_endpoint.schemas import instance
from request_engine.records import Failure, Kind, Request
from request_engine.shape import shape_of

BY_NAME = {one.name: one for one in PROVIDERS}
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "number", "minimum": 0}},
    "required": ["x"],
}
CLOSED = {**SCHEMA, "additionalProperties": False}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": 1}
RESPONSES = {"model": "m", "input": "hi"}
CONTENTS = {"model": "m", "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
NATIVE = {"model": "m", "input": {"messages": CHAT["messages"]}}
WRONG = Failure(Kind.BAD_ANSWER, "x: 'a' is not a number", answer='{"x": "a"}')


def asked(
    name: str,
    endpoint: str,
    body: dict[str, Any],
    schema: dict[str, Any] = SCHEMA,
    wrong: Failure | None = None,
) -> dict[str, Any]:
    """The body that asks for the shape; what is sent says the same."""
    request = Request(1, body, json.dumps(body).encode())
    got = Extraction(shape_of(schema)).asking(request, BY_NAME[name], endpoint, wrong)
    assert json.loads(got.raw_body) == got.body
    assert request.body == body
    return got.body


def added(name: str, endpoint: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What asking changes in *body*."""
    got = asked(name, endpoint, body, **more)
    return {key: value for key, value in got.items() if body.get(key) != value}


def schema_format(schema: dict[str, Any], **strict: bool) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, **strict}
    return {"type": "json_schema", "json_schema": named}


OWN = [
    ("openai", "chat/completions", CHAT, {"response_format": schema_format(CLOSED, strict=True)}),
    ("azure", "chat/completions", CHAT, {"response_format": schema_format(CLOSED, strict=True)}),
    (
        "openai",
        "responses",
        RESPONSES,
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "answer",
                    "strict": True,
                    "schema": CLOSED,
                }
            }
        },
    ),
    (
        "anthropic",
        "messages",
        CHAT | {"max_tokens": 9},
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {
                        **CLOSED,
                        "properties": {"x": {"type": "number"}},
                    },
                }
            }
        },
    ),
    (
        "google",
        "generateContent",
        CONTENTS | {"generationConfig": {"temperature": 0}},
        {
            "generationConfig": {
                "temperature": 0,
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            }
        },
    ),
    (
        "vertex",
        "generateContent",
        CONTENTS | {"generation_config": {}},
        {
            "generation_config": {
                "response_mime_type": "application/json",
                "response_json_schema": SCHEMA,
            }
        },
    ),
]


@pytest.mark.parametrize(("name", "endpoint", "body", "wanted"), OWN)
def test_a_service_that_shows_the_schema_to_its_model_gets_it_once(name, endpoint, body, wanted):
    assert added(name, endpoint, body) == wanted


TOLD = [
    ("mistral", "chat/completions", CHAT, {"response_format": schema_format(CLOSED, strict=True)}),
    ("vllm", "chat/completions", CHAT, {"response_format": schema_format(SCHEMA)}),
    ("llama_cpp", "chat/completions", CHAT, {"response_format": schema_format(SCHEMA)}),
    ("together", "chat/completions", CHAT, {"response_format": schema_format(SCHEMA)}),
    ("ollama", "api/chat", CHAT, {"format": SCHEMA}),
    ("deepseek", "chat/completions", CHAT, {"response_format": {"type": "json_object"}}),
    ("aliyun", "chat/completions", CHAT, {"response_format": {"type": "json_object"}}),
    ("openai_compatible", "chat/completions", CHAT, {}),
    ("lab_gateway", "gpt", CHAT, {}),
    ("one_api", "chat/completions", CHAT, {}),
]


@pytest.mark.parametrize(("name", "endpoint", "body", "wanted"), TOLD)
def test_where_the_model_does_not_see_it_the_prompt_says_it_too(name, endpoint, body, wanted):
    got = added(name, endpoint, body)
    system, *others = got.pop("messages")
    assert got == wanted
    assert others == body["messages"]
    assert system["role"] == "system"
    assert json.dumps(SCHEMA) in system["content"]
    assert "JSON" in system["content"]


def told(name: str, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    got = added(name, endpoint, body)
    assert json.dumps(SCHEMA) in json.dumps(got).encode().decode("unicode_escape")
    return got


def test_it_is_said_behind_the_instructions_that_there_are():
    system = {"role": "system", "content": "Be brief."}
    body = CHAT | {"messages": [system, *CHAT["messages"]]}
    first, *others = told("deepseek", "chat/completions", body)["messages"]
    assert first["content"].startswith("Be brief.\n\nAnswer with JSON")
    assert others == CHAT["messages"]
    in_parts = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
    body = CHAT | {"messages": [in_parts, *CHAT["messages"]]}
    first = told("deepseek", "chat/completions", body)["messages"][0]
    assert [one["type"] for one in first["content"]] == ["text", "text"]


@pytest.mark.parametrize(
    ("name", "endpoint", "body", "member"),
    [
        ("openai_compatible", "completions", {"prompt": "hi"}, "prompt"),
        ("openai_compatible", "responses", RESPONSES, "instructions"),
        ("openai_compatible", "messages", CHAT | {"max_tokens": 9}, "system"),
        ("lab_gateway", "claude", CHAT | {"max_tokens": 9}, "system"),
        ("aliyun", "text-generation/generation", NATIVE, "input"),
    ],
)
def test_the_prompt_says_it_where_the_endpoint_has_its_instructions(name, endpoint, body, member):
    assert told(name, endpoint, body).keys() == {member}


def test_what_a_body_cannot_be_without_is_added_only_where_it_is_lacking():
    assert added("anthropic", "messages", CHAT)["max_tokens"] == 4_096
    assert "max_tokens" not in added("anthropic", "messages", CHAT | {"max_tokens": 9})


def test_the_users_own_word_on_the_format_stands_and_the_prompt_says_the_rest():
    """That is the way out for a model that does not take what its service takes."""
    own = {"response_format": {"type": "json_object"}}
    assert told("openai", "chat/completions", CHAT | own).keys() == {"messages"}
    config = {"generationConfig": {"responseMimeType": "text/plain"}}
    assert told("google", "generateContent", CONTENTS | config).keys() == {"systemInstruction"}
    assert "text" in added("openai", "responses", RESPONSES | {"text": {"verbosity": "low"}})


FURTHER = [
    ("openai", "chat/completions", CHAT, "messages", "content"),
    ("openai", "responses", RESPONSES, "input", "content"),
    ("anthropic", "messages", CHAT, "messages", "content"),
    ("google", "generateContent", CONTENTS, "contents", "parts"),
]


@pytest.mark.parametrize(("name", "endpoint", "body", "member", "said"), FURTHER)
def test_a_wrong_answer_is_two_more_turns(name, endpoint, body, member, said):
    before = asked(name, endpoint, body)[member]
    after = asked(name, endpoint, body, wrong=WRONG)[member]
    before = [{"role": "user", "content": before}] if isinstance(before, str) else before
    assert after[:-2] == before
    assert [one["role"] for one in after[-2:]] == [
        "model" if said == "parts" else "assistant",
        "user",
    ]
    assert WRONG.answer in str(after[-2][said])
    assert WRONG.message in str(after[-1][said])


def test_a_wrong_answer_is_repeated_in_prompts_of_one_text_and_within_members():
    got = asked("openai_compatible", "completions", {"prompt": "hi"}, wrong=WRONG)
    assert got["prompt"].index("hi") < got["prompt"].index(WRONG.answer)
    turns = asked("aliyun", "text-generation/generation", NATIVE, wrong=WRONG)["input"]["messages"]
    assert [one["role"] for one in turns] == ["system", "user", "assistant", "user"]


def test_a_body_for_which_nobody_knows_how_to_ask_stays_as_it_is():
    assert added("openai", "embeddings", {"model": "m", "input": "hi"}) == {}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_every_endpoint_that_is_asked_is_one_that_there_is(provider):
    assert provider.json_forms.keys() <= {*provider.endpoints, *BY_NAME["openai"].endpoints}
    for endpoint in provider.json_forms:
        for schema in (SCHEMA, {"type": "array"}, {"$ref": "#/$defs/a", "$defs": {"a": SCHEMA}}):
            assert asked(provider.name, endpoint, CHAT | RESPONSES, schema)


class Node(BaseModel):
    value: int = Field(ge=0, le=9)
    label: str | None = Field(None, max_length=5, description="what it is called")
    left: "Node | None" = None
    others: list["Node"] = []


class Base(BaseModel):
    kind: str


class Holder(BaseModel):
    base: Base = Field(description="the base")
    number: int = 3


def test_a_strict_schema_says_what_services_demand_and_means_the_same():
    strict = strict_schema.cut(Node.model_json_schema(), STRICT)
    assert strict is not None
    node = strict["$defs"]["Node"]
    assert node["required"] == ["value", "label", "left", "others"]
    assert node["additionalProperties"] is False
    assert "default" not in json.dumps(strict)
    assert "maxLength" not in json.dumps(strict)
    assert node["properties"]["value"] == {
        "maximum": 9,
        "minimum": 0,
        "title": "Value",
        "type": "integer",
    }
    assert strict["type"] == "object"


def test_what_a_model_would_have_to_make_up_is_not_required_of_it():
    """A member that may be left out, but not be null."""
    schema = Holder.model_json_schema()
    assert strict_schema.cut(schema, STRICT) is None
    loose = asked("openai", "chat/completions", CHAT, schema)["response_format"]["json_schema"]
    assert (loose.get("strict"), loose["schema"]) == (None, schema)
    plain = strict_schema.cut(schema, PLAIN)
    assert plain is not None
    assert plain["required"] == ["base"]
    assert plain["properties"]["base"] == {
        "anyOf": [{"$ref": "#/$defs/Base"}],
        "description": "the base",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"not": {"type": "null"}}}, "required": ["a"]},
        {"type": "object", "properties": {"a": True}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"]},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"prefixItems": []}}, "required": ["a"]},
    ],
)
def test_what_strict_cannot_say_is_not_cut_into_something_else(schema):
    assert strict_schema.cut(schema, STRICT) is None


def test_a_part_within_itself_is_seen_however_long_the_way_round_is():
    assert strict_schema.is_recursive(Node.model_json_schema())
    assert not strict_schema.is_recursive(Holder.model_json_schema())
    around = {
        "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}
    }
    assert strict_schema.is_recursive({"$ref": "#/$defs/a", **around})
    assert strict_schema.is_recursive({"properties": {"more": {"$ref": "#"}}})
    assert strict_schema.cut(Node.model_json_schema(), PLAIN) is None
    got = asked("anthropic", "messages", CHAT, Node.model_json_schema())
    assert "output_config" not in got
    assert "JSON Schema" in got["system"]


leaves = st.sampled_from(
    [
        {"type": "integer", "minimum": 1},
        {"type": "string", "maxLength": 9},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        {"oneOf": [{"const": 1}, {"const": "a"}]},
        {"enum": ["a", "b", None]},
        {"$ref": "#/$defs/leaf"},
        {"allOf": [{"type": "number"}], "description": "a number"},
    ]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda one: {"type": "array", "items": one}),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).flatmap(
            lambda members: st.builds(
                lambda needed: {
                    "type": "object",
                    "properties": members,
                    "required": sorted(needed),
                },
                st.sets(st.sampled_from(sorted(members))),
            )
        ),
    ),
    max_leaves=6,
)


@given(schemas)
def test_a_whole_answer_of_the_shape_is_never_refused_by_what_is_sent(inner):
    whole = {
        "type": "object",
        "properties": {"v": inner},
        "required": ["v"],
        "$defs": {"leaf": {"type": "string"}},
    }
    value = instance(whole)
    strict = strict_schema.cut(whole, STRICT)
    if strict is not None:
        jsonschema.Draft202012Validator(whole).validate(value)
        jsonschema.Draft202012Validator(strict).validate(value)
