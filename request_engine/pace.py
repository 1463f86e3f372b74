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

import math

_BELOW = 0.97
"""Of what was measured: where we go on."""
_ENOUGH = 15
"""Requests let in from which on their rate is a measurement; or seconds, if there were a few."""
_FEW = 3
_CUT, _SOON = 0.15, 2.0
"""Less of the rate when it is refused again at once, and the seconds in which that fades: a lone
refusal is the unevenness of what arrives and costs nothing, one after another a rate too high."""
_COSTS = 15.0
"""Pauses that fit between two raises: they cost a sixteenth of the time at most."""
_FREE = 1.5
"""Seconds of a pause that cost nothing, since what could have been sent is let in after it."""
_RAISED_EVERY = 3.0
"""Seconds between two raises at least."""
_WORTH_TRYING = 30
"""Requests between two raises at least: being refused for one costs a request or two."""
_FIRST_STEP, _LEAST_STEP, _MOST_STEP = 0.05, 0.03, 0.20
_STEP_GROWS, _STEP_SHRINKS = 1.5, 0.5
_USED = 0.5
"""Of the rate that must have been used before it is raised, beside that somebody had to wait: the
other limits take their share of the time."""
_LEAST_TOGETHER, _MOST_TOGETHER = 0.2, 4.0
"""Of what may come together at first; the most only where a refusal costs nothing."""
_FINE = 0.1
"""Seconds. Where less may come together at first, the service limits by the second."""
_LESS_TOGETHER, _MORE_TOGETHER = 0.8, 1.08
_REFUNDS = 20.0
"""Refunds that are kept while nobody takes them, where one is more than what may go together at
first: a service's bucket holds some requests at least, however large they are."""
_WINDOW, _LOCKOUT = 60.0, 66.0
"""Seconds of the longest window that services count in; and of a pause that is longer than any, in
which nothing is counted."""
_LAST = 2.0
"""Seconds that are the last ones, up to twice as many."""
_LONG = 5.0
"""Seconds of a pause from which on it is a window's, and all was let in within one; after a shorter
one the last seconds tell the rate."""
_MORE_PATIENCE, _MOST_PATIENCE = 1.5, 4.0
"""Times as long until the next raise after one that was refused."""
_BELIEVED = 30.0
"""Seconds for which a limit that the service announces is kept before more is tried."""
_GROWTH_STEP, _GROWTH_EVERY = 0.05, 1.0
"""For services that refuse a rate that rises too quickly: 5 % a second."""


class Pace:
    """How fast one kind of thing may go, by what the service showed. Pure arithmetic."""

    def __init__(self, together: float, ceiling: float | None = None) -> None:
        """*together*: seconds' worth that may go at once, so that what is late is caught up with.

        *ceiling* is a rate that the user knows, and that is kept elsewhere.
        """
        self._together = self._first_together = together
        self._ceiling = ceiling
        self.rate: float | None = None
        """None while nothing is known."""
        self._total = 0.0
        self._count = 0
        self._due = float("-inf")
        self._burst_until = float("-inf")
        self._credit = 0.0
        """Seconds' worth of refunds that are kept while nobody takes them."""
        self._since: tuple[float, float, int] | None = None
        """Since when it is measured: the time, and the total and the count of then."""
        self._marks: tuple[tuple[float, float], tuple[float, float]] | None = None
        """The time and total of the last two looks, some seconds apart."""
        self._step = _FIRST_STEP
        self._raise_every = _RAISED_EVERY
        self._raised: tuple[float, float, int] = (0.0, 0.0, 0)
        """The time, total and count of the last raise."""
        self._good: float | None = None
        """The rate before it, until that has lasted."""
        self._resumed_at = float("-inf")
        self._patience = 1.0
        """Grows with raises that were too much."""
        self._binds = False
        """Whether anybody had to wait since the last raise."""
        self._cost = 0.0
        """Seconds of the last pause."""

    @property
    def counts(self) -> bool:
        """Whether anything was ever spent."""
        return self._since is not None

    def wait(self, now: float, amount: float) -> float:
        """Seconds until *amount* may be spent; it waits for those before it."""
        if self.rate is None:
            return 0.0
        then, _, count = self._raised
        tried = self._count - count >= _WORTH_TRYING or self._raise_every < _RAISED_EVERY
        if tried and now - then >= self._raise_every:
            self._raise(now)
        ahead = max(self._together - amount / self.rate, self._burst_until - now, 0.0)
        wait = self._due - now - ahead
        if wait > 0:
            self._binds = True
        return wait

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
            self._due = max(self._due, now - self._credit) + amount / self.rate

    def correct(self, now: float, more: float) -> None:
        """Count *more* (less, if negative) for what was spent, now that it is known."""
        self._total += more
        if self.rate is not None:
            refund = -more / self.rate
            self._credit = _REFUNDS * refund if refund > self._first_together else 0.0
            self._due = max(self._due - refund, min(self._due, now - self._credit))

    def begin(self, now: float, burst: float = 0.0) -> None:
        """Keep the pace of what the user knows, rather than only its sum.

        *burst*: seconds' worth that may go at once, less by what has passed of them.
        """
        if self._ceiling is not None:
            self._set(now, self._ceiling)
            self._due = now
            self._burst_until = now + burst

    def refused(self, amount: float) -> None:
        """What was spent was not let in."""
        self._total -= amount
        self._count -= 1

    def believe(self, now: float, rate: float) -> None:
        """Go at *rate*, which the service announces, until it shows that it lets in more.

        What the user knows counts for more.
        """
        if self.rate is None and self._ceiling is None:
            self._set(now, rate)
            self._raise_every = _BELIEVED

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
            self._refused(now, began, enough=enough)
            self._resumed_at = now
            self._cost = now - began
            self._raise_every = self._raise_after()
            if growth:
                self._step, self._raise_every = _GROWTH_STEP, _GROWTH_EVERY
        if enough:
            self._since = now, self._total, self._count
            self._marks = (now, self._total), (now, self._total)

    def _refused(self, now: float, began: float, *, enough: bool) -> None:
        """Go slower: to what was let in, or by how soon after the last refusal this one came."""
        pause, busy = now - began, began - self._resumed_at
        rate = self.rate or self._ceiling
        if rate is None or pause >= _LONG:
            if enough:
                self._set(now, self._delivered(now, began) * _BELOW)
            return
        least = _LEAST_TOGETHER * self._first_together
        self._together = max(least, self._together * _LESS_TOGETHER)
        rate *= 1 - _CUT * math.exp(-busy / _SOON)
        if self._good is not None:  # it was raised, and that was too much
            rate = min(rate, self._good)
            self._patience = min(_MOST_PATIENCE, self._patience * _MORE_PATIENCE)
            self._step = max(_LEAST_STEP, self._step * _STEP_SHRINKS)
        self._set(now, rate)

    def _delivered(self, now: float, began: float) -> float:
        """The rate at which was let in until the pause that *began* then was over."""
        assert self._since is not None
        assert self._marks is not None
        since, total, _ = self._since
        pause = now - began
        if pause < _LONG and self._marks[0][0] > since:
            since, total = self._marks[0]
        elapsed = now - since
        if pause > _LOCKOUT:
            elapsed -= pause
        elif pause >= _LONG or elapsed > _WINDOW:
            elapsed = max(began - since, _WINDOW)
        return max(self._total - total, 1e-9) / max(elapsed, 0.1)

    def _set(self, now: float, rate: float) -> None:
        """From *now* on at *rate*, and nothing together: after a pause the service has no room."""
        self.rate = rate
        self._due = now + self._together
        self._good = None
        self._raised = (now, self._total, self._count)

    def _raise_after(self) -> float:
        """Seconds until more is tried, by what being refused for it would cost."""
        cost = self._cost
        if cost <= _LOCKOUT:  # perhaps a window's end, which a little more meets a little sooner
            cost = min(cost, self._step * _WINDOW)
        return max(_RAISED_EVERY, _COSTS * (cost - _FREE)) * self._patience

    def _raise(self, now: float) -> None:
        """Try a little more, if what there is was used."""
        assert self.rate is not None
        then, total, _ = self._raised
        self._good = None
        cheap = 0 < self._cost <= _FREE and self._first_together >= _FINE
        most = self._first_together * (_MOST_TOGETHER if cheap else 1.0)
        self._together = min(most, self._together * _MORE_TOGETHER)
        if self._binds and self._total - total >= _USED * self.rate * (now - then):
            self._good = self.rate
            self.rate *= 1 + self._step
            if self._ceiling is not None:
                self.rate = min(self.rate, self._ceiling)
            if self._raise_every >= _RAISED_EVERY:
                self._step = min(_MOST_STEP, self._step * _STEP_GROWS)
                self._patience = 1.0
                self._raise_every = self._raise_after()
        self._raised = (now, self._total, self._count)
        self._binds = False
