"""One place that requests are sent to, and all that is particular to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from request_engine.address import Address
from request_engine.amend import Amendment
from request_engine.budget import Budget
from request_engine.keys import RenewableKey
from request_engine.provider import Provider
from request_engine.records import HOPELESS, Failure, Kind, Outcome, Reply, Success
from request_engine.redaction import Redaction
from request_engine.stopping import FEW, why

Post = Callable[[str, bytes], Awaitable[Reply | Failure]]

_NOW, _NEVER = float("-inf"), float("inf")


@dataclass(eq=False, kw_only=True, slots=True)
class Target:
    """A service as one key reaches it. Those of one account share a budget."""

    provider: Provider
    address: Address
    post: Post
    """Sends bytes to a URL."""
    budget: Budget
    redaction: Redaction
    """Knows every secret that must not come back."""
    api_key: str | None = None
    renewable: RenewableKey | None = None
    """Gives the key of the moment; None if `api_key` is the key for ever."""
    amendment: Amendment | None = None
    """What is changed about requests that go here; None if nothing is."""
    name: str = ""
    weight: float = 1.0
    """How much of the work it gets beside others that have room as well."""
    granted: int = field(default=0, init=False)
    """Attempts that were sent here. Like all below, counted only where there are several."""
    in_flight: int = field(default=0, init=False)
    answered: int = field(default=0, init=False)
    trouble: Failure | None = field(default=None, init=False)
    """Why it was last paused."""
    left: Failure | None = field(default=None, init=False)
    """Why nothing but a probe is sent here, where others can do the work."""
    back_at: float = field(default=_NOW, init=False)
    """When the next probe may go, by the loop's clock; never while one is on its way."""
    left_in_a_row: int = field(default=0, init=False)
    """How often it was left since it last answered."""
    _hopeless: int = field(default=0, init=False)

    def __repr__(self) -> str:
        return f"<Target {self.name or self.provider.name}>"

    @property
    def gone(self) -> bool:
        """Whether it refuses whatever it is asked."""
        return self.left is not None and self.left.kind in HOPELESS

    @property
    def lets_in(self) -> bool:
        """Whether requests go here, as far as the limits let them."""
        return self.left is None and self.budget.pauses.began is None

    def may_be_asked(self, now: float) -> bool:
        """Whether the next request may go here, be it as a probe."""
        if self.renewable is not None and self.renewable.refused:
            return False
        return self.left is None or now >= self.back_at

    def grant(self) -> None:
        """One more attempt is sent here."""
        self.granted += 1
        self.in_flight += 1
        if self.left is not None:
            self.back_at = _NEVER

    def judge(self, outcome: Outcome) -> bool:
        """Whether it is to be left: a few requests in a row met what every other would meet."""
        if isinstance(outcome, Success):
            self.answered += 1
            self.come_back()
        elif outcome.kind in HOPELESS:
            # Where anything was ever answered, an unknown model is the line's own.
            self._hopeless += not (outcome.kind is Kind.MODEL_CONFIG and self.answered)
        else:
            self._hopeless = 0
            if outcome.sent and not self.gone:  # somebody is there again
                self.come_back()
        return self._hopeless >= FEW

    def come_back(self) -> None:
        """It is like any other again."""
        self.left, self.back_at = None, _NOW
        self._hopeless = self.left_in_a_row = 0

    def leave(self, failure: Failure, back_at: float) -> None:
        """Send nothing but a probe here, and that from *back_at* on."""
        self.left, self.back_at = failure, back_at
        self.left_in_a_row += 1

    def kept_from(self) -> str:
        """Why requests are kept from it; empty if they are not."""
        if self.left is not None:
            return why(self.left) if self.gone else self.left.message
        if self.renewable is not None and self.renewable.refused:
            return "its key is being renewed"
        if self.budget.pauses.began is None or self.trouble is None:
            return ""
        return f"{'refused for speed: ' if self.trouble.sent else ''}{self.trouble.message}"

    def told(self, now: float) -> str:
        """What it does, in words."""
        said = f"{self.name}: {self.answered:,} answered, {self.in_flight:,} in flight, "
        reason = self.kept_from()
        if not reason:
            return f"{said}open"
        until = self.budget.pauses.until if self.left is None else self.back_at
        state = "paused" if self.left is None else "left"
        left = f"for {until - now:.0f} s" if now < until < _NEVER else "and being tried"
        return f"{said}{state} {left} ({reason})"

    def told_at_the_end(self) -> str:
        """What it did, in words."""
        reason = self.kept_from()
        end = f"; at the end {'paused' if self.left is None else 'left'} ({reason})"
        said = f"{self.name}: {self.answered:,} answered in {self.granted:,} attempts"
        return said + (end if reason else "")
