"""Of several places, leave one that is of no use: it gets a probe from time to time.

refused whatever it was asked, a few times in a row   for a minute; the run ends when none is left
nobody there, and it shares its account's budget      for a backoff; else all of its budget pauses
answered again                                        it is like any other
"""

import asyncio

from request_engine.backoff import backoff
from request_engine.records import Failure, Outcome
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.target import Target
from request_engine.targets import Targets

LEFT_FOR = 60.0
"""Seconds until a place that refuses whatever it is asked is tried again."""
UNAUTHORIZED = 401
"""By which services say that a key has expired."""


class Leaving:
    """Judges what came of every attempt where there are several places."""

    def __init__(self, targets: Targets, stopping: Stopping, tally: Tally) -> None:
        self._targets = targets
        self._stopping = stopping
        self._tally = tally

    def is_left(self, target: Target, outcome: Outcome) -> bool:
        """Whether nothing but a probe is sent to *target* from now on, by what came of this one."""
        if isinstance(outcome, Failure):
            if outcome.status == UNAUTHORIZED and target.renewable is not None:
                target.back_at = asyncio.get_running_loop().time()
                return False  # another key may do
            if not outcome.sent and self._targets.is_one_of_an_account(target):
                self._targets.leave(target, outcome, backoff(target.left_in_a_row + 1))
                return True
        return self.judge(target, outcome)

    def judge(self, target: Target, outcome: Outcome) -> bool:
        """The same, once it is known that no other key would help."""
        hopeless = target.judge(outcome)
        if isinstance(outcome, Failure) and (hopeless or target.left is not None):
            self._targets.leave(target, outcome if hopeless else target.left or outcome, LEFT_FOR)
        if hopeless and not self._targets.elsewhere(()):
            self._none_is_left()
        return hopeless

    def _none_is_left(self) -> None:
        if self._tally.any_answer and self._targets.all_lack_the_model():
            self._targets.come_back()  # then it is the lines' own
        else:
            self._stopping.stop(self._targets.why_none_is_left())
