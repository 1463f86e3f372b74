"""The door, end to end, against the local endpoint over real sockets."""

import asyncio
import gzip
import inspect
import io
import json
import sys

import pytest

import api_request_parallel_processor as door
from request_engine.errors import BadInput, Stopped
from request_engine.local_endpoint import Settings, serving

KEY = "sk-canary-for-the-door-tests"


def chat(number, **more):
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"Say {number}"}],
        "max_tokens": 20,
    }
    return body | more


def written(path, bodies):
    path.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def process(path, url, **settings):
    """The door's function without limits, unless *settings* has some."""
    given = {"max_requests_per_minute": None, "max_tokens_per_minute": None, "api_key": KEY}
    return await door.process_api_requests_from_file(
        requests_filepath=str(path), request_url=url, **(given | settings)
    )


async def test_200_requests_with_a_fifth_of_them_in_trouble_end_with_200_good_rows(tmp_path):
    """429, 500, resets and HTML at 4.5 % each; truncated bodies, tried 3 times only, at 2 %."""
    path = written(tmp_path / "in.jsonl", [chat(n, metadata={"id": n}) for n in range(200)])
    fault = dict.fromkeys(("429", "500", "reset", "html"), 0.045) | {"truncated": 0.02}

    async with serving(Settings(fault=fault, seed=5)) as endpoint:
        summary = await process(
            path,
            endpoint.url + "/v1/chat/completions",
            save_filepath=str(tmp_path / "out.jsonl"),
            max_attempts=8,
        )
        faults = sum(endpoint.ledger.faults.values())

    done = rows(tmp_path / "out.jsonl")
    assert faults >= 20
    assert (summary.tally.succeeded, summary.tally.failed) == (200, 0)
    assert sorted(row[2]["id"] for row in done) == list(range(200))
    assert all(
        f'"Say {row[2]["id"]}"' in row[1]["choices"][0]["message"]["content"] for row in done
    )


async def test_called_as_the_cookbook_calls_it(tmp_path):
    """Its names, its embeddings, its rows."""
    bodies = [
        {"model": "text-embedding-3-small", "input": f"{n}\n", "dimensions": 8} for n in range(300)
    ]
    path = written(tmp_path / "in.jsonl", bodies)

    async with serving(Settings()) as endpoint:
        await door.process_api_requests_from_file(
            requests_filepath=str(path),
            save_filepath=str(tmp_path / "out.jsonl"),
            request_url=endpoint.url + "/v1/embeddings",
            api_key=KEY,
            max_requests_per_minute=float(6_000_000),
            max_tokens_per_minute=float(125_000_000),
            token_encoding_name="cl100k_base",
            max_attempts=5,
            logging_level=30,
        )

    done = rows(tmp_path / "out.jsonl")
    assert sorted(row[0]["input"] for row in done) == sorted(body["input"] for body in bodies)
    assert all(len(row) == 2 and len(row[1]["data"][0]["embedding"]) == 8 for row in done)


def test_its_positional_parameters_are_the_cookbooks():
    parameters = inspect.signature(door.process_api_requests_from_file).parameters
    positional = [one.name for one in parameters.values() if one.kind is not one.KEYWORD_ONLY]

    assert positional == [
        "requests_filepath",
        "save_filepath",
        "request_url",
        "api_key",
        "max_requests_per_minute",
        "max_tokens_per_minute",
        "token_encoding_name",
        "max_attempts",
        "logging_level",
    ]
    assert all(one.default is not one.empty for one in list(parameters.values())[1:])


def test_what_other_pipelines_import_is_there():
    """The function, and the classes for requests in memory with what they give back."""
    assert door.__all__ == [
        "AsyncClient",
        "Client",
        "Embeddings",
        "Extracted",
        "RequestFailed",
        "Result",
        "main",
        "process_api_requests_from_file",
    ]
    assert [getattr(door, name).__name__ for name in door.__all__] == door.__all__


async def test_P3_a_second_run_sends_nothing_and_an_edited_file_only_what_is_new(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(n) for n in range(20)])
    out = tmp_path / "out.jsonl"

    async with serving(Settings()) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        await process(path, url, save_filepath=str(out))
        again = await process(path, url, save_filepath=str(out))
        written(path, [chat(n) for n in (30, *reversed(range(5, 20)), 31)])
        edited = await process(path, url, save_filepath=str(out))
        billed = endpoint.ledger.counts()["billed"]

    assert (again.tally.attempts, again.tally.answered_before) == (0, 20)
    assert (edited.tally.attempts, edited.tally.answered_before) == (2, 15)
    assert billed == 22
    assert len(rows(out)) == 22


async def test_failed_rows_are_tried_again_on_the_next_run(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(n, metadata=n) for n in range(10)])
    out = tmp_path / "out.jsonl"

    async with serving(Settings(fault={"500": 1.0})) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        first = await process(path, url, save_filepath=str(out), max_attempts=1)
    assert first.tally.failed == 10
    assert all(row[1][0]["kind"] == "transient" and row[1][0]["status"] == 500 for row in rows(out))

    async with serving(Settings()) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        second = await process(path, url, save_filepath=str(out))
    assert (second.tally.failed_before, second.tally.succeeded) == (10, 10)
    assert sorted(row[2] for row in rows(out)) == list(range(10))


async def test_a_gateway_that_only_ever_fails_uses_up_the_attempts_and_the_run_ends_well(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(n) for n in range(4)])
    out = tmp_path / "out.jsonl"

    async with serving(Settings(fault={"gateway": 1.0})) as endpoint:
        summary = await process(
            path,
            endpoint.url + "/gpt",
            api_key="lab-user-name",
            save_filepath=str(out),
            max_attempts=3,
        )

    assert summary.exit_code() == 0
    assert [len(row[1]) for row in rows(out)] == [3, 3, 3, 3]
    assert "lab-user-name" not in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path_of_url", "body", "shape"),
    [
        ("/gpt", chat(1, metadata=7), "choices"),
        ("/gpt", {"model": "text-embedding-3-small", "input": "x", "metadata": 7}, "data"),
        ("/claude", chat(1, model="claude-sonnet-4-5", metadata=7), "content"),
    ],
)
async def test_gateway_rows_hold_reply_metadata_and_credits_and_no_username(
    tmp_path, path_of_url, body, shape
):
    path, out = written(tmp_path / "in.jsonl", [body]), tmp_path / "out.jsonl"

    async with serving(Settings()) as endpoint:
        await process(
            path,
            endpoint.url + path_of_url,
            api_key="lab-user-name",
            save_filepath=str(out),
            max_tokens_per_minute=100_000,
        )

    [(sent, reply, metadata, told)] = rows(out)
    assert sent == {key: value for key, value in body.items() if key != "metadata"}
    assert shape in reply
    assert metadata == 7
    assert set(told) == {"credits_consumed", "credits_total"}
    assert "lab-user-name" not in out.read_text(encoding="utf-8")


async def test_P4_a_bad_line_costs_one_row(tmp_path):
    """Promise P4, for every kind of bad line, among good ones."""
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    bad = [
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"model": "m", "temperature": NaN}',
        b"{" * 5_000,
        b'["text", {}]',
    ]
    good = [json.dumps(chat(n)).encode() for n in range(3)]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\n".join([good[0], *bad, *good[1:]]))

    async with serving(Settings()) as endpoint:
        summary = await process(path, endpoint.url + "/v1/chat/completions", save_filepath=str(out))

    done = rows(out)
    failed = [row for row in done if isinstance(row[1], list)]
    assert (summary.tally.succeeded, summary.tally.failed, len(done)) == (3, len(bad), 10)
    assert all(row[1][0]["kind"] == "bad_request" for row in failed)
    assert all(row[1][0]["message"].startswith("line ") for row in failed)
    assert summary.exit_code() == 0
    assert summary.exit_code(strict=True) == 1


async def test_a_body_without_model_or_messages_is_sent_and_judged_by_the_service(tmp_path):
    path, out = written(tmp_path / "in.jsonl", [{"model": "m"}, {"messages": []}]), tmp_path / "o"

    async with serving(Settings()) as endpoint:
        await process(path, endpoint.url + "/v1/chat/completions", save_filepath=str(out))
        sent = endpoint.ledger.counts()

    assert [row[1][0]["status"] for row in rows(out)] == [400, 400], sent


@pytest.mark.parametrize("fault", ["error200", "nochoices", "html", "empty", "truncated", "cut"])
async def test_P5_failures_are_never_data(tmp_path, fault):
    """A 200 that holds no answer gives a failed row, and no value in an answer's place."""
    path, out = written(tmp_path / "in.jsonl", [chat(n) for n in range(3)]), tmp_path / "out.jsonl"

    async with serving(Settings(fault={fault: 1.0})) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        summary = await process(path, url, save_filepath=str(out), max_attempts=1)

    assert (summary.tally.succeeded, summary.tally.failed) == (0, 3)
    assert all(isinstance(row[1], list) and row[1][0]["message"] for row in rows(out))


async def test_ordered_rows_come_in_the_order_of_the_requests(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(n, metadata=n) for n in range(60)])
    out = tmp_path / "out.jsonl"

    async with serving(Settings(latency=0.01, latency_jitter=0.02)) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        await process(path, url, save_filepath=str(out), ordered=True)

    assert [row[2] for row in rows(out)] == list(range(60))


async def test_gzip_in_batch_out(tmp_path):
    lines = [
        {"custom_id": f"c{n}", "method": "POST", "url": url, "body": body}
        for n, (url, body) in enumerate(
            [
                ("/v1/chat/completions", chat(1)),
                ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"}),
            ]
        )
    ]
    path, out = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))

    async with serving(Settings()) as endpoint:
        await process(
            path,
            endpoint.url + "/v1",
            provider="openai_compatible",
            save_filepath=str(out),
            output_format="batch",
        )

    found = {row["custom_id"]: row["response"] for row in rows(out)}
    assert found["c0"]["body"]["object"] == "chat.completion"
    assert found["c1"]["body"]["object"] == "list"
    assert {one["status_code"] for one in found.values()} == {200}


async def test_standard_input_is_read_as_it_comes(tmp_path, monkeypatch):
    """A pipe: requests are answered before it ends."""
    import os

    read_end, write_end = os.pipe()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(read_end, "rb")))
    out = tmp_path / "out.jsonl"

    async with serving(Settings()) as endpoint:
        url = endpoint.url + "/v1/chat/completions"
        task = asyncio.create_task(process("-", url, save_filepath=str(out)))
        with os.fdopen(write_end, "wb", buffering=0) as pipe:
            pipe.write(json.dumps(chat(1)).encode() + b"\n")
            while not out.exists() or not out.read_bytes():  # noqa: ASYNC110  a file has no event
                await asyncio.sleep(0.01)
            pipe.write(json.dumps(chat(2)).encode())
        summary = await task
    sys.stdin.close()

    assert summary.tally.succeeded == 2


@pytest.mark.parametrize("limit", ["9" * 400, "1e300", "2147483648"])
async def test_a_huge_max_tokens_costs_nobody_else_anything(tmp_path, limit):
    """Whatever number a line writes, the others are answered, and so is it or it has its row."""
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    line = json.dumps(chat(0)).replace('"max_tokens": 20', f'"max_tokens": {limit}, "n": 3')
    path.write_text("\n".join([json.dumps(chat(1)), json.dumps(chat(2)), line]), encoding="utf-8")

    async with serving(Settings()) as endpoint:
        await process(
            path,
            endpoint.url + "/v1/chat/completions",
            save_filepath=str(out),
            max_tokens_per_minute=10**12,
        )

    assert len(rows(out)) == 3


async def test_a_corrupt_gzip_keeps_what_was_answered_and_can_be_gone_on_from(tmp_path):
    path, out = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    whole = gzip.compress("".join(json.dumps(chat(n)) + "\n" for n in range(2_000)).encode())
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 64 + whole[len(whole) // 2 + 64 :])

    async with serving(Settings()) as endpoint:
        with pytest.raises(Stopped, match="cannot be read after line"):
            await process(path, endpoint.url + "/v1/chat/completions", save_filepath=str(out))
        billed = endpoint.ledger.counts()["billed"]

    assert len([row for row in rows(out) if isinstance(row[1], dict)]) == billed > 0


async def test_paths_may_be_path_objects(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(1)])

    async with serving(Settings()) as endpoint:
        await door.process_api_requests_from_file(
            path, tmp_path / "out.jsonl", endpoint.url + "/v1/chat/completions", KEY
        )

    assert len(rows(tmp_path / "out.jsonl")) == 1


async def test_failures_go_to_their_own_file_if_asked(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(1), {"model": "m"}])
    out, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"

    async with serving(Settings()) as endpoint:
        await process(
            path,
            endpoint.url + "/v1/chat/completions",
            save_filepath=str(out),
            errors_filepath=str(errors),
        )

    assert [row[0]["max_tokens"] for row in rows(out)] == [20]
    assert [row[0] for row in rows(errors)] == [{"model": "m"}]


async def test_a_refused_key_stops_the_run_with_the_services_words(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(n) for n in range(50)])

    async with serving(Settings(key="the right one")) as endpoint:
        with pytest.raises(Stopped, match="the key was refused") as stopped:
            await process(
                path,
                endpoint.url + "/v1/chat/completions",
                save_filepath=str(tmp_path / "o"),
                max_concurrent_requests=2,
            )

    assert stopped.value.summary.exit_code() == 3
    assert stopped.value.summary.tally.attempts <= 5


async def test_P9_the_key_is_in_no_row_and_no_log(tmp_path, caplog):
    caplog.set_level(0)
    path = written(tmp_path / "in.jsonl", [chat(n) for n in range(5)])
    out = tmp_path / "out.jsonl"

    async with serving(Settings(key=KEY, fault={"500": 0.3}, seed=1)) as endpoint:
        await process(path, endpoint.url + "/v1/chat/completions", save_filepath=str(out))

    assert KEY not in out.read_text(encoding="utf-8")
    assert KEY not in caplog.text


async def test_the_services_limits_are_kept_without_a_refusal(tmp_path):
    """Told the service's own limit, a job draws no 429 at all."""
    path = written(tmp_path / "in.jsonl", [chat(n) for n in range(40)])

    async with serving(
        Settings(limiter="sliding_window", max_requests_per_minute=6_000)
    ) as endpoint:
        summary = await process(
            path,
            endpoint.url + "/v1/chat/completions",
            save_filepath=str(tmp_path / "o"),
            max_requests_per_minute=6_000,
        )

    assert (summary.tally.succeeded, summary.tally.refusals) == (40, 0)


@pytest.mark.no_key
async def test_without_a_url_or_provider_it_is_the_cookbooks_and_needs_its_key(tmp_path):
    path = written(tmp_path / "in.jsonl", [chat(1)])

    with pytest.raises(BadInput, match="OPENAI_API_KEY"):
        await door.process_api_requests_from_file(str(path))
