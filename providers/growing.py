"""JSON that arrives in deltas: strings grow at their end, lists by their items, objects by both.

{"content": "It"} + {"content": " is."}  ->  {"content": "It is."}
"""

from collections.abc import Mapping
from typing import Any

Said = list[tuple[str, str]]
"""Pieces of strings as they were added, each with the name of what grew."""

_STANDING = frozenset({"role", "id", "type", "name", "format", "object"})
"""Names of strings that some services repeat in every delta; the first that is not empty stands."""


class _Pieces(list[str]):
    """A string that is still growing; joined once, at the end."""


class _Items(list[Any]):
    """A list that is still growing; items with an `index` grow themselves."""

    def __init__(self) -> None:
        self.by_index: dict[int, dict[str, Any]] = {}


def grow(whole: dict[str, Any], delta: Mapping[str, Any], said: Said) -> None:
    """Add *delta* to *whole*, and what it says to *said*."""
    for name, value in delta.items():
        old = whole.get(name)
        match value:
            case None:
                whole.setdefault(name, None)
            case str() if name in _STANDING:
                whole[name] = old or value
            case str():
                pieces = _ready(whole, name, _Pieces)
                if value:
                    pieces.append(value)
                    said.append((name, value))
            case dict():
                grow(_ready(whole, name, dict), value, said)
            case list():
                items = _ready(whole, name, _Items)
                for item in value:
                    _add(items, item, said)
            case _:
                whole[name] = value


def grown(value: Any) -> Any:
    """*value* with every string in one piece."""
    match value:
        case _Pieces():
            return "".join(value)
        case dict():
            return {name: grown(item) for name, item in value.items()}
        case list():
            return [grown(item) for item in value]
    return value


def _ready(whole: dict[str, Any], name: str, sort: type) -> Any:
    """What *name* holds, if it is of *sort*; where it was of another before, a list of both."""
    old = whole.get(name)
    if type(old) is sort:
        return old
    if not old:
        new = whole[name] = sort()
        return new
    if type(old) is not _Items:
        whole[name] = _Items()
        whole[name].append(old)
    items = whole[name]
    if sort is _Items:
        return items
    if not items or type(items[-1]) is not sort:
        items.append(sort())
    return items[-1]


def _add(items: _Items, item: Any, said: Said) -> None:
    if not isinstance(item, dict):
        items.append(item)
        return
    index = item.get("index")
    known = items.by_index.get(index) if isinstance(index, int) else None
    if known is None:
        known = {}
        items.append(known)
        if isinstance(index, int):
            items.by_index[index] = known
    grow(known, item, said)
