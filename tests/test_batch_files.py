"""Files of the OpenAI Batch API, in and out: the same file can go to the service or here."""

import json
from collections import Counter
from itertools import cycle, islice

import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from openai.types.shared import ErrorObject
from pydantic import BaseModel, ConfigDict

import api_request_parallel_processor as door
from request_engine.lines import read_line
from request_engine.local_endpoint import Settings, serving
from request_engine.records import Failure, Kind, Success
from request_engine.rows import batch_row, read_row

KEY = "sk-canary-for-the-batch-tests"


class Exactly(BaseModel):
    """What the service writes and nothing more, each value of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(Exactly):
    status_code: int
    request_id: str
    body: dict


class Error(Exactly):
    code: str
    message: str


class OutputLine(Exactly):
    """A line of the service's output and error files; every key is there."""

    id: str
    custom_id: str
    response: Answer | None
    error: Error | None


def chat(number):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Say {number}"}]}


ENDPOINTS = {
    "/v1/chat/completions": (ChatCompletion, chat),
    "/v1/embeddings": (
        CreateEmbeddingResponse,
        lambda number: {"model": "text-embedding-3-small", "input": f"text {number}"},
    ),
    "/v1/responses": (Response, lambda number: {"model": "gpt-4o", "input": f"Say {number}"}),
    "/v1/completions": (
        Completion,
        lambda number: {"model": "gpt-3.5-turbo-instruct", "prompt": f"Say {number}"},
    ),
}


def batch_line(number, url="/v1/chat/completions", **more):
    line = {"custom_id": f"request-{number}", "method": "POST", "url": url}
    return line | {"body": ENDPOINTS[url][1](number)} | more


def mixed(count):
    """Lines of all endpoints in turn, by custom_id."""
    urls = islice(cycle(ENDPOINTS), count)
    return {f"request-{n}": batch_line(n, url) for n, url in enumerate(urls)}


def written(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def run(tmp_path):
    """Give *lines* to the local endpoint with *settings*, rows to out.jsonl in batch format."""

    async def run(lines, url, **settings):
        given = {
            "requests_filepath": str(written(tmp_path / "in.jsonl", lines)),
            "save_filepath": str(tmp_path / "out.jsonl"),
            "request_url": url + "/v1",
            "provider": "openai_compatible",
            "api_key": KEY,
            "output_format": "batch",
            "max_requests_per_minute": None,
            "max_tokens_per_minute": None,
        }
        return await door.process_api_requests_from_file(**(given | settings))

    return run


async def test_an_input_file_of_1000_lines_gives_output_that_openais_types_read(run, tmp_path):
    """Four endpoints in one file; each line comes back once, as the service would write it."""
    lines = mixed(1_000)
    async with serving(Settings()) as endpoint:
        await run(lines.values(), endpoint.url)

    output = [OutputLine.model_validate(row) for row in rows(tmp_path / "out.jsonl")]
    assert Counter(line.custom_id for line in output) == Counter(lines.keys())
    assert len({line.id for line in output}) == 1_000
    for line in output:
        kind, _ = ENDPOINTS[lines[line.custom_id]["url"]]
        assert (line.response.status_code, line.error) == (200, None)
        kind.model_validate(line.response.body)


async def test_a_run_in_trouble_and_its_second_run_leave_every_custom_id_once(run, tmp_path):
    """Failures are in the error file, in the service's shape, and are tried again on resume."""
    lines = mixed(120)
    errors = tmp_path / "errors.jsonl"
    trouble = {"500": 0.3, "filter": 0.2, "reset": 0.1}
    async with serving(Settings(fault=trouble, seed=3)) as endpoint:
        first = await run(lines.values(), endpoint.url, max_attempts=1, errors_filepath=str(errors))
    failed = [OutputLine.model_validate(row) for row in rows(errors)]

    assert first.tally.failed == len(failed) > 30
    refused = [line.response for line in failed if line.response is not None]
    lost = [line for line in failed if line.response is None]
    assert {one.status_code for one in refused} == {400, 500}
    assert {line.error is None for line in failed if line.response is not None} == {True}
    assert {line.error.code for line in lost} == {"transient"}
    codes = {ErrorObject.model_validate(one.body["error"]).code for one in refused}
    assert codes == {"content_filter", "transient"}

    async with serving(Settings()) as endpoint:
        again = await run(lines.values(), endpoint.url, errors_filepath=str(errors), ordered=True)
    output = [OutputLine.model_validate(row) for row in rows(tmp_path / "out.jsonl")]
    assert (again.tally.attempts, rows(errors)) == (len(failed), [])
    assert [line.custom_id for line in output] == list(lines), "in the order of the requests"
    assert len({line.id for line in output}) == len(lines)


async def test_equal_lines_have_rows_with_ids_of_their_own_and_resume(run, tmp_path):
    """P2: three samples of one prompt are three rows; a fourth line is one request more."""
    async with serving(Settings()) as endpoint:
        await run([chat(1)] * 3, endpoint.url)
        summary = await run([chat(1)] * 4, endpoint.url)

    found = rows(tmp_path / "out.jsonl")
    assert summary.tally.attempts == 1
    assert len({row["id"] for row in found}) == len(found) == 4


async def test_a_custom_id_that_comes_twice_is_answered_twice_and_told_once(run, tmp_path, caplog):
    """The Batch API refuses such a file; here no line is lost for it."""
    lines = [batch_line(1), batch_line(2), batch_line(1, body=chat(7)), batch_line(2, body=chat(8))]
    async with serving(Settings()) as endpoint:
        await run(lines, endpoint.url)

    said = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert len(said) == 1
    assert said[0].startswith('line 3 has the custom_id of an earlier line, "request-1":')
    names = Counter(row["custom_id"] for row in rows(tmp_path / "out.jsonl"))
    assert names == {"request-1": 2, "request-2": 2}


async def test_lines_of_other_services_batch_files_are_answered(run, tmp_path):
    """Mistral's and Volcengine's name no url, Zhipu's a path of its own, Anthropic's say params."""
    lines = [
        {"custom_id": "mistral", "body": chat(1)},
        batch_line(0, custom_id="zhipu") | {"url": "/v4/chat/completions"},
        {"custom_id": "anthropic", "params": chat(3) | {"max_tokens": 9}},
    ]
    async with serving(Settings()) as endpoint:
        await run(lines, endpoint.url)

    output = [OutputLine.model_validate(row) for row in rows(tmp_path / "out.jsonl")]
    assert {line.custom_id for line in output} == {"mistral", "zhipu", "anthropic"}
    assert {line.response.body["object"] for line in output} == {"chat.completion"}


# One line at a time.

LINE = json.dumps(batch_line(1)).encode()


def spelled(outcome, line=LINE):
    return json.loads(batch_row(read_line(1, line), outcome))


def test_an_answer_is_a_line_of_the_output_file():
    row = spelled(Success(b'{"n": 1.10}'))
    assert list(row) == ["id", "custom_id", "response", "error"]
    assert row["response"] | {"request_id": ""} == {
        "status_code": 200,
        "request_id": "",
        "body": {"n": 1.1},
    }
    assert row["error"] is None


def test_what_the_service_refused_has_its_status_and_an_error_in_its_body():
    row = spelled(Failure(Kind.BAD_REQUEST, "too long", 413))
    assert list(row) == ["id", "custom_id", "response", "error"]
    assert (row["response"]["status_code"], row["error"]) == (413, None)
    assert row["response"]["body"] == {
        "error": {
            "message": "too long",
            "type": "bad_request",
            "param": None,
            "code": "bad_request",
        }
    }


@pytest.mark.parametrize("status", [None, 200, 302])
def test_what_never_had_an_answer_has_an_error_and_no_response(status):
    """Nor has what was answered with a 200 that is of no use: 200 would say that all is well."""
    row = spelled(Failure(Kind.TRANSIENT, "reset", status))
    assert list(row) == ["id", "custom_id", "response", "error"]
    assert row["response"] is None
    assert row["error"] == {"code": "transient", "message": "reset"}


def test_several_attempts_and_an_answer_that_is_kept_are_told_beside_it():
    """Only what the service's format has no place for is added."""
    first = Failure(Kind.TRANSIENT, "first", 500)
    row = spelled(Failure(Kind.BAD_ANSWER, "no choices", 200, 2, raw="{}", earlier=(first,)))
    assert list(row) == ["id", "custom_id", "response", "error", "errors"]
    assert [(one["message"], one["attempt"]) for one in row["errors"]] == [
        ("first", 1),
        ("no choices", 2),
    ]
    assert row["errors"][1]["raw"] == "{}"


@pytest.mark.parametrize(
    ("line", "custom_id", "metadata"),
    [
        (b'{"model": "m"}', None, ()),
        (b'{"model": "m", "metadata": 0}', None, (0,)),
        (b'{"model": "m", "metadata": {"custom_id": "a"}}', "a", ()),
        (b'{"model": "m", "metadata": {"custom_id": 5}}', None, ({"custom_id": 5},)),
        (
            b'{"model": "m", "metadata": {"custom_id": "a", "x": 1}}',
            "a",
            ({"custom_id": "a", "x": 1},),
        ),
        (b'[{"model": "m"}, {}, {"custom_id": "a"}]', "a", ()),
        (b'{"custom_id": "a", "body": {"metadata": {"x": 1}}}', "a", ()),
    ],
)
def test_metadata_is_added_where_it_says_more_than_the_custom_id(line, custom_id, metadata):
    row = spelled(Success(b"{}"), line)
    assert row["custom_id"] == custom_id
    assert ("metadata" in row) == bool(metadata)
    assert [row[key] for key in row if key == "metadata"] == list(metadata)


@pytest.mark.parametrize(
    "broken",
    [
        {"method": "GET"},
        {"url": "https://api.openai.com/v1/chat/completions"},
        {"body": "x" * 9_999},
    ],
)
def test_a_line_that_cannot_be_a_request_keeps_its_custom_id(broken):
    item = read_line(1, json.dumps(batch_line(5) | broken).encode())
    row = json.loads(batch_row(item, Failure(Kind.BAD_REQUEST, item.message)))
    assert (row["custom_id"], row["response"]) == ("request-5", None)
    assert row["error"] == {"code": "bad_request", "message": item.message}


OLD_ID = "batch_req_" + "ab" * 16
OLD_ROWS = [
    ({"response": {"status_code": 200, "body": {}}, "error": None}, True),
    ({"response": None, "error": {"code": "transient"}}, False),
    ({"response": {"status_code": 500, "body": {}}, "error": {"code": "transient"}}, False),
    ({"response": {"status_code": 500, "body": {}}, "error": None}, False),
    ({"response": {"status_code": 200, "body": {}}, "error": {"code": "bad_answer"}}, False),
    ({"response": None, "error": None}, False),
]


@pytest.mark.parametrize(("row", "answered"), OLD_ROWS)
@pytest.mark.parametrize("mark", ["", "0123456789abcdef"])
def test_P3_rows_of_every_version_tell_what_was_answered(row, answered, mark):
    """Earlier ones had no mark in the id, and an error beside every response that was one."""
    line = json.dumps({"id": OLD_ID + mark, "custom_id": "a"} | row).encode()
    assert read_row(line) == (bytes.fromhex("ab" * 16), answered)
