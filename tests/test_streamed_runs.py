"""A run that sends otherwise what its lines say, by --stream and its kin, leaves the same rows."""

import asyncio
import json
import sys

import pytest
from loopback import ANSWER, CHUNKED, EVENTS, answering, chunk, serving, then, transport_to, writing
from scripted import Service, answer, request
from streamed import ANY, DONE, delta, event, message
from streamed import chunk as chat_chunk
from virtual_time import run

import api_request_parallel_processor as door
from request_engine import local_endpoint
from request_engine.errors import BadInput
from request_engine.records import Reply, Success
from request_engine.spread import Spread
from request_engine.summary import Summary
from request_engine.tally import Tally

MODEL = "gpt-4o-mini"
ASKED = [{"role": "user", "content": "What is a tide?"}]
JSON = {"response_format": {"type": "json_object"}}
"""The answer to it depends on the question alone."""
LINES = [
    ("/v1/chat/completions", {"messages": ASKED, "temperature": 0.50} | JSON),
    ("/v1/chat/completions", {"messages": ASKED, "n": 2, "stream": False} | JSON),
    ("/v1/completions", {"prompt": "A tide", "max_tokens": 99} | JSON),
    ("/v1/responses", {"input": "What is a tide?"} | JSON),
    ("/v1/messages", {"messages": ASKED, "max_tokens": 99} | JSON),
    ("/v1/embeddings", {"input": "A tide", "dimensions": 8}),
]
HERE = """
from api_request_parallel_processor import OpenAICompatible

class Here(OpenAICompatible):
    name = "here"
    hosts = ("127.0.0.1",)
    header_variables = {"X-Org": ("HERE_ORG",), "X-Project": ("NOT_SET", "HERE_PROJECT")}
"""
SECRET = "s3cr3t-0123456789abcdef"


async def process(folder, url, lines, name="out", **given):
    """The rows of *lines*, and the summary."""
    requests, results = folder / "in.jsonl", folder / f"{name}.jsonl"
    requests.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    summary = await door.process_api_requests_from_file(
        str(requests),
        str(results),
        url,
        **{"max_requests_per_minute": None, "max_tokens_per_minute": None, "ordered": True} | given,
    )
    return [json.loads(row) for row in results.read_text("utf-8").splitlines()], summary


def alike(value):
    """*value* without its ids and times."""
    if isinstance(value, dict):
        return {
            name: alike(one)
            for name, one in value.items()
            if name not in ("id", "created", "created_at")
        }
    return [alike(one) for one in value] if isinstance(value, list) else value


async def test_streamed_and_unstreamed_runs_of_a_file_leave_the_same_rows(tmp_path):
    """Every member of every endpoint's reply, its usage included; embeddings are not streamed."""
    lines = [
        {"custom_id": str(at), "method": "POST", "url": url, "body": {"model": MODEL} | body}
        for at, (url, body) in enumerate(LINES)
    ]
    async with local_endpoint.serving() as endpoint:
        base = endpoint.url + "/v1"
        whole, _ = await process(tmp_path, base, lines, "whole")
        one_by_one, summary = await process(tmp_path, base, lines, "events", stream=True)

    assert alike(one_by_one) == alike(whole)
    assert [row[0] for row in one_by_one] == [line["body"] for line in lines]
    assert all(row[1].get("usage") for row in one_by_one)
    assert summary.tally.first_tokens.count == len(lines) - 1


async def test_what_was_answered_without_a_stream_is_not_asked_again_with_it(tmp_path):
    """Nor with other fields: a request is what its line says."""
    async with local_endpoint.serving() as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        await process(tmp_path, url, [{"model": MODEL, "messages": ASKED}])
        rows, summary = await process(
            tmp_path, url, [{"model": MODEL, "messages": ASKED}], stream=True, body={"n": 2}
        )
    assert (len(rows), summary.tally.attempts, summary.tally.answered_before) == (1, 0, 1)


def test_padding_that_hides_the_length_of_words_is_no_part_of_the_reply():
    parts = [chat_chunk(delta(content=word), obfuscation="x7Qz") for word in ("A ", "tide.")]
    assert message(*parts)["content"] == "A tide."
    read = ANY.read(Reply(200, {}, b"".join([*parts, chat_chunk(delta("stop")), DONE])))
    assert isinstance(read, Success)
    assert "obfuscation" not in json.loads(read.response)


# The time to the first word.

WORD = chat_chunk(delta(content="A tide"))
LAST = chat_chunk(delta("stop"))
EVENTS_BEFORE = {
    "chat": [chat_chunk(delta(role="assistant", content="")), b": waiting\n\n", WORD],
    "reasoning": [chat_chunk(delta(role="assistant")), chat_chunk(delta(reasoning="Hm"))],
    "a call": [
        chat_chunk(delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}])),
        chat_chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])),
    ],
    "messages": [
        event({"type": "message_start", "message": {"content": []}}),
        event({"type": "ping"}),
        event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "A"}}),
    ],
    "responses": [
        event({"type": "response.created", "response": {}}),
        event({"type": "response.in_progress", "response": {}}),
        event({"type": "response.output_text.delta", "delta": "A"}),
    ],
}


@pytest.mark.parametrize("parts", EVENTS_BEFORE.values(), ids=EVENTS_BEFORE)
def test_only_a_word_is_the_first_word(parts):
    """The frames that services send at once say nothing of how long one waits."""
    assembler = ANY.assembler()
    for part in parts[:-1]:
        assembler.feed(part)
        assert not assembler.speaking
    assembler.feed(parts[-1])
    assert assembler.speaking


async def test_the_time_to_the_first_word_is_measured_from_sending():
    """The second word, and what else follows, is no part of it."""
    pause = 0.05

    async def wait(request, writer):
        await asyncio.sleep(pause)

    role = chat_chunk(delta(role="assistant", content=""))
    said = [writing(EVENTS + chunk(role)), wait, writing(chunk(WORD)), wait, wait, wait]
    served = then(*said, writing(chunk(LAST + DONE) + b"0\r\n\r\n"))
    async with serving(served) as server, transport_to(assembler=ANY.assembler) as transport:
        now = asyncio.get_running_loop().time
        begun = now()
        reply = await transport.post(server.url, b"{}")
        whole = now() - begun
    assert isinstance(reply, Reply)
    assert pause < reply.first_token < whole - 2 * pause


async def test_an_answer_that_comes_at_once_has_no_first_word():
    whole = writing(CHUNKED + chunk(ANSWER) + b"0\r\n\r\n")
    async with serving(whole) as server, transport_to(assembler=ANY.assembler) as transport:
        reply = await transport.post(server.url, b"{}")
    assert reply.first_token is None


def test_the_time_to_the_first_word_goes_with_the_answer_and_into_the_tally():
    """Also that of an attempt whose stream ended in an error."""
    whole, broken = answer(), Reply(200, {}, b'{"error": {"message": "no"}}', 4.0)
    service = Service([broken, Reply(200, {}, whole.content, 0.25), whole])

    async def scenario():
        return [await service.send(request(number)) for number in (1, 2)]

    first, second = run(scenario())
    assert (first.first_token, second.first_token) == (0.25, None)
    assert service.tally.first_tokens.count == 2
    assert service.tally.first_tokens.within(1.0) == pytest.approx(4.0, rel=0.03)


def test_the_closing_lines_tell_when_streamed_answers_began():
    tally = Tally()
    assert not any("Streamed" in line for line in Summary(tally, 1.0, "o").lines())
    for milliseconds in range(1, 1001):
        tally.first_tokens.add(milliseconds / 1000)
    [line] = [line for line in Summary(tally, 1.0, "o").lines() if "Streamed" in line]
    words = line.replace(",", "").split()
    half, slow = float(words[words.index("after") + 1]), float(words[-2])
    assert line.startswith("Streamed answers began after 0.")
    assert half == pytest.approx(0.5, rel=0.05)
    assert slow == pytest.approx(0.95, rel=0.05)
    tally.first_tokens = Spread()
    tally.first_tokens.add(125.0)
    assert any("after 2 min" in line for line in Summary(tally, 1.0, "o").lines())


def test_a_million_times_take_no_more_memory_than_a_few_hundred():
    spread = Spread()
    assert spread.within(0.5) == 0.0
    for seconds in (0.0, -1.0, 1e-9, 1e9, *(10 ** (n / 1000) for n in range(-3000, 3500))):
        spread.add(seconds)
    assert spread.count == 6504
    assert len(spread._counts) < 330


# Headers, fields and models of a whole run.


async def test_headers_go_with_every_request_and_replace_ours(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    async with serving(answering(ANSWER)) as server:
        await process(
            tmp_path,
            server.url,
            [{"messages": [1]}, {"messages": [2]}],
            headers={"X-Title": "tides", "user-agent": "mine", "authorization": f"Token {SECRET}"},
            api_key="another-key-0123456789",
        )
    for seen in server.seen:
        head = seen.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
        assert {"x-title: tides", "user-agent: mine", f"authorization: token {SECRET}"} <= {*head}
        assert sum(line.startswith(("user-agent:", "authorization:")) for line in head) == 2


async def test_an_account_s_headers_are_sent_to_its_service(tmp_path, monkeypatch):
    """Here one of the user's own; one that is given counts for more."""
    (tmp_path / "here.py").write_text(HERE, encoding="utf-8")
    monkeypatch.setenv("HERE_ORG", "org-1")
    monkeypatch.setenv("HERE_PROJECT", "proj-1")
    own = f"{tmp_path / 'here.py'}:Here"
    async with serving(answering(ANSWER)) as server:
        lines = [{"messages": []}]
        await process(tmp_path, server.url, lines, provider=own, headers=["x-project: proj-2"])
    head = server.seen[0].partition(b"\r\n\r\n")[0].lower()
    assert b"x-org: org-1" in head
    assert b"x-project: proj-2" in head
    assert b"proj-1" not in head


async def test_P9_a_secret_in_a_header_is_in_no_row_and_no_log(tmp_path, caplog, monkeypatch):
    """And on the command line it is warned about."""
    caplog.set_level(0)
    monkeypatch.setattr(sys, "argv", ["x", "--header", f"X-Api-Key: {SECRET}"])
    echo = json.dumps({"error": {"message": f"X-Api-Key {SECRET} is unknown"}}).encode()
    async with serving(answering(echo, "400 No")) as server:
        rows, _ = await process(
            tmp_path, server.url, [{"messages": []}], headers=[f"X-Api-Key: {SECRET}"]
        )
    assert f"X-Api-Key: {SECRET}".encode() in server.seen[0]
    assert rows[0][1][0]["message"] == "X-Api-Key [key] is unknown"
    assert SECRET not in caplog.text
    assert "on the command line, where ps shows it to everybody" in caplog.text


async def test_a_header_that_carries_a_secret_stands_in_for_the_key(tmp_path, monkeypatch):
    """Without one, a service outside the house is not asked without a key."""
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    url = "http://llm.example.invalid/v1/chat/completions"
    lines = [{"messages": []}]
    with pytest.raises(BadInput, match="no key"):
        await process(tmp_path, url, lines, headers={"X-Title": "a"}, max_attempts=1)
    rows, _ = await process(tmp_path, url, lines, headers={"X-Key": SECRET}, max_attempts=1)
    assert "cannot connect to llm.example.invalid" in rows[0][1][0]["message"]


async def test_fields_and_models_are_sent_and_the_row_keeps_the_line(tmp_path):
    lines = [{"messages": [], "model": "a", "metadata": 1}, {"messages": [], "temperature": 1.0}]
    async with serving(answering(ANSWER)) as server:
        rows, _ = await process(
            tmp_path,
            server.url + "/chat/completions",
            lines,
            body={"temperature": 0, "enable_thinking": False},
            models={"a": "b"},
        )
    sent = [json.loads(seen.partition(b"\r\n\r\n")[2]) for seen in server.seen]
    assert sorted(sent, key=lambda body: body["temperature"]) == [
        {"messages": [], "model": "b", "temperature": 0, "enable_thinking": False},
        {"messages": [], "temperature": 1.0, "enable_thinking": False},
    ]
    assert [row[0] for row in rows] == [{"messages": [], "model": "a"}, lines[1]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"body": "temperature=0"}, "--body temperature=0 is not JSON"),
        ({"models": ["a", "b"]}, "--model has two names for every line: a and b"),
        ({"headers": ["Host: elsewhere.invalid"]}, "--header 'Host' cannot be given"),
    ],
)
async def test_what_cannot_be_meant_is_refused_before_anything_is_sent(tmp_path, given, words):
    async with serving(answering(ANSWER)) as server:
        with pytest.raises(BadInput, match=words):
            await process(tmp_path, server.url, [{"messages": []}], **given)
    assert not server.seen


def test_the_flags_may_be_repeated():
    said = ["--requests_filepath", "x", "--stream", "--model", "a=b", "--model=c"]
    said += ["--header", "X-A: 1", "--header", "X-B: --2", "--body", '{"a-b": 1}']
    asked = vars(door.command_line().read(said))
    assert {name: asked[name] for name in ("stream", "models", "headers", "body")} == {
        "stream": True,
        "models": ["a=b", "c"],
        "headers": ["X-A: 1", "X-B: --2"],
        "body": ['{"a-b": 1}'],
    }


def test_the_flags_are_off_by_default():
    asked = vars(door.command_line().read(["--requests_filepath", "x"]))
    assert not any(asked[name] for name in ("stream", "models", "headers", "body"))
