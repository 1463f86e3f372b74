"""How times are spread, the median and the like, in little memory however many there are."""

import math
from dataclasses import dataclass, field

_APART = math.log(1.05)
"""Times within 5 % of one another are counted as one."""
_SHORTEST = 1e-6
"""Seconds."""


@dataclass(slots=True)
class Spread:
    """Times by their size: some 300 counts from a millisecond to an hour."""

    count: int = 0
    _counts: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float) -> None:
        """One more."""
        place = round(math.log(max(seconds, _SHORTEST)) / _APART)
        self._counts[place] = self._counts.get(place, 0) + 1
        self.count += 1

    def within(self, share: float) -> float:
        """The seconds that *share* of all took at most, to some 3 %; 0 where there are none."""
        reached = 0
        for place in sorted(self._counts):
            reached += self._counts[place]
            if reached >= share * self.count:
                return math.exp(place * _APART)
        return 0.0
