"""A streamed answer becomes the reply that the unstreamed call would have given."""

import json
from hashlib import sha256

import pytest
from streamed import ANY, DONE, answer, assemble, call, chunk, delta, event, message

from request_engine.local_endpoint import Settings, answers, calls
from request_engine.local_endpoint.stream import stream
from request_engine.records import Reply, Success

# As the unstreamed reply.

ASKED = [{"role": "user", "content": "What is a tide?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "tide",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "height": {"type": "integer"}},
            "required": ["place", "height"],
        },
    },
}
CALLS = {
    "chat": ("chat/completions", {"messages": ASKED}),
    "several choices": ("chat/completions", {"messages": ASKED, "n": 3}),
    "cut by its ceiling": ("chat/completions", {"messages": ASKED, "max_tokens": 3}),
    "a tool": (
        "chat/completions",
        {"messages": ASKED, "tools": [TOOL], "tool_choice": "required"},
    ),
    "JSON": ("chat/completions", {"messages": ASKED, "response_format": {"type": "json_object"}}),
    "completions": ("completions", {"prompt": "A tide", "max_tokens": 60}),
    "several completions": ("completions", {"prompt": ["A tide", "A wave"], "n": 2}),
    "responses": ("responses", {"input": "What is a tide?"}),
    "an incomplete response": ("responses", {"input": "A tide?", "max_output_tokens": 3}),
    "messages": ("messages", {"messages": ASKED, "max_tokens": 60}),
}


def unstreamed(endpoint: str, body: dict) -> str:
    call = calls.read(endpoint, {"model": "m"} | body, sha256(b"1").digest(), Settings())
    return answers.answer(call, "1", 30).text


@pytest.mark.parametrize(("endpoint", "body"), CALLS.values(), ids=CALLS)
def test_it_is_the_unstreamed_reply_to_the_last_field(endpoint, body):
    text = unstreamed(endpoint, body)
    streamed = b"".join(stream(endpoint, json.loads(text), include_usage=True).events())
    content = assemble(streamed)

    assert json.loads(content) == json.loads(text)
    read, as_before = (ANY.read(Reply(200, {}, one)) for one in (content, text.encode()))
    assert isinstance(read, Success)
    assert read.usage == as_before.usage
    assert read.usage.total > 0


@pytest.mark.parametrize(("endpoint", "body"), CALLS.values(), ids=CALLS)
def test_where_the_network_parts_it_does_not_matter(endpoint, body):
    payload = json.loads(unstreamed(endpoint, body))
    data = b"".join(stream(endpoint, payload, include_usage=True).events())
    whole = assemble(data)
    for size in (1, 2, 3, 61, 500):
        assert assemble(*(data[at : at + size] for at in range(0, len(data), size))) == whole


# Chunks as services write them.


def test_chunks_of_chat_become_one_message():
    assert answer(
        chunk(delta(role="assistant", content="", refusal=None), system_fingerprint="fp"),
        chunk(delta(content="It "), system_fingerprint="fp"),
        chunk(delta(content="is. ")),
        chunk(delta("stop")),
        chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        DONE,
    ) == {
        "id": "c-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It is. ", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "system_fingerprint": "fp",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def test_choices_are_told_apart_by_their_index_and_put_in_order():
    reply = answer(
        chunk(delta(index=1, content="b")),
        chunk(delta(index=0, content="a"), delta(index=1, content="B")),
        chunk(delta("length", index=1), delta("stop", index=0)),
        DONE,
    )
    assert [one["message"]["content"] for one in reply["choices"]] == ["a", "bB"]
    assert [one["finish_reason"] for one in reply["choices"]] == ["stop", "length"]


MESSAGES = {
    "a role in every delta": (
        [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
        {"role": "assistant", "content": "ab"},
    ),
    "no role at all": ([{"content": "a"}], {"role": "assistant", "content": "a"}),
    "reasoning": (
        [
            {"reasoning_content": "hm"},
            {"reasoning_content": "m", "content": None},
            {"content": "a"},
        ],
        {"role": "assistant", "content": "a", "reasoning_content": "hmm"},
    ),
    "a refusal": (
        [{"role": "assistant", "refusal": "I "}, {"refusal": "cannot"}],
        {"role": "assistant", "content": None, "refusal": "I cannot"},
    ),
    "fields nobody knows": (
        [{"content": "a", "mood": "go", "score": 1}, {"mood": "od", "score": 2, "ok": True}],
        {"role": "assistant", "content": "a", "mood": "good", "score": 2, "ok": True},
    ),
    "a function call": (
        [
            {"content": None, "function_call": {"name": "f", "arguments": ""}},
            {"function_call": {"arguments": '{"a"'}},
            {"function_call": {"arguments": ": 1}"}},
        ],
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "f", "arguments": '{"a": 1}'},
        },
    ),
    "blocks of reasoning by their index": (
        [
            {"reasoning_details": [{"index": 0, "type": "text", "text": "a", "format": "x"}]},
            {"reasoning_details": [{"index": 0, "type": "text", "text": "b", "format": "x"}]},
            {"reasoning_details": [{"index": 1, "type": "text", "text": "c"}], "content": "d"},
        ],
        {
            "role": "assistant",
            "content": "d",
            "reasoning_details": [
                {"index": 0, "type": "text", "text": "ab", "format": "x"},
                {"index": 1, "type": "text", "text": "c"},
            ],
        },
    ),
    "content in blocks and then as text": (
        [{"content": [{"type": "thinking"}]}, {"content": "a"}, {"content": "b"}],
        {"role": "assistant", "content": [{"type": "thinking"}, "ab"]},
    ),
    "content as text and then in blocks": (
        [{"content": "a"}, {"content": [{"type": "x"}]}],
        {"role": "assistant", "content": ["a", {"type": "x"}]},
    ),
    "a surrogate pair in two halves": (
        [{"content": "\ud83d"}, {"content": "\ude00"}],
        {"role": "assistant", "content": "\U0001f600"},
    ),
    "a big integer and a tiny float": (
        [{"content": "a", "seed": 12345678901234567890123, "p": 1e-300}],
        {"role": "assistant", "content": "a", "seed": 12345678901234567890123, "p": 1e-300},
    ),
}


@pytest.mark.parametrize(("deltas", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_deltas_grow_into_a_message(deltas, expected):
    assert message(*(chunk(delta(**one)) for one in deltas)) == expected


TOOL_CALLS = {
    "as OpenAI streams them": [
        [call(id="1", type="function", name="f")],
        [call('{"a":')],
        [call(" 1}")],
        [call(id="2", type="function", name="g", index=1)],
        [call("{}", index=1)],
    ],
    "interleaved": [
        [call(id="1", type="function", name="f"), call("{}", 1, id="2", type="function", name="g")],
        [call('{"a": 1}')],
    ],
    "everything but the arguments repeated": [
        [call('{"a"', id="1", type="function", name="f")],
        [call(": 1}", id="1", type="function", name="f")],
        [call("{}", id="2", type="function", name="g", index=1)],
    ],
    "a fresh id in every delta, but no name": [
        [call('{"a"', id="1", type="function", name="f")],
        [call(": 1}", id="x", type="function", name="")],
        [call("{}", id="2", type="function", name="g", index=1)],
    ],
    "whole and without an index": [
        [call('{"a": 1}', None, id="1", type="function", name="f")],
        [call("{}", None, id="2", type="function", name="g")],
    ],
    "whole and all with the same index": [
        [call('{"a": 1}', id="1", type="function", name="f")],
        [call("{}", id="2", type="function", name="g")],
    ],
    "empty words after the first": [
        [call('{"a": 1', id="1", type="function", name="f")],
        [call("}", id="", type="", name=None)],
        [call("{}", id="2", type="function", name="g", index=1)],
    ],
}


@pytest.mark.parametrize("deltas", TOOL_CALLS.values(), ids=TOOL_CALLS)
def test_tool_calls_are_put_together(deltas):
    assert message(*(chunk(delta(tool_calls=one)) for one in deltas))["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_log_probabilities_are_joined_and_no_number_makes_them_unreadable():
    parts = [
        event({"choices": [delta(content=token) | {"logprobs": {"content": [logprob]}}]})
        for token, logprob in (("a", {"token": "a", "logprob": -0.5}), ("b", {"logprob": 1e999}))
    ]
    reply = answer(*parts, DONE)
    assert reply["choices"][0]["logprobs"]["content"][0] == {"token": "a", "logprob": -0.5}
    read = ANY.read(Reply(200, {}, assemble(*parts, DONE)))
    logprobs = json.loads(read.response)["choices"][0]["logprobs"]
    assert logprobs["content"][1] == {"logprob": None}


def test_chunks_of_completions_become_texts():
    tokens = {"tokens": ["a"], "text_offset": [0]}, {"tokens": ["b"], "text_offset": [1]}
    parts = [
        event({"object": "text_completion", "choices": [{"text": text, "logprobs": logprobs}]})
        for text, logprobs in zip("ab", tokens, strict=True)
    ]
    end = event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    assert answer(*parts, end) == {
        "object": "text_completion",
        "choices": [
            {
                "index": 0,
                "text": "ab",
                "logprobs": {"tokens": ["a", "b"], "text_offset": [0, 1]},
                "finish_reason": "stop",
            }
        ],
    }


def test_what_is_told_of_the_whole_is_told_by_the_chunk_that_knows_it():
    """The filter's chunk comes first and knows nothing else; others tell only the first time."""
    reply = answer(
        event({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"hate": 1}]}),
        chunk(delta(content="a") | {"content_filter_results": {"hate": {"severity": "safe"}}}),
        chunk(delta("stop") | {"content_filter_results": {"hate": {"severity": "safe"}}}),
        event({"id": "c-1", "x": {"a": 1}, "choices": []}),
        event({"id": "c-1", "x": {"b": 2}, "usage": {"total_tokens": 3}}),
        DONE,
    )
    assert (reply["id"], reply["model"]) == ("c-1", "m")
    assert reply["prompt_filter_results"] == [{"hate": 1}]
    assert reply["choices"][0]["content_filter_results"] == {"hate": {"severity": "safe"}}
    assert reply["x"] == {"a": 1, "b": 2}
    assert reply["usage"] == {"total_tokens": 3}


def test_the_last_count_is_the_usage():
    counts = [{"total_tokens": number} for number in (1, 2, 3)]
    parts = [chunk(delta(content="a"), usage=count) for count in counts]
    assert answer(*parts, chunk(delta("stop"), usage=None), DONE)["usage"] == counts[-1]


def test_an_answer_that_comes_whole_in_one_event_is_taken_as_it_is():
    said = {"role": "assistant", "content": "a"}
    whole = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    assert answer(event(whole)) == whole


# The Responses and the Messages shape.

RESPONSE = {"id": "r", "object": "response", "status": "completed", "output": [{"type": "message"}]}


def test_a_response_is_the_last_events_own_spelling():
    spelled = '{"status":"completed", "p": 1.10, "n": 12345678901234567890, "output":[ 1]}'
    data = f'data: {{"type":"response.completed","response":{spelled},"x":1}}\n\n'.encode()
    created = event({"type": "response.created", "response": RESPONSE | {"output": []}})
    assert assemble(created, data) == spelled.encode()


def test_a_response_without_its_output_gets_the_items_that_were_streamed():
    items = [
        event({"type": "response.output_item.done", "output_index": index, "item": {"i": index}})
        for index in (1, 0)
    ]
    last = event({"type": "response.completed", "response": RESPONSE | {"output": []}})
    assert answer(*items, last)["output"] == [{"i": 0}, {"i": 1}]


def test_a_response_with_a_number_that_is_not_json_is_rewritten():
    last = b'data: {"type": "response.completed", "response": {"p": NaN, "output": [1]}}\n\n'
    read = ANY.read(Reply(200, {}, assemble(last)))
    assert json.loads(read.response) == {"p": None, "output": [1]}


def test_events_of_a_message_become_the_message():
    begun = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x"}
    begun |= {"stop_reason": None, "stop_sequence": None}
    begun |= {"usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 2}}

    def start(index, **block):
        return event({"type": "content_block_start", "index": index, "content_block": block})

    def add(index, kind, **fields):
        told = {"type": kind} | fields
        return event({"type": "content_block_delta", "index": index, "delta": told})

    assert answer(
        event({"type": "message_start", "message": begun}, "message_start"),
        start(0, type="thinking", thinking="", signature=""),
        event({"type": "ping"}, "ping"),
        add(0, "thinking_delta", thinking="h"),
        add(0, "thinking_delta", thinking="m"),
        add(0, "signature_delta", signature="sig"),
        event({"type": "content_block_stop", "index": 0}),
        start(1, type="text", text=""),
        add(1, "text_delta", text="It "),
        add(1, "citations_delta", citation={"cited_text": "x"}),
        add(1, "text_delta", text="is."),
        add(1, "citations_delta", citation={"cited_text": "y"}),
        start(2, type="tool_use", id="t", name="f", input={}),
        add(2, "input_json_delta", partial_json=""),
        add(2, "input_json_delta", partial_json='{"a": '),
        add(2, "input_json_delta", partial_json="[1]}"),
        start(3, type="tool_use", id="u", name="g", input={}),
        start(4, type="tool_use", id="v", name="h", input={}),
        add(4, "input_json_delta", partial_json='{"cut'),
        event(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": {"output_tokens": 9, "input_tokens": None},
            }
        ),
        event({"type": "message_stop"}),
    ) == begun | {
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {
                "type": "text",
                "text": "It is.",
                "citations": [{"cited_text": "x"}, {"cited_text": "y"}],
            },
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}},
            {"type": "tool_use", "id": "u", "name": "g", "input": {}},
            {"type": "tool_use", "id": "v", "name": "h", "input": '{"cut'},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 2},
    }
