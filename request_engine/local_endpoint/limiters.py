"""The limits a service enforces, as pure classes: time is an argument, so it can be simulated.

Limits.admit(now, tokens) -> Refusal | None      ...the answer...      Limits.settle(now, ...)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .meters import MINUTE, FixedWindow, Meter, SlidingWindow, TokenBucket

CONCURRENCY_WAIT = 1.0
"""Seconds named in a refusal for concurrency: nobody knows when an answer in flight will end."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not admitted, with the figures a service puts in its message."""

    what: str
    """`requests`, `tokens` or `concurrency`."""
    per: str
    limit: int
    used: int
    requested: int
    wait: float | None
    """Seconds until the same request would fit; None when it never will."""


class Lockout:
    """After one refusal, everything is refused for a while: what the strictest services do."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._until = float("-inf")

    def start(self, now: float) -> None:
        self._until = now + self._seconds

    def left(self, now: float) -> float:
        return max(0.0, self._until - now)


@dataclass(frozen=True, slots=True)
class Rate:
    """A meter, and how the service speaks of it."""

    what: str
    per: str
    limit: int
    meter: Meter

    def refusal(self, now: float, amount: int) -> Refusal | None:
        wait = self.meter.wait(now, amount)
        if not wait:
            return None
        return Refusal(self.what, self.per, self.limit, round(self.meter.used(now)), amount, wait)


class Limits:
    """Everything that must agree before one request is admitted; a refusal takes nothing."""

    def __init__(
        self,
        rates: Sequence[Rate] = (),
        max_concurrent: int | None = None,
        refund: bool = True,
        lockout: Lockout | None = None,
    ) -> None:
        self.rates = tuple(rates)
        self.in_flight = 0
        self._max_concurrent = max_concurrent
        self._refund = refund
        self._lockout = lockout or Lockout()

    def admit(self, now: float, tokens: int) -> Refusal | None:
        if left := self._lockout.left(now):
            return Refusal("requests", "requests (locked out)", 0, 0, 1, left)
        refusal = self._too_large(tokens) or self._full(now, tokens)
        if refusal is None:
            self._take(now, tokens)
        elif refusal.wait is not None:
            self._lockout.start(now)
        return refusal

    def settle(self, now: float, admitted: float, reserved: int, used: int) -> None:
        """The answer is done: free its place, and charge what it used instead of *reserved*."""
        self.in_flight -= 1
        for rate in self.rates:
            if rate.what != "tokens":
                continue
            if used > reserved:
                rate.meter.take(now, used - reserved)
            elif self._refund:
                rate.meter.give_back(now, admitted, reserved - used)

    def lock(self, now: float) -> None:
        """A refusal that no meter of ours decided has been given."""
        self._lockout.start(now)

    def _too_large(self, tokens: int) -> Refusal | None:
        minutes = [rate for rate in self.rates if rate.what == "tokens"][:1]
        if minutes and tokens > minutes[0].limit:
            return Refusal("tokens", minutes[0].per, minutes[0].limit, 0, tokens, None)
        return None

    def _full(self, now: float, tokens: int) -> Refusal | None:
        if self._max_concurrent is not None and self.in_flight >= self._max_concurrent:
            busy, most = self.in_flight, self._max_concurrent
            wait = CONCURRENCY_WAIT
            return Refusal("concurrency", "concurrent requests", most, busy, 1, wait)
        refusals = (rate.refusal(now, _amount(rate, tokens)) for rate in self.rates)
        return max(filter(None, refusals), key=_wait, default=None)

    def _take(self, now: float, tokens: int) -> None:
        self.in_flight += 1
        for rate in self.rates:
            rate.meter.take(now, _amount(rate, tokens))


def _amount(rate: Rate, tokens: int) -> int:
    return tokens if rate.what == "tokens" else 1


def _wait(refusal: Refusal) -> float:
    return refusal.wait or 0.0


METERS: dict[str, type[TokenBucket] | type[FixedWindow] | type[SlidingWindow]] = {
    "token_bucket": TokenBucket,
    "fixed_window": FixedWindow,
    "sliding_window": SlidingWindow,
    "per_second": SlidingWindow,
}
LIMITERS = (*METERS, "concurrency", "none")


def rates(limiter: str, per_minute: Mapping[str, int | None], span: float = MINUTE) -> list[Rate]:
    """The rates of *limiter* for the limits given; `per_second` also allows a 60th each second."""
    if limiter not in METERS:
        return []
    made = METERS[limiter]
    found = []
    for what, limit in per_minute.items():
        if limit is not None:
            letter = what[0].upper()
            found.append(Rate(what, f"{what} per min ({letter}PM)", limit, made(limit, span)))
            if limiter == "per_second":
                share = max(1, limit // 60)
                meter = SlidingWindow(limit, 1.0)
                found.append(Rate(what, f"{what} per sec ({letter}PS)", share, meter))
    return found
