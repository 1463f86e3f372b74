"""What each service is known to answer, a file a service: the exam's questions about it.

To examine a new one, write `tests/services/<name of the provider>.py` with a SERVICE.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Limit, Outcome, Reply, Usage


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
    reply: bytes | None = None
    """What comes over the wire, if that is more than the answer."""
    extra: bytes | None = None
    """What the row keeps beside the answer."""

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.reply is None else self.reply


@dataclass(frozen=True, kw_only=True)
class Service:
    """All that the exam asks about one service."""

    urls: tuple[str, ...] = ()
    """URLs that select it, and no other."""
    look_alikes: tuple[str, ...] = ()
    """URLs that resemble its own, and must select none but the last."""
    example_urls: Mapping[str, str] = field(default_factory=dict)
    """By the stem of an example file: where it goes, if not to the base URL."""
    examples: tuple[Path, ...] = ()
    """Its request files, if not those of examples/ that begin with its name."""
    answers: tuple[Answered, ...] = ()
    refusals: tuple[Refused, ...] = ()
    cut_off: Kind = Kind.BAD_ANSWER
    """What an answer is that breaks off in the middle, or has no choices."""


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


def answer(finish_reason: str | None, content: str | None = "ok") -> dict[str, Any]:
    """An answer as OpenAI spells it, to be judged by why it ended."""
    return {"choices": [{"message": {"content": content}, "finish_reason": finish_reason}]}


def refused(
    status: int,
    body: object,
    kind: Kind,
    *,
    wait: float | None = None,
    limit: Limit | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refused:
    """A row that its own status and words name."""
    words = repr(body) if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False)
    return Refused(
        what=f"{status} {words[:80]}",
        status=status,
        body=body,
        kind=kind,
        headers=headers or {},
        wait=wait,
        limit=limit,
    )


STREAM = {"Content-Type": "text/event-stream"}


def judged(provider: Provider, row: Refused) -> Outcome:
    """What *provider* makes of *row*; a stream is assembled first, as it is on arrival."""
    headers, content = CIMultiDict(row.headers), row.content
    if headers.get("Content-Type", "").startswith(provider.stream_types):
        assembler = provider.assembler()
        assembler.feed(content)
        assembled = assembler.finish()
        if isinstance(assembled, Failure):
            return assembled
        content = assembled
    return provider.read(Reply(row.status, headers, content), lambda: 1_800_000_000.0)
