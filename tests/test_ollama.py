"""Ollama's own interface: where it is, and its lines of JSON made into one answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import BODY, CHUNKED, chunk, serving, transport_to, writing

import api_request_parallel_processor as door
from providers import PROVIDERS
from providers.ollama import Ollama
from request_engine import preflight
from request_engine.encodings import encoder
from request_engine.lines import read_line
from request_engine.records import Failure, Kind, Reply, Success, Usage
from request_engine.runaway import LONGEST_BLANK

OLLAMA = Ollama()
HOME = "http://localhost:11434"
CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
COUNTED = {"done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 298}


def line(done: bool = False, **fields) -> bytes:
    return json.dumps({"model": "m", "created_at": "now", **fields, "done": done}).encode() + b"\n"


def said(content: str = "", **more) -> bytes:
    return line(message={"role": "assistant", "content": content, **more})


LAST = line(**COUNTED, message={"role": "assistant", "content": ""})


def assemble(*parts: bytes) -> bytes | Failure:
    assembler = OLLAMA.assembler()
    for part in parts:
        assembler.feed(part)
    return assembler.finish()


def answer(*parts: bytes) -> dict:
    content = assemble(*parts)
    assert isinstance(content, bytes), content
    return json.loads(content)


def failure(*parts: bytes) -> Failure:
    content = assemble(*parts)
    assert isinstance(content, Failure), content
    return content


# Lines into one answer.


def test_the_lines_of_a_chat_are_the_answer_of_the_unstreamed_call():
    assert answer(said("Hel"), said("lo"), said("!"), LAST) == {
        "model": "m",
        "created_at": "now",
        "message": {"role": "assistant", "content": "Hello!"},
        **COUNTED,
    }


def test_the_lines_of_a_generation_are_the_answer_of_the_unstreamed_call():
    parts = (
        line(response="", thinking="Let me"),
        line(response="", thinking=" see."),
        line(response="By"),
        line(response="e."),
        line(response="", **COUNTED, context=[1, 2]),
    )
    assert answer(*parts) == {
        "model": "m",
        "created_at": "now",
        "response": "Bye.",
        "thinking": "Let me see.",
        **COUNTED,
        "context": [1, 2],
    }


def test_reasoning_calls_and_probabilities_are_kept():
    call = {"function": {"name": "add", "arguments": {"a": 1, "b": "two"}}}
    whole = answer(
        said("", thinking="Add"),
        said("", thinking="."),
        said(tool_calls=[call]),
        said(tool_calls=[call]),
        line(message={"content": "3"}, logprobs=[{"token": "3", "logprob": -0.1}]),
        line(message={"content": "!"}, logprobs=[{"token": "!", "logprob": -0.2}]),
        LAST,
    )
    assert whole["message"] == {
        "role": "assistant",
        "content": "3!",
        "thinking": "Add.",
        "tool_calls": [call, call],
    }
    assert [one["token"] for one in whole["logprobs"]] == ["3", "!"]


def test_an_assembled_answer_is_a_success_with_its_usage():
    outcome = OLLAMA.read(Reply(200, {}, assemble(said("Hello!"), LAST)))
    assert isinstance(outcome, Success)
    assert outcome.usage == Usage(26, 298)


@given(st.lists(st.integers(0, 400)), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_wherever_the_network_cuts_the_lines_they_say_the_same(cuts, ending, closed):
    """With or without a line's end after the last one."""
    data = b"".join((said("café "), said("你好", thinking="!"), LAST)).replace(b"\n", ending)
    data = data if closed else data.rstrip()
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert answer(*parts)["message"]["content"] == "café 你好"


def test_the_end_is_known_by_the_last_line():
    assembler = OLLAMA.assembler()
    assert assembler.feed(said("")) is False
    assert (assembler.ended, assembler.speaking) == (False, False)
    assert assembler.feed(said("Hi")) is True
    assert (assembler.ended, assembler.speaking) == (False, True)
    assert assembler.feed(LAST) is True
    assert assembler.ended


def test_the_events_of_the_compatible_interface_are_read_as_well():
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    event = f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n".encode()
    assert answer(event)["choices"][0]["message"]["content"] == "Hi"


def test_one_object_that_is_no_stream_is_left_as_it_is():
    text = b'{"embeddings": [[1.10, -0.0]],  "prompt_eval_count": 8}\n'
    assert assemble(text) == text


# Streams that are no answer.


def test_a_stream_that_breaks_off_is_no_answer_and_what_was_said_is_kept():
    failed = failure(said("Hello"), said(", wor"))
    assert (failed.kind, failed.message) == (
        Kind.BAD_ANSWER,
        "the stream ended before the answer did",
    )
    assert failed.raw == "Hello, wor"


@pytest.mark.parametrize("cut", [1, 20, len(LAST) - 2])
def test_a_last_line_that_was_broken_off_does_not_count(cut):
    assert failure(said("Hello"), LAST[:cut]).kind is Kind.BAD_ANSWER


def test_an_error_within_the_stream_is_the_services_word():
    content = assemble(said("Hel"), b'{"error": "an error was encountered while running"}\n')
    outcome = OLLAMA.read(Reply(200, {}, content))
    assert (outcome.kind, outcome.message) == (
        Kind.BAD_ANSWER,
        "an error was encountered while running",
    )


def test_a_line_that_is_not_json_ends_the_reading():
    assembler = OLLAMA.assembler()
    assembler.feed(said("Hi") + b"{oh\n")
    assert assembler.cut == "an event of the stream is not JSON"
    assert failure(said("Hi"), b"{oh\n", LAST).message == assembler.cut


def test_a_model_that_only_emits_blanks_is_cut_off():
    assembler = OLLAMA.assembler()
    assembler.feed(said(" " * LONGEST_BLANK))
    assert assembler.cut is not None
    assert assembler.cut.startswith("the answer was cut off: nothing but whitespace")


HEAD = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: application/x-ndjson\r\n\r\n")
HELLO = HEAD + chunk(said("Hel") + said("lo")) + chunk(LAST) + b"0\r\n\r\n"


async def test_lines_are_read_as_they_arrive_and_the_connection_is_used_again():
    whole = writing(HELLO)
    asking = transport_to(assembler=OLLAMA.assembler, stream_types=OLLAMA.stream_types)
    async with serving(whole) as server, asking as transport:
        for _ in range(2):
            reply = await transport.post(server.url, BODY)
            assert isinstance(reply, Reply), reply
            assert json.loads(reply.content)["message"]["content"] == "Hello"
    assert len(server.connections) == 1


async def test_a_run_writes_the_answer_that_its_lines_make(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(CHAT + b"\n")
    async with serving(writing(HELLO)) as server:
        await door.process_api_requests_from_file(
            requests_filepath=str(tmp_path / "in.jsonl"),
            save_filepath=str(tmp_path / "out.jsonl"),
            request_url=server.url.removesuffix("/v1") + "/api/chat",
            provider="ollama",
        )
    body, reply = json.loads((tmp_path / "out.jsonl").read_text())
    assert body == json.loads(CHAT)
    assert (reply["message"]["content"], reply["eval_count"]) == ("Hello", 298)


# Where it is asked, and what that may take.


@pytest.mark.parametrize(
    ("base", "body", "target"),
    [
        (None, CHAT, "/v1/chat/completions"),
        (HOME, CHAT, "/v1/chat/completions"),
        (HOME + "/", CHAT, "/v1/chat/completions"),
        (HOME, b'{"model": "m", "input": "hi"}', "/v1/embeddings"),
        (HOME + "/api/chat", CHAT, "/api/chat"),
        (HOME + "/api/generate", b'{"model": "m", "prompt": "hi"}', "/api/generate"),
        (HOME, b'{"custom_id": "1", "url": "/api/chat", "body": %b}' % CHAT, "/api/chat"),
        (
            HOME + "/api/chat",
            b'{"custom_id": "1", "url": "/v1/chat/completions", "body": %b}' % CHAT,
            "/v1/chat/completions",
        ),
    ],
)
def test_either_interface_is_found_under_the_address_of_the_server(base, body, target):
    address = preflight.service(PROVIDERS, "ollama", base).address
    assert address.url(read_line(1, body)) == HOME + target


@pytest.mark.parametrize(
    ("endpoint", "body", "prompt", "completion"),
    [
        ("api/chat", {"messages": [{"role": "user", "content": "hi"}]}, 8, 256),
        ("api/generate", {"prompt": "hi", "system": "be kind"}, 3, 256),
        ("api/generate", {"prompt": "hi", "options": {"num_predict": 9}}, 1, 9),
        ("api/generate", {"prompt": "hi", "options": {"num_predict": -1}}, 1, 256),
        ("api/generate", {"prompt": "hi", "options": "?"}, 1, 256),
        ("api/embed", {"input": ["hi", "hi"]}, 2, 0),
        ("api/embeddings", {"prompt": "hi"}, 1, 0),
        ("completions", {"prompt": "hi", "system": "be kind", "max_tokens": 9}, 1, 9),
    ],
)
def test_its_own_bodies_are_counted_by_their_words_and_bounds(endpoint, body, prompt, completion):
    encode = encoder("o200k_base")
    assert OLLAMA.prompt_tokens(body, endpoint, encode) == prompt
    assert OLLAMA.completion_tokens(body, endpoint) == completion


def test_a_body_of_its_own_interface_is_sent_as_it_is():
    streamed = CHAT[:-1] + b', "stream": true}'
    request = read_line(1, streamed)
    assert OLLAMA.wire_body(request, None, "api/chat") == streamed
    assert b"include_usage" in OLLAMA.wire_body(request, None, "chat/completions")
