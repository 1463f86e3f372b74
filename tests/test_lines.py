"""A line of the requests file is a request of the user's own bytes, or a row that says why not."""

import gzip
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from request_engine import requests_file
from request_engine.lines import read_line, third_element
from request_engine.records import Request, Unusable
from request_engine.requests_file import RequestsFile
from request_engine.splice import elements, parse

BODY = b'{"model": "m", "messages": []}'


def request(line: bytes | str) -> Request:
    read = read_line(7, line if isinstance(line, bytes) else line.encode())
    assert isinstance(read, Request), read
    assert b"\n" not in read.raw_body + (read.raw_metadata or b"")
    assert b"\r" not in read.raw_body + (read.raw_metadata or b"")
    return read


def refusal(line: bytes | str) -> str:
    """Why *line* is no request."""
    read = read_line(7, line if isinstance(line, bytes) else line.encode())
    assert isinstance(read, Unusable), read
    assert isinstance(json.loads(read.raw_body), str)
    assert len(read.message.splitlines()) == 1
    start, _, why = read.message.partition(": ")
    assert start == "line 7"
    return why


# The body.


def test_an_object_is_a_body_as_it_was_spelled():
    read = request(b'{"model":"m",  "n": 1.10, "seed": 12345678901234567890}\n')
    assert read.raw_body == b'{"model":"m",  "n": 1.10, "seed": 12345678901234567890}'
    assert read.body == {"model": "m", "n": 1.1, "seed": 12345678901234567890}
    assert (read.number, read.metadata, read.raw_metadata) == (7, None, None)
    assert (read.custom_id, read.url) == (None, None)


SPELLINGS = [
    '{"a": 1, "a": 2}',
    '{"a": -0.0, "b": 1E5, "c": 1e-7, "d": 1.10}',
    '{"a": ' + "9" * 5_000 + "}",
    '{"a": "\\u00e9\\/\\n"}',
    '{"a": "\u2028\u2029\x85\x7f"}',
    '{"a": "\\ud800", "b": "\\udc00\\ud83d"}',
    '{"a": "😀 密"}',
    '{"": {"": []}}',
    "{}",
    '{"a": {"metadata": 1}}',
    '{"a": "\\"metadata\\": 1"}',
    '{"custom_id": "1"}',
    '{"body": {}, "url": "/v1"}',
    '{"a": 1e999}',
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_is_changed(text):
    read = request(text)
    assert read.raw_body.decode() == text
    assert read.body == parse(text)
    assert read.raw_metadata is None


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_is_changed_where_metadata_is_taken_out(text):
    inner = text.strip("{}") and text[1:-1]
    read = request('{"metadata": 1' + (f", {inner}" if inner else "") + "}")
    assert read.raw_body.decode() == "{" + inner + "}"
    assert (read.body, read.metadata) == (parse(text), 1)


ENDINGS = [b"", b"\n", b"\r\n", b"\r", b" \t\n", b"\x0b\x0c\n"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_a_line_ends_the_body_is_the_same(ending):
    assert request(BODY + ending).raw_body == BODY
    assert request(b" \t" + BODY + ending).raw_body == BODY


def test_a_carriage_return_within_a_line_is_layout_and_breaks_no_row():
    read = request(b'{"model":\r"m",\r"metadata":\r[1,\r2]}\r\n')
    assert read.body == {"model": "m"}
    assert read.metadata == [1, 2]


@pytest.mark.parametrize("line", [b"", b"\n", b"\r\n", b"   \t\r\n", b"\x0c\n"])
def test_a_blank_line_is_nothing(line):
    assert read_line(7, line) is None


# Its metadata.

METADATA = [
    "null",
    "false",
    "true",
    "0",
    "0.0",
    "1.10",
    '""',
    '"a"',
    "{}",
    "[]",
    '{"a": 1, "a": 2}',
]
METADATA += ["12345678901234567890", '[{"request_id": "2333.txt"}]', '"\\u00e9\u2028"', "9" * 5_000]

PLACES = [
    '{"metadata": %s, "model": "m", "n": 1.10}',
    '{"model": "m", "metadata": %s, "n": 1.10}',
    '{"model": "m", "n": 1.10, "metadata": %s}',
    '{"model": "m","metadata" :%s , "n": 1.10}',
    '{"model": "m", "m\\u0065tadata": %s, "n": 1.10}',
    '{"metadata": "older", "model": "m", "n": 1.10, "metadata": %s}',
]


@pytest.mark.parametrize("metadata", METADATA)
@pytest.mark.parametrize("place", PLACES)
def test_metadata_of_any_type_in_any_place_is_taken_out_as_it_was_spelled(place, metadata):
    """Of several the last counts, as everywhere in JSON; none of them is sent."""
    read = request(place % metadata)
    assert read.raw_metadata == metadata.encode()
    assert read.metadata == parse(metadata)
    assert read.raw_body == b'{"model": "m", "n": 1.10}'
    assert read.body == {"model": "m", "n": 1.1}


def test_a_body_may_be_nothing_but_metadata():
    read = request(b'{"metadata": {"id": 1}}')
    assert (read.body, read.raw_body, read.metadata) == ({}, b"{}", {"id": 1})


def test_metadata_further_down_is_the_services_own_and_stays():
    line = b'{"messages": [{"metadata": 1}], "store": {"metadata": 2}}'
    read = request(line)
    assert (read.raw_body, read.raw_metadata) == (line, None)


# A line of a batch file.


def test_a_batch_line_is_its_body_and_its_custom_id_is_the_metadata():
    read = request(
        b'{"custom_id": "r\\u00e9-1", "method": "POST", "url": "/v1/chat/completions", '
        b'"body": {"model": "m", "n": 1.10}}'
    )
    assert read.raw_body == b'{"model": "m", "n": 1.10}'
    assert read.body == {"model": "m", "n": 1.1}
    assert (read.custom_id, read.url) == ("ré-1", "/v1/chat/completions")
    assert read.metadata == {"custom_id": "ré-1"}
    assert read.raw_metadata == b'{"custom_id": "r\\u00e9-1"}'


def test_a_batch_line_without_method_or_url_is_one_too():
    read = request(b'{"custom_id": "1", "body": {"model": "m"}}')
    assert (read.raw_body, read.custom_id, read.url) == (b'{"model": "m"}', "1", None)


def test_a_batch_line_may_call_its_body_params():
    """As Anthropic's do."""
    read = request(b'{"custom_id": "1", "params": {"model": "m", "n": 1.10}}')
    assert (read.raw_body, read.custom_id, read.url) == (b'{"model": "m", "n": 1.10}', "1", None)


BATCHES = [
    ('{"custom_id": "1", "body": []}', "not a batch request: its body is not an object"),
    ('{"custom_id": "1", "url": "/v1"}', "not a batch request: its body is not an object"),
    ('{"custom_id": 1, "body": {}}', "not a batch request: custom_id is not a string but 1"),
    ('{"custom_id": null, "body": {}}', "not a batch request: custom_id is not a string but None"),
    (
        '{"custom_id": "1", "method": "GET", "body": {}}',
        "not a batch request: method is not POST but 'GET'",
    ),
    (
        '{"custom_id": "1", "url": "https://evil.example/v1", "body": {}}',
        "not a batch request: url is not a path such as /v1/... but 'https://evil.example/v1'",
    ),
    (
        '{"custom_id": "1", "url": 5, "body": {}}',
        "not a batch request: url is not a path such as /v1/... but 5",
    ),
    ('{"custom_id": "1", "params": "x"}', "not a batch request: its body is not an object"),
    (
        '{"id": "batch_req_1", "custom_id": "1", "response": null, "error": null}',
        "not a request: a row of batch output does not hold what was asked",
    ),
    (
        '{"custom_id": "1", "result": {"type": "succeeded"}}',
        "not a request: a row of batch output does not hold what was asked",
    ),
]


@pytest.mark.parametrize(("line", "why"), BATCHES)
def test_a_batch_line_with_something_wrong_says_what(line, why):
    assert refusal(line) == why
    read = read_line(7, line.encode())
    assert isinstance(read, Unusable)
    assert read.custom_id == ("1" if '"1"' in line else None)


# A row of earlier results.

ROWS = [
    ('[{"model": "m"}]', None, None),
    ('[{"model": "m"}, {"id": 1}]', None, None),
    ('[{"model": "m"}, [{"kind": "auth"}]]', None, None),
    ('[{"model": "m"}, null, {"id": 1.10}]', {"id": 1.1}, b'{"id": 1.10}'),
    ('[{"model": "m"}, {}, false]', False, b"false"),
    ('[{"model": "m"}, {}, null]', None, b"null"),
    ('[{"model": "m"}, {}, "a", {"credits_total": "20$"}]', "a", b'"a"'),
    ('[{"model": "m"}, {}, 0, {}]', 0, b"0"),
    ('[{"model": "m"}, {}, null, {"credits_total": "20$"}]', None, None),
    ('[{"model": "m", "metadata": 5}, {}]', 5, b"5"),
    ('[{"model": "m", "metadata": 5}, {}, 6]', 6, b"6"),
    ('[{"model": "m", "metadata": 5}, {}, null, {}]', 5, b"5"),
    (' [ {"model": "m"} , {} , [1] ] ', [1], b"[1]"),
]


@pytest.mark.parametrize(("line", "metadata", "raw"), ROWS)
def test_a_row_of_earlier_results_is_its_body_with_its_metadata(line, metadata, raw):
    read = request(line)
    assert read.raw_body == b'{"model": "m"}'
    assert read.body == {"model": "m"}
    assert (read.metadata, read.raw_metadata) == (metadata, raw)
    third = third_element(elements(line))
    assert (third.value if third else None) == (
        None if '"metadata"' in line and metadata == 5 else metadata
    )


@pytest.mark.parametrize("line", ["[]", "[1]", "[[]]", '["a", {}]', "[null, {}, {}]"])
def test_a_row_without_a_body_is_no_request(line):
    assert refusal(line) == "not a results row: its first element is not a request body"


# Lines that cannot be requests.

REFUSALS = [
    (b"hello", "not JSON: Expecting value at column 1"),
    (b'{"a": 1', "not JSON: Expecting ',' delimiter at column 8"),
    (b'  {"a" 1}', "not JSON: Expecting ':' delimiter at column"),
    (b'{"a": 1} {"a": 2}', "not JSON: Extra data at column 10"),
    (b'{"a": 1}{"metadata": 2}', "not JSON: Extra data at column 9"),
    (b'{"a": 1,}', "not JSON: "),
    (b'{"metadata": 1,}', "not JSON: "),
    (b"{'a': 1}", "not JSON: "),
    (b'{"a": "\t"}', "not JSON: Invalid control character"),
    (b'{"a": NaN}', "NaN is not JSON"),
    (b'{"metadata": -Infinity}', "-Infinity is not JSON"),
    (b'[{"a": 1}, NaN]', "NaN is not JSON"),
    (b"\xff{}", "not UTF-8: byte 0xff at column 1"),
    (b'{"a": "caf\xe9"}', "not UTF-8: byte 0xe9 at column 11"),
    (b'{"a": "\xed\xa0\x80"}', "not UTF-8: byte 0xed"),
    ('{"a": 1}'.encode("utf-16"), "not UTF-8: byte 0xff at column 1"),
    (b"\x00" * 10, "not JSON: "),
    (b"5", "not a request: it must be a JSON object, a batch line or a results row"),
    (b'"a"', "not a request: it must be a JSON object, a batch line or a results row"),
    (b"null", "not a request: it must be a JSON object, a batch line or a results row"),
    (
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "not usable: nested deeper than 200 levels",
    ),
    (
        b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "not usable: nested deeper than 200 levels",
    ),
    (b"[" * 100_000 + b"]" * 100_000, "not usable: nested deeper"),
]


@pytest.mark.parametrize(("line", "why"), REFUSALS, ids=[str(line[:24]) for line, _ in REFUSALS])
def test_a_line_that_cannot_be_a_request_says_why(line, why):
    assert refusal(line + b"\n").startswith(why)


def nested(depth: int) -> bytes:
    """A line of *depth* levels, the body's own included."""
    return b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_two_hundred_levels_are_read_and_no_more():
    assert request(nested(200)).raw_body == nested(200)
    assert refusal(nested(201)) == "not usable: nested deeper than 200 levels"


def test_brackets_in_a_text_are_no_levels():
    line = json.dumps({"a": "[" * 999, "b": [{}] * 999})
    assert request(line).raw_body.decode() == line


@pytest.mark.parametrize(
    "line",
    [
        '{"model": "m", "stream": true}',
        '{"stream": true, "metadata": 1}',
        '{"custom_id": "1", "body": {"stream": true}}',
        '[{"stream": true}, {}, 1]',
    ],
)
def test_a_line_may_ask_for_a_stream(line):
    assert request(line).body["stream"] is True


def test_a_line_that_cannot_be_a_request_is_repeated_up_to_a_point():
    assert read_line(1, b'{"a": caf\xe9\n') == Unusable(
        1, b'"{\\"a\\": caf\\\\xe9"', "line 1: not UTF-8: byte 0xe9 at column 10"
    )
    shown = json.loads(read_line(1, b"x" * 100_000).raw_body)
    assert shown == "x" * 2_000 + "... (100,000 bytes)"


def test_what_a_line_has_wrong_is_told_briefly_however_long_it_is():
    assert len(refusal(json.dumps({"custom_id": ["x" * 9] * 99_999, "body": {}}))) < 1_000


# The file.


async def items(path, content: bytes) -> list[Request | Unusable]:
    path.write_bytes(content)
    file = RequestsFile(str(path))
    try:
        return [item async for batch in file.batches() for item in batch]
    finally:
        file.close()


FILES = [
    BODY + b"\n" + BODY + b"\n",
    BODY + b"\n" + BODY,
    BODY + b"\r\n" + BODY + b"\r\n",
    b"\xef\xbb\xbf" + BODY + b"\n" + BODY,
    b"\n\n" + BODY + b"\n \r\n\n" + BODY + b"\n\n",
]


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
async def test_a_files_layout_changes_nothing(tmp_path, content, name):
    stored = gzip.compress(content) if name.endswith(".gz") else content
    read = await items(tmp_path / name, stored)
    assert [item.raw_body for item in read] == [BODY, BODY]


async def test_a_bad_line_costs_one_line_and_lines_are_numbered_as_in_an_editor(tmp_path):
    read = await items(tmp_path / "in.jsonl", BODY + b"\n\noops\n" + BODY + b"\n")
    assert [(item.number, isinstance(item, Request)) for item in read] == [
        (1, True),
        (3, False),
        (4, True),
    ]


async def test_a_byte_order_mark_within_the_file_is_no_json(tmp_path):
    read = await items(tmp_path / "in.jsonl", BODY + b"\n\xef\xbb\xbf" + BODY + b"\n")
    assert [isinstance(item, Request) for item in read] == [True, False]


async def test_a_line_as_long_as_allowed_is_read_and_a_longer_one_costs_itself(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(requests_file, "LONGEST_LINE", 1024 * 1024)
    fits = b'{"a": "' + b"x" * (1024 * 1024 - 10) + b'"}\n'
    longer = b'{"a": "' + b"x" * (3 * 1024 * 1024) + b'"}\n'
    assert len(fits) == 1024 * 1024
    read = await items(tmp_path / "in.jsonl", fits + longer + BODY)
    assert [isinstance(item, Request) for item in read] == [True, False, True]
    assert read[0].raw_body == fits[:-1]
    assert read[1].message == "line 2: too long: 3,145,738 bytes, and a line may have 1 MiB"
    assert len(read[1].raw_body) < 3_000
    assert read[2].raw_body == BODY


# Whatever the line holds.

keys = st.text(max_size=6).filter(lambda key: key not in ("metadata", "custom_id"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
bodies = st.dictionaries(keys, values, max_size=4)


@given(body=bodies, metadata=values, last=st.booleans(), escaped=st.booleans())
@example(body={}, metadata=None, last=True, escaped=True)
@example(body={"a": '"metadata"'}, metadata="\ud800", last=False, escaped=True)
def test_any_body_with_any_metadata_is_read_as_it_was_written(body, metadata, last, escaped):
    whole = {**body, "metadata": metadata} if last else {"metadata": metadata, **body}
    read = request(json.dumps(whole, ensure_ascii=escaped))
    assert (read.body, read.metadata) == (body, metadata)
    assert parse(read.raw_body.decode()) == body
    assert parse(read.raw_metadata.decode()) == metadata


@given(body=bodies, separators=st.sampled_from([(",", ":"), (" , ", " : "), (",\t", ":\r")]))
def test_any_body_alone_is_its_own_bytes(body, separators):
    line = json.dumps(body, separators=separators)
    read = request(line)
    assert read.raw_body.decode() == line.replace("\r", " ")
    assert (read.body, read.raw_metadata) == (body, None)


@given(body=bodies, response=values, metadata=values)
def test_any_row_of_three_gives_its_body_and_metadata_back(body, response, metadata):
    read = request(json.dumps([body, response, metadata]))
    assert (read.body, read.metadata) == (body, metadata)


@given(
    line=st.binary(max_size=80) | st.text('[]{}",:\\ 1metadcuso_iby', max_size=60).map(str.encode)
)
@example(line=b'{"custom_id": "\\ud800", "body": {}}')
@example(line=b'{"metadata": 1}')
@example(line=b'[{"metadata": 1}, 2, 3, 4, 5]')
def test_no_line_is_too_odd_to_be_judged(line):
    read = read_line(1, line)
    assert read is None or isinstance(read, Request | Unusable)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_list_of_requests_on_one_line_is_not_taken_for_a_row(count):
    """A JSON array of requests would otherwise lose all but its first."""
    line = json.dumps([{"model": "m", "messages": []}] * count).encode()
    read = read_line(1, line)

    assert isinstance(read, Unusable)
    assert f"a list of {count} requests: write each on a line of its own" in read.message
