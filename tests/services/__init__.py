"""What each service is known to answer, a file a service: the exam's questions about it.

To examine a new one, write `tests/services/<name of the provider>.py` with a SERVICE.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from request_engine.records import Kind, Limit, Usage


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One row of a service's table of errors: what it answers, and what that means."""

    what: str
    """Names the row; unique among those of the service."""
    status: int
    body: object
    """bytes as they are, anything else as JSON."""
    kind: Kind
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float | None = None
    """Seconds that it asks us to wait."""
    limit: Limit | None = None
    """The limit that it names."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A recorded or documented reply that is an answer."""

    what: str
    text: str
    """As the service spells it. Odd spellings (1.10, 20 digits) show that it is not re-spelled."""
    usage: Usage | None


@dataclass(frozen=True, kw_only=True)
class Service:
    """All that the exam asks about one service."""

    urls: tuple[str, ...] = ()
    """URLs that select it, and no other."""
    look_alikes: tuple[str, ...] = ()
    """URLs that resemble its own, and must select none but the last."""
    example_urls: Mapping[str, str] = field(default_factory=dict)
    """By the stem of an example file: where it goes, if not to the base URL."""
    answers: tuple[Answered, ...] = ()
    refusals: tuple[Refused, ...] = ()


def of(name: str) -> Service:
    """What is known about the provider *name*; nothing for one whose facts stand elsewhere."""
    try:
        module: Any = importlib.import_module(f"services.{name}")
    except ModuleNotFoundError as missing:
        if missing.name != f"services.{name}":
            raise
        return Service()
    return module.SERVICE


def error(code: object = None, message: str = "no", *, kind: object = None) -> dict[str, Any]:
    """An error as OpenAI spells it; *kind* is its `type`."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
