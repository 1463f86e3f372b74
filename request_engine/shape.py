"""The shape that answers must have: its JSON Schema, and the library that checks them.

A shape is a pydantic model, or another type that pydantic can read; or a JSON Schema. Neither
library is needed by anything else, so each is imported when the first shape asks for it.
"""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from request_engine import splice
from request_engine.errors import BadInput
from request_engine.strict_schema import part, references

FLAG = "--response_schema"
_MOST_REASONS = 5
_LONGEST = 200
"""Characters of one reason."""


@dataclass(frozen=True, slots=True)
class Valid:
    """What an answer was read into."""

    value: Any


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why an answer has another shape, in words that its model can act on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A JSON Schema, and what reads the text of an answer that must fit it."""

    schema: dict[str, Any]
    read: Callable[[str], Valid | Invalid]


def shape_of(wanted: Any) -> Shape:
    """The shape that *wanted* is. BadInput where it is none."""
    if isinstance(wanted, Mapping):
        return _of_schema(dict(wanted), "the shape")
    return _of_type(wanted)


def read_schema(path: str) -> Shape:
    """The shape in a file with a JSON Schema. BadInput where there is none."""
    told = f"{FLAG} {path}"
    try:
        with open(path, encoding="utf-8-sig") as file:
            schema = splice.parse(file.read())
    except OSError as error:
        raise BadInput(f"{told} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{told} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise BadInput(f"{told} is no JSON object: it must be a JSON Schema")
    return _of_schema(schema, told)


def _of_type(wanted: Any) -> Shape:
    pydantic = _library("pydantic", "a shape that is a type")
    try:
        adapter = pydantic.TypeAdapter(wanted)
        schema = adapter.json_schema()
    except (pydantic.errors.PydanticUserError, TypeError, NameError) as error:
        why = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"the shape {wanted!r} is no type for which there is a schema: {why}"
        ) from None

    def read(text: str) -> Valid | Invalid:
        try:
            return Valid(adapter.validate_json(text))
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            return Invalid(_told((one["loc"], one["msg"]) for one in found))
        except RecursionError:
            return _TOO_DEEP

    return Shape(schema, read)


def _of_schema(schema: dict[str, Any], told: str) -> Shape:
    jsonschema = _library("jsonschema", told)
    kind = jsonschema.validators.validator_for(
        schema, default=jsonschema.validators.Draft202012Validator
    )
    try:
        json.dumps(schema, allow_nan=False)
        kind.check_schema(schema)
    except jsonschema.exceptions.SchemaError as error:
        at = "/".join(map(str, error.absolute_path)) or "its root"
        raise BadInput(f"{told} is no JSON Schema: {_short(error.message)} at {at}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{told} is no JSON Schema: {error}") from None
    for reference in sorted(references(schema)):
        if part(schema, reference) is None:
            raise BadInput(f"{told} refers to {reference}, which is not in it")
    validator = kind(schema, registry=importlib.import_module("referencing").Registry())

    def read(text: str) -> Valid | Invalid:
        try:
            value = splice.parse(text)
            found = list(validator.iter_errors(value))
        except RecursionError:
            return _TOO_DEEP
        if not found:
            return Valid(value)
        best = [jsonschema.exceptions.best_match([one]) for one in found]
        return Invalid(_told((one.absolute_path, one.message) for one in best))

    return Shape(schema, read)


_TOO_DEEP = Invalid("it is nested too deeply")


def _told(found: Iterable[tuple[Iterable[Any], str]]) -> str:
    """The first of what was *found*: where, and what is wrong there."""
    reasons = [f"{'.'.join(map(str, path)) or 'all of it'}: {_short(why)}" for path, why in found]
    more = len(reasons) - _MOST_REASONS
    shown = "; ".join(reasons[:_MOST_REASONS])
    return f"{shown}; and {more} more" if more > 0 else shown


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _library(name: str, needed_for: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise BadInput(
            f"{needed_for} needs the package {name}, which is not installed: pip install {name}"
        ) from None
