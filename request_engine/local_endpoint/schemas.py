"""A canned value for a JSON schema: what structured extraction needs to see its own shape."""

from typing import Any

_DEEPEST = 12
_TEXT = "(canned)"


def instance(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """The plainest value that satisfies *schema*, as far as its common keywords go."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    root = schema if root is None else root
    if isinstance(reference := schema.get("$ref"), str):
        return instance(_resolved(reference, root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list) and options:
            return options[0] if key == "enum" else instance(options[0], root, depth + 1)
    return _of_type(_type(schema), schema, root, depth)


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return str(kind[0] if isinstance(kind, list) and kind else kind)


def _of_type(kind: str, schema: dict[str, Any], root: Any, depth: int) -> Any:
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
    return _TEXT.ljust(_length(schema, "minLength", 0), ".")


def _object(schema: dict[str, Any], root: Any, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return {}
    shallow = depth < _DEEPEST // 2
    return {
        name: instance(value, root, depth + 1)
        for name, value in properties.items()
        if shallow or name in required
    }


def _array(schema: dict[str, Any], root: Any, depth: int) -> list[Any]:
    wanted = 1 if depth < _DEEPEST // 2 else 0
    length = max(_length(schema, "minItems", 0), min(wanted, _length(schema, "maxItems", 1)))
    return [instance(schema.get("items"), root, depth + 1) for _ in range(min(length, 100))]


def _number(schema: dict[str, Any]) -> Any:
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(low, int | float):
        return low
    return min(1, high) if isinstance(high, int | float) else 1


def _length(schema: dict[str, Any], key: str, default: int) -> int:
    value = schema.get(key)
    return min(value, 1000) if isinstance(value, int) and value >= 0 else default


def _resolved(reference: str, root: Any) -> Any:
    """The part of *root* that `#/$defs/Name` points at."""
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found
