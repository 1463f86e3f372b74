"""One pause for everybody when the service lets nobody in, and one probe after it.

    refused -> pause (the service's hint, or a backoff) -> probe -> let in: over
                 ^                                           `----> refused: the next pause
                 `------------------------------------------------------'

Refusals of what was sent before the pause are the same news once more: one decision an episode.
"""

import random

from request_engine.backoff import backoff
from request_engine.records import Limit
from request_engine.reservation import Reservation
from request_engine.shares import Binding

_PATIENCE, _LEAST_PATIENCE = 2.0, 0.2
"""Seconds. A refusal comes back at once, so a probe unanswered for so long was let in."""
_REFUSED_WITHIN = 4.0
"""Times as long as refusals took so far, after which a probe was let in; within the two above."""
_FIRST = 0.3
"""Of the first backoff after a refusal without a hint: mostly it came only a little too soon."""
_HINTS_BELIEVED = 4
"""Refusals in a row after which a service's hint is only the least we wait."""
_NEVER = float("-inf")


class Pause:
    """The pause that is on, if one is, and what it is for."""

    def __init__(self) -> None:
        self.until = _NEVER
        self.in_a_row = 0
        """Pauses since something was last let in."""
        self.episode = 0
        """Counts decisions; what was sent in an earlier episode tells nothing new."""
        self.began: float | None = None
        """When it began, refusals of its probes included; None while nothing is refused."""
        self.limit: Limit | None = None
        """The limit that the refusals name."""
        self.refused = False
        """Whether the service refused; else nobody was there."""
        self.let_in = 0
        """Requests in flight when it began, less those that turned out to be refused."""
        self._probing = False
        self._probe: Reservation | None = None
        self._probe_until = _NEVER
        self._refused_within = 0.0

    def begin(
        self,
        now: float,
        reservation: Reservation,
        hint: float | None,
        limit: Limit | None,
        in_flight: int,
        *,
        refused: bool,
    ) -> None:
        """Pause, or pause for longer, since *reservation* was refused or met no service."""
        if self.began is None:
            self.began = now
            self.let_in = in_flight
            self.limit, self.refused = None, False
        if refused:
            self.let_in -= reservation.at <= self.began
            self.limit, self.refused = limit or self.limit, True
            self._refused_within = max(0.9 * self._refused_within, now - reservation.at)
        if reservation.episode == self.episode:
            self.episode += 1
            self.in_a_row += 1
            length = self._length(hint, limit)
        else:
            length = 0.0 if self._makes_room(limit) else hint or 0.0
        self.until = max(self.until, now + length)
        self._probing = True

    def wait(self, now: float) -> tuple[float, Binding]:
        """Seconds until the next may be sent, as far as this is in its way."""
        if self._probing and self._probe is not None and self._probe_until > self.until:
            return self._probe_until - now, Binding.PROBE
        return self.until - now, Binding.PAUSE

    def granted(self, now: float, reservation: Reservation) -> bool:
        """*reservation* is sent. Whether the pause is over: the probe must have been let in."""
        if not self._probing:
            return False
        if self._probe is None:
            self._probe = reservation
            patience = _REFUSED_WITHIN * self._refused_within or _PATIENCE
            self._probe_until = now + min(_PATIENCE, max(_LEAST_PATIENCE, patience))
            return False
        return True

    def settled(self, reservation: Reservation, *, admitted: bool) -> bool:
        """*reservation* is settled. Whether the pause is over: the probe was let in."""
        if admitted and reservation.episode == self.episode:
            self.in_a_row = 0
        if reservation is not self._probe:
            return False
        self._probe = None
        return self._probing and admitted

    def end(self) -> float | None:
        """It is over; when it began."""
        began, self.began = self.began, None
        self._probing, self._probe = False, None
        self.in_a_row = 0
        return began

    def _length(self, hint: float | None, limit: Limit | None) -> float:
        own = backoff(self.in_a_row)
        first = self.in_a_row == 1 and self.refused
        if self._makes_room(limit):
            return 0.0 if first else min(own, hint or own)
        if not hint:
            return _FIRST * own if first else own
        if self.in_a_row > _HINTS_BELIEVED:
            return max(hint, own)
        # A hint is when there is room again, to the millisecond: arriving just before is a refusal.
        return hint + 0.01 + 0.05 * random.random()

    def _makes_room(self, limit: Limit | None) -> bool:
        """Whether too many are in flight, so that the next answer makes room for the next request.

        A hint is then only the most we wait: some gateways tell their whole window every time.
        """
        return limit is Limit.CONCURRENCY and self.let_in > 0
