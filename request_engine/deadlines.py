"""End attempts that take too long: all that are in flight are looked over by one timer.

begun -- connect --> sent -- first byte --> moved -- progress --> moved -- ... --> whole
  '--------------------------------- total ---------------------------------------'
"""

import asyncio
from types import TracebackType
from typing import Self

from request_engine.records import Failure, Kind

_FINEST = 0.01
"""Seconds. Looking more often than this costs more than an exact deadline is worth."""


def says_something(data: bytes) -> bool:
    """Whether *data* is more than the blank lines and `:` comments that keep a connection open.

    Services send them for minutes while a request is queued. No JSON begins with a colon; where
    the network cuts one just before a colon, that part alone is not counted.
    """
    if data[:1] not in b" \t\r\n:":
        return True
    return any(line and not line.startswith(b":") for line in map(bytes.strip, data.splitlines()))


class Attempt:
    """One attempt in flight; time runs while the task that makes it is inside `with`.

    Times are the loop's, in seconds.
    """

    __slots__ = (
        "_cancelled_before",
        "_deadlines",
        "_task",
        "answering",
        "begun_at",
        "moved_at",
        "overdue",
        "reused",
        "sent_at",
        "size",
    )

    def __init__(self, deadlines: "Deadlines", task: "asyncio.Task[object]", now: float) -> None:
        self._deadlines = deadlines
        self._task = task
        self._cancelled_before = task.cancelling()
        self.begun_at = now
        self.sent_at: float | None = None
        """None until it has its connection."""
        self.reused = False
        """Whether that connection was used before."""
        self.answering = False
        """Whether the head of a reply has come."""
        self.moved_at: float | None = None
        """None until the reply says something."""
        self.size = 0
        self.overdue: Failure | None = None
        """Why the attempt was cut off."""

    def __enter__(self) -> Self:
        self._deadlines.in_flight[self._task] = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Swallow the cancellation that a deadline made, and no other; as asyncio.timeout does."""
        self.whole()
        if self.overdue is None:
            return False
        ours = self._task.uncancel() <= self._cancelled_before
        return ours and kind is asyncio.CancelledError

    def received(self, size: int, *, meaningful: bool) -> None:
        """*size* more bytes of the reply are there."""
        self.size += size
        if meaningful:
            self.moved_at = self._deadlines.moves()

    def whole(self) -> None:
        """The answer is complete: no deadline takes it away any more."""
        self._deadlines.in_flight.pop(self._task, None)

    def end(self, overdue: Failure) -> None:
        """Cut it off, once."""
        if self.overdue is None:
            self.overdue = overdue
            self._task.cancel()

    def shift(self, seconds: float, now: float) -> None:
        """Forget *seconds* in which nobody looked whether anything came."""
        self.begun_at = min(self.begun_at + seconds, now)
        if self.sent_at is not None:
            self.sent_at = min(self.sent_at + seconds, now)
        if self.moved_at is not None:
            self.moved_at = min(self.moved_at + seconds, now)


class Deadlines:
    """How long the parts of an attempt may take, and the attempts that are in flight."""

    def __init__(self, *, connect: float, first_byte: float, progress: float, total: float) -> None:
        """All in seconds. Infinity is no deadline."""
        self.connect = connect
        self.first_byte = first_byte
        self.progress = progress
        self.total = total
        self.in_flight: dict[asyncio.Task[object], Attempt] = {}
        self.moved_at = float("-inf")
        """When a request was last sent or a reply last said something."""

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        shortest = min(self.connect, self.first_byte, self.progress, self.total)
        return max(_FINEST, min(1.0, shortest / 4))

    def attempt(self) -> Attempt:
        """An attempt that the running task makes, to be entered."""
        task = asyncio.current_task()
        assert task is not None
        return Attempt(self, task, _now())

    def connected(self, *, reused: bool) -> None:
        """The attempt of the running task has its connection, and is sent now."""
        task = asyncio.current_task()
        attempt = self.in_flight.get(task) if task is not None else None
        if attempt is not None:
            attempt.reused = reused
            attempt.sent_at = self.moves()

    def moves(self) -> float:
        """Something moves; the time."""
        self.moved_at = _now()
        return self.moved_at

    def waiting_since(self) -> float | None:
        """When the oldest attempt in flight was sent."""
        sent = (attempt.sent_at for attempt in self.in_flight.values())
        return min((time for time in sent if time is not None), default=None)

    def shift(self, seconds: float) -> None:
        """Give all in flight *seconds* more: the loop was not served for so long."""
        now = _now()
        self.moved_at = min(self.moved_at + seconds, now)
        for attempt in self.in_flight.values():
            attempt.shift(seconds, now)

    def end_overdue(self) -> None:
        """Cut off whatever is past a deadline."""
        now = _now()
        for attempt in self.in_flight.values():
            overdue = self._overdue(attempt, now)
            if overdue is not None:
                attempt.end(overdue)

    def _overdue(self, attempt: Attempt, now: float) -> Failure | None:
        whole = now - attempt.begun_at
        if attempt.sent_at is None:
            return self.unconnected() if whole > min(self.connect, self.total) else None
        if attempt.moved_at is None:
            if now - attempt.sent_at > self.first_byte:
                return _timed_out(f"no answer within {self.first_byte:,g} s of sending", attempt)
        elif now - attempt.moved_at > self.progress:
            message = f"the answer stopped for {self.progress:,g} s after {attempt.size:,} bytes"
            return Failure(Kind.TRANSIENT, message, timed_out=True)
        if whole > self.total:
            return _timed_out(f"no complete answer in {self.total:,g} s", attempt)
        return None

    def unconnected(self) -> Failure:
        """What an attempt without a connection in time is."""
        seconds = min(self.connect, self.total)
        return Failure(Kind.TRANSIENT, f"no connection within {seconds:,g} s", sent=False)


def _timed_out(message: str, attempt: Attempt) -> Failure:
    if attempt.moved_at is not None:
        seen = f"only {attempt.size:,} bytes came"
    elif attempt.size:
        seen = "only blank or keep-alive lines came"
    elif attempt.answering:
        seen = "only its head came"
    else:
        seen = "nothing came"
    return Failure(Kind.TRANSIENT, f"{message} ({seen})", timed_out=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
