"""Show how a run goes: a live panel on a terminal, else one plain line every 30 seconds."""

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from request_engine.allowance import Allowance
from request_engine.budget import Binding, Budget
from request_engine.stopping import Stopping
from request_engine.tally import Tally

if TYPE_CHECKING:
    from rich.console import Group

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two plain lines."""
_MINUTE = 60.0
_SAMPLE = 1.0


class State:
    """A reading of a run at one moment, for either display."""

    def __init__(
        self,
        tally: Tally,
        budget: Budget,
        stopping: Stopping,
        expected: Callable[[], int | None],
    ) -> None:
        """*expected* says how many requests there are, None while nobody knows."""
        clock = asyncio.get_running_loop().time
        self.tally = tally
        self.budget = budget
        self.stopping = stopping
        self._expected = expected
        self._clock = clock
        self.started = clock()
        self._samples: deque[tuple[float, int, int, int]] = deque([(self.started, 0, 0, 0)])

    def expected(self) -> int | None:
        """Requests in the file."""
        return self._expected()

    def rates(self) -> tuple[float, float, float]:
        """Attempts, tokens and rows a minute, over the last minute."""
        now = self._clock()
        tally = self.tally
        if now - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, tally.attempts, tally.tokens, tally.finished))
        while now - self._samples[0][0] > _MINUTE and len(self._samples) > 1:
            self._samples.popleft()
        then, attempts, tokens, rows = self._samples[0]
        scale = _MINUTE / max(now - then, 1.0)
        return (
            (tally.attempts - attempts) * scale,
            (tally.tokens - tokens) * scale,
            (tally.finished - rows) * scale,
        )

    def done(self) -> int:
        """Requests that have their row."""
        return self.tally.finished + self.tally.answered_before

    def elapsed(self) -> float:
        return self._clock() - self.started

    def eta(self, rows_a_minute: float) -> str:
        """How long the rest will take at the speed of the last minute."""
        expected = self.expected()
        if expected is None or rows_a_minute <= 0:
            return "?"
        return clock_time((expected - self.done()) / rows_a_minute * _MINUTE)

    def waits_for(self) -> str:
        """What keeps the next request from being sent."""
        budget = self.budget
        if self.stopping.reason is not None:
            return f"{budget.in_flight:,} answers, then it stops"
        if budget.binding is Binding.PAUSE:
            left = max(0.0, budget.paused_until - self._clock())
            return f"a pause of {left:.0f} s, the service refused for speed"
        if budget.waiting and budget.binding is not Binding.NOTHING:
            return budget.binding
        return "the service" if budget.in_flight else "the file"

    def line(self) -> str:
        """All of it on one plain line."""
        requests, tokens, rows = self.rates()
        expected = self.expected()
        total = f"/{expected:,}" if expected is not None else ""
        return (
            f"{self.done():,}{total} done, {self.tally.failed:,} failed, "
            f"{self.budget.in_flight:,} in flight; "
            f"{_of(requests, self.budget.requests)} requests and "
            f"{_of(tokens, self.budget.tokens)} tokens a minute; "
            f"{self.tally.refusals:,} 429s; waits for {self.waits_for()}; "
            f"ETA {self.eta(rows)}"
        )


class PlainProgress:
    """A line in the log every 30 seconds."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._say)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _say(self) -> None:
        log.info("%s", self._state.line())
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._say)


def display(state: State, *, on_screen: bool) -> AbstractContextManager[object]:
    """The live panel if *on_screen* and standard error is a terminal, else plain lines."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    if not on_screen or plain or not sys.stderr.isatty():
        return PlainProgress(state)
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=True),
        get_renderable=lambda: _panel(state),
        refresh_per_second=4,
        transient=True,
    )


def clock_time(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _panel(state: State) -> "Group":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    requests, tokens, rows = state.rates()
    expected, done, failed = state.expected(), state.done(), state.tally.failed
    total = f" of {expected:,}" if expected is not None else ""
    first = Text.assemble(
        (f"{done:,}", "bold"),
        f"{total} done   ",
        (f"{failed:,} failed", "red" if failed else "dim"),
        f"   {state.budget.in_flight:,} in flight   "
        f"{clock_time(state.elapsed())} so far, ETA {state.eta(rows)}",
    )
    second = Text.assemble(
        f"{_of(requests, state.budget.requests)} requests a minute   "
        f"{_of(tokens, state.budget.tokens)} tokens a minute   ",
        (f"{state.tally.refusals:,} 429s", "yellow" if state.tally.refusals else "dim"),
    )
    third = Text.assemble("waits for ", (state.waits_for(), "cyan"))
    bar = Table.grid(expand=True)
    bar.add_row(ProgressBar(total=expected, completed=done, pulse=expected is None))
    return Group(bar, first, second, third)


def _of(rate: float, allowance: Allowance | None) -> str:
    limit = f"/{allowance.per_minute:,.0f}" if allowance else ""
    return f"{rate:,.0f}{limit}"
