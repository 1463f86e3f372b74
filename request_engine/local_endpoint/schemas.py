"""A canned value for a JSON schema: what structured extraction needs to see its own shape.

Names and numbers of the question go into it, in their order, as long as there are any.
"""

import re
from collections import deque
from typing import Any

_DEEPEST = 12
_TEXT = "(canned)"
_OF_FORMAT = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "canned@example.com",
    "uri": "https://example.com/canned",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
}
_names = re.compile(r"\b[A-Z]\w+").findall
_numbers = re.compile(r"\b\d{1,9}\b").findall


def instance(schema: Any, about: str = "") -> Any:
    """The plainest value that satisfies *schema*, as far as its common keywords go."""
    return _Filler(schema, about).value(schema)


class _Filler:
    def __init__(self, root: Any, about: str) -> None:
        self._root = root
        self._names: deque[str] = deque(_names(about))
        self._numbers: deque[int] = deque(map(int, _numbers(about)))

    def value(self, schema: Any, depth: int = 0) -> Any:
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None
        if isinstance(reference := schema.get("$ref"), str):
            return self.value(_resolved(reference, self._root), depth + 1)
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "anyOf", "oneOf", "allOf"):
            if isinstance(options := schema.get(key), list) and options:
                return options[0] if key == "enum" else self.value(options[0], depth + 1)
        return self._of_type(_type(schema), schema, depth)

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return self._number(schema)
            case "boolean":
                return True
            case "null":
                return None
        return self._text(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            return {}
        shallow = depth < _DEEPEST // 2
        return {
            name: self.value(value, depth + 1)
            for name, value in properties.items()
            if shallow or name in required
        }

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        wanted = 1 if depth < _DEEPEST // 2 else 0
        length = max(_length(schema, "minItems", 0), min(wanted, _length(schema, "maxItems", 1)))
        return [self.value(schema.get("items"), depth + 1) for _ in range(min(length, 100))]

    def _number(self, schema: dict[str, Any]) -> Any:
        low, high = schema.get("minimum"), schema.get("maximum")
        if self._numbers and not schema.keys() & {"exclusiveMinimum", "exclusiveMaximum"}:
            number = self._numbers.popleft()
            if (low is None or low <= number) and (high is None or number <= high):
                return number
        if isinstance(low, int | float):
            return low
        return min(1, high) if isinstance(high, int | float) else 1

    def _text(self, schema: dict[str, Any]) -> str:
        if (told := _OF_FORMAT.get(str(schema.get("format")))) is not None:
            return told
        bounded = schema.keys() & {"minLength", "maxLength", "pattern"}
        if self._names and not bounded:
            return self._names.popleft()
        return _TEXT.ljust(_length(schema, "minLength", 0), ".")


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return str(kind[0] if isinstance(kind, list) and kind else kind)


def _length(schema: dict[str, Any], key: str, default: int) -> int:
    value = schema.get(key)
    return min(value, 1000) if isinstance(value, int) and value >= 0 else default


def _resolved(reference: str, root: Any) -> Any:
    """The part of *root* that `#/$defs/Name` points at."""
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found
