"""What can go wrong on request: one table of faults, and the dice that choose among them."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import BadInput


@dataclass(frozen=True, slots=True)
class Fault:
    """One way a reply goes wrong; *billed* says whether a real service would charge for it."""

    name: str
    billed: bool
    means: str
    only: str | None = None
    """Where it can happen: `gateway` or `streams`; None is everywhere."""


FAULTS = (
    Fault("429", False, "429 although no limit was reached, with a short hint"),
    Fault("500", False, "500 with an error object"),
    Fault("502", False, "502 with a proxy's HTML page"),
    Fault("503", False, "503 overloaded, with an error object"),
    Fault("529", False, "529 overloaded, in the Messages shape"),
    Fault("quota", False, "429 insufficient_quota: the account has no money left"),
    Fault("auth", False, "401 although the key is right"),
    Fault("filter", False, "400 content_filter"),
    Fault("redirect", False, "307 to a path that does not exist"),
    Fault("error200", False, "200 whose body is an error object"),
    Fault("empty", False, "200 with an empty body"),
    Fault("reset", False, "the connection is reset before any byte of the reply"),
    Fault("hang", False, "nothing is ever answered"),
    Fault(
        "gateway",
        False,
        "gateway paths only: an error object, or a reply without `raw`",
        only="gateway",
    ),
    Fault("reset_after", True, "executed, then the connection is reset before any byte"),
    Fault("cut", True, "the connection closes in the middle of the body"),
    Fault("truncated", True, "200 with half of the JSON, complete as far as HTTP can tell"),
    Fault("html", True, "200 with an HTML page in place of the answer"),
    Fault("nochoices", True, "200 with null in place of the choices, the data or the output"),
    Fault("blank", True, "blank lines (in a stream, comments) for --slow_seconds, then the answer"),
    Fault("slow", True, "the answer, --slow_seconds late"),
    Fault(
        "unended", True, "streams only: all the words, but nothing that says it is all", "streams"
    ),
    Fault("stream_error", True, "streams only: half the answer, then an error event", "streams"),
    Fault("whitespace", True, "streams only: half the answer, then blanks for ever", "streams"),
    Fault("repetition", True, "streams only: half the answer, then the same for ever", "streams"),
)


def table() -> str:
    """The faults as text for people, one a line."""
    lines = (
        f"  {fault.name:<13}{'billed' if fault.billed else 'not billed':<12}{fault.means}"
        for fault in FAULTS
    )
    return "\n".join(lines)


def parse(texts: Iterable[str]) -> dict[str, float]:
    """`NAME=PROBABILITY[,NAME=PROBABILITY...]`, any number of times."""
    found: dict[str, float] = {}
    for part in ",".join(texts).split(","):
        name, _, probability = part.strip().partition("=")
        if not part.strip():
            continue
        try:
            found[name.strip()] = float(probability)
        except ValueError:
            raise BadInput(f"--fault takes NAME=PROBABILITY, but got {part.strip()!r}") from None
    return found


class Dice:
    """Draws at most one fault a request, in the same order every time for the same seed."""

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._random = random.Random(seed)
        self._odds = [
            (fault, probabilities[fault.name]) for fault in FAULTS if fault.name in probabilities
        ]

    def fault(self) -> Fault | None:
        if not self._odds:
            return None
        drawn = self._random.random()
        for fault, probability in self._odds:
            if drawn < probability:
                return fault
            drawn -= probability
        return None

    def spread(self, width: float) -> float:
        """A number from -*width* to *width*."""
        return self._random.uniform(-width, width)

    def coin(self) -> bool:
        return self._random.random() < 0.5
