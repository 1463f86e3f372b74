"""Server-sent events are read by the rules of the WHATWG, whatever bytes come in whatever parts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from request_engine.event_stream import Event, EventReader, Unread
from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Reply


def read(data: bytes, *cuts: int, largest: int = 10_000) -> tuple[list[Event], bool]:
    """The events of *data*, which comes in parts that end at *cuts*; whether one was too large."""
    reader = EventReader(largest)
    ends = [*sorted(cuts), len(data)]
    events = []
    for start, end in zip([0, *ends], ends, strict=False):
        events += reader.feed(data[start:end])
    last = reader.end()
    return events + ([last] if last is not None else []), reader.too_large


def datas(data: bytes) -> list[str]:
    return [event.data for event in read(data)[0]]


RULES = {
    "one line": (b"data: a\n\n", ["a"]),
    "lines are joined": (b"data: a\ndata: b\n\n", ["a\nb"]),
    "CR": (b"data: a\r\rdata: b\r\r", ["a", "b"]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
    "mixed line ends": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", ["a", "b", "c"]),
    "no space": (b"data:a\n\n", ["a"]),
    "one space is taken off": (b"data:  a \n\n", [" a "]),
    "a field without a colon": (b"data\n\n", [""]),
    "two of them": (b"data\ndata\n\n", ["\n"]),
    "comments": (b": keep-alive\n\n:\n\n:data: x\ndata: a\n: b\n\n", ["a"]),
    "other fields": (b"id: 1\nretry: 5\nevent\nwhatever: 2\ndata: a\n\n", ["a"]),
    "blank lines only": (b"\n\n\r\n\r\r\n", []),
    "nothing": (b"", []),
    "a name without data is no event": (b"event: ping\n\n", []),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", ["a", "b"]),
    "a mark elsewhere is text": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", ["a"]),
    "not UTF-8": (b"data: a\xff\xe4b\n\n", ["a\ufffd\ufffdb"]),
    "NUL and other signs": (b"data: a\x00\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8b\n\n", None),
    "without its blank line": (b"data: a\n\ndata: b", ["a", "b"]),
    "case matters": (b"Data: a\n\n", []),
    "a colon in the value": (b'data: {"a": 1}\n\n', ['{"a": 1}']),
}


@pytest.mark.parametrize(("data", "expected"), RULES.values(), ids=RULES)
def test_a_stream_is_read_by_the_rules(data, expected):
    assert datas(data) == (["a\x00\x0b\x0c\x1c\x85\u2028b"] if expected is None else expected)


def test_an_event_has_the_last_of_its_names_and_no_later_event_has_it():
    events, _ = read(b"event: x\nevent:error\ndata: 1\n\ndata: 2\n\n")
    assert events == [Event("error", "1"), Event("", "2")]


@pytest.mark.parametrize("data", [data for data, _ in RULES.values()], ids=RULES)
def test_where_the_parts_end_does_not_matter(data):
    for at in range(len(data)):
        assert read(data, at) == read(data)
    assert read(data, *range(len(data))) == read(data)


PIECES = [
    *(b"data: ", b"data:", b"data", b"event: x", b":", b"\n", b"\r", b"\r\n", b"\n\n"),
    *(b"a", b"\xef", b"\xbb", b"\xbf", b"\xe4\xbd\xa0", b"\xff", b"{}", b"[DONE]"),
]
streams = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join) | st.binary(max_size=60)


@given(data=streams, cuts=st.lists(st.integers(0, 60), max_size=6), largest=st.integers(1, 40))
@example(data=b"data: a\r\ndata: b\r\n\r\n", cuts=[8, 9, 18], largest=40)
def test_any_bytes_in_any_parts_are_read_alike(data, cuts, largest):
    parts = [min(cut, len(data)) for cut in cuts]
    assert read(data, *parts, largest=largest) == read(data, largest=largest)


@pytest.mark.parametrize("endless", [b"data: xxxx\n", b"x" * 9, b"data: " + b"x" * 9, b":" * 9])
def test_an_event_without_end_fills_no_memory(endless):
    reader = EventReader(largest=100)
    for _ in range(50):
        assert reader.feed(endless) == []
    assert reader.too_large
    assert reader.held <= 100
    assert reader.feed(b"\n\ndata: a\n\n") == []
    assert reader.end() is None


def test_events_before_one_that_is_too_large_are_read():
    assert read(b"data: a\n\n" * 99 + b"data: " + b"b" * 100, largest=100) == (
        [Event("", "a")] * 99,
        True,
    )


def test_comments_hold_nothing_however_long_they_come():
    reader = EventReader(largest=100)
    for _ in range(1_000):
        reader.feed(b": keep-alive\n")
        assert reader.held == 0
    assert not reader.too_large


def test_a_stream_that_nobody_can_read_is_not_paid_for_to_its_end():
    unread = Provider().assembler()
    assert isinstance(unread, Unread)
    assert unread.cut is not None
    assert not unread.feed(b"data: {}\n\n")
    failure = unread.finish()
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.BAD_ANSWER


def test_events_under_another_content_type_are_judged_without_being_read_for_ever():
    outcome = Provider().read(Reply(200, {}, b"data: {}\n\n"))
    assert isinstance(outcome, Failure)
    assert outcome.kind is Kind.BAD_ANSWER
