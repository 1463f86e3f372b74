"""Carry one request from its first reservation to its outcome.

attempt -> success                        the outcome
        -> failure worth another attempt  back off -> acquire -> attempt
        -> refused for speed              pause everybody -> acquire -> attempt
        -> nobody there                   the same, and an attempt is used
        -> failure for good               the outcome
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeGuard

from request_engine.address import Address
from request_engine.backoff import backoff
from request_engine.budget import Budget, Reservation
from request_engine.provider import Provider, Wall
from request_engine.records import RETRIED, Failure, Kind, Outcome, Reply, Request, Success
from request_engine.redaction import Redaction
from request_engine.stopping import Stopping
from request_engine.tally import Tally

Post = Callable[[str, bytes], Awaitable[Reply | Failure]]

MOST_BAD_ANSWERS = 3
"""Attempts that may end in an answer that was paid for and cannot be used."""
MOST_TIMEOUTS = 3
"""Attempts that may time out after sending: each may have been executed and billed."""


class Sender:
    """What all requests of a run share while they are sent."""

    def __init__(
        self,
        *,
        provider: Provider,
        post: Post,
        address: Address,
        api_key: str | None,
        budget: Budget,
        stopping: Stopping,
        tally: Tally,
        max_attempts: int,
        wall: Wall = time.time,
    ) -> None:
        """*post* sends bytes to a URL; *wall* is the time of day in seconds since 1970."""
        self._provider = provider
        self._post = post
        self._address = address
        self._api_key = api_key
        self._budget = budget
        self._stopping = stopping
        self._tally = tally
        self._max_attempts = max_attempts
        self._wall = wall
        self._redaction = Redaction(api_key)

    def __repr__(self) -> str:
        return f"<Sender to {self._provider.name}>"

    async def send(self, request: Request, tokens: int, reservation: Reservation) -> Outcome:
        """Attempt *request*, whose first attempt of *tokens* is reserved, until it is decided.

        Abandoned is raised when the run stops while the request only waits for its next attempt.
        """
        failures: list[Failure] = []
        refused_since: float | None = None
        while True:
            outcome = await self._attempt(request, reservation)
            if isinstance(outcome, Success):
                return outcome
            if outcome.kind is Kind.RATE_LIMIT:
                refused_since = self._now() if refused_since is None else refused_since
                if self._stopping.refused_alone(self._now(), refused_since):
                    return replace(outcome, earlier=tuple(failures))
            else:
                failures.append(replace(outcome, attempt=len(failures) + 1))
                if not self._worth_another(failures):
                    return replace(failures[-1], earlier=tuple(failures[:-1]))
                with self._stopping.resting():
                    await asyncio.sleep(self._rest(outcome, len(failures)))
            with self._stopping.resting():
                reservation = await self._budget.acquire(tokens)

    async def _attempt(self, request: Request, reservation: Reservation) -> Outcome:
        self._tally.attempts += 1
        try:
            wire_body = self._provider.wire_body(request, self._api_key)
            reply = await self._post(self._address.url(request), wire_body)
            outcome = self._redaction.outcome(
                reply if isinstance(reply, Failure) else self._provider.read(reply, self._wall)
            )
            if _kept_out(outcome):
                self._pause(reservation, outcome)  # before its slot goes to another
            self._settle(reservation, outcome)
        finally:
            # Cancelled in flight: what was reserved stays spent.
            self._budget.settle(reservation, None, admitted=True)
        self._tally.attempted(outcome, reservation.tokens)
        return outcome

    def _settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Correct what was reserved by what was used, where that is known."""
        if outcome.usage is not None:
            used = None if self._provider.profile.charges_ceiling else outcome.usage.total
        else:
            executed = isinstance(outcome, Success) or outcome.maybe_billed
            used = None if executed else 0
        kept_out = _kept_out(outcome)
        self._budget.settle(reservation, used, admitted=not kept_out)
        if not kept_out:
            self._stopping.admitted(self._now())

    def _pause(self, reservation: Reservation, failure: Failure) -> None:
        self._budget.pause(reservation, failure.wait)
        self._stopping.kept_out(self._now(), failure, self._budget.refused_in_a_row)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _rest(self, failure: Failure, failures: int) -> float:
        """Seconds until the next attempt: our own backoff, or longer if the service asks for it."""
        return max(backoff(failures), min(failure.wait or 0.0, self._stopping.max_wait))

    def _worth_another(self, failures: list[Failure]) -> bool:
        last = failures[-1]
        if last.kind not in RETRIED or len(failures) >= self._max_attempts:
            return False
        if last.kind is Kind.BAD_ANSWER:
            bad = sum(failure.kind is Kind.BAD_ANSWER for failure in failures)
            return bad < MOST_BAD_ANSWERS
        return sum(failure.timed_out for failure in failures) < MOST_TIMEOUTS


def _kept_out(outcome: Outcome) -> TypeGuard[Failure]:
    """Whether the next request would not get in either: refused for speed, or nobody there."""
    return isinstance(outcome, Failure) and (outcome.kind is Kind.RATE_LIMIT or not outcome.sent)
