"""Three ways of counting an allowance: a bucket that refills, a fixed and a sliding window."""

from collections import OrderedDict
from typing import Protocol

MINUTE = 60.0


class Meter(Protocol):
    """One allowance, `capacity` at most within its span."""

    capacity: float

    def used(self, now: float) -> float: ...

    def wait(self, now: float, amount: float) -> float:
        """Seconds until *amount* fits; more than the whole capacity fits once nothing is used."""

    def take(self, now: float, amount: float) -> None: ...

    def give_back(self, now: float, taken: float, amount: float) -> None:
        """Undo part of what was taken at the time *taken*."""

    def reset(self, now: float) -> float:
        """Seconds until nothing is used."""


class TokenBucket:
    """Refills evenly and holds `span` seconds' worth; starts full."""

    def __init__(self, per_minute: float, span: float = MINUTE) -> None:
        self.capacity = max(1.0, per_minute * span / MINUTE)
        self._rate = per_minute / MINUTE
        self._level = self.capacity
        self._updated = 0.0

    def used(self, now: float) -> float:
        grown = self._level + max(0.0, now - self._updated) * self._rate
        self._level, self._updated = min(self.capacity, grown), now
        return self.capacity - self._level

    def wait(self, now: float, amount: float) -> float:
        lacking = min(amount, self.capacity) - (self.capacity - self.used(now))
        return max(0.0, lacking / self._rate)

    def take(self, now: float, amount: float) -> None:
        self.used(now)
        self._level -= amount

    def give_back(self, now: float, taken: float, amount: float) -> None:
        self.used(now)
        self._level = min(self.capacity, self._level + amount)

    def reset(self, now: float) -> float:
        return self.used(now) / self._rate


class FixedWindow:
    """Counts from zero again at every multiple of `span` seconds."""

    def __init__(self, per_minute: float, span: float = MINUTE) -> None:
        self.capacity = max(1.0, per_minute * span / MINUTE)
        self._span = span
        self._window = -1
        self._count = 0.0

    def used(self, now: float) -> float:
        if (window := int(now // self._span)) != self._window:
            self._window, self._count = window, 0.0
        return self._count

    def wait(self, now: float, amount: float) -> float:
        fits = self.used(now) + min(amount, self.capacity) <= self.capacity
        return 0.0 if fits else self._to_next(now)

    def take(self, now: float, amount: float) -> None:
        self._count = self.used(now) + amount

    def give_back(self, now: float, taken: float, amount: float) -> None:
        if self.used(now) and int(taken // self._span) == self._window:
            self._count = max(0.0, self._count - amount)

    def reset(self, now: float) -> float:
        return self._to_next(now) if self.used(now) else 0.0

    def _to_next(self, now: float) -> float:
        return (now // self._span + 1) * self._span - now


class SlidingWindow:
    """Never more than its capacity within any `span` seconds."""

    def __init__(self, per_minute: float, span: float = MINUTE) -> None:
        self.capacity = max(1.0, per_minute * span / MINUTE)
        self._span = span
        self._total = 0.0
        self._taken: OrderedDict[float, float] = OrderedDict()

    def used(self, now: float) -> float:
        while self._taken and next(iter(self._taken)) + self._span <= now:
            self._total -= self._taken.popitem(last=False)[1]
        return self._total

    def wait(self, now: float, amount: float) -> float:
        excess = self.used(now) + min(amount, self.capacity) - self.capacity
        if excess <= 0:
            return 0.0
        for taken, held in self._taken.items():
            excess -= held
            if excess <= 0:
                return taken + self._span - now
        return self.reset(now)

    def take(self, now: float, amount: float) -> None:
        self.used(now)
        self._taken[now] = self._taken.get(now, 0.0) + amount
        self._total += amount

    def give_back(self, now: float, taken: float, amount: float) -> None:
        self.used(now)
        if taken in self._taken:
            amount = min(amount, self._taken[taken])
            self._taken[taken] -= amount
            self._total -= amount

    def reset(self, now: float) -> float:
        self.used(now)
        return next(reversed(self._taken)) + self._span - now if self._taken else 0.0
