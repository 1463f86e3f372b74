"""Nothing is lost or doubled however often a job is killed, and what it costs is bounded.

The real command is killed at random moments; `python benchmarks/kills.py` does it 1,000 times.
"""

import json
import os

import pytest

from benchmarks import kills, oracle

LINES = [oracle.line({"n": 1}), oracle.line({"n": 2}, "a"), oracle.line({"n": 2}, "a")]
BILLS = [oracle.Bill(f"id{n}", line.digest, damaged=False) for n, line in enumerate(LINES)]
ROWS = [
    b'[{"n": 1}, {"id": "id0"}]\n',
    b'[{"n": 2}, {"id": "id1"}, "a"]\n',
    b'[{"n": 2}, {"id": "id2"}, "a"]\n',
]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_P1_P2_P3_eight_kills_at_random_moments_lose_nothing_and_cost_what_was_in_flight(tmp_path):
    faults = "429=0.005,500=0.02,reset=0.02,reset_after=0.02,cut=0.02,filter=0.02"
    rounds = kills.torture(tmp_path, kills=8, lines=150, seed=8, faults=faults)

    assert [one.broken() for one in rounds] == [[] for _ in rounds]
    assert sum(one.kills for one in rounds) == 8
    assert sum(one.verdict.rows for one in rounds) == 150 * len(rounds)


def verdict(*rows, billed=BILLS):
    """What the oracle finds wrong with *rows*."""
    found = oracle.judge(LINES, b"".join(rows), billed)
    return found.lost, found.duplicated, found.unreadable, found.foreign


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        (ROWS, (0, 0, 0, 0)),
        (ROWS[::-1], (0, 0, 0, 0)),
        ([ROWS[0], ROWS[1], b'[{"n": 2}, [{"kind": "transient"}], "a"]\n'], (0, 0, 0, 0)),
        (ROWS[:2], (1, 0, 0, 0)),
        ([*ROWS, b'[{"n": 1}, [{"kind": "transient"}]]\n'], (0, 1, 0, 0)),
        ([*ROWS, ROWS[0]], (0, 1, 0, 1)),
        ([*ROWS[:2], ROWS[2][:-3]], (1, 0, 1, 0)),
        ([*ROWS[:2], ROWS[2][:-1]], (1, 0, 1, 0)),
        ([*ROWS[1:], ROWS[0][:-1], ROWS[0]], (1, 0, 1, 0)),
        ([*ROWS, b"\0\0\n"], (0, 0, 1, 0)),
        ([*ROWS[:2], ROWS[2].replace(b'"a"', b'"b"')], (1, 1, 0, 1)),
        ([ROWS[0], ROWS[1], ROWS[1]], (0, 0, 0, 1)),
        ([ROWS[0].replace(b"id0", b"id1"), ROWS[1].replace(b"id1", b"id0"), ROWS[2]], (0, 0, 0, 2)),
        ([ROWS[0].replace(b"id0", b"made up"), *ROWS[1:]], (0, 0, 0, 1)),
        ([ROWS[0].replace(b'{"id": "id0"}', b"{}"), *ROWS[1:]], (1, 0, 1, 0)),
    ],
)
def test_the_oracle_finds_whatever_is_wrong_with_the_rows(rows, wrong):
    """Rows lost, doubled, unreadable, and answers that are not their line's."""
    assert verdict(*rows) == wrong


def run(*bills, killed=False, code=0, said=""):
    return kills.Run(killed, code, said, list(bills), 1.0)


def broken(*runs, left_behind=()):
    """What is said of a round with these runs, in which ROWS were written."""
    found = oracle.judge(LINES, b"".join(ROWS), BILLS)
    return kills.Round(LINES, list(runs), found, left_behind=list(left_behind)).broken()


NOWHERE = [oracle.Bill(f"other{n}", LINES[0].digest, damaged=False) for n in range(30)]
DAMAGED = [oracle.Bill(f"damaged{n}", LINES[0].digest, damaged=True) for n in range(30)]
TELLS_2 = "2 attempts may have been billed without a usable answer, up to 90 tokens"


@pytest.mark.parametrize(
    ("one", "wrong"),
    [
        (run(*BILLS), []),
        (run(*BILLS, *NOWHERE[:20], *DAMAGED, killed=True), []),
        (run(*NOWHERE[:21], killed=True), ["a kill cost 21 answers, with 20 in flight"]),
        (run(*NOWHERE[:1]), ["1 answers are in no row, 0 were reported"]),
        (run(*NOWHERE[:1], *DAMAGED[:1], said=TELLS_2), []),
        (run(*DAMAGED[:3], said=TELLS_2), ["3 answers are in no row, 2 were reported"]),
        (run(code=3), ["a run ended with 3"]),
        (run(said="Traceback", killed=True), ["a run failed: Traceback"]),
    ],
)
def test_P3_more_bought_twice_than_was_in_flight_or_was_reported_is_found(one, wrong):
    assert broken(one) == wrong


def test_P10_a_file_that_nobody_asked_for_is_found(tmp_path):
    job = kills.Job(tmp_path / "job", "http://127.0.0.1:9/v1", LINES)
    assert job.left_behind() == []
    (job.folder / "results.jsonl.torn").write_bytes(b"[{\n")
    (job.folder / "results.jsonl.rewriting").touch()

    assert job.torn() == 1
    assert job.left_behind() == ["results.jsonl.rewriting was left behind"]
    assert broken(run(), left_behind=job.left_behind()) == job.left_behind()


def test_what_is_sent_of_a_line_is_its_body_alone():
    """The hash of it is what the ledger knows a line by."""
    for metadata, first in ((None, False), ({"x": "y"}, False), (7, True)):
        line = oracle.line({"a": 1, "b": [2]}, metadata, first=first)
        read = json.loads(line.text)
        assert read.pop("metadata", None) == metadata
        assert read == {"a": 1, "b": [2]}
        assert line.digest == oracle.line({"a": 1, "b": [2]}).digest
