"""Carry one request from its first reservation to its outcome.

attempt -> success                        the outcome
        -> failure worth another attempt  back off -> acquire -> attempt
        -> refused for speed              pause everybody -> acquire -> attempt
        -> nobody there                   the same, and an attempt is used
        -> a kept connection was dead     acquire -> attempt, once and at once
        -> failure for good               the outcome
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeGuard

from request_engine import refusals
from request_engine.address import Address
from request_engine.backoff import backoff
from request_engine.budget import Budget
from request_engine.provider import Provider, Wall
from request_engine.records import (
    RETRIED,
    Failure,
    Kind,
    Limit,
    Outcome,
    Reply,
    Request,
    Success,
)
from request_engine.redaction import Redaction
from request_engine.reservation import Reservation
from request_engine.sizes import NO_TOKENS, Size
from request_engine.stopping import Stopping
from request_engine.tally import Tally

Post = Callable[[str, bytes], Awaitable[Reply | Failure]]

MOST_BAD_ANSWERS = 3
"""Attempts that may end in an answer that was paid for and cannot be used."""
MOST_UNSURE = 3
"""Attempts of which nobody says what became: each may have been executed and billed."""
MOST_FIRST = 3
"""Refusals for speed in a row after which a request still goes before all others: when there is
room is said of this one. One that is refused for ever does not keep the others waiting."""


class Sender:
    """What all requests of a run share while they are sent."""

    def __init__(
        self,
        *,
        provider: Provider,
        post: Post,
        address: Address,
        api_key: str | None,
        redaction: Redaction,
        budget: Budget,
        stopping: Stopping,
        tally: Tally,
        max_attempts: int,
        wall: Wall = time.time,
    ) -> None:
        """*post* sends bytes to a URL; *redaction* knows every secret that must not come back.

        *wall* is the time of day in seconds since 1970.
        """
        self._provider = provider
        self._post = post
        self._address = address
        self._api_key = api_key
        self._budget = budget
        self._stopping = stopping
        self._tally = tally
        self._max_attempts = max_attempts
        self._wall = wall
        self._redaction = redaction

    def __repr__(self) -> str:
        return f"<Sender to {self._provider.name}>"

    async def send(self, request: Request, size: Size, reservation: Reservation) -> Outcome:
        """Attempt *request*, whose first attempt of *size* is reserved, until it is decided.

        Abandoned is raised when the run stops while the request only waits for its next attempt.
        """
        failures: list[Failure] = []
        refused, refused_since = 0, 0.0
        connection_died = False
        while True:
            outcome = await self._attempt(request, reservation, refused)
            if isinstance(outcome, Success):
                return outcome
            if outcome.kind is Kind.RATE_LIMIT:
                refused_since = refused_since if refused else self._now()
                refused += 1
                if self._stopping.refused_alone(self._now(), refused_since):
                    return replace(outcome, earlier=tuple(failures))
            elif outcome.stale and not connection_died:
                connection_died = True
            else:
                refused = 0
                failures.append(replace(outcome, attempt=len(failures) + 1))
                if not self._worth_another(failures):
                    return replace(failures[-1], earlier=tuple(failures[:-1]))
                await self._stopping.back_off(self._rest(outcome, len(failures)))
            with self._stopping.resting():
                first = 0 < refused <= MOST_FIRST
                reservation = await self._budget.acquire(size, first=first)

    async def _attempt(self, request: Request, reservation: Reservation, refused: int) -> Outcome:
        """One attempt of *request*, which was *refused* so often in a row."""
        self._tally.attempts += 1
        try:
            endpoint = self._address.endpoint(request)
            wire_body = self._provider.wire_body(request, self._api_key, endpoint)
            reply = await self._post(self._address.url(request), wire_body)
            if self._budget.listens and isinstance(reply, Reply):
                self._budget.announced(self._provider.announced(reply.headers))
            outcome = self._redaction.outcome(
                reply if isinstance(reply, Failure) else self._provider.read(reply, self._wall)
            )
            if _kept_out(outcome):
                self._pause(
                    request, reservation, outcome, refused
                )  # before its slot goes to another
            self._settle(reservation, outcome)
        except asyncio.CancelledError:
            self._tally.abandon(reservation.held.total)
            raise
        finally:
            # Cancelled in flight: what was reserved stays spent.
            self._budget.settle(reservation, None, admitted=True)
        self._tally.attempted(outcome, reservation.held.total)
        return outcome

    def _settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Correct what was reserved by what was used, where that is known; learn from it."""
        used = outcome.usage
        if isinstance(outcome, Success):
            self._budget.answered(reservation, used)
        else:
            if outcome.timed_out:
                self._budget.timed_out(reservation)
            if used is None and not outcome.maybe_billed:
                used = NO_TOKENS
        kept_out = _kept_out(outcome)
        self._budget.settle(reservation, used, admitted=not kept_out)
        if not kept_out:
            self._stopping.admitted(self._now())

    def _pause(
        self, request: Request, reservation: Reservation, failure: Failure, times: int
    ) -> None:
        # One that is refused again and again tells of itself, and not of the service's limits.
        refused = failure.kind is Kind.RATE_LIMIT and times < MOST_FIRST
        requested = None
        if failure.limit is Limit.TOKENS:
            requested = refusals.tokens_requested(failure.message)
        self._budget.pause(
            reservation, failure.wait, failure.limit, refused=refused, requested=requested
        )
        in_a_row = self._budget.pauses.in_a_row
        self._stopping.kept_out(self._now(), request.number, failure, in_a_row)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _rest(self, failure: Failure, failures: int) -> float:
        """Seconds until the next attempt: our own backoff, or longer if the service asks for it."""
        # Few attempts that may be billed twice are allowed, so those are spread over some 6 s.
        own = backoff(failures + 2 if _unsure(failure) else failures)
        return max(own, min(failure.wait or 0.0, self._stopping.max_wait))

    def _worth_another(self, failures: list[Failure]) -> bool:
        last = failures[-1]
        if last.kind not in RETRIED or len(failures) >= self._max_attempts:
            return False
        if last.kind is Kind.BAD_ANSWER:
            bad = sum(failure.kind is Kind.BAD_ANSWER for failure in failures)
            return bad < MOST_BAD_ANSWERS
        return sum(_unsure(failure) for failure in failures) < MOST_UNSURE


def _kept_out(outcome: Outcome) -> TypeGuard[Failure]:
    """Whether the next request would not get in either: refused for speed, or nobody there."""
    return isinstance(outcome, Failure) and (outcome.kind is Kind.RATE_LIMIT or not outcome.sent)


def _unsure(failure: Failure) -> bool:
    """Whether it may have been executed, and nobody who would know says that it failed.

    That is silence, a connection cut off, or an intermediary that lost the answer. An error inside
    a 200 is the service's own word: the lab gateway's errors come so, and get every attempt.
    """
    told_by_the_service = failure.status is not None and failure.status < 300
    return failure.kind is Kind.TRANSIENT and failure.maybe_billed and not told_by_the_service
