"""How many requests may be in flight, as far as the service does not say.

    16, and one more for each answer while they are really used: twice as many a round trip
    refused for concurrency     a little less than those that were let in, then a little
                                more from time to time
    never refused               more while the answers per second rise, back when only the time
                                that each takes does
    timed out                   half

The third is for servers that queue instead of refusing: the time an answer takes depends on its
length, so what is compared are the tokens answered a second.
"""

FIRST = 16
_USED = 0.8
"""Of the window that must be in flight for it to be what binds."""
_STEP, _LEAST_STEP = 0.05, 0.01
_STEP_GROWS, _STEP_SHRINKS = 1.5, 0.5
_COSTS, _RAISED_EVERY = 15.0, 5.0
"""As for a pace: pauses that fit between two raises, and seconds between them at least."""
_EPOCH = 50
"""Answers at least, from one judgement of the throughput to the next."""
_WORTH = 0.2
"""Of the growth of the window that must show as growth of the throughput."""
_SLOW = 1.5
"""Times the quickest that a token took, from which on one judgement without growth is enough."""
_FLAT = 2
"""Judgements in a row without such growth, after which the window goes back."""
_RETRIED = 10
"""Judgements until more is tried again."""
_RETRY = 1.1
_QUEUES = 3.0
"""Times the quickest that a token took, from which on fewer are tried and not more: answers of
uneven lengths let some growth look worth it that was not, and so the window drifts up."""


class Window:
    """The window of one run. Pure arithmetic."""

    def __init__(self, most: int, *, learned: bool) -> None:
        """*most* is never exceeded; unless *learned*, it is also where it begins."""
        self.most = most
        self.size = min(FIRST, most) if learned else most
        self._learned = learned
        self._doubling = learned
        self._halved_at = float("-inf")
        self._raise_at: float | None = None
        self._step = _STEP
        self._raise_every = _RAISED_EVERY
        self._epoch: _Epoch | None = None
        self._before: tuple[int, float] | None = None
        self._flat = 0
        self._good = self.size
        self._held = 0
        self._quickest = float("inf")
        """Least seconds for a token."""

    def answered(self, now: float, in_flight: int, work: float, seconds: float) -> None:
        """One answer of *work* tokens came after *seconds*, while so many were *in_flight*."""
        full = in_flight >= _USED * self.size
        if self._raise_at is not None:
            if full and now >= self._raise_at:
                self.size = min(self.most, self.size + max(1, round(self._step * self.size)))
                self._step = min(_STEP, _STEP_GROWS * self._step)
                self._raise_at = now + self._raise_every
            return
        if not self._learned:
            return
        if full and self._doubling and self.size < self.most:
            self.size += 1
        if self._epoch is None:
            self._epoch = _Epoch(now, self.size)
        epoch = self._epoch
        epoch.answers += 1
        epoch.full += full
        epoch.work += work
        epoch.seconds += seconds
        if epoch.answers >= max(_EPOCH, epoch.size):
            self._judge(now, epoch)
            self._epoch = _Epoch(now, self.size)

    def refused(self, now: float, let_in: int, pause: float) -> None:
        """More than *let_in* in flight were refused, at the cost of a *pause* in seconds."""
        self.size = max(1, min(self.most, int(let_in * (1 - self._step))))
        self._step = max(_LEAST_STEP, _STEP_SHRINKS * self._step)
        self._raise_every = max(_RAISED_EVERY, _COSTS * pause)
        self._raise_at = now + 2 * self._raise_every

    def timed_out(self, now: float, sent: float) -> None:
        """An attempt of the time *sent* was not answered in time: once for all that were sent."""
        if sent > self._halved_at and self._learned:
            self._halved_at = now
            self.size = self._good = max(1, self.size // 2)
            self._doubling, self._before = False, None

    def _judge(self, now: float, epoch: "_Epoch") -> None:
        """Whether growing was worth it."""
        if epoch.full < _USED * epoch.answers:
            self._before, self._flat = None, 0
            return
        throughput = epoch.work / max(now - epoch.began, 1e-9)
        slowness = epoch.seconds / epoch.work
        self._quickest = min(self._quickest, slowness)
        if self._before is None:
            self._before = epoch.size, throughput
            self._good = epoch.size
            return
        size, before = self._before
        slow = slowness > _SLOW * self._quickest
        if throughput >= before * (1 + _WORTH * (epoch.size / size - 1)):
            self._flat = 0
            self._good = epoch.size
            if epoch.size > size:
                self._before = epoch.size, throughput
                self._held = 0 if self._doubling else _RETRIED
        elif self._doubling:
            self._flat += 1
            if slow or self._flat >= _FLAT:
                self._doubling, self._flat = False, 0
                self.size = self._good
        else:
            self.size = self._good
        if not self._doubling:
            self._held += 1
            if self._held > _RETRIED:
                self._held = 0
                self._good = self.size
                self._before = self.size, throughput
                if slowness > _QUEUES * self._quickest:  # perhaps fewer do as much
                    self.size = max(1, min(self.size - 1, round(self.size / _RETRY)))
                else:
                    self.size = min(self.most, max(self.size + 1, round(_RETRY * self.size)))


class _Epoch:
    """What was answered from one judgement to the next."""

    __slots__ = ("answers", "began", "full", "seconds", "size", "work")

    def __init__(self, began: float, size: int) -> None:
        self.began = began
        self.size = size
        self.answers = self.full = 0
        self.work = self.seconds = 0.0
