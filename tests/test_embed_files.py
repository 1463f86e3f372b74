"""--embed: a file of texts in few requests, with a row for each line as if it were asked alone."""

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import api_request_parallel_processor as door
from request_engine import local_endpoint
from request_engine.embed_files import PackedIntake
from request_engine.encodings import token_counts
from request_engine.errors import BadInput
from request_engine.journal import Journal
from request_engine.local_endpoint.settings import Settings
from request_engine.local_endpoint.vectors import vector_json
from request_engine.packing import Caps, Packing
from request_engine.records import Request
from request_engine.rows import array_row
from request_engine.tally import Tally
from request_engine.vector_file import VectorFile

DOOR = Path(door.__file__)
MODEL = "text-embedding-3-small"
NO_LIMIT = {"max_requests_per_minute": None, "max_tokens_per_minute": None}
MIXED = [
    {"model": MODEL, "input": "high water", "dimensions": 8, "metadata": {"id": 1}},
    {"model": MODEL, "input": "潮汐", "dimensions": 8, "metadata": None},
    {"model": MODEL, "input": "high water", "dimensions": 8, "metadata": 0},
    {"model": MODEL, "input": "another shape", "dimensions": 16},
    {"model": MODEL, "input": [1, 2, 3], "dimensions": 8},
    {
        "custom_id": "b",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": MODEL, "input": "x", "dimensions": 8},
    },
]


def write(folder, lines):
    path = folder / "texts.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return str(path)


async def process(folder, url, name="out.jsonl", **given):
    path = folder / name
    asked = NO_LIMIT | {"embed": True} | given
    summary = await door.process_api_requests_from_file(
        str(folder / "texts.jsonl"), str(path), url + "/v1/embeddings", **asked
    )
    return rows(folder / name.replace(".npy", ".index.jsonl")), summary


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def texts(count):
    return [{"model": MODEL, "input": f"note {at}", "dimensions": 8} for at in range(count)]


def vector(row):
    return row[1]["data"][0]["embedding"]


async def test_rows_say_what_they_would_say_if_each_line_had_been_asked_alone(tmp_path):
    """In the same order with --ordered, metadata of every kind included."""
    write(tmp_path, MIXED)
    async with local_endpoint.serving() as served:
        alone, _ = await process(tmp_path, served.url, "alone.jsonl", embed=False, ordered=True)
        packed, summary = await process(tmp_path, served.url, ordered=True)
    assert [row[0] for row in packed] == [row[0] for row in alone]
    assert [row[2:] for row in packed] == [row[2:] for row in alone]
    assert [vector(row) for row in packed] == [vector(row) for row in alone]
    assert {frozenset(row[1]) - {"usage"} for row in packed} == {
        frozenset(row[1]) - {"usage"} for row in alone
    }
    assert summary.tally.attempts == 4


async def test_the_usage_of_all_rows_is_what_was_billed(tmp_path):
    write(tmp_path, texts(100))
    async with local_endpoint.serving() as served:
        found, summary = await process(tmp_path, served.url)
        billed = served.ledger.prompt_tokens
    told = [row[1]["usage"]["prompt_tokens"] for row in found if "usage" in row[1]]
    assert sum(told) == billed == summary.tally.prompt_tokens
    assert len(told) == summary.tally.attempts < 10


async def test_P4_a_bad_line_costs_one_line(tmp_path):
    lines = texts(40)
    lines[7]["input"] = "tide " * 500
    lines[20]["input"] = ""
    write(tmp_path, [*lines, "no request"])
    async with local_endpoint.serving(Settings(context_length=400)) as served:
        found, summary = await process(tmp_path, served.url)
    failed = {json.dumps(row[0]) for row in found if isinstance(row[1], list)}
    assert failed == {json.dumps(lines[7]), json.dumps(lines[20]), json.dumps('"no request"')}
    assert len(found) == 41
    assert summary.tally.attempts < 16


async def test_P2_the_same_command_again_sends_only_what_has_no_row(tmp_path):
    write(tmp_path, texts(60))
    async with local_endpoint.serving() as served:
        await process(tmp_path, served.url)
        before = served.ledger.requests
        write(tmp_path, [*texts(63), texts(1)[0]])
        found, summary = await process(tmp_path, served.url)
        assert served.ledger.requests == before + 1
    assert summary.tally.answered_before == 60
    assert len(found) == 64


@pytest.mark.parametrize("name", ["out.jsonl", "out.npy"])
async def test_P1_P3_a_killed_run_has_lost_nothing_that_was_written_and_buys_none_of_it_again(
    tmp_path, name
):
    path = write(tmp_path, texts(1_000))
    kept = tmp_path / name.replace(".npy", ".index.jsonl")
    slow = Settings(max_requests_per_minute=300, limiter="token_bucket", burst=1.0)
    async with local_endpoint.serving(slow) as served:
        url = served.url + "/v1/embeddings"
        flags = ["--requests_filepath", path, "--save_filepath", str(tmp_path / name), "--embed"]
        command = [sys.executable, str(DOOR), *flags, "--request_url", url]
        run = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        while not kept.exists() or kept.read_bytes().count(b"\n") < 100:  # noqa: ASYNC110  a file
            await asyncio.sleep(0.01)
        run.kill()
        await run.wait()
    left = kept.read_bytes()
    left = left[: left.rindex(b"\n") + 1]
    done = left.count(b"\n")
    assert 100 <= done < 1_000
    async with local_endpoint.serving() as served:
        found, summary = await process(tmp_path, served.url, name)
        again = served.ledger.prompt_tokens

    assert kept.read_bytes().startswith(left)
    assert summary.tally.answered_before == done
    assert again == sum(token_counts("cl100k_base", [row[0]["input"] for row in found[done:]]))
    assert sorted(row[0]["input"] for row in found) == sorted(one["input"] for one in texts(1_000))
    if name.endswith(".npy"):
        _belong(tmp_path / name, found)


def _belong(path, found):
    """Every row of the index tells of the vector of its text."""
    stored = np.load(path)
    assert stored.dtype == np.float32
    assert len({row[1]["row"] for row in found}) == len(found) <= len(stored)
    for row in found:
        assert np.allclose(stored[row[1]["row"]], expected(row[0]["input"]), atol=1e-8)


def expected(text):
    """What the local endpoint answers."""
    return np.array(json.loads(vector_json(text, 8)), "f4")


async def test_vectors_go_to_a_numpy_file_and_the_index_says_whose_each_is(tmp_path):
    lines = [*texts(70), {"model": MODEL, "input": "", "dimensions": 8, "metadata": "m"}]
    write(tmp_path, lines)
    async with local_endpoint.serving() as served:
        found, summary = await process(tmp_path, served.url, "v.npy")
        answered = [row for row in found if isinstance(row[1], dict)]
        _belong(tmp_path / "v.npy", answered)
        assert np.load(tmp_path / "v.npy").shape == (70, 8)
        assert [row[0]["input"] for row in found if isinstance(row[1], list)] == [""]
        assert summary.tally.failed == 1

        write(tmp_path, [*lines, *texts(75)[70:]])
        found, _ = await process(tmp_path, served.url, "v.npy")
        assert np.load(tmp_path / "v.npy").shape == (75, 8)
        _belong(tmp_path / "v.npy", [row for row in found if isinstance(row[1], dict)])


async def test_a_corpus_of_texts_is_embedded_with_the_model_of_the_command(tmp_path):
    lines = [{"id": at, "text": f"note {at}", "author": "Ada"} for at in range(50)]
    write(tmp_path, lines)
    async with local_endpoint.serving(Settings(models=(MODEL,))) as served:
        found, summary = await process(
            tmp_path, served.url, models=MODEL, body={"dimensions": 8}, ordered=True
        )
    assert [row[0] for row in found] == lines
    assert all(np.allclose(vector(row), expected(row[0]["text"]), atol=1e-8) for row in found)
    assert summary.tally.attempts == 2


async def test_a_line_whose_vector_has_another_size_is_a_failure_in_a_file_of_vectors(tmp_path):
    write(tmp_path, [*texts(3), {"model": MODEL, "input": "wide", "dimensions": 16}])
    async with local_endpoint.serving() as served:
        found, _ = await process(tmp_path, served.url, "v.npy", ordered=True)
    assert [isinstance(row[1], dict) for row in found] in (
        [True] * 3 + [False],
        [False] * 3 + [True],
    )


async def test_half_a_vector_is_cut_off_and_a_header_left_behind_put_right(tmp_path):
    """As a crash leaves them: the header is written now and then only."""
    write(tmp_path, texts(10))
    async with local_endpoint.serving() as served:
        await process(tmp_path, served.url, "v.npy")
        whole = (tmp_path / "v.npy").read_bytes()
        older = whole[:128].replace(b"(10, 8), }", b"(3, 8), } ") + whole[128:] + b"half"
        (tmp_path / "v.npy").write_bytes(older)
        assert np.load(tmp_path / "v.npy").shape == (3, 8)
        write(tmp_path, texts(11))
        found, _ = await process(tmp_path, served.url, "v.npy")
    _belong(tmp_path / "v.npy", found)
    assert np.load(tmp_path / "v.npy").shape == (11, 8)


async def test_an_index_without_its_vectors_is_not_gone_on_from(tmp_path):
    write(tmp_path, texts(3))
    async with local_endpoint.serving() as served:
        await process(tmp_path, served.url, "v.npy")
        os.remove(tmp_path / "v.npy")
        with pytest.raises(BadInput, match="tells of 3 vectors"):
            await process(tmp_path, served.url, "v.npy")
        found, _ = await process(tmp_path, served.url, "v.npy", overwrite=True)
    _belong(tmp_path / "v.npy", found)


def test_a_numpy_file_of_somebody_else_is_left_alone(tmp_path):
    for name, other in {"a": np.zeros((2, 3)), "b": np.zeros(4, "f4")}.items():
        path = tmp_path / f"{name}.npy"
        np.save(path, other)
        before = path.read_bytes()
        with pytest.raises(BadInput, match="no file of vectors"):
            VectorFile(str(path))
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"embed": False, "inputs_per_request": 5}, "--inputs_per_request .* give --embed"),
        ({"embed": False, "tokens_per_request": 5}, "--tokens_per_request .* give --embed"),
        ({"inputs_per_request": 0}, "--inputs_per_request is 0"),
        ({"tokens_per_request": "many"}, "--tokens_per_request is many"),
        ({"response_schema": "shape.json"}, "--response_schema is for"),
    ],
)
async def test_flags_that_make_no_sense_are_told_before_anything_is_sent(tmp_path, given, told):
    write(tmp_path, texts(1))
    (tmp_path / "shape.json").write_text('{"type": "object"}', encoding="utf-8")
    if "response_schema" in given:
        given["response_schema"] = str(tmp_path / "shape.json")
    async with local_endpoint.serving() as served:
        with pytest.raises(BadInput, match=told):
            await process(tmp_path, served.url, **given)
        assert served.ledger.requests == 0


@pytest.mark.parametrize(("fills", "sizes"), [(True, [8, 8, 4]), (False, [5, 5, 5, 5])])
async def test_lines_of_a_pipe_do_not_wait_for_others_and_those_of_a_file_fill_packs(
    tmp_path, fills, sizes
):
    async def batches():
        for first in range(0, 20, 5):
            yield [Request(at, {"input": str(at)}, b"") for at in range(first, first + 5)]

    async def measure(requests):
        return [None for _ in requests]

    journal = Journal(str(tmp_path / "r.jsonl"), None, array_row)
    packing = Packing(Caps(8), print)
    intake = PackedIntake(batches(), measure, journal, Tally(), packing, fills=fills)
    packs = []
    while (ready := await intake.next()) is not None:
        packs += [pack for pack, _ in ready]
    await intake.close()
    journal.close()
    assert [len(pack.parts) for pack in packs] == sizes


async def test_the_batch_format_has_a_line_for_each_text(tmp_path):
    lines = [
        {"custom_id": f"n{at}", "method": "POST", "url": "/v1/embeddings", "body": one}
        for at, one in enumerate(texts(5))
    ]
    write(tmp_path, lines)
    async with local_endpoint.serving() as served:
        found, summary = await process(tmp_path, served.url, output_format="batch", ordered=True)
    assert [row["custom_id"] for row in found] == [f"n{at}" for at in range(5)]
    assert all(len(row["response"]["body"]["data"]) == 1 for row in found)
    assert summary.tally.attempts == 1
