"""One way of writing JSON for everything that is sent."""

import json
from typing import Any


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which a client may have sent, becomes a question mark."""
    return text.encode("utf-8", "replace")
