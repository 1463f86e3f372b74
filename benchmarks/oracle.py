"""What the ledger of the local endpoint proves about the rows that a run left.

Nothing of the engine is used here: lines, rows and bills are read by other code than wrote them.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the requests file, and what of it goes over the wire."""

    text: str
    key: str
    """The same for lines with equal body and metadata."""
    digest: str
    """sha256 of the body as it is sent."""


def line(body: dict[str, Any], metadata: Any = None, *, first: bool = False) -> Line:
    """The line that asks for *body*, with *metadata* before or behind the rest if it has any."""
    sent = json.dumps(body)
    named = f'"metadata": {json.dumps(metadata)}'
    text = sent
    if metadata is not None:
        text = f"{{{named}, {sent[1:]}" if first else f"{sent[:-1]}, {named}}}"
    return Line(text, _key(body, metadata), sha256(sent.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Bill:
    """One answer that the endpoint billed."""

    id: str
    digest: str
    damaged: bool
    """Whether the endpoint itself kept it from arriving, by a fault."""


def bills(entries: Iterable[str]) -> list[Bill]:
    """What the lines of a ledger say was billed."""
    found = (json.loads(entry) for entry in entries)
    return [
        Bill(one["id"], one["body"], one["fault"] is not None) for one in found if one["billed"]
    ]


@dataclass(slots=True)
class Verdict:
    """How the rows of a finished job compare with its lines and with the ledger."""

    rows: int = 0
    failed: int = 0
    """Rows of failures, which are no fault of the rows."""
    lost: int = 0
    """Lines without a row."""
    duplicated: int = 0
    """Rows that a line has beyond its first, or that are of no line at all."""
    unreadable: int = 0
    foreign: int = 0
    """Answers that were not given for their line, or that stand in two rows."""
    recorded: set[str] = field(default_factory=set)
    """The ids of the answers."""

    @property
    def kept(self) -> bool:
        """Whether every line has exactly one row, and every row an answer of its own."""
        return not (self.lost or self.duplicated or self.unreadable or self.foreign)


def judge(lines: Iterable[Line], rows: bytes, billed: Iterable[Bill]) -> Verdict:
    """Compare *rows*, the bytes of the results, with *lines* and with what was *billed*."""
    verdict = Verdict()
    expected = Counter(one.key for one in lines)
    digests = {one.key: one.digest for one in lines}
    given_for = {one.id: one.digest for one in billed}
    found: Counter[str] = Counter()
    for row in rows.splitlines(keepends=True):
        verdict.rows += 1
        read = _row(row)
        if read is None:
            verdict.unreadable += 1
            continue
        key, answer = read
        found[key] += 1
        if isinstance(answer, list):
            verdict.failed += 1
        elif (
            key not in digests
            or given_for.get(answer["id"]) != digests[key]
            or answer["id"] in verdict.recorded
        ):
            verdict.foreign += 1
        else:
            verdict.recorded.add(answer["id"])
    verdict.lost = (expected - found).total()
    verdict.duplicated = (found - expected).total()
    return verdict


def _row(text: bytes) -> tuple[str, Any] | None:
    """The key and the answer, or errors, of one row; None for what is none."""
    try:
        body, answer, *metadata = json.loads(text)
    except (ValueError, TypeError):
        return None
    answered = isinstance(answer, dict) and "id" in answer
    failed = isinstance(answer, list) and answer and all("kind" in error for error in answer)
    if not text.endswith(b"\n") or not (answered or failed):
        return None
    return _key(body, metadata[0] if metadata else None), answer


def _key(body: Any, metadata: Any) -> str:
    return json.dumps([body, metadata], sort_keys=True)
