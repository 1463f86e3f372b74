"""Texts with the columns of a table in them: {name} is a column, {{ and }} are braces."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from request_engine.errors import BadInput

Fields = Mapping[str, Any]
Fill = Callable[[Fields], Any]

_SHOWN = 30
"""Characters of a text that are repeated."""

_pieces = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]").finditer


class NoColumn(Exception):
    """A row has no such column."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def text(template: str, source: str) -> Fill:
    """What makes a text of *template* and a row; *source* is where it comes from, for faults."""
    parts = list(_parts(template, source))

    def filled(fields: Fields) -> str:
        return "".join(one if literal else spelled(field(fields, one)) for literal, one in parts)

    return filled


def value(template: Any, source: str, *, typed: bool = False) -> Fill:
    """The same for JSON, in whose texts columns stand.

    *typed*: a text that is one column alone becomes what the row has there, so that a number stays
    a number.
    """
    if isinstance(template, str):
        parts = list(_parts(template, source))
        if typed and len(parts) == 1 and not parts[0][0]:
            return lambda fields: field(fields, parts[0][1])
        return text(template, source)
    if isinstance(template, list):
        items = [value(item, source, typed=typed) for item in template]
        return lambda fields: [fill(fields) for fill in items]
    if isinstance(template, dict):
        members = {key: value(item, source, typed=typed) for key, item in template.items()}
        return lambda fields: {key: fill(fields) for key, fill in members.items()}
    return lambda fields: template


def columns(template: Any, source: str) -> set[str]:
    """The columns that *template* names."""
    if isinstance(template, str):
        return {one for literal, one in _parts(template, source) if not literal}
    inside = template.values() if isinstance(template, dict) else template
    if not isinstance(template, (list, dict)):
        return set()
    return {name for item in inside for name in columns(item, source)}


def field(fields: Fields, column: str) -> Any:
    """What *fields* has in *column*; NoColumn when there is none."""
    try:
        return fields[column]
    except KeyError:
        raise NoColumn(column) from None


def _parts(template: str, source: str) -> Iterator[tuple[bool, str]]:
    """Literal texts (True) and names of columns (False)."""
    begun, literal = 0, ""
    for found in _pieces(template):
        literal += template[begun : found.start()]
        begun = found.end()
        sign, column = found[0], found[1]
        if column is not None:
            if literal:
                yield True, literal
            yield False, column.strip()
            literal = ""
        elif len(sign) == 2:
            literal += sign[0]
        else:
            near = short(template[max(0, found.start() - 10) :])
            raise BadInput(
                f"{source} has a {sign} of its own at {near}: "
                f"write {sign * 2} for a brace that stands for itself"
            )
    literal += template[begun:]
    if literal:
        yield True, literal


def spelled(value: Any) -> str:
    """A field as a text: itself, nothing for null, and JSON for what is none."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)


def short(text: str) -> str:
    """The start of *text*, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
