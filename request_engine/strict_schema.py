"""Cut a JSON Schema down to the part that a service promises to obey.

What only bounds a value (a `maxLength`) is left out where the service does not know it, and checked
afterwards like all else. A schema that could not say what it means any more is not cut at all.
"""

from collections.abc import Mapping
from typing import Any

from request_engine.json_forms import Subset

Schema = Mapping[str, Any]

_BESIDE = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"}
    | {"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"}
    | {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"$schema", "$id", "$comment", "discriminator"}
)
"""Keywords that can go: without them a schema allows more, and all that it did before."""
_OF_PARTS = ("properties", "$defs", "definitions")
_DEEPEST = 50


class _BeyondError(Exception):
    """The schema cannot be said in the subset."""


def cut(schema: Schema, subset: Subset) -> dict[str, Any] | None:
    """What of *schema* is in the *subset*; None where that would be another schema."""
    if not subset.recursive and is_recursive(schema):
        return None
    try:
        whole = _cut(with_own_root(schema), subset, 0)
    except _BeyondError:
        return None
    return whole if whole.get("type") == "object" else None


def is_object(schema: Schema) -> bool:
    """Whether every value that *schema* allows is an object."""
    return with_own_root(schema).get("type") == "object"


def with_own_root(schema: Schema) -> Schema:
    """The same schema with more than a reference at its root."""
    seen = set[str]()
    root = schema
    while isinstance(reference := root.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        found = part(schema, reference)
        if not isinstance(found, Mapping):
            return schema
        root = {name: value for name, value in root.items() if name != "$ref"} | dict(found)
    return {**{name: schema[name] for name in _OF_PARTS[1:] if name in schema}, **root}


def part(schema: Schema, reference: str) -> Any:
    """The part of *schema* that `#/$defs/Name` points at; None where there is none."""
    found: Any = schema if reference.startswith("#") else None
    for name in reference.removeprefix("#").split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found


def references(value: Any) -> set[str]:
    """All that is referred to within *value*."""
    found, pending = set[str](), [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            if isinstance(reference := one.get("$ref"), str):
                found.add(reference)
            pending += one.values()
        elif isinstance(one, list):
            pending += one
    return found


def is_recursive(schema: Schema) -> bool:
    """Whether a part of *schema* contains itself."""
    reached = {one: references(part(schema, one)) for one in references(schema)}
    grown = True
    while grown:
        grown = False
        for one, others in reached.items():
            more = set[str]().union(*(reached.get(other, set()) for other in others)) - others
            reached[one] = others | more
            grown = grown or bool(more)
    return any(one == "#" or one in others for one, others in reached.items())


def _cut(schema: Any, subset: Subset, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        raise _BeyondError
    kept = _alone(dict(schema))
    if "$ref" in kept and len(kept) > 1:
        return _described(kept)
    if "properties" in kept:
        kept.setdefault("type", "object")
    if "oneOf" in kept and "oneOf" not in subset.keywords and "anyOf" not in kept:
        kept["anyOf"] = kept.pop("oneOf")
    if "format" in kept and kept["format"] not in subset.formats:
        del kept["format"]
    for name in kept.keys() - subset.keywords:
        if name not in _BESIDE:
            raise _BeyondError
        del kept[name]
    for name in _OF_PARTS:
        if isinstance(parts := kept.get(name), Mapping):
            kept[name] = {key: _cut(one, subset, depth + 1) for key, one in parts.items()}
    for name in ("anyOf", "oneOf"):
        if isinstance(options := kept.get(name), list):
            kept[name] = [_cut(one, subset, depth + 1) for one in options]
    if isinstance(kept.get("items"), Mapping):
        kept["items"] = _cut(kept["items"], subset, depth + 1)
    kinds = kept.get("type")
    return _object(kept, subset) if kinds == "object" or "object" in (kinds or ()) else kept


def _object(schema: dict[str, Any], subset: Subset) -> dict[str, Any]:
    if not subset.closed:
        return schema
    members = schema.get("properties") or {}
    if schema.get("additionalProperties") or not members:
        raise _BeyondError  # it has members whose names are not known
    required = schema.get("required", [])
    if subset.all_required:
        if not all(_may_say_nothing(members[one]) for one in members if one not in required):
            raise _BeyondError  # the model would have to make up what is not there
        required = list(members)
    return schema | {"required": required, "additionalProperties": False}


def _may_say_nothing(schema: Schema) -> bool:
    """Whether a value of *schema* can say that there is none: null, or an empty list."""
    kinds = schema.get("type")
    if kinds in ("null", "array"):
        return not schema.get("minItems")
    if isinstance(kinds, list):
        return "null" in kinds
    if None in schema.get("enum", ()):
        return True
    return any(_may_say_nothing(one) for one in schema.get("anyOf", ()))


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A reference, which services want to stand alone, with what is said beside it."""
    beside = schema.keys() - {"$ref"} - _BESIDE
    if beside:
        raise _BeyondError
    alone = {"$ref": schema["$ref"]}
    if "description" in schema:
        return {"anyOf": [alone], "description": schema["description"]}
    return alone


def _alone(schema: dict[str, Any]) -> dict[str, Any]:
    """`allOf` of one schema is that schema."""
    match schema.get("allOf"):
        case [Mapping() as only] if not only.keys() & (schema.keys() - {"description", "title"}):
            rest = {name: value for name, value in schema.items() if name != "allOf"}
            return dict(only) | rest
    return schema
