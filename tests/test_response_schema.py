"""--response_schema: a run asks every line for one shape, and leaves the same rows as ever."""

import json
import sys

import pytest
from loopback import answering, in_turn, serving

import api_request_parallel_processor as door
from request_engine import local_endpoint
from request_engine.errors import BadInput

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["adult", "child"]},
        "born": {"type": "string", "format": "date"},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name", "age"],
}
ENDPOINTS = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Anne is 30."}]}),
    ("/v1/responses", {"input": "Anne is 30."}),
    ("/v1/messages", {"messages": [{"role": "user", "content": "Anne is 30."}]}),
    ("/v1/completions", {"prompt": "Anne is 30.", "max_tokens": 900}),
]
KEY = "sk-1234567890abcdef"


@pytest.fixture
def files(tmp_path):
    """The requests file, the results file and the schema file."""
    schema = tmp_path / "shape.json"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl", schema


async def rows(files, lines, url, **given):
    requests, results, schema = files
    requests.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    summary = await door.process_api_requests_from_file(
        str(requests),
        str(results),
        url,
        KEY,
        **{"max_requests_per_minute": None, "response_schema": schema, "ordered": True} | given,
    )
    return [json.loads(row) for row in results.read_text("utf-8").splitlines()], summary


def reply(content, finish="stop"):
    choice = {"message": {"content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize("provider", ["openai_compatible", "openai", "deepseek", "vllm"])
@pytest.mark.parametrize(("path", "body"), ENDPOINTS)
async def test_every_endpoint_is_asked_and_the_row_holds_the_users_own_body(
    files, provider, path, body
):
    body = {"model": "gpt-4o-mini", **body}
    async with local_endpoint.serving() as endpoint:
        (row,), _ = await rows(files, [body], endpoint.url + path, provider=provider)
    assert row[0] == body
    assert row[1]["usage"]
    assert '\\"age\\": 30' in json.dumps(row[1]) or '\\"age\\":30' in json.dumps(row[1])


async def test_a_wrong_answer_is_asked_again_and_both_are_counted(files):
    good = '{"name": "Anne", "age": 30}'
    serve = in_turn(answering(reply('{"name": "Anne"}')), answering(reply(good)))
    body = {"model": "m", "messages": [{"role": "user", "content": "Anne is 30."}]}
    async with serving(serve) as server:
        url = f"{server.url}/chat/completions"
        (row,), summary = await rows(files, [body], url, max_tokens_per_minute="none")
    assert row == [body, json.loads(reply(good))]
    assert (summary.tally.succeeded, summary.tally.attempts) == (1, 2)
    assert (summary.tally.prompt_tokens, summary.tally.completion_tokens) == (20, 10)
    first, second = (json.loads(one.partition(b"\r\n\r\n")[2]) for one in server.seen)
    assert second["messages"][:-2] == first["messages"]
    assert "age" in second["messages"][-1]["content"]


async def test_the_row_of_a_failure_has_every_try_with_what_was_said(files):
    serve = in_turn(*[answering(reply(f"no {number}")) for number in range(3)])
    body = {"model": "m", "messages": [{"role": "user", "content": "Anne is 30."}]}
    async with serving(serve) as server:
        url = f"{server.url}/chat/completions"
        (row,), _ = await rows(files, [body], url, max_attempts=3)
    assert [(one["kind"], one["raw"], one["attempt"]) for one in row[1]] == [
        ("bad_answer", "no 0", 1),
        ("bad_answer", "no 1", 2),
        ("bad_answer", "no 2", 3),
    ]


async def test_batch_files_and_streams_are_asked_too(files):
    lines = [
        {"custom_id": str(at), "method": "POST", "url": path, "body": {"model": "m", **body}}
        for at, (path, body) in enumerate(ENDPOINTS)
    ]
    async with local_endpoint.serving() as endpoint:
        _, summary = await rows(
            files, lines, endpoint.url + "/v1", provider="openai_compatible", stream=True
        )
    assert (summary.tally.succeeded, summary.tally.failed) == (len(lines), 0)


async def test_run_again_it_goes_on_from_what_there_is(files):
    body = {"model": "m", "messages": [{"role": "user", "content": "Anne is 30."}]}
    async with local_endpoint.serving() as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        await rows(files, [body], url)
        again, summary = await rows(files, [body, {**body, "seed": 1}], url)
    assert (len(again), summary.tally.attempts) == (2, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "is no JSON object: it must be a JSON Schema"),
        ('{"type": "objekt"}', "is no JSON Schema: 'objekt' is not valid"),
        ('{"properties": {"a": {"$ref": "#/$defs/b"}}}', "refers to #/$defs/b, which is not in it"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_file_is_one_line_and_nothing_is_sent(files, capsys, text, told):
    requests, results, schema = files
    requests.write_text('{"model": "m", "messages": []}\n')
    schema.unlink() if text is None else schema.write_text(text)
    given = ["--requests_filepath", requests, "--save_filepath", results, "--api_key", KEY]
    given += ["--request_url", "http://127.0.0.1:9/v1/chat/completions"]
    assert door.main([*map(str, given), "--response_schema", str(schema)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--response_schema {schema} {told}" in line
    assert not results.exists()


async def test_an_endpoint_that_writes_no_text_is_refused_beforehand(files):
    with pytest.raises(BadInput, match="endpoints that write text"):
        await rows(files, [], "http://127.0.0.1:9/v1/embeddings")


async def test_the_library_that_is_missing_is_named(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(BadInput, match="pip install jsonschema"):
        await rows(files, [], "http://127.0.0.1:9/v1/chat/completions")
