"""A large results file is read by several processes, and whatever they do nothing is misread."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from request_engine import children, scan
from request_engine.errors import BadInput
from request_engine.results_file import ResultsFile
from request_engine.scan import ANSWER, BLANK, FAILURE, UNREADABLE

BROKEN_CHILDREN = {
    "says something first": "print('hello')",
    "says only rubbish": "import sys; sys.stdout.write('x' * 100_000); sys.stdout.flush()",
    "ends early": "import os; os._exit(1)",
    "claims to be ours": "import sys; sys.stdout.write('records of results:\\n' + 'x' * 1300)",
}


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that is worth three processes: answers, failures, rubbish, blank lines, CRLF."""
    lines = []
    for number in range(3_000):
        answer = [{"kind": "x"}] if number % 7 == 0 else {"ok": number}
        lines.append(json.dumps([{"n": number}, answer, {"id": number}]))
        lines.append({0: "rubbish", 1: "", 2: "  "}.get(number % 11, lines[-1] + "\r"))
    path = tmp_path / "r.jsonl"
    path.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8", newline="")
    monkeypatch.setattr(scan, "_WORTH_A_PROCESS", path.stat().st_size // 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    return path


def read(path, **settings):
    """All records by the place of their lines, and how many parts there were."""
    found, parts = {}, set()

    def take(part, offset, batch):
        parts.add(part)
        for key, length, kind in batch:
            found[offset] = (key, length, kind)
            offset += length

    asyncio.run(scan.scan(str(path), path.stat().st_size, take, **settings))
    return found, len(parts)


def test_in_parts_it_reads_what_it_reads_in_one(large):
    whole, one = read(large, in_order=True)
    split, several = read(large)

    assert (one, several) == (1, 3)
    assert split == whole
    assert {kind for _, _, kind in whole.values()} == {ANSWER, FAILURE, UNREADABLE, BLANK}
    assert sum(length for _, length, _ in whole.values()) == large.stat().st_size
    assert whole[0][2] == FAILURE  # the byte order mark costs no row


@pytest.mark.parametrize("name", BROKEN_CHILDREN)
def test_a_process_that_does_anything_else_costs_no_row(large, monkeypatch, name):
    whole, _ = read(large, in_order=True)
    monkeypatch.setattr(children, "_CHILD", BROKEN_CHILDREN[name])
    assert read(large)[0] == whole


def test_where_no_process_can_be_started_it_is_read_here(large, monkeypatch):
    whole, _ = read(large, in_order=True)
    for interpreter in ("/no/such/python", None):
        monkeypatch.setattr(sys, "executable", interpreter)
        assert read(large)[0] == whole


def test_what_lies_in_the_folder_has_no_say(large, monkeypatch, tmp_path):
    """Neither modules of the same names nor start-up files of the user."""
    for name in ("struct.py", "sitecustomize.py", "request_engine.py", "json.py"):
        Path(tmp_path, name).write_text("print('here I am')\n")
    whole, _ = read(large, in_order=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read(large)[0] == whole


async def test_P10_nothing_is_left_of_a_process_whose_end_is_cancelled():
    """As where two parts of a file are found to be wrong at the same moment."""
    process = await children.start("time", "sleep", "9")
    ending = asyncio.create_task(children.end(process))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait([ending])
    assert (ending.cancelled(), process.returncode is not None) == (True, True)


def test_a_line_too_long_in_one_part_is_the_usual_complaint(large, monkeypatch):
    monkeypatch.setattr("request_engine.earlier.LONGEST_ROW", 5)
    file = ResultsFile(str(large))
    with pytest.raises(BadInput, match="too long for a row"):
        asyncio.run(file.recover())
    file.close()
