"""Take JSON apart without re-spelling it: values to read, the writer's own text to pass on.

No JSON library gives back what it was given (big integers, float spellings, duplicate keys), so
what is passed on is always a slice of the original text.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

_LARGE = 8 * 1024
"""Bytes of a reply or a member from which on leaving some of it unread is worth it."""
_past_space = re.compile(r"[ \t\n\r]*").match


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of an array, or one member of an object, as a value and as its own text."""

    key: str | None
    value: Any
    text: str
    member: str
    """The text with its key, as it stands in the object."""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _long_integer(digits: str) -> int | float:
    """Python refuses integers past 4,300 digits; their text passes through all the same."""
    return int(digits) if len(digits) <= 4_300 else float(digits)


_decoder: Any = json.JSONDecoder(parse_constant=_refuse)
_quick = _decoder.scan_once
"""Twice as fast as with `_long_integer`, which is a call for every integer."""
_strict = json.JSONDecoder(parse_constant=_refuse, parse_int=_long_integer)
_lenient = json.JSONDecoder(parse_int=_long_integer)


def parse(text: str) -> Any:
    """The value of a JSON *text*; ValueError (or RecursionError) says what is wrong with it."""
    try:
        value, end = _quick(text, 0)
        if end == len(text):
            return value
    except (ValueError, StopIteration):
        pass
    return _strict.decode(text)


def parse_reply(text: str) -> Any:
    """Like `parse`, but lets NaN and Infinity through, which some services write in logprobs."""
    return _lenient.decode(text)


def read_reply(content: bytes) -> tuple[Any, bytes]:
    """The value of a reply, and its spelling for the row. ValueError when it is not JSON.

    What is JSON to the letter, as nearly all replies are, is not copied: 40 us a reply saved.
    """
    try:
        return _quick_reader()(content), _one_line(content)
    except (ValueError, StopIteration):
        text = content.decode("utf-8-sig").strip()
        value = parse_reply(text)
        return value, reply_text(text, value).encode()


@cache
def _quick_reader() -> Callable[[bytes], Any]:
    """What gives the value of strict JSON, or fails: msgspec if it is there (the `fast` extra).

    Its values are the same. Those that nobody reads, the numbers of embeddings and the pictures
    in a large `data`, are only checked: 30 KB in 30 us instead of 450.
    """
    try:
        import msgspec
    except (ImportError, OSError):  # not there, or so few files may be open
        return _read_quickly

    decode = msgspec.json.Decoder().decode
    members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

    def read(content: bytes) -> Any:
        try:
            if len(content) < _LARGE:
                return decode(content)
            content.decode()  # strings that are not read are not looked at either
            return {
                name: value
                if name == "data" and memoryview(value).nbytes > _LARGE
                else decode(value)
                for name, value in members_of(content).items()
            }
        except msgspec.MsgspecError as error:
            raise ValueError from error

    return read


def _read_quickly(content: bytes) -> Any:
    text = content.decode()
    value, end = _quick(text, 0)
    if text[end:].strip(" \t\r\n"):
        raise ValueError("more than one value")
    return value


def _one_line(content: bytes) -> bytes:
    """As `one_line`, of bytes."""
    content = content.strip(b" \t\r\n")
    if b"\n" in content or b"\r" in content:
        return content.replace(b"\r", b" ").replace(b"\n", b" ")
    return content


def one_line(text: str) -> str:
    """Valid JSON *text* without line breaks: inside strings JSON has none, so only layout goes."""
    return text.replace("\r", " ").replace("\n", " ").strip(" \t")


def reply_text(text: str, value: Any) -> str:
    """The row's spelling of a reply: its own text, or a rewrite where that is not JSON.

    NaN and Infinity become null, as in JavaScript, so that one such number does not make the row
    unreadable to everything but Python.
    """
    if "NaN" in text or "Infinity" in text:
        try:
            parse(text)
        except ValueError:
            return json.dumps(finite(value), ensure_ascii=True)
    return one_line(text)


def elements(text: str) -> list[Piece]:
    """The elements of the JSON array *text*."""
    return list(_pieces(text, "[", "]"))


def members(text: str) -> list[Piece]:
    """The members of the JSON object *text*, duplicates included."""
    return list(_pieces(text, "{", "}"))


def joined(pieces: list[Piece]) -> str:
    """An object of *pieces* as they were spelled."""
    return "{" + ", ".join(piece.member for piece in pieces) + "}"


def _pieces(text: str, opening: str, closing: str) -> Iterator[Piece]:
    at = _skip(text, 0)
    _expect(text, at, opening)
    at = _skip(text, at + 1)
    while text[at : at + 1] != closing:
        start, key = at, None
        if opening == "{":
            _expect(text, at, '"')
            key, at = _strict.raw_decode(text, at)
            at = _skip(text, at)
            _expect(text, at, ":")
            at = _skip(text, at + 1)
        value, end = _strict.raw_decode(text, at)
        yield Piece(key, value, text[at:end], text[start:end])
        at = _skip(text, end)
        if text[at : at + 1] == closing:
            break
        _expect(text, at, ",")
        at = _skip(text, at + 1)
        if text[at : at + 1] == closing:
            raise json.JSONDecodeError("Illegal trailing comma", text, at)
    if _skip(text, at + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _past_space(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, sign: str) -> None:
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting {sign!r}", text, at)


def finite(value: Any) -> Any:
    """*value* with null for every number that JSON cannot spell."""
    match value:
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list():
            return [finite(item) for item in value]
    return value
