"""Lines are the same however the bytes of them come in."""

from hypothesis import example, given
from hypothesis import strategies as st

from request_engine.raw_lines import AT_ONCE, Overlong, RawLines


def taken(parts, longest=1_000):
    """What one take after the other gives, when reads give *parts*."""
    left = iter(parts)
    lines = RawLines(lambda most: next(left, b""), longest)
    takes = []
    while some := lines.take():
        takes.append(some)
    return takes


@given(st.lists(st.text("ab\r\n", min_size=1, max_size=9).map(str.encode)))
@example([b"a", b"b\n", b"\n", b"c"])
def test_lines_do_not_depend_on_where_reads_end(parts):
    flat = [line for some in taken(parts) for line in some]
    whole = b"".join(parts)
    assert b"".join(flat) == whole
    assert len(flat) == whole.count(b"\n") + (not whole.endswith(b"\n") and whole != b"")
    assert all(line.endswith(b"\n") for line in flat[:-1])


def test_one_take_gives_all_that_is_there_and_waits_for_no_more():
    assert taken([b"a\nb\nc", b"d\n", b"e"]) == [[b"a\n", b"b\n"], [b"cd\n"], [b"e"]]


@given(st.integers(1, 30), st.integers(1, 5))
def test_P7_a_line_that_is_too_long_costs_itself_and_is_not_kept(length, part):
    """Its length is told, with its line break, and how it begins."""
    content = b"x" * length + b"\nshort\n"
    parts = [content[at : at + part] for at in range(0, len(content), part)]
    long, short = [line for some in taken(parts, longest=10) for line in some]
    assert short == b"short\n"
    if length < 10:
        assert long == b"x" * length + b"\n"
    else:
        assert isinstance(long, Overlong)
        assert long.length == length + 1
        assert long.start.startswith(b"x" * min(length, part))


def test_P7_of_a_line_without_end_no_more_is_held_than_is_shown():
    endless = [b"x" * AT_ONCE] * 50
    ((line,),) = taken(endless, longest=2 * AT_ONCE)
    assert line == Overlong(b"x" * AT_ONCE, 50 * AT_ONCE)
