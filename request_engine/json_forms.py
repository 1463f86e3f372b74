"""How a service is asked for JSON of a certain shape: facts that stand on the provider's class.

The schema goes where the service has a place for it, cut down to what that place allows; into the
prompt as well, where the service does not show it to the model; and into the prompt alone where
there is no such place. Whatever it is, the answer is checked afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from request_engine.turns import CHAT, Turns

Schema = Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Subset:
    """The part of JSON Schema that a service promises to obey."""

    keywords: frozenset[str]
    formats: frozenset[str]
    """Values of `format` that it knows."""
    closed: bool = True
    """Whether every object has to say that it has no other members."""
    all_required: bool = False
    """Whether every member of an object has to be required."""
    recursive: bool = True
    """Whether a part may contain itself."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class JsonForm:
    """How one endpoint is asked."""

    turns: Turns = CHAT
    """Where a body of the endpoint says what."""
    place: Callable[[Schema, bool], Mapping[str, Any]] | None = None
    """The members of the body that hold a schema, and whether the service must keep to it; None
    where there is no place."""
    subset: Subset | None = None
    """What the place allows; None for whatever there is in a schema."""
    loosely: bool = False
    """Whether the place takes a schema that is beyond the subset, without a promise."""
    told: bool = True
    """Whether the prompt has to say it as well."""
    needed: Mapping[str, Any] = field(default_factory=dict)
    """Members without which a body is refused."""


_PLAIN = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "enum",
        "const",
        "$ref",
        "$defs",
        "definitions",
        "title",
        "description",
    }
)
_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minItems", "maxItems", "pattern"}
)
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)

PLAIN = Subset(_PLAIN | {"format"}, _FORMATS | {"uri"}, recursive=False)
STRICT = Subset(_PLAIN | _BOUNDS | {"format"}, _FORMATS, all_required=True)


def response_format(schema: Schema, strict: bool) -> Mapping[str, Any]:
    """As chat completions have it."""
    named: dict[str, Any] = {"name": "answer", "schema": schema}
    if strict:
        named["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def text_format(schema: Schema, strict: bool) -> Mapping[str, Any]:
    """As the Responses shape has it, which is strict unless it is told not to be."""
    asked = {"type": "json_schema", "name": "answer", "strict": strict, "schema": schema}
    return {"text": {"format": asked}}


def json_object(schema: Schema, strict: bool) -> Mapping[str, Any]:
    """JSON of any shape: which one, only the prompt says."""
    return {"response_format": {"type": "json_object"}}
