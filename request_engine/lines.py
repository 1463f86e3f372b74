"""Decide what one line of the requests file is: a request, or a line that cannot be one.

{"model": ..., "metadata": ...}                 the body; its metadata is taken out
{"custom_id", "method", "url", "body"}          a line of an OpenAI Batch file
{"custom_id", "body"}   {"custom_id", "params"} the same as other services spell it
[body, anything, metadata]                      a row of earlier results, fed back in
"""

import json
from collections.abc import Iterable
from typing import Any

from request_engine import splice
from request_engine.identity import content_id
from request_engine.records import Request, Unusable

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes. A page of base64 images fits; a file without line breaks does not fill the memory."""

_METADATA = '"metadata"'
_SPACE = " \t"
_DEEPEST = 200
"""Levels of nesting."""
_SAID = 300
"""Characters of what is wrong, which may quote the line."""
_SHOWN = 2_000
"""Characters of an unusable line that its failure row repeats."""


def read_line(number: int, line: bytes) -> Request | Unusable | None:
    """The request in *line*, or why there is none; None for a blank line."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        seen = line[error.start]
        return unusable(number, line, f"not UTF-8: byte 0x{seen:02x} at column {error.start + 1}")
    text = splice.one_line(text).strip("\v\f \t")
    if not text:
        return None
    try:
        return _request(number, text)
    except json.JSONDecodeError as error:
        return unusable(number, line, f"not JSON: {error.msg} at column {error.pos + 1}")
    except RecursionError:
        return unusable(number, line, f"not usable: nested deeper than {_DEEPEST} levels")
    except ValueError as error:
        return unusable(number, line, str(error)[:_SAID], _custom_id(text))


def content_of(item: Request | Unusable) -> bytes:
    """The content id of *item*; a line that cannot be a request has one as well, for its row."""
    if isinstance(item, Request):
        return content_id(item.body, item.metadata)
    return content_id(json.loads(item.raw_body), None)


def quick_content(line: bytes) -> bytes | None:
    """The content id of a line that is just an object, None where `read_line` has to look.

    A third of its time, since nothing of the line is sent.
    """
    try:
        text = line.decode("utf-8").strip(" \t\r\n")
        if text.count("[") + text.count("{") > _DEEPEST:
            return None
        body = splice.parse(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or "custom_id" in body:
        return None
    metadata = body.pop("metadata", None)
    return content_id(body, metadata)


def unusable(number: int, line: bytes, message: str, custom_id: str | None = None) -> Unusable:
    """A row's worth of a line that cannot be a request."""
    text = line[: 4 * _SHOWN].decode("utf-8", errors="backslashreplace").strip()
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}... ({len(line):,} bytes)"
    return Unusable(number, json.dumps(text).encode(), f"line {number}: {message}", custom_id)


def _custom_id(text: str) -> str | None:
    """The name of a batch line that cannot be a request, by which its row is looked for."""
    try:
        line = splice.parse(text)
    except ValueError:
        return None
    named = line.get("custom_id") if isinstance(line, dict) else None
    return named if isinstance(named, str) else None


def _request(number: int, text: str) -> Request:
    if text.count("[") + text.count("{") > _DEEPEST:
        _refuse_depth(splice.parse(text))
    if text[0] == "[":
        return _from_row(number, text)
    if text[0] != "{":
        splice.parse(text)
        raise ValueError("not a request: it must be a JSON object, a batch line or a results row")
    if '"custom_id"' not in text:
        at = text.rfind(_METADATA)
        if at >= 0 and (request := _quick(number, text, at)):
            return request
        if at < 0 and "metadata" not in (body := splice.parse(text)):
            return Request(number, body, text.encode())
    pieces = splice.members(text)
    keys = {piece.key for piece in pieces}
    if not keys & {"metadata", "custom_id"}:  # the words stand elsewhere
        return Request(number, {piece.key or "": piece.value for piece in pieces}, text.encode())
    if "custom_id" in keys:
        if keys & {"body", "url", "params"}:
            return _from_batch(number, pieces)
        if keys & {"response", "result"}:
            raise ValueError("not a request: a row of batch output does not hold what was asked")
    return _from_object(number, pieces)


def _quick(number: int, text: str, at: int) -> Request | None:
    """The request in *text*, whose metadata is its last member and stands *at*; else None.

    Four times as fast as taking every member apart. What is before the metadata is parsed as an
    object of its own, so nothing of where the metadata was found has to be believed.
    """
    before, after = text[:at].rstrip(_SPACE), text[at + len(_METADATA) :].strip(_SPACE)
    if before == "{":
        rest = "{}"
    elif before.endswith(","):
        rest = before[:-1] + "}"
    else:
        return None
    if after[:1] != ":" or after[-1:] != "}":
        return None
    spelled = after[1:-1].strip(_SPACE)
    try:
        body, metadata = splice.parse(rest), splice.parse(spelled)
    except ValueError:
        return None
    if "metadata" in body:  # twice, or spelled with an escape
        return None
    return Request(number, body, rest.encode(), metadata, spelled.encode())


def _refuse_depth(value: Any) -> None:
    """Reading and hashing recurse: what one can just do, the other must be able to."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise RecursionError
        level = [item for one in level for item in _inside(one)]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _from_object(number: int, pieces: list[splice.Piece]) -> Request:
    kept = [piece for piece in pieces if piece.key != "metadata"]
    metadata = next((piece for piece in reversed(pieces) if piece.key == "metadata"), None)
    return Request(
        number,
        {piece.key or "": piece.value for piece in kept},
        splice.joined(kept).encode(),
        metadata.value if metadata else None,
        metadata.text.encode() if metadata else None,
    )


def _from_batch(number: int, pieces: list[splice.Piece]) -> Request:
    line = {piece.key: piece for piece in pieces}
    body, custom_id = line.get("body", line.get("params")), line["custom_id"].value
    if body is None or not isinstance(body.value, dict):
        raise ValueError("not a batch request: its body is not an object")
    if not isinstance(custom_id, str):
        raise ValueError(f"not a batch request: custom_id is not a string but {custom_id!r}")
    if "method" in line and line["method"].value != "POST":
        raise ValueError(f"not a batch request: method is not POST but {line['method'].value!r}")
    url = line["url"].value if "url" in line else None
    if url is not None and not (isinstance(url, str) and url.startswith("/")):
        # A whole URL could name another host, and the key is for one.
        raise ValueError(f"not a batch request: url is not a path such as /v1/... but {url!r}")
    metadata = {"custom_id": custom_id}
    spelled = '{"custom_id": ' + line["custom_id"].text + "}"
    text = body.text.encode()
    return Request(number, body.value, text, metadata, spelled.encode(), custom_id, url)


def _from_row(number: int, text: str) -> Request:
    row = splice.elements(text)
    if len(row) > 1 and all(_is_body(piece.value) for piece in row):
        raise ValueError(f"a list of {len(row)} requests: write each on a line of its own")
    if not row or not isinstance(row[0].value, dict):
        raise ValueError("not a results row: its first element is not a request body")
    if len(row) > 4:
        raise ValueError(f"not a results row: it has {len(row)} elements")
    inner = _from_object(number, splice.members(row[0].text))
    given = third_element(row)
    if given is None:
        return inner
    return Request(number, inner.body, inner.raw_body, given.value, given.text.encode())


def _is_body(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.keys() & {"messages", "prompt", "input"})


def third_element(row: list[splice.Piece]) -> splice.Piece | None:
    """The metadata of a row; the null that only holds the place before a fourth is none."""
    if len(row) < 3 or (len(row) > 3 and row[2].value is None):
        return None
    return row[2]
