"""Streamed answers, end to end against the local endpoint over real sockets."""

import json

import pytest

import api_request_parallel_processor as door
from request_engine.local_endpoint import Settings, serving

MODEL = "gpt-4o-mini"
ASKED = [{"role": "user", "content": "What is a tide?"}]
JSON = {"response_format": {"type": "json_object"}}
"""The answer to it depends on the question alone, so it is the same with and without `stream`."""
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}
BODIES = {
    "chat/completions": {"messages": ASKED} | JSON,
    "completions": {"prompt": "A tide", "max_tokens": 99} | JSON,
    "responses": {"input": "What is a tide?"} | JSON,
    "messages": {"messages": ASKED, "max_tokens": 99} | JSON,
}


async def run(tmp_path, lines, *, path="/v1/chat/completions", settings=None, **given):
    """The rows of *lines*, the summary and the ledger."""
    requests = tmp_path / "in.jsonl"
    requests.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    async with serving(settings) as endpoint:
        summary = await door.process_api_requests_from_file(
            requests_filepath=str(requests),
            save_filepath=str(tmp_path / "out.jsonl"),
            request_url=endpoint.url + path,
            max_requests_per_minute=None,
            max_tokens_per_minute=None,
            **given,
        )
        ledger = endpoint.ledger
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    return [json.loads(row) for row in text.splitlines()], summary, ledger


async def failure(tmp_path, fault, **given):
    """What is told of the one attempt of a streamed chat that meets *fault*, and the ledger."""
    body = {"model": MODEL, "messages": ASKED, "stream": True}
    settings = Settings(fault={fault: 1.0}, slow_seconds=30)
    rows, _, ledger = await run(tmp_path, [body], settings=settings, max_attempts=1, **given)
    ((_, (told,)),) = rows
    return told, ledger


def shape(value):
    """*value* with its keys, without what differs from answer to answer."""
    if isinstance(value, dict):
        ours = value.items()
        return {key: shape(one) for key, one in ours if key not in ("id", "created", "created_at")}
    return [shape(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("endpoint", BODIES)
async def test_streamed_and_unstreamed_requests_leave_the_same_rows(tmp_path, endpoint):
    """Every field, the text and the usage; and the body in the row is the user's own."""
    body = {"model": MODEL} | BODIES[endpoint]
    bodies = [body | {"stream": stream} for stream in (False, True)]
    rows, summary, ledger = await run(tmp_path, bodies, path=f"/v1/{endpoint}")

    (unstreamed, streamed) = sorted(rows, key=lambda row: row[0]["stream"])
    assert [unstreamed[0], streamed[0]] == bodies
    assert shape(unstreamed[1]) == shape(streamed[1])
    assert streamed[1]["usage"]
    billed = sum(entry.completion_tokens for entry in ledger.entries)
    assert summary.tally.completion_tokens == billed > 0


async def test_lines_of_a_batch_are_streamed_each_in_its_own_shape(tmp_path):
    lines = [
        {
            "custom_id": endpoint,
            "method": "POST",
            "url": f"/v1/{endpoint}",
            "body": {"model": MODEL, "stream": True} | body,
        }
        for endpoint, body in BODIES.items()
    ]
    rows, summary, _ = await run(tmp_path, lines)
    assert summary.tally.succeeded == len(lines)
    objects = {row[2]["custom_id"]: row[1].get("object") or row[1]["type"] for row in rows}
    assert objects == {
        "chat/completions": "chat.completion",
        "completions": "text_completion",
        "responses": "response",
        "messages": "message",
    }


async def test_a_tool_is_called_in_a_stream_as_without(tmp_path):
    body = {"model": MODEL, "messages": ASKED, "tools": [TOOL], "tool_choice": "required"}
    rows, _, _ = await run(tmp_path, [body | {"stream": stream} for stream in (False, True)])
    calls = [row[1]["choices"][0]["message"]["tool_calls"] for row in rows]
    assert [call["function"] for (call,) in calls] == [{"name": "tide", "arguments": "{}"}] * 2


async def test_a_body_that_says_what_it_wants_of_the_usage_is_sent_as_it_is(tmp_path):
    body = {"model": MODEL, "messages": ASKED, "stream": True, "stream_options": None}
    ((_, reply),), summary, _ = await run(tmp_path, [body])
    assert "usage" not in reply
    assert summary.tally.completion_tokens == 0


@pytest.mark.parametrize("fault", ["unended", "truncated"])
async def test_a_stream_without_its_end_is_a_bad_answer(tmp_path, fault):
    told, ledger = await failure(tmp_path, fault)
    assert (told["kind"], told["status"]) == ("bad_answer", 200)
    assert told["message"] == "the stream ended before the answer did"
    assert told["raw"].startswith('(canned) You wrote "What is a tide?"')
    assert ledger.billed == 1


async def test_a_stream_that_is_cut_off_by_the_network_is_transient(tmp_path):
    told, _ = await failure(tmp_path, "cut")
    assert told["kind"] == "transient"


async def test_an_error_inside_a_stream_is_judged_by_what_it_says(tmp_path):
    told, _ = await failure(tmp_path, "stream_error")
    assert (told["kind"], told["status"]) == ("transient", 200)
    assert told["message"].startswith("The server had an error")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("whitespace", "nothing but whitespace"), ("repetition", "the same 11 characters")],
)
@pytest.mark.parametrize("endpoint", BODIES)
async def test_an_answer_without_end_is_cut_off(tmp_path, endpoint, fault, reason):
    """Without --total_timeout having to end it, and its connection is given up."""
    body = {"model": MODEL, "stream": True} | BODIES[endpoint]
    settings = Settings(fault={fault: 1.0})
    rows, summary, ledger = await run(
        tmp_path, [body], path=f"/v1/{endpoint}", settings=settings, max_attempts=1
    )
    ((_, (told,)),) = rows
    assert told["kind"] == "bad_answer"
    assert told["message"].startswith(f"the answer was cut off: {reason}")
    assert summary.tally.maybe_billed == ledger.billed == 1
    assert summary.seconds < 5


async def test_comments_that_keep_a_stream_alive_are_skipped(tmp_path):
    body = {"model": MODEL, "messages": ASKED, "stream": True}
    settings = Settings(fault={"blank": 1.0}, slow_seconds=0.1)
    ((_, reply),), _, _ = await run(tmp_path, [body], settings=settings)
    assert reply["choices"][0]["message"]["content"].startswith("(canned)")


async def test_comments_for_ever_are_no_answer(tmp_path):
    told, _ = await failure(tmp_path, "blank", first_byte_timeout=0.3)
    assert told["kind"] == "transient"
    assert "no answer within 0.3 s" in told["message"]
