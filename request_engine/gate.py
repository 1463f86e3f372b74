"""One kind of thing that is limited by the minute: the limit given, and the rate found out."""

from request_engine.allowance import Allowance, Spending
from request_engine.pace import Pace
from request_engine.shares import Binding

_MINUTE = 60.0
_MOST_MARGIN = 0.1
"""Of a limit."""
_FAR = 0.15
"""Of a limit that is in use, up to which it is far off: what comes up to that by a guess may be
three times as much, and as much again may be on its way here."""


class Gate:
    """Lets amounts through as the stricter of the two does. Every method is told the time."""

    def __init__(
        self, binding: Binding, per_minute: float | None, burst: float, together: float
    ) -> None:
        """*binding* says what is waited for here; *per_minute* None gives no limit.

        *burst* and *together* are seconds' worth that may go at once: of the limit after an idle
        spell, of the rate found out at any time.
        """
        self.binding = binding
        self.allowance = None if per_minute is None else Allowance(per_minute, burst, together)
        self.pace = Pace(together, self.allowance.evenly if self.allowance else None)

    @property
    def per_minute(self) -> float | None:
        """What may pass in a minute by all that is known; None while nothing is."""
        given = self.allowance.per_minute if self.allowance else float("inf")
        found = self.pace.rate * _MINUTE if self.pace.rate is not None else float("inf")
        return min(given, found) if min(given, found) < float("inf") else None

    @property
    def given(self) -> bool:
        """Whether the limit that counts now is the user's own."""
        return self.allowance is not None and self.per_minute == self.allowance.per_minute

    def is_far(self, amount: float) -> bool:
        """Whether *amount* more comes nowhere near a limit, and whatever is known is the user's."""
        if self.allowance is None:
            return self.pace.rate is None
        return self.given and self.allowance.used + amount <= _FAR * self.allowance.per_minute

    def is_tight(self, amount: float) -> bool:
        """Whether it matters to *amount* more how uneven those are that have passed."""
        allowance = self.allowance
        if allowance is None:
            return False
        return allowance.used + amount > (1 - _MOST_MARGIN) * allowance.per_minute

    def wait(self, now: float, amount: float, paced: float, margin: float = 0.0) -> float:
        """Seconds until *amount* may pass, which the service counts as *paced*; 0 or less: now.

        *margin*: how much more what has passed may come to, which a limit that is tight must have
        room for.
        """
        wait = 0.0 if self.pace.rate is None else self.pace.wait(now, paced)
        allowance = self.allowance
        if allowance is None or allowance.passes(now, amount + margin):  # as nearly always
            return wait
        margin = min(margin, _MOST_MARGIN * allowance.per_minute)
        return max(wait, allowance.wait(now, amount + margin))

    def spend(self, now: float, amount: float, paced: float) -> Spending | None:
        """Let *amount* pass, which the service counts as *paced* at first."""
        self.pace.spend(now, paced)
        return self.allowance.spend(now, amount) if self.allowance is not None else None

    def correct(self, now: float, spending: Spending | None, more: float, paced: float) -> None:
        """Count *more* for what passed, and *paced* more for its pace, now that it is known."""
        if paced:
            self.pace.correct(now, paced)
        if more and self.allowance is not None and spending is not None:
            self.allowance.correct(now, spending, more)
