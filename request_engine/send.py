"""Carry one request from its first reservation to its outcome.

attempt -> success                        the outcome
        -> failure worth another attempt  back off -> acquire -> attempt
        -> refused for speed              pause everybody -> acquire -> attempt
        -> nobody there                   the same; uses an attempt if there is no other place
        -> a kept connection was dead     acquire -> attempt, once and at once
        -> the key has expired            renew it -> acquire -> attempt, once
        -> refused whatever it asks       acquire elsewhere, if there is another place -> attempt
        -> an answer of another shape     acquire -> attempt, which tells what is wrong with it
        -> failure for good               the outcome
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeGuard

from request_engine import refusals
from request_engine.backoff import backoff
from request_engine.extraction import Extraction
from request_engine.leaving import UNAUTHORIZED, Leaving
from request_engine.provider import Wall
from request_engine.records import (
    HOPELESS,
    RETRIED,
    Failure,
    Kind,
    Limit,
    Outcome,
    Reply,
    Request,
    Success,
)
from request_engine.reservation import Reservation
from request_engine.sizes import NO_TOKENS, Size
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.target import Target
from request_engine.targets import Targets

Send = Callable[[Request, Size, Reservation], Awaitable[Outcome]]
"""Takes a request, with one attempt reserved for it, to its outcome."""

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
        targets: Targets,
        *,
        stopping: Stopping,
        tally: Tally,
        max_attempts: int,
        extraction: Extraction | None = None,
        wall: Wall = time.time,
    ) -> None:
        """*wall* is the time of day in seconds since 1970.

        *extraction* is the shape that answers must have, None for whatever they are.
        """
        self._targets = targets
        self._leaving = Leaving(targets, stopping, tally)
        self._stopping = stopping
        self._tally = tally
        self._max_attempts = max_attempts
        self._extraction = extraction
        self._wall = wall

    async def send(self, request: Request, size: Size, reservation: Reservation) -> Outcome:
        """Attempt *request*, whose first attempt of *size* is reserved, until it is decided.

        Abandoned is raised when the run stops while the request only waits for its next attempt.
        """
        failures: list[Failure] = []
        past: list[Target] = []
        refused, refused_since = 0, 0.0
        connection_died = expired = False
        while True:
            target = reservation.target
            key = target.api_key
            if target.renewable is not None:
                if target.renewable.refused:
                    reservation = await self._later(size, reservation, past)
                    continue
                key = target.renewable.current()
            outcome = await self._attempt(request, reservation, refused, key, failures)
            if isinstance(outcome, Success):
                return replace(outcome, earlier=tuple(failures)) if failures else outcome
            if outcome.kind is Kind.RATE_LIMIT:
                refused_since = refused_since if refused else self._now()
                refused += 1
                if self._stopping.refused_alone(self._now(), refused_since):
                    return replace(outcome, earlier=tuple(failures))
            elif outcome.stale and not connection_died:
                connection_died = True
            elif (
                outcome.status == UNAUTHORIZED and not expired and await self._renewed(target, key)
            ):
                expired = True
            elif self._targets.several and self._for_others(target, outcome, past):
                refused = 0
            else:
                refused, expired = 0, False
                failures.append(replace(outcome, attempt=len(failures) + 1))
                if not self._worth_another(failures):
                    return replace(failures[-1], earlier=tuple(failures[:-1]))
                if outcome.answer is None:  # what is told can be put right at once
                    await self._stopping.back_off(self._rest(outcome, len(failures)))
            with self._stopping.resting():
                first = 0 < refused <= MOST_FIRST
                reservation = await self._targets.acquire(size, first=first, past=past)

    async def _later(self, size: Size, reservation: Reservation, past: list[Target]) -> Reservation:
        """A reservation in the place of this one, once there is a key that is of use.

        Or sooner at another place: one whose key is being renewed is not asked.
        """
        renewable = reservation.target.renewable
        assert renewable is not None
        self._targets.give_back(reservation)
        with self._stopping.resting():
            if not self._targets.several:
                await renewable.replaced(renewable.current())
            return await self._targets.acquire(size, past=past)

    async def _renewed(self, target: Target, refused: str | None) -> bool:
        """Whether there is another key than the one that was *refused*."""
        if target.renewable is None or refused is None:
            return False
        with self._stopping.resting():
            renewed = await target.renewable.replaced(refused)
        if self._targets.several:
            self._targets.look_again()
        return renewed

    def _for_others(self, target: Target, failure: Failure, past: list[Target]) -> bool:
        """Whether another place may do what *target* could not, so that no attempt is used."""
        if failure.kind in HOPELESS:
            if target.renewable is not None and failure.status == UNAUTHORIZED:
                self._leaving.judge(target, failure)  # only now: there is no other key
            past.append(target)
            return self._targets.elsewhere(past)
        return not failure.sent and self._targets.open_beside(target)

    async def _attempt(
        self,
        request: Request,
        reservation: Reservation,
        refused: int,
        key: str | None,
        failures: list[Failure],
    ) -> Outcome:
        """One attempt with *key* of *request*, which was *refused* so often in a row."""
        self._tally.attempts += 1
        target = reservation.target
        budget = target.budget
        try:
            sent = request if target.amendment is None else target.amendment.amended(request)
            endpoint = target.address.endpoint(sent)
            if self._extraction is not None:
                wrong = _last_to_correct(failures)
                sent = self._extraction.asking(sent, target.provider, endpoint, wrong)
            wire_body = target.provider.wire_body(sent, key, endpoint)
            reply = await target.post(target.address.url(sent), wire_body)
            if budget.listens and isinstance(reply, Reply):
                budget.announced(target.provider.announced(reply.headers))
            outcome = target.redaction.outcome(
                reply if isinstance(reply, Failure) else target.provider.read(reply, self._wall)
            )
            if self._extraction is not None and isinstance(outcome, Success):
                outcome = self._extraction.judged(outcome)
            if isinstance(reply, Reply) and reply.first_token is not None:
                outcome = self._timed(outcome, reply.first_token)
            kept_out = self._kept_out(request, reservation, outcome, refused)
            self._settle(reservation, outcome, kept_out=kept_out)
        except asyncio.CancelledError:
            self._tally.abandon(reservation.held.total)
            raise
        finally:
            # Cancelled in flight: what was reserved stays spent.
            budget.settle(reservation, None, admitted=True)
        self._tally.attempted(outcome, reservation.held.total)
        return outcome

    def _timed(self, outcome: Outcome, first_token: float) -> Outcome:
        self._tally.first_tokens.add(first_token)
        if isinstance(outcome, Success):
            return replace(outcome, first_token=first_token)
        return outcome

    def _kept_out(
        self, request: Request, reservation: Reservation, outcome: Outcome, times: int
    ) -> bool:
        """Whether the next request would not get in there either: then there is a pause.

        To be said before its slot goes to another.
        """
        target = reservation.target
        if self._targets.several:
            target.in_flight -= 1
            if self._leaving.is_left(target, outcome):
                return True
        if not _is_kept_out(outcome):
            return False
        self._pause(target, request, reservation, outcome, times)
        return True

    def _pause(
        self,
        target: Target,
        request: Request,
        reservation: Reservation,
        failure: Failure,
        times: int,
    ) -> None:
        # One that is refused again and again tells of itself, and not of the service's limits.
        refused = failure.kind is Kind.RATE_LIMIT and times < MOST_FIRST
        requested = None
        if failure.limit is Limit.TOKENS:
            requested = refusals.tokens_requested(failure.message)
        target.budget.pause(
            reservation, failure.wait, failure.limit, refused=refused, requested=requested
        )
        in_a_row = target.budget.pauses.in_a_row
        if self._targets.several:
            target.trouble = failure
            if self._targets.open_beside(target):
                return
            failure = replace(failure, wait=min(failure.wait or 0.0, self._targets.least_wait()))
            in_a_row = self._targets.tried_in_vain()
        self._stopping.kept_out(self._now(), request.number, failure, in_a_row)

    def _settle(self, reservation: Reservation, outcome: Outcome, *, kept_out: bool) -> None:
        """Correct what was reserved by what was used, where that is known; learn from it."""
        used, budget = outcome.usage, reservation.target.budget
        if isinstance(outcome, Success):
            budget.answered(reservation, used)
        else:
            if outcome.timed_out:
                budget.timed_out(reservation)
            if used is None and not outcome.maybe_billed:
                used = NO_TOKENS
        budget.settle(reservation, used, admitted=not kept_out)
        if not kept_out:
            self._stopping.admitted(self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _rest(self, failure: Failure, failures: int) -> float:
        """Seconds until the next attempt: our own backoff, or longer if the service asks for it."""
        # Few attempts that may be billed twice are allowed, so those are spread over some 6 s.
        own = backoff(failures + 2 if _unsure(failure) else failures)
        return max(own, min(failure.wait or 0.0, self._stopping.max_wait))

    def _worth_another(self, failures: list[Failure]) -> bool:
        last = failures[-1]
        if last.final or last.kind not in RETRIED or len(failures) >= self._max_attempts:
            return False
        if last.kind is Kind.BAD_ANSWER:
            bad = sum(one.kind is Kind.BAD_ANSWER and one.answer is None for one in failures)
            return bad < MOST_BAD_ANSWERS
        return sum(_unsure(failure) for failure in failures) < MOST_UNSURE


def _last_to_correct(failures: list[Failure]) -> Failure | None:
    """The latest answer that can be put right."""
    return next((one for one in reversed(failures) if one.answer is not None), None)


def _is_kept_out(outcome: Outcome) -> TypeGuard[Failure]:
    """Whether the next request would not get in either: refused for speed, or nobody there."""
    return isinstance(outcome, Failure) and (outcome.kind is Kind.RATE_LIMIT or not outcome.sent)


def _unsure(failure: Failure) -> bool:
    """Whether it may have been executed, and nobody who would know says that it failed.

    That is silence, a connection cut off, or an intermediary that lost the answer. An error inside
    a 200 is the service's own word: some gateways' errors come so, and get every attempt.
    """
    told_by_the_service = failure.status is not None and failure.status < 300
    return failure.kind is Kind.TRANSIENT and failure.maybe_billed and not told_by_the_service
