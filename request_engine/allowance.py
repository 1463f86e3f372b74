"""One limit, so much in any 60 seconds, spent evenly but for a brisk start.

    spent in a window   never more than the limit in any 60 s: every spending is remembered for
                        as long, and a new one waits until enough of the old has aged out
    pace                evenly, at a sixtieth of the limit a second; a spending waits for those
                        before it to be paid off, not for its own
    loan                after an idle spell `burst` seconds' worth may go at once, less by what
                        has passed of them; for the next 60 s the pace is lower by as much as was
                        taken, so that no gap has to pay it back

Amounts are requests or tokens, times are seconds of the event loop's clock.
"""

from collections import deque

WINDOW = 60.25
"""Seconds: a minute, and a quarter more because requests reach a service less evenly than they
leave. Against an exact 60 s window on one machine, 60.0 drew a refusal in every 500 requests."""
SECOND = 1.02
"""Seconds: the same for services that also limit by the second, a sixtieth of the minute's."""
_MERGED = 0.01
"""Seconds. Spendings this close age out together, so that a window holds at most 6,000 parts."""
_ROUNDING = 1e-6
_NEVER = float("-inf")


class Spending:
    """What was spent in one moment, or in a few so close that they count as the last of them."""

    __slots__ = ("amount", "at", "over", "since")

    def __init__(self, at: float, amount: float) -> None:
        self.since = at
        self.at = at
        self.amount = amount
        self.over = False


class Allowance:
    """What one limit lets through. Pure arithmetic: every method is told the time."""

    def __init__(self, per_minute: float, burst: float, leeway: float) -> None:
        """*per_minute* above 0; *burst* in seconds of it, at most 60.

        *leeway*: seconds that a spending may come before its pace, so that what is late, or has
        had to wait for another limit, is caught up with.
        """
        self.per_minute = per_minute
        self.used = 0.0
        self._evenly = per_minute / WINDOW if burst else per_minute / WINDOW / SECOND
        self._burst = burst
        self._leeway = leeway
        self._window: deque[Spending] = deque()
        self._paid_at = _NEVER
        self._loan_ends = _NEVER
        self._lent = 0.0

    @property
    def evenly(self) -> float:
        """The limit by the second."""
        return self.per_minute / 60.0 / (1.0 if self._burst else SECOND)

    def passes(self, now: float, amount: float) -> bool:
        """Whether *amount* may be spent now, at a glance; a no means that `wait` has to look."""
        return (
            self.used + amount <= self.per_minute
            and self._paid_at - self._leeway <= now
            and not _NEVER < self._loan_ends <= now
        )

    def wait(self, now: float, amount: float) -> float:
        """Seconds until *amount* may be spent: exactly, if nothing changes before. 0 means now."""
        self._age(now)
        self._end_loan(now)
        return max(0.0, self._room_at(now, amount) - now, self._turn_at(now) - now)

    def spend(self, now: float, amount: float) -> Spending:
        """Spend *amount*, which `wait` must just have allowed."""
        if now - self._paid_at >= self._burst > 0:
            self._loan_ends = now + WINDOW
            self._lent = 0.0
            self._paid_at = now + self._leeway  # which is for what is late, and not for the start
        if self._paid_at >= now + self._leeway and self._lends(now):
            self._lent += amount
        else:
            self._paid_at = max(now, self._paid_at) + amount / self._pace(now)
        self.used += amount
        last = self._window[-1] if self._window else None
        if last is not None and now - last.since < _MERGED:
            last.at = now
            last.amount += amount
            return last
        spending = Spending(now, amount)
        self._window.append(spending)
        self._age(now)
        return spending

    def spent(self, now: float) -> float:
        """What was spent in the last 60 s."""
        self._age(now)
        return self.used

    def correct(self, now: float, spending: Spending, more: float) -> None:
        """Count *more* (less, if negative) for an earlier *spending*, now that it is known."""
        if spending.over:
            return
        spending.amount += more
        self.used += more
        if more < 0 and now < self._loan_ends:
            self._lent = max(0.0, self._lent + more)
        # A refund brings the next turn nearer, but does not turn into an idle spell.
        if more > 0 or self._paid_at > now:
            paid_at = self._paid_at + more / self._pace(now)
            self._paid_at = paid_at if more > 0 else max(paid_at, now)

    def _age(self, now: float) -> None:
        window = self._window
        while window and self._leaves_at(window[0]) <= now + _ROUNDING:
            spending = window.popleft()
            spending.over = True
            self.used -= spending.amount
        if not window:
            self.used = 0.0  # sheds the rounding of a long run

    def _leaves_at(self, spending: Spending) -> float:
        """When it stops to count; more than a whole minute's worth takes as many minutes."""
        return spending.at + WINDOW * max(1.0, spending.amount / self.per_minute)

    def _room_at(self, now: float, amount: float) -> float:
        """When *amount* fits in the window. What exceeds it alone waits for an empty one."""
        surplus = self.used + min(amount, self.per_minute) - self.per_minute
        if surplus <= _ROUNDING:
            return now
        for spending in self._window:
            surplus -= spending.amount
            if surplus <= _ROUNDING:
                return self._leaves_at(spending)
        return now

    def _turn_at(self, now: float) -> float:
        """When those before are paid off, or at least nearly so; at once for what is still lent."""
        if now >= self._loan_ends:
            return self._paid_at - self._leeway
        return now if self._lends(now) else min(self._paid_at - self._leeway, self._loan_ends)

    def _lends(self, now: float) -> bool:
        """Whether some of the burst is left."""
        passed = now - (self._loan_ends - WINDOW)
        return self._lent < self.per_minute * (self._burst - passed) / WINDOW

    def _pace(self, now: float) -> float:
        """What is paid off a second."""
        if now >= self._loan_ends:
            return self._evenly
        share = 1.0 - self._lent / self.per_minute
        return self._evenly * max(share, 1.0 / WINDOW)

    def _end_loan(self, now: float) -> None:
        """With the burst out of the window, what it was ahead by is paid."""
        if _NEVER < self._loan_ends <= now:
            self._paid_at = min(self._paid_at, now)
            self._loan_ends = _NEVER
