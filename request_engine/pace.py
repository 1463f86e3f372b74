"""A rate that nobody told us, found from what the service lets in and what it refuses.

    refused    rate = 0.97 x what was let in / the time that took, the pause included
    let in     rate x 1.05, x 1.075, ... at most x 1.2 at a time, until it is refused again

What is measured is what was let in from the end of one pause to the end of the next. A bucket is
empty at both and a window is counted whole, so that is the limit itself, whatever the service's
way of counting. Measured at the refusal instead, the burst that a service allows is taken for its
rate, which cost up to 5.8 times the ideal time in simulation.

How long a pause was decides how long nothing more is tried, so that trying costs a bounded share of
the time: a throttle of half a second is tried every few seconds, a lockout of minutes hardly ever.

Amounts are requests or tokens, rates are amounts a second, times are seconds of the loop's clock.
"""

_BELOW = 0.97
"""Of what was measured: where we go on."""
_ENOUGH = 15
"""Requests let in from which on their rate is a measurement; or seconds, if there were a few."""
_FEW = 3
_CUT = 0.85
"""Of the rate: where we go on when it is refused again before that."""
_COSTS = 15.0
"""Pauses that fit between two raises: they cost a sixteenth of the time at most."""
_RAISED_EVERY = 5.0
"""Seconds between two raises at least."""
_FIRST_STEP, _LEAST_STEP, _MOST_STEP = 0.05, 0.03, 0.20
_STEP_GROWS, _STEP_SHRINKS = 1.5, 0.65
_USED = 0.8
"""Of the rate that must have been used before it is raised."""
_TOGETHER = 0.25
"""Seconds' worth that may go at once, so that a late timer is caught up with."""
_WINDOW = 60.0
"""Seconds of the longest window that services count in: a longer pause is a lockout."""
_SHORT = 2.0
"""Seconds of a pause that no window makes: the last seconds tell the rate."""
_LAST = 10.0
"""Seconds that are the last ones, up to twice as many."""
_GROWTH_STEP, _GROWTH_EVERY = 0.05, 1.0
"""For services that refuse a rate that rises too quickly: 5 % a second."""


class Pace:
    """How fast one kind of thing may go, by what the service showed. Pure arithmetic."""

    def __init__(self) -> None:
        self.rate: float | None = None
        """None while nothing is known."""
        self._total = 0.0
        self._count = 0
        self._due = float("-inf")
        self._since: tuple[float, float, int] | None = None
        """Since when it is measured: the time, and the total and the count of then."""
        self._marks: tuple[tuple[float, float], tuple[float, float]] | None = None
        """The time and total of the last two looks, some seconds apart."""
        self._step = _FIRST_STEP
        self._raise_every = _RAISED_EVERY
        self._raised: tuple[float, float] = (0.0, 0.0)
        """The time and total of the last raise."""

    @property
    def counts(self) -> bool:
        """Whether anything was ever spent."""
        return self._since is not None

    def wait(self, now: float) -> float:
        """Seconds until the next amount may be spent; it waits for those before it."""
        if self.rate is None:
            return 0.0
        if now - self._raised[0] >= self._raise_every:
            self._raise(now)
        return self._due - _TOGETHER - now

    def spend(self, now: float, amount: float) -> None:
        """Spend *amount* now."""
        self._total += amount
        self._count += 1
        if self._marks is None:
            self._since = now, 0.0, 0
            self._marks = (now, 0.0), (now, 0.0)
        elif now - self._marks[1][0] >= _LAST:
            self._marks = self._marks[1], (now, self._total)
        if self.rate is not None:
            self._due = max(self._due, now) + amount / self.rate

    def correct(self, now: float, more: float) -> None:
        """Count *more* (less, if negative) for what was spent, now that it is known."""
        self._total += more
        if self.rate is not None:
            self._due = max(self._due + more / self.rate, min(self._due, now))

    def refused(self, amount: float) -> None:
        """What was spent was not let in."""
        self._total -= amount
        self._count -= 1

    def believe(self, now: float, rate: float, wait: float) -> None:
        """Begin with *rate*, which the service announces, and try more after *wait* seconds."""
        self._set(now, rate)
        self._raise_every = _RAISED_EVERY
        self._raised = (now + wait - self._raise_every, self._total)

    def resumed(self, now: float, began: float, *, blamed: bool, growth: bool = False) -> None:
        """A pause that *began* then is over. *blamed*: it was for this kind of thing.

        *growth*: not the rate was refused, but how quickly it rose.
        """
        if self._since is None or self._marks is None:
            return
        since, _, count = self._since
        let_in = self._count - count
        enough = let_in >= _ENOUGH or (now - since >= _ENOUGH and let_in >= _FEW)
        if blamed:
            if enough:
                self._measured(now, self._delivered(now, began))
            elif self.rate is not None:
                self._set(now, self.rate * _CUT)
            self._raise_every = max(_RAISED_EVERY, _COSTS * (now - began))
            if growth:
                self._step, self._raise_every = _GROWTH_STEP, _GROWTH_EVERY
        if enough:
            self._since = now, self._total, self._count
            self._marks = (now, self._total), (now, self._total)

    def _delivered(self, now: float, began: float) -> float:
        """The rate at which was let in until the pause that *began* then was over."""
        assert self._since is not None
        assert self._marks is not None
        since, total, _ = self._since
        pause = now - began
        if pause < _SHORT and self._marks[0][0] > since:
            since, total = self._marks[0]
        elapsed = now - since
        if pause > 1.1 * _WINDOW:  # a lockout, in which nothing was counted
            elapsed -= pause
        elif elapsed > _WINDOW:
            elapsed = max(began - since, _WINDOW)
        return max(self._total - total, 1e-9) / max(elapsed, 0.1)

    def _measured(self, now: float, rate: float) -> None:
        self._step = max(_LEAST_STEP, self._step * _STEP_SHRINKS)
        self._set(now, rate * _BELOW)

    def _set(self, now: float, rate: float) -> None:
        self.rate = rate
        self._due = now
        self._raised = (now, self._total)

    def _raise(self, now: float) -> None:
        """Try a little more, if what there is was used."""
        assert self.rate is not None
        then, total = self._raised
        if self._total - total >= _USED * self.rate * (now - then):
            self.rate *= 1 + self._step
            if self._raise_every >= _RAISED_EVERY:
                self._step = min(_MOST_STEP, self._step * _STEP_GROWS)
        self._raised = (now, self._total)
