"""Notice that the machine slept or the process was stopped, from clocks that then disagree."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

Clock = Callable[[], float]

LONG = 30.0
"""Seconds. A busy machine is not late by so much; a service closes what is silent for longer."""
_LATE = 1.0
"""Seconds by which a timer of a busy loop may be late."""


def _clock_that_never_stops() -> Clock:
    """A clock that runs while the machine sleeps, as the loop's may not.

    CLOCK_BOOTTIME does on Linux and CLOCK_MONOTONIC on macOS, where time.monotonic is another.
    Elsewhere it is the time of day, which somebody may set: that then looks like sleep, and costs
    some new connections.
    """
    name = "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME"
    clock: int | None = getattr(time, name, None)
    return time.time if clock is None else partial(time.clock_gettime, clock)


NEVER_STOPS = _clock_that_never_stops()


class Gap(NamedTuple):
    """What was missed between two looks, in seconds."""

    unserved: float
    """The loop's clock ran, and nothing was done."""
    asleep: float
    """All of it, where it is long; else 0."""


class Suspension:
    """Looks at two clocks, again and again."""

    def __init__(self, every: float, awake: Clock, always: Clock) -> None:
        """It will be asked *every* so many seconds of *awake*, the loop's clock.

        *always* also runs while the machine sleeps.
        """
        self._every = every
        self._awake = awake
        self._always = always
        self._looked = awake(), always()

    def look(self) -> Gap:
        """What was missed since the last look. A clock that was set back says nothing."""
        awake, always = self._awake(), self._always()
        passed = awake - self._looked[0]
        late = passed - self._every
        slept = always - self._looked[1] - passed
        self._looked = awake, always
        return Gap(
            unserved=late if late > _LATE else 0.0,
            asleep=max(late, 0.0) + max(slept, 0.0) if max(late, slept) > LONG else 0.0,
        )
