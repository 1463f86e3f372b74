"""What JSON a request asks for, wherever it says so: its own member for it, a tool, the prompt."""

import json
import re
from collections.abc import Iterator
from typing import Any

_announced = re.compile(r"JSON schema:\s*(?=\{)", re.I).search


def wanted_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema to satisfy, {} for JSON of any shape, None for prose."""
    if (function := forced_function(body)) is not None:
        return _object(function.get("parameters"))
    shapeless = None
    for wanted in _formats(body):
        if wanted.get("type") == "json_schema":
            named = _object(wanted.get("json_schema"))
            return _object(wanted.get("schema") or named.get("schema"))
        if wanted.get("type") == "json_object":
            shapeless = dict[str, Any]()
    told = next(filter(None, map(_schema_in, _instructions(body))), None)
    return shapeless if told is None else told


def forced_function(body: dict[str, Any]) -> dict[str, Any] | None:
    """The function that a chat request insists on, None without one."""
    choice = body.get("tool_choice")
    if not isinstance(tools := body.get("tools"), list) or choice in (None, "auto", "none"):
        return None
    functions = [_object(_object(tool).get("function")) for tool in tools]
    name = _object(_object(choice).get("function")).get("name")
    chosen = (one for one in functions if one and name in (None, one.get("name")))
    return next(chosen, None)


def _formats(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield _object(body.get("response_format"))
    yield _object(_object(body.get("text")).get("format"))
    yield _object(_object(body.get("output_config")).get("format"))


def _instructions(body: dict[str, Any]) -> Iterator[str]:
    """Where instructions stand: members of their own, the first turn, the prompt."""
    turns = body.get("messages") or body.get("input")
    first = _object(turns[0]) if isinstance(turns, list) and turns else {}
    for place in (body.get("system"), body.get("instructions"), body.get("prompt"), first):
        said = place.get("content") if isinstance(place, dict) else place
        for part in said if isinstance(said, list) else [said]:
            text = _object(part).get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                yield text


def _schema_in(text: str) -> dict[str, Any] | None:
    """The schema that *text* announces."""
    if (announced := _announced(text)) is None:
        return None
    try:
        return _object(json.JSONDecoder().raw_decode(text, announced.end())[0])
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
