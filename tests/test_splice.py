"""JSON is taken apart without re-spelling it: every piece is a slice of the writer's own text."""

import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_engine import splice

SPELLINGS = [
    "null",
    "true",
    "0",
    "-0",
    "-0.0",
    "1.10",
    "1e5",
    "1E+05",
    "1e999",
    "12345678901234567890",
    "9" * 5_000,
    "-" + "9" * 5_000,
    '""',
    '"\\u00e9\\n\\/"',
    '"\u2028\u2029\x7f"',
    '"\\ud83d"',
    '"😀"',
    "[]",
    "[ ]",
    "{ }",
    '{"a": 1, "a": 2}',
    "[[[], {}], 1.0]",
]


@pytest.mark.parametrize("text", SPELLINGS)
@pytest.mark.parametrize("layout", ["[{}]", "[ {} ]", "[\r\n\t{}\n]", " [1,{},\t{} ] "])
def test_the_elements_of_an_array_keep_their_spelling(text, layout):
    row = splice.elements(layout.replace("{}", text))
    assert row[-1].text == row[-1].member == text
    assert row[-1].key is None


@pytest.mark.parametrize("text", SPELLINGS)
def test_the_members_of_an_object_keep_their_spelling_and_their_keys(text):
    first, second = splice.members(f'{{ "k\\u0065y" :\t{text} , "other": {text}}}')
    assert (first.key, first.text, first.member) == ("key", text, f'"k\\u0065y" :\t{text}')
    assert (second.key, second.text, second.member) == ("other", text, f'"other": {text}')


def test_duplicate_members_are_all_there_in_order():
    pieces = splice.members('{"a": 1, "b": 2, "a": 3}')
    assert [(piece.key, piece.value) for piece in pieces] == [("a", 1), ("b", 2), ("a", 3)]
    assert splice.joined(pieces) == '{"a": 1, "b": 2, "a": 3}'
    assert splice.joined([]) == "{}"


@pytest.mark.parametrize("text", ["[]", " [ ] ", "\n[\t]\r\n"])
def test_an_empty_array_has_no_elements(text):
    assert splice.elements(text) == []


@pytest.mark.parametrize("text", ["{}", " { } ", "\n{\t}\r\n"])
def test_an_empty_object_has_no_members(text):
    assert splice.members(text) == []


BROKEN_ARRAYS = ["", " ", "[", "[1", "[1,", "[1,]", "[,]", "[,1]", "[1 2]", "[1]]", "[1] 2", "]"]
BROKEN_ARRAYS += ["{}", "1", "[NaN]", "[-Infinity]", "[nul]", "['a']", '["a]', "[1,,2]", "[01]"]
BROKEN_ARRAYS += ["\ufeff[]", "[\u00a01]", "[1\x0c]", '["\t"]', "[1]\x00"]


@pytest.mark.parametrize("text", BROKEN_ARRAYS)
def test_what_is_no_array_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        splice.elements(text)


BROKEN_OBJECTS = ["", "{", '{"a"', '{"a":', '{"a":}', '{"a":1', '{"a":1,', '{"a":1,}', "{,}"]
BROKEN_OBJECTS += ["{a:1}", "{1:1}", "{null:1}", '{"a" 1}', '{"a":1 "b":2}', '{"a":1}}', "[]"]
BROKEN_OBJECTS += ['{"a":NaN}', '{"a":1};', '{"a":1,,"b":2}', "{'a':1}", '{"a":1}{"b":2}']


@pytest.mark.parametrize("text", BROKEN_OBJECTS)
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        splice.members(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a": [NaN]}'])
def test_what_only_python_calls_a_number_is_refused_from_users_and_let_through_from_services(text):
    with pytest.raises(ValueError, match="is not JSON"):
        splice.parse(text)
    splice.parse_reply(text)


def test_an_integer_of_any_length_is_read():
    assert splice.parse("9" * 4_300) == int("9" * 4_300)
    assert splice.parse("9" * 5_000) == float("inf")
    assert splice.parse("-" + "9" * 5_000) == float("-inf")


REPLIES = [
    ('{"a": 1.10}', '{"a": 1.10}'),
    ('{"a":\r\n 1}\n', '{"a":   1}'),
    ('{"text": "NaN and Infinity"}', '{"text": "NaN and Infinity"}'),
    ('{"a": NaN, "b": [1.10, Infinity]}', '{"a": null, "b": [1.1, null]}'),
    ('{"a": -Infinity, "b": "\u00e9"}', '{"a": null, "b": "\\u00e9"}'),
    ('{"a": NaN, "b": 1e999}', '{"a": null, "b": null}'),
]


@pytest.mark.parametrize(("text", "told"), REPLIES)
def test_a_reply_keeps_its_text_unless_that_is_not_json(text, told):
    assert splice.reply_text(text, splice.parse_reply(text)) == told
    json.loads(told)


NUMBERS = ", ".join(["0.0123456789"] * 1_000)
WHOLE_REPLIES = [text for text, _ in REPLIES] + [
    "\ufeff {}\n",
    "[1]",
    "null",
    '{"big": 98765432109876543210, "f": 2.50, "huge": 1e999, "long": ' + "9" * 5_000 + "}",
    '{"half": "\\ud83d", "whole": "\\ud83d\\ude00 \u00e9"}',
    '{"a": 1, "a": 2}',
    '{"data": [' + NUMBERS + '], "usage": {"prompt_tokens": 7}, "data": [' + NUMBERS + "]}",
    '{"data": [' + NUMBERS + '], "NaN": NaN}',
    '{"data": [], "text": "' + "x" * 10_000 + '"}',
    "[" + NUMBERS + "]",
]
BROKEN_REPLIES = [one.encode() for one in BROKEN_OBJECTS if one not in ("[]", '{"a":NaN}')]
BROKEN_REPLIES += [
    b'{"a": "\xff"}',
    b'{"a": "\x01"}',
    b'{"data": [' + NUMBERS.encode() + b', 01], "b": 1}',
    b'{"data": ["' + NUMBERS.encode() + b'\xff"]}',
    b'{"data": [' + NUMBERS.encode() + b"]",
]


@pytest.fixture(params=["msgspec", "standard library"])
def reading(request, monkeypatch):
    """What reads a reply, where msgspec is installed and where it is not."""
    if request.param == "msgspec":
        pytest.importorskip("msgspec", reason="the `fast` extra is not installed")
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    splice._quick_reader.cache_clear()
    yield splice.read_reply
    splice._quick_reader.cache_clear()


@pytest.mark.parametrize("text", WHOLE_REPLIES)
def test_a_reply_is_read_and_spelled_alike_with_and_without_msgspec(reading, text):
    bare = text.removeprefix("\ufeff").strip()
    slowly = splice.parse_reply(bare)
    value, spelled = reading(text.encode())
    assert spelled.decode() == splice.reply_text(bare, slowly)
    if isinstance(value, dict) and type(value.get("data")).__name__ == "Raw":  # large: unread
        value = value | {"data": json.loads(bytes(value["data"]))}
    assert repr(value) == repr(slowly)


@pytest.mark.parametrize("content", BROKEN_REPLIES)
def test_what_is_no_json_is_no_reply_with_or_without_msgspec(reading, content):
    with pytest.raises(ValueError, match=r"."):
        reading(content)


keys = st.text(max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "Infinity" not in json.dumps(value))
layouts = st.sampled_from([None, 0, 1, "\t"])


@given(items=st.lists(values, max_size=5), indent=layouts, escaped=st.booleans())
def test_taking_any_array_apart_finds_every_element(items, indent, escaped):
    text = json.dumps(items, indent=indent, ensure_ascii=escaped)
    pieces = splice.elements(text)
    assert [piece.value for piece in pieces] == items
    assert [splice.parse(piece.text) for piece in pieces] == items
    assert all(piece.text in text for piece in pieces)


@given(fields=st.dictionaries(keys, values, max_size=5), indent=layouts, escaped=st.booleans())
def test_putting_any_object_together_again_changes_nothing(fields, indent, escaped):
    pieces = splice.members(json.dumps(fields, indent=indent, ensure_ascii=escaped))
    assert {piece.key: piece.value for piece in pieces} == fields
    again = splice.joined(pieces)
    assert splice.parse(again) == fields
    assert splice.parse(splice.one_line(again)) == fields
    assert "\n" not in splice.one_line(again)


@given(text=st.text('[]{}",:\\ 1aenul\n\t.-', max_size=12) | st.text(max_size=12))
def test_any_text_is_taken_apart_exactly_when_it_is_json(text):
    try:
        whole = splice.parse(text)
    except ValueError:
        whole = None
    for take_apart, kind in ((splice.elements, list), (splice.members, dict)):
        try:
            take_apart(text)
        except ValueError:
            assert not isinstance(whole, kind)
        else:
            assert isinstance(whole, kind)
