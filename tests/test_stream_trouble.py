"""A stream that breaks off, fails, goes astray or makes no sense is a failure of the right kind."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streamed import ANY, BY_NAME, DONE, answer, assemble, call, chunk, delta, event, failure

from providers import PROVIDERS
from providers.openai_streams import Streamed
from request_engine.event_stream import LARGEST_EVENT
from request_engine.records import Failure, Kind, Reply, Success, Usage

RESPONSE = {"id": "r", "object": "response", "status": "completed", "output": [{"type": "message"}]}


# Where it ends.

SAID = chunk(delta(role="assistant", content="half an ans"))
STOP = chunk(delta("stop"))
MESSAGE = event({"type": "message_start", "message": {"usage": {"input_tokens": 5}}})
TEXT = event({"type": "content_block_delta", "index": 0, "delta": {"text": "half an ans"}})
HALF = event({"type": "response.output_text.delta", "delta": "half an ans"})
FINISHED = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})

WHOLE = {
    "finished and done": SAID + STOP + DONE,
    "finished, not done": SAID + STOP,
    "done, not finished": SAID + DONE,
    "done without a blank line": SAID + STOP + DONE[:-2],
    "finished without a blank line": SAID + STOP[:-2],
    "done, then broken off": SAID + STOP + DONE + b"data: {",
    "done, then an error": SAID + STOP + DONE + event({"error": {"message": "too late"}}),
    "a message": MESSAGE + TEXT + FINISHED + event({"type": "message_stop"}),
    "a message that only finished": MESSAGE + TEXT + FINISHED,
    "finished, with events of no answer": SAID
    + event({"type": "ping"})
    + event({"status": "thinking", "message": "wait"})
    + b"data: 7\n\ndata: null\n\ndata:\n\n"
    + STOP,
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_stream_that_says_why_it_ended_is_whole(data):
    read = ANY.read(Reply(200, {}, assemble(data)))
    assert isinstance(read, Success)
    assert b"half an ans" in read.response


HALVES = {
    "not finished": SAID,
    "broken off within an event": SAID + STOP[:-9],
    "one choice of two not finished": SAID + STOP + chunk(delta(index=1, content="b")),
    "a message": MESSAGE + TEXT,
    "a response": HALF,
    "a response's last event broken off": HALF
    + event({"type": "response.completed", "response": RESPONSE})[:-5],
}


@pytest.mark.parametrize("data", HALVES.values(), ids=HALVES)
def test_a_stream_that_breaks_off_is_a_bad_answer_that_keeps_what_it_said(data):
    failed = failure(data)
    assert (failed.kind, failed.status) == (Kind.BAD_ANSWER, 200)
    assert failed.message == "the stream ended before the answer did"
    assert failed.raw.startswith("half an ans")
    assert failed.usage is None


@pytest.mark.parametrize("data", [b"", b"\n\n", b": keep-alive\n\n" * 9, DONE, b"data: 7\n\n"])
def test_a_stream_that_says_nothing_is_a_bad_answer(data):
    failed = failure(data)
    assert (failed.kind, failed.status) == (Kind.BAD_ANSWER, 200)
    assert failed.message == "the stream ended before anything was said"


def test_what_was_counted_before_it_broke_off_is_told():
    assert failure(chunk(delta(content="a"), usage={"total_tokens": 3})).usage == Usage(0, 0)
    counted = {"prompt_tokens": 3, "completion_tokens": 1}
    assert failure(chunk(delta(content="a"), usage=counted)).usage == Usage(3, 1)


def test_what_a_broken_stream_said_is_kept_up_to_a_point():
    assert len(failure(*[chunk(delta(content="words " * 10))] * 200).raw) == 2_000


# What is wrong with it.

OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
FAILED = {"error": {"code": "rate_limit_exceeded", "message": "slow"}, "status": "failed"}
ERRORS = {
    "as OpenAI has it": (event({"error": {"message": "m", "code": "server_error"}}), "transient"),
    "refused for speed": (
        event({"error": {"message": "m", "type": "rate_limit_error"}}),
        "rate_limit",
    ),
    "out of money": (event({"error": {"message": "Insufficient Balance"}}), "quota"),
    "filtered": (event({"error": {"message": "m", "code": "content_filter"}}), "content_filter"),
    "a status in its code": (event({"error": {"message": "m", "code": 502}}), "transient"),
    "beside choices": (chunk(delta("error"), error={"code": 429, "message": "m"}), "rate_limit"),
    "a word": (event({"error": "it broke"}), "bad_answer"),
    "no code": (event({"error": {"message": "it broke"}}), "bad_answer"),
    "a list": (event([{"error": {"message": "m", "code": 503}}]), "transient"),
    "as an object": (event({"object": "error", "message": "m", "code": 400}), "bad_request"),
    "by its name": (event({"code": "rate_limit_exceeded", "message": "m"}, "error"), "rate_limit"),
    "in the Messages shape": (event(OVERLOADED, "error"), "transient"),
    "in the Responses shape": (
        event({"type": "error", "code": "server_error", "message": "m", "param": None}, "error"),
        "transient",
    ),
    "flat": (event({"code": "insufficient_quota", "message": "m"}), "quota"),
    "flat, then done": (event({"code": "insufficient_quota", "message": "m"}) + DONE, "quota"),
}


@pytest.mark.parametrize(("data", "kind"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("before", [b"", b": wait\n\n", SAID, MESSAGE + TEXT, HALF])
def test_an_error_inside_the_stream_is_judged_as_that_of_an_unstreamed_reply(before, data, kind):
    read = ANY.read(Reply(200, {}, assemble(before, data)))
    assert isinstance(read, Failure)
    assert (read.kind, read.status) == (kind, 200)


def test_a_response_that_failed_is_judged_by_its_error():
    last = event({"type": "response.failed", "response": FAILED})
    assert json.loads(assemble(HALF, last)) == FAILED
    assert ANY.read(Reply(200, {}, assemble(HALF, last))).kind is Kind.RATE_LIMIT


def test_what_was_counted_before_an_error_is_told():
    counted = chunk(delta(content="a"), usage={"prompt_tokens": 3, "completion_tokens": 1})
    for error in ({"error": {"message": "m"}}, {"code": "x", "message": "m"}):
        assert ANY.read(Reply(200, {}, assemble(counted, event(error)))).usage == Usage(3, 1)


def test_a_refusal_without_any_event_is_judged_as_it_is():
    refused = b'\n{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}'
    assert ANY.read(Reply(200, {}, assemble(refused))).kind is Kind.RATE_LIMIT


def texts(said, text):
    """Chunks of completions."""
    return [event({"choices": [{"text": one}]}) for one in [said, *[text] * 999]]


def deltas(name, said, *text):
    """Chunks of chat."""
    return [chunk(delta(**{name: one})) for one in [said, *text * 999]]


def blocks(name, text):
    """Events of a message."""
    added = [{"index": 0, "delta": {name: one}} for one in ["half an ans", *[text] * 999]]
    return [MESSAGE, *(event({"type": "content_block_delta"} | one) for one in added)]


def responses(kind, text):
    added = [{"type": f"response.{kind}.delta", "delta": text}] * 999
    return [HALF, *map(event, added)]


CALLED = [call("half an ans", id="1", name="f")]
BLANK_EVENTS = "nothing but whitespace for 500 events"
CUTS = {
    "whitespace": (deltas("content", "half an ans", " " * 9), "whitespace for 2,000 characters"),
    "newlines": (deltas("content", "half an ans", "\n"), BLANK_EVENTS),
    "repetition": (deltas("content", "half an ans", "and so on "), "the same 10 characters"),
    "reasoning": (deltas("reasoning", "half an ans", "hm ", "mm "), "the same 6 characters"),
    "arguments": (deltas("tool_calls", CALLED, [call("  ")]), BLANK_EVENTS),
    "completions": (texts("half an ans", "\n"), BLANK_EVENTS),
    "a message": (blocks("text", " "), BLANK_EVENTS),
    "a thought": (blocks("thinking", "again "), "the same 6 characters"),
    "a tool's input": (blocks("partial_json", "\n"), BLANK_EVENTS),
    "a response": (responses("output_text", "\n"), BLANK_EVENTS),
    "a function's arguments": (responses("function_call_arguments", " "), BLANK_EVENTS),
}


@pytest.mark.parametrize(("parts", "reason"), CUTS.values(), ids=CUTS)
def test_an_answer_gone_astray_is_cut_off_and_what_follows_is_not_read(parts, reason):
    assembler = ANY.assembler()
    fed = 0
    for part in parts:
        assembler.feed(part)
        fed += 1
        if assembler.cut is not None:
            break
    assert fed < len(parts)
    assembler.feed(STOP + DONE)
    failed = assembler.finish()
    assert isinstance(failed, Failure)
    assert (failed.kind, failed.status, failed.maybe_billed) == (Kind.BAD_ANSWER, 200, True)
    assert failed.message == assembler.cut
    assert failed.message.startswith("the answer was cut off: ")
    assert reason in failed.message
    assert failed.raw.startswith("half an ans")


def test_one_choice_gone_astray_does_not_cost_the_others():
    both = [(delta(content="\n" * 90), delta(index=1, content=f"{n} ")) for n in range(100)]
    reply = answer(*(chunk(*one) for one in both), DONE)
    assert reply["choices"][1]["message"]["content"].endswith("98 99 ")


@pytest.mark.parametrize(
    "image", [{"audio": {"data": "A" * 9_000}}, {"images": [{"url": "A" * 9_000}]}]
)
def test_silence_and_blank_paper_are_no_loops(image):
    assert answer(chunk(delta(**image)), STOP)["choices"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"data: half an ans\n\n", "an event of the stream is not JSON"),
        (b'data: half an ans {"a": \n\n', "an event of the stream is not JSON"),
        (
            b"data: " + b"[" * 99_999 + b"]" * 99_999 + b"\n\n",
            "the stream is nested deeper than can be read",
        ),
        (b"data: " + b"x" * LARGEST_EVENT, "an event of the stream is larger than 64 MiB"),
    ],
)
def test_what_is_no_event_ends_the_reading(data, message):
    assembler = ANY.assembler()
    assembler.feed(b": wait\n\n")
    assembler.feed(data)
    assert assembler.cut == message
    assembler.feed(SAID + STOP + DONE)
    failed = assembler.finish()
    assert (failed.kind, failed.message) == (Kind.BAD_ANSWER, message)
    assert failed.raw.removeprefix(": wait\n\n").removeprefix("data: ")[:9] == data[6:15].decode()
    assert len(failed.raw) <= 2_000


# Whether it goes on.

FIRST = chunk(delta(role="assistant", content=""))
CREATED = event({"type": "response.created", "response": RESPONSE})
EMPTY = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": ""}}
PROGRESS = [
    (FIRST, SAID, True),
    (FIRST, chunk(delta(content=" ")), True),
    (FIRST, chunk(delta("stop")), True),
    (FIRST, chunk(usage={"total_tokens": 1}), True),
    (FIRST, chunk(delta(tool_calls=[call("{")])), True),
    (FIRST, DONE, True),
    (FIRST, event({"error": "x"}), True),
    (FIRST, b"data: " + b"x" * 99_999, True),
    (FIRST, FIRST, False),
    (FIRST, chunk(delta()), False),
    (FIRST, chunk(), False),
    (FIRST, b": keep-alive\n\n", False),
    (FIRST, b"\n\n", False),
    (FIRST, b"", False),
    (FIRST, b"data:\n\n", False),
    (FIRST, b"data: {", False),
    (FIRST, b": " + b"x" * 99_999, False),
    (FIRST, event({"type": "ping"}), False),
    (MESSAGE, TEXT, True),
    (MESSAGE, FINISHED, True),
    (MESSAGE, event({"type": "ping"}), False),
    (MESSAGE, event(EMPTY), False),
    (CREATED, HALF, True),
    (CREATED, event({"type": "response.output_item.added"}), True),
    (CREATED, event({"type": "response.in_progress"}), False),
]


@pytest.mark.parametrize(("before", "data", "moved"), PROGRESS)
def test_only_what_adds_to_the_answer_is_progress(before, data, moved):
    assembler = ANY.assembler()
    assert assembler.feed(before)
    assert assembler.feed(data) is moved


@pytest.mark.parametrize(
    ("data", "ended"),
    [
        (SAID + STOP, False),  # the usage is still to come
        (SAID + STOP + DONE, True),
        (event({"type": "message_stop"}), True),
        (event({"type": "response.completed", "response": {}}), True),
        (event({"error": "x"}), True),
    ],
)
def test_it_is_known_when_nothing_can_follow(data, ended):
    assembler = ANY.assembler()
    assembler.feed(data)
    assert assembler.ended is ended


# Events under another content type.


def test_events_that_come_as_something_else_are_read_all_the_same():
    read = ANY.read(Reply(200, {"content-type": "text/plain"}, b"\n" + SAID + STOP + DONE))
    assert isinstance(read, Success)
    half = ANY.read(Reply(200, {}, SAID))
    assert half.message == "the stream ended before the answer did"


@pytest.mark.parametrize("depth", range(50, 1_100, 50))
def test_no_depth_of_an_event_is_too_deep_to_be_judged(depth):
    for kind in (b"error", b"choices", b"usage"):
        data = b'data: {"' + kind + b'": ' + b'[{"a":' * depth + b"1" + b"}]" * depth + b"}\n\n"
        assert isinstance(ANY.read(Reply(200, {}, data + STOP)), Success | Failure)


def test_a_refusal_as_an_event_keeps_its_status():
    told = event({"error": {"message": "who are you"}})
    assert ANY.read(Reply(401, {}, told)).kind is Kind.AUTH
    assert ANY.read(Reply(503, {}, b": sorry\n\n")).kind is Kind.TRANSIENT


def test_events_inside_the_gateways_envelope_are_read():
    envelope = {"raw": (SAID + STOP + DONE).decode(), "credits_consumed": "1$"}
    read = BY_NAME["lab_gateway"].read(Reply(200, {}, json.dumps(envelope).encode()))
    assert isinstance(read, Success)
    assert b"half an ans" in read.response
    assert json.loads(read.extra) == {"credits_consumed": "1$"}


# Whatever comes.

NAMES = [
    *("choices", "delta", "index", "content", "text", "tool_calls", "function", "arguments"),
    *("name", "id", "type", "message", "usage", "finish_reason", "logprobs", "error", "code"),
    *("response", "output", "item", "content_block", "citation", "partial_json", "citations"),
    *("role", "object", "stop_reason", "input"),
]
KINDS = [
    *("message_start", "message_delta", "message_stop", "content_block_start", "error", "ping"),
    *("content_block_delta", "response.created", "response.output_item.done", "x"),
    *("response.completed", "response.failed"),
]
words = st.text("a \n\ud800", max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
choices = st.lists(st.dictionaries(st.sampled_from(["delta", "text", "index"]), values))
objects = st.builds(
    lambda kind, fields, value: fields | ({"type": kind} if kind else {"choices": value}),
    st.none() | st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=3),
    values | choices,
)
pieces = st.one_of(
    (values | objects).map(event),
    st.sampled_from(
        [SAID, STOP, DONE, MESSAGE, TEXT, FINISHED, HALF, b"data: ", b"\n", b": x\n\n"]
    ),
    st.binary(max_size=9),
)


@settings(max_examples=300)
@given(parts=st.lists(pieces, max_size=6), cuts=st.lists(st.integers(0, 400), max_size=4))
@example(parts=[SAID, event([]), b"data: {", STOP], cuts=[3])
@example(parts=[b"data: " + b"[" * 990 + b"]" * 990 + b"\n\n"], cuts=[])
@example(parts=[b'data: {"choices":[{"delta":' + b'{"a":' * 300 + b"1" + b"}" * 302], cuts=[])
def test_any_bytes_in_any_parts_give_the_same_reply_or_failure(parts, cuts):
    data = b"".join(parts)
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = assemble(data)
    assert assemble(*(data[a:b] for a, b in zip([0, *ends], ends, strict=False))) == whole
    if isinstance(whole, bytes):
        json.loads(whole)
        assert isinstance(ANY.read(Reply(200, {}, whole)), Success | Failure)
    else:
        assert (whole.kind, whole.status) == (Kind.BAD_ANSWER, 200)


@given(data=st.lists(pieces, max_size=4).map(b"".join))
def test_no_provider_stumbles_over_a_stream(data):
    for provider in PROVIDERS:
        assembler = provider.assembler()
        assert isinstance(assembler, Streamed)
        assembler.feed(data)
        assert isinstance(assembler.finish(), bytes | Failure)
        assert isinstance(provider.read(Reply(200, {}, data)), Success | Failure)
