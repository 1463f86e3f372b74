"""Limits that the local endpoint does not have: capacity that changes, and growth."""

import bisect
import random
from collections import deque
from collections.abc import Sequence

from request_engine.local_endpoint.meters import MINUTE, FixedWindow, TokenBucket

Steps = Sequence[tuple[float, float]]
"""From when on which share of the limit is there, the first from 0 on."""
_EPS = 1e-9


class ChangingBucket(TokenBucket):
    """A bucket whose limit is multiplied by what *steps* say."""

    def __init__(self, per_minute: float, span: float, steps: Steps) -> None:
        super().__init__(per_minute * steps[0][1], span)
        self._full = per_minute
        self._span = span
        self._steps = deque(steps[1:])

    def used(self, now: float) -> float:
        while self._steps and self._steps[0][0] <= now:
            at, share = self._steps.popleft()
            super().used(at)
            rate = max(self._full * share, _EPS)
            self._rate = rate / MINUTE
            self.capacity = max(1.0, rate * self._span / MINUTE)
            self._level = min(self._level, self.capacity)
        return super().used(now)


class Growth:
    """Refuses what comes faster than *factor* times the 10 s before, and than *floor* a second."""

    capacity = 0.0
    _RECENT, _BEFORE = 2.0, 10.0

    def __init__(self, factor: float, floor: float) -> None:
        self._factor = factor
        self._floor = floor
        self._taken: deque[float] = deque()

    def used(self, now: float) -> float:
        while self._taken and self._taken[0] <= now - self._RECENT - self._BEFORE:
            self._taken.popleft()
        return len(self._taken)

    def wait(self, now: float, amount: float) -> float:
        """Seconds until the recent requests are as few as they may be."""
        self.used(now)
        start = bisect.bisect_right(self._taken, now - self._RECENT)
        recent, before = len(self._taken) - start, start
        allowed = (self._factor * before / self._BEFORE + self._floor) * self._RECENT
        return 0.0 if recent + 1 <= allowed else self._RECENT

    def take(self, now: float, amount: float) -> None:
        self._taken.append(now)

    def give_back(self, now: float, taken: float, amount: float) -> None:
        """Nothing is given back: the request came."""

    def reset(self, now: float) -> float:
        return self._RECENT + self._BEFORE


def shared(seed: int, horizon: float, most: float = 0.65) -> Steps:
    """What others leave: a slow walk of their share between 0 and *most*, and now and then a jump.

    A step every 5 s, and a jump to anywhere about every 3 minutes.
    """
    rng = random.Random(f"others {seed}")
    others, steps = rng.uniform(0.0, most), []
    for at in range(0, int(horizon), 5):
        others += rng.gauss(0.0, 0.02)
        others = min(most, max(0.0, others))
        if rng.random() < 1 / 36:
            others = rng.uniform(0.0, most)
        steps.append((float(at), 1.0 - others))
    return steps


class PhasedWindow(FixedWindow):
    """Windows of a minute, the first of them already *phase* seconds old."""

    def __init__(self, per_minute: float, phase: float) -> None:
        super().__init__(per_minute)
        self._phase = phase

    def used(self, now: float) -> float:
        return super().used(now + self._phase)

    def _to_next(self, now: float) -> float:
        return super()._to_next(now + self._phase)
