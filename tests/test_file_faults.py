"""What becomes of the user's files, by accident or by design: the rows of files in the fault table.

A whole run each time, from the door to the local endpoint, whose ledger says what was sent.
"""

import asyncio
import gzip
import json
import os
import random
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

import api_request_parallel_processor as door
from request_engine.errors import BadInput
from request_engine.lines import LONGEST_LINE
from request_engine.local_endpoint import Settings, serving


def chat(number, **more):
    messages = [{"role": "user", "content": f"Say {number}"}]
    return {"model": "gpt-4o-mini", "messages": messages} | more


def spelled(items):
    """A file of *items*, which are bytes or will be JSON."""
    lines = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in items)
    return b"".join(line + b"\n" for line in lines)


def rows(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def said_by(row):
    """The number that a row's request names."""
    return int(row[0]["messages"][0]["content"].removeprefix("Say "))


class Desk:
    """A file of requests, its results, and an endpoint to run them against."""

    def __init__(self, folder, endpoint, caplog):
        self.folder = folder
        self.requests, self.results = folder / "in.jsonl", folder / "out.jsonl"
        self.ledger = endpoint.ledger
        self._url = endpoint.url + "/v1/chat/completions"
        self._caplog = caplog
        caplog.set_level("INFO", "request_engine")

    async def run(self, **settings):
        """Run it; the summary. What it says is in `said`."""
        self._caplog.clear()
        given = {
            "requests_filepath": self.requests,
            "save_filepath": self.results,
            "max_requests_per_minute": None,
            "max_tokens_per_minute": None,
        }
        return await door.process_api_requests_from_file(
            request_url=self._url, **(given | settings)
        )

    @property
    def said(self):
        return [record.getMessage() for record in self._caplog.records]

    @asynccontextmanager
    async def running(self, after, **settings):
        """Run it, and do the block when the endpoint has *after* requests; then to its end."""
        task = asyncio.create_task(self.run(**settings))
        async with asyncio.timeout(30):
            while self.ledger.requests < after:  # noqa: ASYNC110  the ledger wakes nobody
                await asyncio.sleep(0.005)
        yield
        await task

    def files(self):
        return sorted(os.listdir(self.folder))


@pytest.fixture
async def desk(tmp_path, caplog):
    async with serving(Settings(latency=0.01)) as endpoint:
        yield Desk(tmp_path, endpoint, caplog)


# torn tail, NULs, two objects on one line


@pytest.mark.parametrize("zeros", [0, 1, 5_000])
async def test_fault_torn_tail(desk, zeros):
    """P1, P2: only the row that was torn off is asked for again, and what is left of it is kept."""
    desk.requests.write_bytes(spelled(chat(n) for n in range(20)))
    await desk.run()
    whole = desk.results.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    desk.results.write_bytes(whole[: last + 30] + bytes(zeros))
    summary = await desk.run()

    assert (summary.tally.attempts, desk.ledger.billed) == (1, 21)
    assert sorted(map(said_by, rows(desk.results))) == list(range(20))
    assert desk.results.read_bytes().startswith(whole[:last])
    assert (desk.folder / "out.jsonl.torn").read_bytes() == whole[last : last + 30] + b"\n"
    assert "the last row was torn off by a crash; it is in the .torn file beside it" in desk.said
    cut = f"{zeros:,} zeros at the end, left by a power cut, were cut off"
    assert (cut in desk.said) == (zeros > 0)


async def test_fault_NULs_within_the_results(desk):
    """A block that never reached the disk is left alone and told; its rows are asked for again."""
    desk.requests.write_bytes(spelled(chat(n) for n in range(20)))
    await desk.run()
    lines = desk.results.read_bytes().splitlines(keepends=True)
    hole = bytes(len(lines[4]) // 2 + len(lines[5]) // 2)
    start = len(lines[4]) // 2
    block = lines[4] + lines[5]
    damaged = block[:start] + hole + block[start + len(hole) :]
    desk.results.write_bytes(b"".join([*lines[:4], damaged, *lines[6:]]))
    summary = await desk.run()

    assert damaged.count(b"\n") == 1
    assert summary.tally.attempts == 2
    told = f"1 lines of {desk.results} are no rows of ours: left alone, and not counted as done"
    assert told in desk.said
    assert "going on: 18 of 20 are done, 2 to do; 0 failed before and are tried again" in desk.said
    readable = [line for line in desk.results.read_bytes().splitlines() if b"\0" not in line]
    assert sorted(said_by(json.loads(line)) for line in readable) == list(range(20))
    assert damaged in desk.results.read_bytes()


async def test_fault_two_rows_on_one_line(desk):
    """Left alone and told, since nobody knows what else is wrong there; both are asked again."""
    desk.requests.write_bytes(spelled(chat(n) for n in range(20)))
    await desk.run()
    lines = desk.results.read_bytes().splitlines(keepends=True)
    joined = lines[4][:-1] + lines[5]
    desk.results.write_bytes(b"".join([*lines[:4], joined, *lines[6:]]))
    summary = await desk.run()

    assert summary.tally.attempts == 2
    assert any(line.startswith("1 lines of ") for line in desk.said)
    assert joined in desk.results.read_bytes()
    left = desk.results.read_bytes().replace(joined, b"")
    assert sorted(said_by(json.loads(line)) for line in left.splitlines()) == list(range(20))


# input changes mid-run (append, truncate, replace)

LONG = {"padding": "x" * 5_000}
"""A file of such lines is not read at once."""


@pytest.mark.parametrize("half", [False, True], ids=["whole lines", "half a line"])
async def test_fault_input_appended_to(desk, half):
    """What is just being added is no line yet, and so no failure either; the next run reads it."""
    desk.requests.write_bytes(spelled(chat(n, **LONG) for n in range(60)))
    added = spelled(chat(n) for n in range(60, 63))
    now, later = (added[:-20], added[-20:]) if half else (added, b"")
    async with desk.running(5, max_concurrent_requests=2):
        append(desk.requests, now)
    assert sorted(map(said_by, rows(desk.results))) == list(range(60))
    told = f"{len(now)} bytes were added, which the next run will read"
    assert f"{desk.requests} changed while it was read: {told}" in desk.said

    append(desk.requests, later)
    summary = await desk.run()
    assert summary.tally.attempts == 3
    assert sorted(map(said_by, rows(desk.results))) == list(range(63))


async def test_fault_input_appended_to_since_before_the_run(desk):
    """The half line that was there at the start is finished meanwhile: no failure either."""
    added = spelled([chat(60), chat(61)])
    desk.requests.write_bytes(spelled(chat(n, **LONG) for n in range(60)) + added[:30])
    async with desk.running(5, max_concurrent_requests=2):
        append(desk.requests, added[30:])
    assert sorted(map(said_by, rows(desk.results))) == list(range(60))

    summary = await desk.run()
    assert summary.tally.attempts == 2
    assert sorted(map(said_by, rows(desk.results))) == list(range(62))


async def test_fault_input_truncated(desk):
    """The lines that were cut off get no row, and half a line is not taken for a bad one."""
    lines = [spelled([chat(n, **LONG)]) for n in range(60)]
    desk.requests.write_bytes(b"".join(lines))
    async with desk.running(5, max_concurrent_requests=2):
        os.truncate(desk.requests, sum(map(len, lines[:40])) + 2_000)
    read = sorted(map(said_by, rows(desk.results)))

    assert f"{desk.requests} changed while it was read: it was cut short" in desk.said
    assert all(isinstance(row[1], dict) for row in rows(desk.results))
    assert read == list(range(len(read)))
    assert 39 <= len(read) <= 42


async def test_fault_input_replaced(desk):
    """P11: the file that was opened is read to its end, and each answer is of its own line."""
    desk.requests.write_bytes(spelled(chat(n, **LONG) for n in range(60)))
    other = desk.folder / "other.jsonl"
    other.write_bytes(spelled(chat(n, **LONG) for n in range(50, 110)))
    async with desk.running(5, max_concurrent_requests=2):
        os.replace(other, desk.requests)
    first = rows(desk.results)
    assert sorted(map(said_by, first)) == list(range(60))
    replaced = "it was removed or replaced; the old one was read"
    assert f"{desk.requests} changed while it was read: {replaced}" in desk.said
    summary = await desk.run()

    assert "going on: 10 of 60 are done, 50 to do; 0 failed before and are tried again" in desk.said
    assert "50 of 60 earlier rows match no line of the file: they stay, and their lines were " in (
        "".join(desk.said)
    )
    assert summary.tally.attempts == 50
    assert all(f'"Say {said_by(row)}"' in answer_of(row) for row in rows(desk.results))


async def test_fault_input_rewritten_in_place(desk):
    """Same file, same length, other lines: told, and every answer is still that of its own line."""
    before = spelled(chat(n, **LONG) for n in range(10, 70))
    after = spelled(chat(n, **LONG) for n in range(30, 90))
    assert len(before) == len(after)
    desk.requests.write_bytes(before)
    async with desk.running(5, max_concurrent_requests=2):
        descriptor = os.open(desk.requests, os.O_WRONLY)
        os.write(descriptor, after)
        os.close(descriptor)

    assert any(
        "it was changed, so some rows may be of lines that it no longer has" in line
        for line in desk.said
    )
    assert len(rows(desk.results)) == 60
    assert all(f'"Say {said_by(row)}"' in answer_of(row) for row in rows(desk.results))


def answer_of(row):
    return row[1]["choices"][0]["message"]["content"]


# duplicate lines, changed params on resume


async def test_fault_duplicate_lines(desk):
    """P11: each of equal lines is a job of its own; one that is taken out leaves its row."""
    desk.requests.write_bytes(spelled([chat(1), chat(2), chat(1), chat(1)]))
    await desk.run()
    assert sorted(map(said_by, rows(desk.results))) == [1, 1, 1, 2]
    assert len({row[1]["id"] for row in rows(desk.results)}) == 4

    desk.requests.write_bytes(spelled([chat(1), chat(2), chat(2), chat(1)]))
    summary = await desk.run()
    assert summary.tally.attempts == 1
    assert "going on: 3 of 4 are done, 1 to do; 0 failed before and are tried again" in desk.said
    assert any(line.startswith("1 of 4 earlier rows match no line") for line in desk.said)
    assert sorted(map(said_by, rows(desk.results))) == [1, 1, 1, 2, 2]


async def test_fault_changed_params(desk):
    """P11: another temperature is another request; the old answers stay, and that is said first."""
    desk.requests.write_bytes(spelled(chat(n, temperature=0.0) for n in range(6)))
    await desk.run()
    desk.requests.write_bytes(spelled(chat(n, temperature=0.0 if n < 2 else 1.0) for n in range(6)))
    await desk.run()

    assert desk.said[1:3] == [
        "going on: 2 of 6 are done, 4 to do; 0 failed before and are tried again",
        "4 of 6 earlier rows match no line of the file: they stay, and their lines were changed "
        "or taken out",
    ]
    assert len(rows(desk.results)) == 10


async def test_changed_settings_of_the_run_make_nothing_new(desk):
    """P3: limits, deadlines, and the format of rows are no part of a request."""
    desk.requests.write_bytes(spelled(chat(n, metadata=n) for n in range(6)))
    await desk.run()
    for settings in (
        {"max_requests_per_minute": 7, "max_tokens_per_minute": 10_000, "max_attempts": 1},
        {"total_timeout": 5.0, "first_byte_timeout": 2.0, "fsync": 0, "max_wait": 9.0},
        {"output_format": "batch", "ordered": True, "max_concurrent_requests": 1},
        {"errors_filepath": desk.folder / "errors.jsonl", "token_encoding_name": "r50k_base"},
    ):
        summary = await desk.run(**settings)
        assert (summary.tally.attempts, summary.tally.answered_before) == (0, 6)
    assert desk.ledger.requests == 6


async def test_the_first_lines_of_a_resumed_run_say_what_was_found(desk):
    """Done, to do, failed before, and rows that match no line, before anything is sent."""
    requests = [chat(n, metadata=n) for n in range(8)]
    desk.requests.write_bytes(spelled([*requests[:6], b"not JSON", b"{}"]))
    await desk.run()
    desk.requests.write_bytes(spelled([*requests[2:], b"not JSON"]))
    sent = desk.ledger.requests
    summary = await desk.run()

    assert desk.said[0].startswith(f"{desk.requests} -> http://127.0.0.1:")
    assert desk.said[1:3] == [
        "going on: 4 of 7 are done, 3 to do; 2 failed before and are tried again",
        "2 of 6 earlier rows match no line of the file: they stay, and their lines were changed "
        "or taken out",
    ]
    assert desk.ledger.requests - sent == summary.tally.attempts == 2


# what is done with earlier results


async def test_overwrite_starts_afresh_and_moves_what_was_there_aside(desk):
    desk.requests.write_bytes(spelled([chat(1), b"not JSON"]))
    errors = desk.folder / "errors.jsonl"
    settings = {"errors_filepath": errors, "overwrite": True}
    await desk.run(**settings)
    assert desk.files() == ["errors.jsonl", "in.jsonl", "out.jsonl"]
    first = desk.results.read_bytes(), errors.read_bytes()
    await desk.run(**settings)
    second = desk.results.read_bytes(), errors.read_bytes()
    assert f"the old results were moved to {desk.results}.1" in desk.said
    assert f"the old results were moved to {errors}.1" in desk.said
    await desk.run(**settings)
    assert f"the old results were moved to {desk.results}.2" in desk.said

    def kept(number):
        names = (f"out.jsonl.{number}", f"errors.jsonl.{number}")
        return tuple((desk.folder / name).read_bytes() for name in names)

    assert (kept(1), kept(2)) == (first, second)
    assert desk.ledger.billed == 3
    assert [len(rows(desk.results)), len(rows(errors))] == [1, 1]


@pytest.mark.parametrize("output_format", ["rows", "batch"])
@pytest.mark.parametrize("apart", [False, True], ids=["one file", "two files"])
async def test_P2_kept_failures_stay_as_they_are_and_are_not_tried_again(
    desk, output_format, apart
):
    """Of lines that no service has seen, too; and they count as failed for --strict."""
    bad = [b"not JSON", b'{"model": "m"}', b"not JSON", b'"a text"', b'{"messages": "none"}']
    desk.requests.write_bytes(spelled([chat(1), *bad]))
    errors = desk.folder / "errors.jsonl"
    settings = {"output_format": output_format, "errors_filepath": errors if apart else None}
    await desk.run(**settings)
    before = desk.results.read_bytes(), errors.read_bytes() if apart else b""
    sent = desk.ledger.requests
    desk.requests.write_bytes(spelled([*bad, chat(1), chat(2)]))
    summary = await desk.run(keep_failures=True, **settings)

    assert "going on: 6 of 7 are done, 1 to do; 5 failed before and are kept" in desk.said
    assert desk.ledger.requests == sent + 1
    assert desk.results.read_bytes().startswith(before[0])
    assert len(rows(desk.results)) == (2 if apart else 7)
    assert not apart or errors.read_bytes() == before[1]
    assert (summary.tally.failures_kept, summary.exit_code(strict=True)) == (5, 1)


# ids and metadata of any kind

METADATA = [
    *(None, False, True, 0, -0.0, 1.5, 2**64 + 1, "", "0", [], {}, [[]], {"": {}}),
    *("../../etc/passwd", "/dev/null", "a\0b", "line\nbreak\r\n", "\u2028\u2029\x85", "\ud800"),
    *({"id": "../x"}, {"metadata": {"metadata": None}}, "x" * 1_000_000, "\U0001f600", "\\u0000"),
]


async def test_fault_metadata_of_any_kind(desk):
    """It comes back as it was, null and false included, names no file, and is known again."""
    desk.requests.write_bytes(spelled(chat(n, metadata=one) for n, one in enumerate(METADATA)))
    await desk.run()
    found = {said_by(row): row[2] for row in rows(desk.results)}
    again = await desk.run()

    assert [repr(found[n]) for n in range(len(METADATA))] == [repr(one) for one in METADATA]
    assert (again.tally.attempts, again.tally.answered_before) == (0, len(METADATA))
    assert desk.files() == ["in.jsonl", "out.jsonl"]
    spelling = {said_by(json.loads(row)): row for row in desk.results.read_bytes().splitlines()}
    assert all(
        spelling[n].endswith(b", %b]" % json.dumps(one).encode()) for n, one in enumerate(METADATA)
    )


async def test_fault_ids_of_any_kind(desk):
    ids = [one for one in METADATA if isinstance(one, str)]
    line = {"method": "POST", "url": "/v1/chat/completions"}
    desk.requests.write_bytes(
        spelled({"custom_id": one, **line, "body": chat(n)} for n, one in enumerate(ids))
    )
    await desk.run(output_format="batch")
    again = await desk.run(output_format="batch")

    found = {row["custom_id"]: row for row in rows(desk.results)}
    assert found.keys() == set(ids)
    assert all(
        f'"Say {n}"' in found[one]["response"]["body"]["choices"][0]["message"]["content"]
        for n, one in enumerate(ids)
    )
    assert again.tally.attempts == 0
    assert desk.files() == ["in.jsonl", "out.jsonl"]


# input BOM, CRLF, blank lines, no final newline, 100 MB line, NaN, lone surrogates, duplicate keys,
# ints > 2**53, \u2028, gz input

BODIES = {
    "an integer past 2**53": b'{"model": "m", "messages": [], "seed": 9007199254740993}',
    "an integer of 10,000 digits": b'{"model": "m", "messages": [], "seed": %b}' % (b"7" * 10_000),
    "floats as they are spelled": b'{"model": "m", "messages": [], "t": [1.10, 1E-7, -0.0, 1e400]}',
    "a key twice": b'{"model": "x", "messages": [], "model": "m"}',
    "lone surrogates, escaped": b'{"model": "m", "messages": [], "user": "\\ud83d \\udc00"}',
    "U+2028 and others that break lines": '{"model": "m", "user": "\u2028\u2029\x85"}'.encode(),
    "NUL, escaped": b'{"model": "m", "messages": [], "user": "\\u0000"}',
    "blanks": b'{ "model" :\t"m" , "messages":[ ] }',
    "escapes that need not be": b'{"mod\\u0065l": "m", "messages": [], "user": "\\/"}',
}


async def test_fault_input_that_no_parser_gives_back_reaches_the_service_as_it_was_written(desk):
    """Byte for byte, in the request and in the row; and it is known again."""
    await desk_sends(desk, spelled(BODIES.values()), BODIES.values())
    assert [
        row.partition(b", [{")[0] for row in sorted(desk.results.read_bytes().splitlines())
    ] == (sorted(b"[" + body for body in BODIES.values()))


@pytest.mark.parametrize(
    "layout",
    [
        b"\xef\xbb\xbf%b\n%b\n%b\n",
        b"%b\r\n%b\r\n%b\r\n",
        b"\n\n%b\n \r\n\n%b\n\t\n%b\n\n\n",
        b"%b\n%b\n%b",
        b"\xef\xbb\xbf\r\n%b\n\n%b\r\n%b",
    ],
    ids=["BOM", "CRLF", "blank lines", "no final newline", "all of it"],
)
@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
async def test_fault_input_of_any_layout(desk, layout, name):
    bodies = [json.dumps(chat(n)).encode() for n in range(3)]
    data = layout % tuple(bodies)
    desk.requests = desk.folder / name
    await desk_sends(desk, gzip.compress(data) if name.endswith("gz") else data, bodies)


async def desk_sends(desk, data, bodies):
    """Run a file of *data* twice: *bodies* are sent, once each."""
    desk.requests.write_bytes(data)
    await desk.run(max_same_refusals=None)
    sent = sorted(entry.body for entry in desk.ledger.entries)
    assert sent == sorted(sha256(body).hexdigest() for body in bodies)
    assert len(desk.results.read_bytes().splitlines()) == len(bodies)
    again = await desk.run(keep_failures=True)
    assert again.tally.attempts == 0


UNUSABLE = {
    "NaN": (b'{"model": "m", "temperature": NaN}', "NaN is not JSON"),
    "-Infinity": (b'{"model": "m", "metadata": -Infinity}', "-Infinity is not JSON"),
    "a surrogate as bytes": (b'{"user": "\xed\xa0\x80"}', "not UTF-8: byte 0xed at column 11"),
    "NUL as it is": (b'{"user": "\0"}', "not JSON: Invalid control character"),
    "UTF-16": ('{"model": "m"}'.encode("utf-16"), "not UTF-8: byte 0xff at column 1"),
    "two objects": (b'{"model": "m"}{"model": "m"}', "not JSON: Extra data at column 15"),
    "half of one": (b'{"model": "m", "mess', "not JSON: Unterminated string"),
    "a list in Python": (b"{'model': 'm'}", "not JSON: Expecting property name"),
}


@pytest.mark.parametrize(("line", "why"), UNUSABLE.values(), ids=UNUSABLE)
async def test_fault_input_line_that_is_no_JSON(desk, line, why):
    """P4: it costs one row, which says why, and nothing is sent for it."""
    desk.requests.write_bytes(spelled([chat(1), line, chat(2)]))
    await desk.run()
    [failed] = [row for row in rows(desk.results) if isinstance(row[1], list)]

    assert len(rows(desk.results)) == 3
    assert desk.ledger.requests == 2
    assert failed[1][0]["message"].startswith(f"line 2: {why}")
    assert (failed[1][0]["kind"], failed[1][0]["status"]) == ("bad_request", None)


async def test_fault_line_of_100_MB(desk):
    """P4, P7: it costs one short row, and those around it are answered."""
    line = b'{"messages": "' + b"x" * 100_000_000 + b'"}'
    desk.requests.write_bytes(spelled([chat(1), line, chat(2)]))
    await desk.run()
    [failed] = [row for row in rows(desk.results) if isinstance(row[1], list)]

    assert len(rows(desk.results)) == 3
    assert LONGEST_LINE < 100_000_000
    told = "line 2: too long: 100,000,017 bytes, and a line may have 64 MiB"
    assert failed[1][0]["message"] == told
    assert desk.results.stat().st_size < 10_000
    summary = await desk.run(keep_failures=True)
    assert summary.tally.attempts == 0


async def test_fault_input_that_is_compressed_and_does_not_say_so(desk):
    """Without .gz each line of it would be a failure; nothing is sent, and no answer is lost."""
    data = random.Random(1).randbytes(2_000)
    desk.requests.write_bytes(gzip.compress(data))
    await desk.run()

    assert desk.ledger.requests == 0
    assert all(isinstance(row[1], list) for row in rows(desk.results))


async def test_fault_input_that_says_it_is_compressed_and_is_not(desk):
    desk.requests = desk.folder / "in.jsonl.gz"
    desk.requests.write_bytes(spelled([chat(1)]))
    with pytest.raises(BadInput, match=r"in.jsonl.gz cannot be read after line 0: Not a gzipped"):
        await desk.run()
