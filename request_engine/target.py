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
from request_engine.stopping import FEW

Post = Callable[[str, bytes], Awaitable[Reply | Failure]]


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
    """Attempts that were sent here."""
    answered: int = field(default=0, init=False)
    left: Failure | None = field(default=None, init=False)
    """Why nothing but a probe is sent here, where others can do the work."""
    _hopeless: int = field(default=0, init=False)

    def __repr__(self) -> str:
        return f"<Target {self.name or self.provider.name}>"

    def judge(self, outcome: Outcome) -> None:
        """Leave it when a few requests in a row met here what every other would meet."""
        if isinstance(outcome, Success):
            self.answered += 1
            self._hopeless, self.left = 0, None
        elif outcome.kind in HOPELESS:
            # Where anything was ever answered, an unknown model is the line's own.
            self._hopeless += not (outcome.kind is Kind.MODEL_CONFIG and self.answered)
            if self._hopeless >= FEW:
                self.left = outcome
        else:
            self._hopeless = 0
