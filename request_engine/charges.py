"""What a service counts for an attempt before its answer is there, and what it gives back.

    settles     what was really used, at the end
    reserves    max_tokens at first, and gives back at the end what was not used
    charges     max_tokens, whatever the answer took

Told by its refusals: "Requested 2875" is the prompt and max_tokens; twice, or once and far above
what attempts really take, is believed. Where then the ceilings of a minute come to the limit that
the user knows, and what was used does not, it gives nothing back: that is believed for ten minutes
at a time. Until the start is over, any service whose limit is known is thought to reserve, since
else the start is what it would refuse.
"""

from request_engine.gate import Gate
from request_engine.records import Usage
from request_engine.reservation import Reservation
from request_engine.sizes import Size, Sizes

_CAUTIOUS = 60.0
"""Seconds for which a service is thought to reserve, at the start and after a refusal."""
_LIKE, _NEAR = 0.85, 0.65
"""Of a number that another has to be, to be taken for the same; and to be it but for pauses."""
_BELIEVED = 600.0
"""Seconds for which it is believed that nothing is given back."""
_SEEN = 2
"""Refusals that must say what was requested before that is believed."""
_BEYOND_DOUBT = 4.0
"""Times what an attempt will really take: one refusal that counts so much more is enough."""
_FOR_EVER = float("inf")


class Charges:
    """How the service counts tokens, as far as it has shown."""

    def __init__(self, sizes: Sizes, tokens: Gate, burst: float) -> None:
        """*burst*: seconds' worth of a known limit that may go at once at the start."""
        self._sizes = sizes
        self._tokens = tokens
        self._burst = burst
        self._reserves_until: float | None = None
        """None while nothing is thought of it."""
        self._reserves_since = float("-inf")
        """Since when it is known to reserve."""
        self._charges_until: float | None = None
        """Until when it is thought to give nothing back; None if that was not found here."""
        self._seen = 0
        self._since = 0.0
        self._used = 0
        self._ceilings = 0

    def at_first(self, now: float, size: Size, held: Usage) -> int:
        """Tokens that are thought to count for an attempt of *size* until it is settled."""
        if self._reserves_until is None:
            if self._tokens.allowance is None or not size.ceiling:
                return held.total
            self.presume(now)
        assert self._reserves_until is not None
        if self._charges_until is not None and now >= self._charges_until:
            self._sizes.charges_ceiling, self._charges_until = False, None
            self._since, self._used, self._ceilings = now, 0, 0
        return self._sizes.at_most(size) if now < self._reserves_until else held.total

    def counted(self, reservation: Reservation) -> int:
        """Tokens that counted for an attempt until it was settled, by what is known now."""
        if reservation.at < self._reserves_since:
            return self._sizes.at_most(reservation.size)
        return reservation.paced

    def presume(self, now: float) -> None:
        """Think that it reserves, for a while: its limit is known, or it refuses for tokens."""
        if self._reserves_until is None:
            self._tokens.pace.begin(now, self._burst)
        if self._reserves_until != _FOR_EVER:
            self._reserves_until = now + _CAUTIOUS

    def refused(self, now: float, size: Size, held: Usage, requested: int | None) -> None:
        """A refusal counts an attempt of *size* as *requested*; None where it does not say."""
        if requested is None or self._reserves_until == _FOR_EVER:
            return
        if requested >= _LIKE * self._sizes.at_most(size) and requested * _LIKE > held.total:
            self._seen += 1
            if self._seen >= _SEEN or requested > _BEYOND_DOUBT * held.total:
                self._reserves_until = _FOR_EVER
                self._reserves_since = self._since = now
                self._tokens.pace.begin(now)

    def answered(self, size: Size, used: Usage) -> None:
        """An attempt of *size* took so much in the end."""
        if self._reserves_until == _FOR_EVER:
            self._used += used.total
            self._ceilings += self._sizes.at_most(size)

    def paused(self, now: float) -> None:
        """After a pause for tokens: see whether it fits that nothing is given back.

        Others who share the limit may make it look so, hence only where max_tokens is told to be
        counted at first, and for a while.
        """
        passed, allowance = now - self._since, self._tokens.allowance
        if self._reserves_until is not None:
            self.presume(now)
        told = self._reserves_until == _FOR_EVER
        if not told or allowance is None or passed < _CAUTIOUS or self._sizes.charges_ceiling:
            return
        limit = allowance.per_minute / 60.0 * passed
        used_up = _NEAR * limit < self._ceilings < limit / _LIKE
        if used_up and self._used < _LIKE * limit:
            self._sizes.charges_ceiling = True
            self._charges_until = now + _BELIEVED
        self._since, self._used, self._ceilings = now, 0, 0
