"""What was asked, answered and billed, so that a test can prove what a client did with it."""

import json
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from ..errors import BadInput


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that reached the endpoint. A refused one has no id and is never billed."""

    number: int
    id: str | None
    time: float
    """Seconds since 1970."""
    path: str
    body: str
    """sha256 of the bytes that were received."""
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    billed: bool
    fault: str | None
    refusal: str | None


class Ledger:
    """Exact counts, the last *memory* entries, and every entry in the file if one is named."""

    def __init__(self, filepath: str | None = None, memory: int = 100_000) -> None:
        self.entries: deque[Entry] = deque(maxlen=memory)
        self.requests = 0
        self.answered = 0
        self.billed = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.refusals: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self._file = _opened(filepath) if filepath is not None else None

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.requests += 1
        self.answered += entry.refusal is None and entry.fault is None
        if entry.refusal is not None:
            self.refusals[entry.refusal] += 1
        if entry.fault is not None:
            self.faults[entry.fault] += 1
        if entry.billed:
            self.billed += 1
            self.prompt_tokens += entry.prompt_tokens
            self.completion_tokens += entry.completion_tokens
        if self._file is not None:
            self._file.write(json.dumps(asdict(entry)) + "\n")

    def enter(self) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def billed_times(self) -> Counter[str]:
        """How often each body was billed, among the entries still in memory."""
        return Counter(entry.body for entry in self.entries if entry.billed)

    def billed_ids(self) -> set[str]:
        """The ids of the billed answers still in memory."""
        return {entry.id for entry in self.entries if entry.billed and entry.id is not None}

    def counts(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "answered": self.answered,
            "billed": self.billed,
            "billed_again": sum(times - 1 for times in self.billed_times().values()),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "refusals": dict(self.refusals),
            "faults": dict(self.faults),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _opened(filepath: str) -> TextIO:
    """Line by line, so that the file is complete whenever somebody kills us."""
    try:
        return Path(filepath).open("a", buffering=1, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BadInput(f"cannot write the ledger {filepath}: {error.strerror}") from None
