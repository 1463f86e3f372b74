"""The results file is the journal: whole rows only, and it tells what is done."""

import asyncio
import json
import os
import tracemalloc
from hashlib import sha256

import pytest

from request_engine.budget import Budget
from request_engine.disk import Disk
from request_engine.errors import BadInput
from request_engine.identity import Fingerprints, content_id, key_of
from request_engine.journal import Journal
from request_engine.lines import read_line
from request_engine.records import Claim, Failure, Kind, Request, Success
from request_engine.rows import array_row, batch_row
from request_engine.stopping import Stopping

BOOM = Failure(Kind.TRANSIENT, "boom", 500, earlier=(Failure(Kind.TRANSIENT, "first"),))


def asked(number: int, text: str = '{"model": "m", "input": %d}') -> Request:
    request = read_line(number, (text % number if "%" in text else text).encode())
    assert isinstance(request, Request)
    return request


def answered(text: str = '{"ok": 1}') -> Success:
    return Success(text.encode())


def lines(path) -> list:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def opened(path, spelling=array_row, errors=None, *, keep_failures=False, **settings) -> Journal:
    """A journal that has read what earlier ones left, whose `disk` writes what is given to it."""
    journal = Journal(str(path), None if errors is None else str(errors), spelling, **settings)
    try:
        asyncio.run(journal.recover(keep_failures=keep_failures))
    except BaseException:
        journal.close()
        raise
    return journal


def close(journal) -> tuple[list, str | None]:
    """Close *journal*; the requests whose rows were late, and what went wrong."""
    late = []
    limits = {"requests_per_minute": None, "tokens_per_minute": None, "max_concurrent": 1}
    disk = Disk(journal, Budget(**limits), Stopping(60), lambda request, _: late.append(request))
    trouble = disk.close()
    return late, trouble


@pytest.mark.parametrize(
    ("line", "outcome", "row"),
    [
        ('{"a": 1}', answered(), '[{"a": 1}, {"ok": 1}]'),
        ('{"a": 1, "metadata": {"id": 7}}', answered(), '[{"a": 1}, {"ok": 1}, {"id": 7}]'),
        ('{"metadata": null, "a": 1}', answered(), '[{"a": 1}, {"ok": 1}, null]'),
        ('{"metadata": 0, "a": 1}', answered(), '[{"a": 1}, {"ok": 1}, 0]'),
        ('{"metadata": false, "a": 1}', answered(), '[{"a": 1}, {"ok": 1}, false]'),
        ('{"metadata": {}, "a": 1}', answered(), '[{"a": 1}, {"ok": 1}, {}]'),
        (
            '{"a": 1}',
            Success(b'{"ok": 1}', extra=b'{"credits_total": "20$"}'),
            '[{"a": 1}, {"ok": 1}, null, {"credits_total": "20$"}]',
        ),
        (
            '{"a": 1, "metadata": [1]}',
            Success(b'{"ok": 1}', extra=b"{}"),
            '[{"a": 1}, {"ok": 1}, [1], {}]',
        ),
        (
            '{"n": 12345678901234567890, "t": 1.10, "t": 1E-7, "metadata": 1.0}',
            answered('{"big":98765432109876543210,"f":2.50}'),
            '[{"n": 12345678901234567890, "t": 1.10, "t": 1E-7}, '
            '{"big":98765432109876543210,"f":2.50}, 1.0]',
        ),
    ],
)
def test_rows_are_spelled_with_the_users_and_the_services_own_bytes(line, outcome, row):
    assert array_row(read_line(1, line.encode()), outcome) == row.encode() + b"\n"


def test_a_failed_row_lists_its_attempts():
    row = json.loads(array_row(asked(1), BOOM))

    assert row[1] == [
        {"kind": "transient", "message": "first", "status": None, "attempt": 1},
        {"kind": "transient", "message": "boom", "status": 500, "attempt": 1},
    ]


def test_P2_a_second_run_finds_what_is_done_and_takes_failures_out(tmp_path):
    path = tmp_path / "r.jsonl"
    first = opened(path)
    first.write(asked(1), answered())
    first.write(asked(2), BOOM)
    first.write(asked(3), answered())
    close(first)

    second = opened(path)
    claimed = [second.claim(asked(number)) for number in (1, 2, 3)]
    close(second)

    assert claimed == [Claim.ANSWER, None, Claim.ANSWER]
    assert (second.answered_before, second.failed_before) == (2, 1)
    assert [row[0]["input"] for row in lines(path)] == [1, 3]


def test_P11_identity_is_the_content_and_not_its_spelling_or_place(tmp_path):
    path = tmp_path / "r.jsonl"
    first = opened(path)
    first.write(asked(1, '{"a": 1, "b": [1, 2], "metadata": {"x": 1, "y": "\\u00e9"}}'), answered())
    close(first)

    second = opened(path)
    respelled = asked(9, '{"metadata": {"y": "é", "x": 1}, "b":[1,2],"a":1}')
    edited = asked(9, '{"a": 1, "b": [1, 3], "metadata": {"x": 1, "y": "é"}}')
    other_metadata = asked(9, '{"a": 1, "b": [1, 2], "metadata": {"x": 2, "y": "é"}}')

    assert not second.claim(edited)
    assert not second.claim(other_metadata)
    assert second.claim(respelled)
    assert not second.claim(respelled)
    close(second)


def test_P11_equal_lines_are_separate_jobs(tmp_path):
    """Two answers serve the first two of three equal lines."""
    path = tmp_path / "r.jsonl"
    first = opened(path)
    first.write(asked(1, '{"a": 1}'), answered())
    first.write(asked(2, '{"a": 1}'), answered())
    close(first)

    second = opened(path)
    assert [second.claim(asked(number, '{"a": 1}')) for number in (1, 2, 3)] == [
        Claim.ANSWER,
        Claim.ANSWER,
        None,
    ]
    close(second)


def test_a_torn_last_line_is_set_aside_and_the_next_row_is_whole(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'[{"a": 1}, {"ok": 1}]\n[{"a": 2}, {"o')
    journal = opened(path)
    journal.write(asked(3, '{"a": 3}'), answered())
    close(journal)

    assert [row[0]["a"] for row in lines(path)] == [1, 3]
    assert (tmp_path / "r.jsonl.torn").read_bytes() == b'[{"a": 2}, {"o\n'


def test_a_whole_last_line_without_its_end_is_ended(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'[{"a": 1}, {"ok": 1}]')
    journal = opened(path)
    assert journal.claim(asked(1, '{"a": 1}'))
    journal.write(asked(2, '{"a": 2}'), answered())
    close(journal)

    assert [row[0]["a"] for row in lines(path)] == [1, 2]


def test_lines_that_are_no_rows_are_left_alone_and_counted(tmp_path):
    path = tmp_path / "r.jsonl"
    foreign = b'not a row\n{"x": 1}\n["a", "b"]\n[1, [2]]\n[[], []]\n[{"a": 1}, "b"]\n'
    ours = b'[{"a": 1}, {"ok": 1}]\n' * 6
    path.write_bytes(foreign + ours + b'[{"a": 2}, ["error"]]\n')
    journal = opened(path)
    close(journal)

    assert (journal.unreadable, journal.answered_before, journal.failed_before) == (6, 6, 1)
    assert path.read_bytes() == foreign + ours


def test_P10_a_file_that_is_mostly_something_else_is_left_as_it_is(tmp_path):
    """Such as the requests themselves, or a README with one row in it."""
    path = tmp_path / "README.md"
    path.write_bytes(b'# Title\n\nwords\n[{"a": 2}, ["error"]]\nand a last line without its end')
    before = path.read_bytes()

    with pytest.raises(BadInput, match="3 lines that are no rows"):
        opened(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize("text", [b"a note", b"a note\n", b"7"])
def test_P10_a_file_of_one_strange_line_is_left_as_it_is(tmp_path, text):
    path = tmp_path / "note.txt"
    path.write_bytes(text)

    with pytest.raises(BadInput, match="1 lines that are no rows"):
        opened(path)
    assert path.read_bytes() == text


def test_a_first_row_that_was_torn_off_is_one_of_ours(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'[{"a": 1}, {"o')
    journal = opened(path)
    journal.write(asked(1, '{"a": 1}'), answered())
    close(journal)

    assert journal.torn
    assert [row[0]["a"] for row in lines(path)] == [1]


@pytest.mark.parametrize("tail", [b'[{"a": 3}, ["error"]]', b'[{"a": 3}, {"ok": 1}]', b'[{"a": 3'])
def test_whatever_the_tail_is_the_rows_before_and_after_it_stay_whole(tmp_path, tail):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'[{"a": 1}, {"ok": 1}]\n[{"a": 2}, ["error"]]\n' + tail)
    journal = opened(path)
    claimed = [journal.claim(asked(n, '{"a": %d}')) for n in (1, 2, 3)]
    journal.write(asked(4, '{"a": %d}'), answered())
    close(journal)

    kept = [3] if b"ok" in tail else []
    assert [bool(one) for one in claimed] == [True, False, bool(kept)]
    assert [row[0]["a"] for row in lines(path)] == [1, *kept, 4]
    assert b"\n\n" not in path.read_bytes()


def test_ordered_rows_follow_the_requests_with_what_was_there_before(tmp_path):
    path = tmp_path / "r.jsonl"
    first = opened(path)
    for number in (4, 2):
        first.write(asked(number), answered())
    close(first)

    second = opened(path, ordered=True)
    for number in (5, 1, 4, 2, 3):
        if not second.claim(asked(number)):
            second.write(asked(number), answered() if number != 3 else BOOM)
    close(second)

    assert [row[0]["input"] for row in lines(path)] == [1, 2, 3, 4, 5]


def test_ordering_keeps_rows_that_match_no_request_behind_the_others(tmp_path):
    path = tmp_path / "r.jsonl"
    first = opened(path)
    for number in (9, 2, 1):
        first.write(asked(number), answered())
    close(first)

    second = opened(path, ordered=True)
    assert [second.claim(asked(number)) for number in (1, 2)] == [Claim.ANSWER, Claim.ANSWER]
    close(second)

    assert [row[0]["input"] for row in lines(path)] == [1, 2, 9]
    assert second.unclaimed == 1


def test_failures_can_have_a_file_of_their_own_and_are_taken_out_of_it_too(tmp_path):
    good, bad = tmp_path / "r.jsonl", tmp_path / "errors.jsonl"

    first = opened(good, errors=bad)
    first.write(asked(1), answered())
    first.write(asked(2), BOOM)
    close(first)
    assert [row[0]["input"] for row in lines(good)] == [1]
    assert [row[0]["input"] for row in lines(bad)] == [2]

    second = opened(good, errors=bad)
    close(second)
    assert second.failed_before == 1
    assert lines(bad) == []


def test_a_full_disk_leaves_no_part_of_a_row_and_the_row_is_written_when_there_is_room(
    tmp_path, monkeypatch
):
    path = tmp_path / "r.jsonl"
    journal = opened(path)
    journal.write(asked(1), answered())
    real, calls = os.write, []

    def full(descriptor, data):
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.write(asked(2), answered())
    assert [row[0]["input"] for row in lines(path)] == [1]
    assert journal.unwritten == 1

    monkeypatch.setattr(os, "write", real)
    late, trouble = close(journal)
    assert [one.number for one in late] == [2]
    assert [row[0]["input"] for row in lines(path)] == [1, 2]
    assert (journal.unwritten, trouble) == (0, None)


def test_a_short_write_is_completed(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    journal = opened(tmp_path / "r.jsonl")
    journal.write(asked(1), answered())
    close(journal)

    assert [row[0]["input"] for row in lines(tmp_path / "r.jsonl")] == [1]


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path):
    with pytest.raises(BadInput, match="cannot be written"):
        opened(tmp_path / "no" / "such" / "folder.jsonl")


def test_batch_rows_are_those_of_the_batch_api_and_resume_as_well(tmp_path):
    path = tmp_path / "b.jsonl"
    line = '{"custom_id": "a-1", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}}'
    first = opened(path, batch_row)
    first.write(asked(1, line), answered('{"data": []}'))
    first.write(asked(2, line.replace("a-1", "a-2")), BOOM)
    close(first)
    rows = lines(path)

    assert rows[0]["custom_id"] == "a-1"
    assert rows[0]["error"] is None
    assert rows[0]["response"]["status_code"] == 200
    assert rows[0]["response"]["body"] == {"data": []}
    assert (rows[1]["response"]["status_code"], rows[1]["error"]) == (500, None)
    assert rows[1]["response"]["body"]["error"]["message"] == "boom"
    assert [one["message"] for one in rows[1]["errors"]] == ["first", "boom"]

    second = opened(path, batch_row)
    assert second.claim(asked(1, line))
    assert not second.claim(asked(2, line.replace("a-1", "a-2")))
    close(second)
    assert len(lines(path)) == 1


def test_P3_rows_of_the_other_format_are_known_too(tmp_path):
    """Another --output_format than before does not buy everything again."""
    path = tmp_path / "r.jsonl"
    for spelling in (array_row, batch_row):
        journal = opened(path, spelling)
        claimed = journal.claim(asked(1))
        if not claimed:
            journal.write(asked(1), answered())
        close(journal)

    assert claimed
    assert len(lines(path)) == 1


def test_a_file_that_cannot_be_put_in_order_says_so(tmp_path, monkeypatch):
    """The rows are there, and the run does not end as if all were well."""
    journal = opened(tmp_path / "r.jsonl", ordered=True)
    journal.write(asked(2), answered())
    journal.write(asked(1), answered())

    def refuse(*anything):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", refuse)
    assert close(journal) == ([], "the results cannot be put in order: Operation not permitted")
    assert [one.name for one in tmp_path.iterdir()] == ["r.jsonl"]
    assert [row[0]["input"] for row in lines(tmp_path / "r.jsonl")] == [2, 1]


def test_a_refused_start_leaves_no_file_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(BadInput):
            opened(tmp_path / "r.jsonl", errors=tmp_path / "no" / "folder.jsonl")

    assert len(os.listdir("/proc/self/fd")) == before


def test_fingerprints_are_a_multiset_that_gives_the_earliest_first():
    held = Fingerprints(numbered=True)
    ids = [key_of(content_id({"n": number % 1_000}, None)) for number in range(5_000)]
    for position, key in enumerate(ids):
        held.add(key, position)

    taken = [held.take(key) for key in ids]

    assert taken == list(range(5_000))
    assert len(held) == 0
    assert held.take(ids[0]) is None


@pytest.mark.parametrize(("numbered", "most"), [(False, 9.5), (True, 19)])
def test_P7_fingerprints_cost_little_memory(numbered, most):
    """Bytes an entry, the growing included, once the empty drawers are paid."""
    tracemalloc.start()
    held = Fingerprints(numbered=numbered)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for number in range(100_000):
        held.add(key_of(sha256(number.to_bytes(8, "big")).digest()), number)
    assert held.take(0) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(held) == 100_000
    assert (peak - before) / 100_000 <= most
