"""What one attempt may take of the limits, and what answers turn out to take.

The prompt is counted; of the answer only its ceiling (max_tokens) is known, and most answers stay
far below it. So the completion held for an attempt is what nine in ten of the latest answers of
its model and ceiling took, and the prompt is corrected by what the service counted so far. Nine
in ten rather than the mean, since long answers are in flight for longer: of log-normal lengths
(sigma 0.9) that is what an answer still in flight takes on average.
"""

import math
from collections import deque

from request_engine.record import record
from request_engine.records import Usage

_TOLD = 0.9
_UNEVEN = 4.5
"""Times the spread of the lengths, which those in flight together do not exceed; more than of as
many at random, since the long ones are in flight for longer."""
_LEAST = 5
"""Answers of a kind from which on they are believed; until then the ceiling is held."""
_LATEST = 100
"""Answers remembered of a kind, so that a file sorted by length is followed."""
_RENEWED = 10
"""Answers between two looks at them."""
_KINDS = 1_000
"""Kinds remembered; a file with a model name of its own on every line has no more."""
_FORGETS = 0.98
"""Weight of the past in a model's prompt ratio: some 50 answers count."""
_RATIO = 0.2, 5.0
"""The least and the most that a service's count of a prompt may be of ours."""


@record(frozen=True, slots=True)
class Size:
    """Tokens one attempt asks with, and may be answered with, at most or by a guess."""

    prompt: int = 0
    ceiling: int = 0
    model: str = ""
    guessed: bool = False
    """Whether the prompt is a guess by its bytes, from which nothing is learned."""


UNCOUNTED = Size()
"""Of every attempt where no tokens are counted."""
NO_TOKENS = Usage()
"""What is held for those."""


class Sizes:
    """What attempts will take, learned from the answers of one run."""

    def __init__(self, *, charges_ceiling: bool = False) -> None:
        """*charges_ceiling*: the service charges max_tokens, however short the answer is."""
        self.charges_ceiling = charges_ceiling
        self._completions: dict[tuple[str, int], _Lengths] = {}
        self._prompts: dict[str, _Ratio] = {}

    def expected(self, size: Size) -> Usage:
        """What an attempt of *size* is expected to take, rather too much than too little."""
        if size is UNCOUNTED:
            return NO_TOKENS
        prompt = self._prompt(size)
        if self.charges_ceiling:
            return Usage(prompt, size.ceiling)
        lengths = self._completions.get(_kind(size))
        return Usage(prompt, size.ceiling if lengths is None else lengths.told(size.ceiling))

    def margin(self, size: Size, in_flight: int) -> float:
        """Tokens by which so many in flight may well take more together than is held for them."""
        lengths = None if self.charges_ceiling else self._completions.get(_kind(size))
        return 0.0 if lengths is None else _UNEVEN * lengths.spread * math.sqrt(in_flight)

    def at_most(self, size: Size) -> int:
        """What an attempt of *size* takes if its answer is as long as it may be."""
        return size.ceiling + self._prompt(size)

    def learn(self, size: Size, used: Usage) -> None:
        """An answer to an attempt of *size* took so much."""
        if used.prompt and size.prompt and not size.guessed:
            ratio = self._prompts.get(size.model)
            if ratio is None and len(self._prompts) < _KINDS:
                ratio = self._prompts[size.model] = _Ratio()
            if ratio is not None:
                ratio.learn(size.prompt, used.prompt)
        if size.ceiling:
            kind = _kind(size)
            lengths = self._completions.get(kind)
            if lengths is None and len(self._completions) < _KINDS:
                lengths = self._completions[kind] = _Lengths()
            if lengths is not None:
                lengths.learn(used.completion)

    def _prompt(self, size: Size) -> int:
        """Its prompt as the service counts."""
        ratio = None if size.guessed else self._prompts.get(size.model)
        return size.prompt if ratio is None else round(size.prompt * ratio.value)


def _kind(size: Size) -> tuple[str, int]:
    """Ceilings of the same order are one kind: some files have another on each line."""
    return size.model, size.ceiling.bit_length()


class _Lengths:
    """The latest completions of one kind."""

    __slots__ = ("_due", "_latest", "_told", "spread")

    def __init__(self) -> None:
        self._latest: deque[int] = deque(maxlen=_LATEST)
        self._told: int | None = None
        self._due = _LEAST
        self.spread = 0
        """From the middle one to what is told."""

    def learn(self, completion: int) -> None:
        self._latest.append(completion)
        self._due -= 1
        if not self._due:  # sorting a hundred takes some 5 us, a tenth of that an answer
            ordered = sorted(self._latest)
            self._told = ordered[int(_TOLD * len(ordered))]
            self.spread = self._told - ordered[len(ordered) // 2]
            self._due = _RENEWED

    def told(self, ceiling: int) -> int:
        return ceiling if self._told is None else self._told


class _Ratio:
    """What a service counts of a model's prompts, for each token that we count."""

    __slots__ = ("_counted", "_told", "value")

    def __init__(self) -> None:
        self._counted = self._told = 0.0
        self.value = 1.0

    def learn(self, counted: int, told: int) -> None:
        self._counted = _FORGETS * self._counted + counted
        self._told = _FORGETS * self._told + told
        least, most = _RATIO
        self.value = min(most, max(least, self._told / self._counted))
