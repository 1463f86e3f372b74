"""Send packs of texts, and hand out the outcome of each text.

pack -> reply with a vector for each text   each text's own reply
     -> refused, or cannot be told apart    its halves, one after the other, until the bad text
                                            stands alone
     -> failed in any other way             the same failure for each

One after the other, so that a service that refuses everything has been sent few texts by the time
that is noticed.
"""

from collections.abc import Sequence
from dataclasses import replace

from request_engine import vectors
from request_engine.intake import Measure
from request_engine.packing import Pack, Packing
from request_engine.records import Failure, Kind, Outcome, Request, Success
from request_engine.reservation import Reservation
from request_engine.send import Send
from request_engine.sizes import Size
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.targets import Targets

_OF_ONE_TEXT = frozenset({Kind.BAD_REQUEST, Kind.CONTENT_FILTER, Kind.BAD_ANSWER})
_BROKE = 500
"""A server breaks down over a single text, too, such as one whose vector has no length."""


class Unpacker:
    """Sends the packs of one run."""

    def __init__(
        self,
        send: Send,
        measure: Measure,
        packing: Packing,
        *,
        targets: Targets,
        stopping: Stopping,
        tally: Tally,
    ) -> None:
        """*send* attempts one request, and *measure* says what an attempt may take."""
        self._send = send
        self._measure = measure
        self._packing = packing
        self._targets = targets
        self._stopping = stopping
        self._tally = tally

    async def send(self, request: Request, size: Size, reservation: Reservation) -> Outcome:
        """Send *request*, of which one attempt is reserved.

        The outcome of a pack is that of the last of its requests: its texts have theirs already,
        and the requests before it are judged.
        """
        if not isinstance(request, Pack):
            return await self._send(request, size, reservation)
        outcome, _ = await self._settled(request, size, reservation)
        return outcome

    async def _settled(
        self, pack: Pack, size: Size, reservation: Reservation
    ) -> tuple[Outcome, bool]:
        """Also whether all of it was answered at once."""
        outcome = self._told(pack, await self._send(pack, size, reservation))
        if isinstance(outcome, Success):
            return outcome, True
        if not _may_be_one_text(pack, outcome):
            return outcome, False
        first, second = self._packing.halves(pack)
        before, first_whole = await self._settled(first, *await self._room(first))
        self._stopping.judge(before, self._tally)
        after, second_whole = await self._settled(second, *await self._room(second))
        if first_whole and second_whole and outcome.kind is Kind.BAD_REQUEST:
            self._packing.take_at_most(len(first.parts))  # there were too many of them
        return after, False

    async def _room(self, pack: Pack) -> tuple[Size, Reservation]:
        """The right to send it."""
        (size,) = await self._measure([pack])
        with self._stopping.resting():
            return size, await self._targets.acquire(size)

    def _told(self, pack: Pack, outcome: Outcome) -> Outcome:
        """Tell each text what came of it, unless its half is to be sent again."""
        if isinstance(outcome, Success):
            try:
                replies = _replies(pack, outcome.response)
            except ValueError as error:
                outcome = self._bad_answer(outcome, str(error))
            else:
                _tell_each(pack, [replace(outcome, response=reply) for reply in replies])
                return outcome
        if not _may_be_one_text(pack, outcome):
            _tell_each(pack, [outcome] * len(pack.parts))
        return outcome

    def _bad_answer(self, answer: Success, why: str) -> Failure:
        self._tally.maybe_billed += 1
        self._tally.maybe_billed_tokens += answer.usage.total if answer.usage else 0
        raw = answer.response[:2_000].decode(errors="replace")
        return Failure(Kind.BAD_ANSWER, why, 200, raw=raw, usage=answer.usage)


def _tell_each(pack: Pack, outcomes: Sequence[Outcome]) -> None:
    """What was used, and what a service tells beside its reply, is told with the first."""
    for place, (part, outcome) in enumerate(zip(pack.parts, outcomes, strict=True)):
        pack.keep(part, _without_costs(outcome) if place else outcome)


def _without_costs(outcome: Outcome) -> Outcome:
    earlier = tuple(replace(one, usage=None) for one in outcome.earlier)
    if isinstance(outcome, Success):
        return replace(outcome, usage=None, extra=None, earlier=earlier)
    return replace(outcome, usage=None, earlier=earlier)


def _replies(pack: Pack, response: bytes) -> list[bytes]:
    """The reply to each part; to one alone it is passed on as it came."""
    if len(pack.parts) > 1:
        return vectors.taken_apart(response, len(pack.parts))
    if isinstance(pack.body.get("input"), str):
        vectors.taken_apart(response, 1)
    return [response]


def _may_be_one_text(pack: Pack, failure: Failure) -> bool:
    """Whether a part of *pack* may fare better without the others."""
    if len(pack.parts) == 1:
        return False
    return failure.kind in _OF_ONE_TEXT or (
        failure.kind is Kind.TRANSIENT and failure.status == _BROKE
    )
