"""Every body shape is counted, and no JSON value is ever too strange to count."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_engine.encodings import encoder
from request_engine.tokens import (
    chat_tokens,
    choices,
    completion_ceiling,
    messages_tokens,
    prompt_count,
    prompt_tokens,
    responses_tokens,
)

IMAGE = 1000


def words(text: str) -> list[int]:
    """A token a word, so that the sums below can be done by hand."""
    return [0] * len(text.split())


def image(url: str, detail: str) -> int:
    return IMAGE + (detail == "low")


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


WEATHER = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {
                "type": "string",
                "description": "The city and state, e.g. San Francisco, CA",
            },
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}
WEATHER_CHAT = chat(
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    user("What's the weather like in San Francisco?"),
    tools=[{"type": "function", "function": WEATHER}],
)
# Opening 7, "name:Get ... location" 8 words, properties 3; "location:string:The ..." 3 + 8 words;
# "unit:string:The ..." 3 + 6 words with an enum of two words -3 + 3 + 1 + 3 + 1; closing 12.
WEATHER_WORDS = (7 + 8 + 3) + (3 + 8) + (3 + 6 + 5) + 12


@pytest.mark.parametrize(
    ("model", "encoding", "expected"),
    [
        ("gpt-3.5-turbo", "cl100k_base", 105),
        ("gpt-4", "cl100k_base", 105),
        ("gpt-4o", "o200k_base", 101),
        ("gpt-4o-mini", "o200k_base", 101),
    ],
)
def test_the_cookbooks_tool_example_has_its_published_count(
    model: str, encoding: str, expected: int
) -> None:
    """The service itself reported these numbers to the cookbook's authors."""
    assert chat_tokens(WEATHER_CHAT | {"model": model}, encoder(encoding), image) == expected


@pytest.mark.parametrize(("encoding", "expected"), [("cl100k_base", 129), ("o200k_base", 124)])
def test_the_cookbooks_message_example_has_its_published_count(
    encoding: str, expected: int
) -> None:
    lines = [
        ("example_user", "New synergies will help drive top-line growth."),
        ("example_assistant", "Things working well together will increase revenue."),
        (
            "example_user",
            "Let's circle back when we have more bandwidth to touch base on opportunities for "
            "increased leverage.",
        ),
        (
            "example_assistant",
            "Let's talk later when we're less busy about how to do better.",
        ),
    ]
    body = chat(
        {
            "role": "system",
            "content": "You are a helpful, pattern-following assistant that translates corporate "
            "jargon into plain English.",
        },
        *({"role": "system", "name": name, "content": content} for name, content in lines),
        user(
            "This late pivot means we don't have time to boil the ocean for the client deliverable."
        ),
    )
    assert chat_tokens(body, encoder(encoding), image) == expected


CHAT_BODIES = [
    pytest.param({}, 0, id="no messages"),
    pytest.param(chat(), 0, id="empty messages"),
    pytest.param(chat(user("one two three")), 3 + (3 + 1 + 3), id="one message"),
    pytest.param(chat(user("one"), user("two")), 3 + (3 + 1 + 1) + (3 + 1 + 1), id="two messages"),
    pytest.param(chat(user("one", name="ann")), 3 + (3 + 1 + 1) + (1 + 1), id="name"),
    pytest.param(chat(user(None)), 3 + (3 + 1), id="null content"),
    pytest.param(chat(user(7)), 3 + (3 + 1), id="content that is a number"),
    pytest.param(chat({"content": "one"}), 3 + (3 + 1), id="no role"),
    pytest.param(
        chat(user([{"type": "text", "text": "one two"}, {"type": "text", "text": "three"}])),
        3 + (3 + 1 + 2 + 1),
        id="text parts",
    ),
    pytest.param(
        chat(user([{"type": "image_url", "image_url": {"url": "http://a/b.png"}}])),
        3 + (3 + 1 + IMAGE),
        id="image part",
    ),
    pytest.param(
        chat(user([{"type": "image_url", "image_url": {"url": "http://a", "detail": "low"}}])),
        3 + (3 + 1 + IMAGE + 1),
        id="image part with a detail",
    ),
    pytest.param(
        chat(user([{"type": "input_audio", "input_audio": {"data": "abc", "format": "wav"}}])),
        3 + (3 + 1),
        id="a part that cannot be counted",
    ),
    pytest.param(
        chat({"role": "assistant", "content": None, "refusal": "I will not"}),
        3 + (3 + 1 + 3),
        id="refusal",
    ),
    pytest.param(
        chat(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call 1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at": "the sky"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call 1", "content": "it is blue"},
        ),
        3 + (3 + 1 + 1 + 3) + (3 + 1 + 3),
        id="tool call and its result",
    ),
    pytest.param(
        chat({"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}}),
        3 + (3 + 1 + 1 + 1),
        id="older function call",
    ),
    pytest.param(
        chat(user("one"), functions=[WEATHER]),
        3 + (3 + 1 + 1) + WEATHER_WORDS,
        id="older functions",
    ),
    pytest.param(
        chat(user("one"), tools=[{"type": "function", "function": WEATHER}]),
        3 + (3 + 1 + 1) + WEATHER_WORDS,
        id="tools",
    ),
    pytest.param(
        chat(user("one"), model="gpt-4", tools=[{"type": "function", "function": WEATHER}]),
        3 + (3 + 1 + 1) + WEATHER_WORDS + (10 - 7),
        id="tools of an older model",
    ),
    pytest.param(
        chat(tools=[{"type": "function", "function": {"name": "now"}}]),
        (7 + 1) + 12,
        id="a tool without description and parameters",
    ),
    pytest.param(
        chat(
            tools=[
                {
                    "function": {
                        "name": "go",
                        "parameters": {
                            "properties": {
                                "to": {
                                    "type": "object",
                                    "properties": {"x": {"type": "number"}},
                                }
                            }
                        },
                    }
                }
            ]
        ),
        (7 + 1) + 3 + (3 + 1) + 3 + (3 + 1) + 12,
        id="properties inside a property",
    ),
]


@pytest.mark.parametrize(("body", "expected"), CHAT_BODIES)
def test_chat_is_counted_by_the_current_rule(body: dict[str, Any], expected: int) -> None:
    """Three a message, one for a name, three for the reply, and the tokens of the strings."""
    assert chat_tokens(body, words, image) == expected


def test_arguments_of_a_call_count_as_their_text() -> None:
    call = {"function": {"name": "look", "arguments": '{"at": "the sky"}'}}
    body = chat({"role": "assistant", "tool_calls": [call]})
    assert chat_tokens(body, words, image) == 3 + (3 + 1 + 1 + 3)


PROMPTS = [
    pytest.param("one two", 2, 1, id="string"),
    pytest.param(["one two", "three"], 3, 2, id="strings"),
    pytest.param([11, 12, 13], 3, 1, id="token array"),
    pytest.param([[11, 12], [13]], 3, 2, id="token arrays"),
    pytest.param(["one two", [11, 12, 13]], 5, 2, id="a string and a token array"),
    pytest.param([], 0, 1, id="empty list"),
    pytest.param("", 0, 1, id="empty string"),
    pytest.param(None, 0, 1, id="none"),
    pytest.param([True, None, 1.5, {}], 0, 1, id="junk"),
    pytest.param([{"type": "text", "text": "one two"}], 2, 1, id="an object with a text"),
]


@pytest.mark.parametrize(("prompt", "tokens", "count"), PROMPTS)
def test_prompts_of_every_shape_are_counted(prompt: Any, tokens: int, count: int) -> None:
    assert (prompt_tokens(prompt, words), prompt_count(prompt)) == (tokens, count)


@pytest.mark.parametrize(("value", "tokens", "count"), PROMPTS)
def test_embedding_inputs_have_the_shapes_of_prompts(value: Any, tokens: int, count: int) -> None:
    assert prompt_tokens(value, words) == tokens


RESPONSES_BODIES = [
    pytest.param({}, 0, id="empty"),
    pytest.param({"input": "one two"}, 3 + (3 + 1 + 2), id="string input"),
    pytest.param(
        {"instructions": "be brief", "input": "one two"},
        3 + (3 + 1 + 2) + (3 + 1 + 2),
        id="instructions",
    ),
    pytest.param({"instructions": None, "input": [user("one")]}, 3 + (3 + 1 + 1), id="items"),
    pytest.param(
        {
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "what is this"},
                        {"type": "input_image", "image_url": "http://a/b.png", "detail": "low"},
                        {"type": "input_image", "file_id": "file-1"},
                        {"type": "input_file", "file_id": "file-2"},
                    ],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "a cat"}],
                },
            ]
        },
        3 + (3 + 1 + 3 + (IMAGE + 1) + IMAGE) + (3 + 1 + 2),
        id="parts",
    ),
    pytest.param(
        {
            "input": [
                {"type": "function_call", "call_id": "c 1", "name": "f", "arguments": '{"a": 1}'},
                {"type": "function_call_output", "call_id": "c 1", "output": "it is 1"},
                {
                    "type": "function_call_output",
                    "call_id": "c 2",
                    "output": [{"type": "input_text", "text": "one"}],
                },
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so be it"}]},
            ]
        },
        3 + (3 + 1 + 2) + (3 + 3) + (3 + 1) + (3 + 3),
        id="calls, their outputs and reasoning",
    ),
    pytest.param(
        {"input": "one", "tools": [{"type": "function", **WEATHER}]},
        3 + (3 + 1 + 1) + WEATHER_WORDS,
        id="tools, which are flat here",
    ),
]


@pytest.mark.parametrize(("body", "expected"), RESPONSES_BODIES)
def test_the_responses_shape_is_counted(body: dict[str, Any], expected: int) -> None:
    assert responses_tokens(body, words, image) == expected


PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
MESSAGES_BODIES = [
    pytest.param({}, 0, id="empty"),
    pytest.param(
        {"system": "be brief", "messages": [user("one")]},
        3 + (3 + 1 + 2) + (3 + 1 + 1),
        id="system string",
    ),
    pytest.param(
        {"system": [{"type": "text", "text": "be brief"}], "messages": [user("one")]},
        3 + (3 + 1 + 2) + (3 + 1 + 1),
        id="system blocks",
    ),
    pytest.param({"messages": [user([PNG])]}, 3 + (3 + 1 + IMAGE), id="image"),
    pytest.param(
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "let me see", "signature": "x y z"},
                        {"type": "tool_use", "id": "t 1", "name": "f", "input": {"a": 1}},
                    ],
                },
                user([{"type": "tool_result", "tool_use_id": "t 1", "content": "it is 1"}]),
                user(
                    [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t 2",
                            "content": [{"type": "text", "text": "two words"}, PNG],
                        }
                    ]
                ),
            ]
        },
        3 + (3 + 1 + 3 + 1 + 2) + (3 + 1 + 3) + (3 + 1 + 2 + IMAGE),
        id="thinking, tool_use and tool_result",
    ),
    pytest.param(
        {
            "messages": [
                user(
                    [
                        {"type": "document", "source": {"type": "text", "data": "two words"}},
                        {"type": "document", "source": {"type": "base64", "data": "AAAA"}},
                    ]
                )
            ]
        },
        3 + (3 + 1 + 2),
        id="documents: text is counted, a file is not",
    ),
    pytest.param(
        {
            "messages": [user("one")],
            "tools": [
                {
                    "name": WEATHER["name"],
                    "description": WEATHER["description"],
                    "input_schema": WEATHER["parameters"],
                }
            ],
        },
        3 + (3 + 1 + 1) + WEATHER_WORDS,
        id="tools with an input_schema",
    ),
]


@pytest.mark.parametrize(("body", "expected"), MESSAGES_BODIES)
def test_the_messages_shape_is_counted(body: dict[str, Any], expected: int) -> None:
    assert messages_tokens(body, words, image) == expected


def test_images_are_handed_over_as_url_and_detail() -> None:
    """Base64 sources become data URLs; a missing detail is auto; an uploaded file has no URL."""
    seen = []

    def remember(url: str, detail: str) -> int:
        seen.append((url, detail))
        return 0

    remote = {"type": "image", "source": {"type": "url", "url": "http://a/b.png"}}
    uploaded = {"type": "image", "source": {"type": "file", "file_id": "file-1"}}
    plain = {"type": "image_url", "image_url": "http://c", "detail": "high"}
    messages_tokens(
        {"messages": [user([PNG]), user(remote), user([uploaded, plain])]}, words, remember
    )
    assert sorted(seen) == [
        ("", "auto"),
        ("data:image/png;base64,AAAA", "auto"),
        ("http://a/b.png", "auto"),
        ("http://c", "high"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, None),
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 20, "max_tokens": 10}, 20),
        ({"max_output_tokens": 30}, 30),
        ({"max_new_tokens": 40}, 40),
        ({"max_tokens": None}, None),
        ({"max_tokens": 0}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": "10"}, None),
        ({"max_tokens": [10], "max_output_tokens": 5}, 5),
        (None, None),
        ([1], None),
    ],
)
def test_the_ceiling_is_the_largest_positive_integer_given(body: Any, expected: int | None) -> None:
    assert completion_ceiling(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"num_responses": 4}, 4),
        ({"n": 0}, 1),
        ({"n": True}, 1),
        ({"n": None}, 1),
        ({"n": "3"}, 1),
        ("n", 1),
    ],
)
def test_there_is_at_least_one_answer(body: Any, expected: int) -> None:
    assert choices(body) == expected


def every_count(body: Any) -> list[int]:
    return [
        chat_tokens(body, words, image),
        responses_tokens(body, words, image),
        messages_tokens(body, words, image),
        prompt_tokens(body, words),
        prompt_tokens(body, words),
        prompt_count(body),
        completion_ceiling(body) or 0,
        choices(body),
    ]


FAMILIAR = """
    messages content role name type text refusal thinking image_url url detail source data
    tool_calls function function_call arguments tools functions parameters properties enum items
    anyOf $defs description input instructions system output summary input_schema model n
    max_tokens custom media_type
"""
KEYS = st.sampled_from(FAMILIAR.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["image_url", "input_image", "image", "text", "base64", "gpt-4", "\ud800"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=15,
)


@given(JSON)
def test_no_json_value_raises(body: Any) -> None:
    """Whatever a line holds, it is counted as far as it makes sense."""
    for count in every_count(body):
        assert type(count) is int
        assert count >= 0


@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_no_body_with_familiar_keys_raises(body: dict[str, Any]) -> None:
    assert min(every_count(body)) >= 0


@given(JSON)
def test_counting_leaves_the_body_as_it_is(body: Any) -> None:
    before = repr(body)
    every_count(body)
    assert repr(body) == before


@pytest.mark.parametrize(
    "opening", ["[", '{"content":', '{"input":', '{"items":', '{"properties":']
)
def test_deep_nesting_is_no_stack_overflow(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    deep = json.loads(opening * 900 + '"x"' + closing * 900)
    for body in (deep, chat(deep), chat(tools=[{"parameters": deep}]), {"input": [deep]}):
        assert min(every_count(body)) >= 0


def test_a_number_too_long_to_spell_is_no_error() -> None:
    huge = 10**5000
    body = chat({"tool_calls": [{"function": {"arguments": {"a": huge}}}]}, max_tokens=huge)
    assert chat_tokens(body, words, image) == 3 + 3
