"""Show how a run goes: a live panel on a terminal, else one plain line every 30 seconds."""

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from request_engine.allowance import Allowance
from request_engine.budget import Binding, Budget
from request_engine.requests_file import RequestsFile
from request_engine.stopping import Stopping
from request_engine.tally import Tally

if TYPE_CHECKING:
    from rich.console import Group

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two plain lines."""
_REDRAWN = 0.25
"""Seconds between two drawings of the panel, which take some 5 ms each."""
_MINUTE = 60.0
_SAMPLE = 1.0


class State:
    """A reading of a run at one moment, for either display."""

    def __init__(
        self,
        tally: Tally,
        budget: Budget,
        stopping: Stopping,
        requests: RequestsFile,
    ) -> None:
        """Begin to watch a run over *requests*, on the running loop's clock."""
        clock = asyncio.get_running_loop().time
        self.tally = tally
        self.budget = budget
        self.stopping = stopping
        self.requests = requests
        self._clock = clock
        self.started = clock()
        self._samples: deque[tuple[float, int, int, int]] = deque([(self.started, 0, 0, 0)])

    def total(self) -> str:
        """How many requests the file holds, as far as is known."""
        expected = self.requests.expected_requests()
        if expected is None:
            return ""
        return f" of {'' if self.requests.finished else '~'}{expected:,}"

    def rates(self) -> tuple[float, float, float]:
        """Attempts and tokens in the last minute, and rows a minute at its speed."""
        now = self._clock()
        tally = self.tally
        if now - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, tally.attempts, tally.tokens, tally.finished))
        while now - self._samples[0][0] > _MINUTE and len(self._samples) > 1:
            self._samples.popleft()
        then, attempts, tokens, rows = self._samples[0]
        scale = _MINUTE / max(now - then, 1.0)
        return tally.attempts - attempts, tally.tokens - tokens, (tally.finished - rows) * scale

    def done(self) -> int:
        """Requests that have their row."""
        return self.tally.finished + self.tally.answered_before

    def elapsed(self) -> float:
        return self._clock() - self.started

    def eta(self, rows_a_minute: float) -> str:
        """How long the rest will take at the speed of the last minute."""
        expected = self.requests.expected_requests()
        if expected is None or rows_a_minute <= 0 or self.stopping.reason is not None:
            return "?"
        return clock_time((expected - self.done()) / rows_a_minute * _MINUTE)

    def waits_for(self) -> str:
        """What keeps the next request from being sent."""
        budget = self.budget
        if self.stopping.reason is not None:
            return f"{budget.in_flight:,} answers, then it stops"
        if budget.binding is Binding.PAUSE:
            left = max(0.0, budget.paused_until - self._clock())
            return f"a pause of {left:.0f} s to end: {self.stopping.kept_out_by}"
        if budget.waiting and budget.binding is not Binding.NOTHING:
            return budget.binding
        return "the service" if budget.in_flight else "the file"

    def of(self, count: float, allowance: Allowance | None) -> str:
        """What was used in the last minute, of the limit where there is one."""
        if allowance is None:
            return f"{count:,.0f}"
        return f"{allowance.spent(self._clock()):,.0f}/{allowance.per_minute:,.0f}"

    def line(self) -> str:
        """All of it on one plain line."""
        requests, tokens, rows = self.rates()
        return (
            f"{self.done():,}{self.total()} done, {self.tally.failed:,} failed, "
            f"{self.budget.in_flight:,} in flight; "
            f"{self.of(requests, self.budget.requests)} requests and "
            f"{self.of(tokens, self.budget.tokens)} tokens in the last minute; "
            f"{self.tally.refusals:,} refused (429); waits for {self.waits_for()}; "
            f"ETA {self.eta(rows)}"
        )


@contextmanager
def display(state: State, *, on_screen: bool) -> Iterator[None]:
    """The live panel if *on_screen* and standard error is a terminal, else plain lines."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    if not on_screen or plain or not sys.stderr.isatty():
        with _repeated(EVERY, lambda: log.info("%s", state.line())):
            yield
        return
    from rich.console import Console
    from rich.live import Live

    # Drawn on the loop's own timer: in a thread it would read what the loop is changing.
    panel = Live(
        console=Console(stderr=True),
        get_renderable=lambda: _panel(state),
        auto_refresh=False,
        transient=True,
    )
    with panel, _repeated(_REDRAWN, panel.refresh):
        yield


@contextmanager
def _repeated(seconds: float, show: Callable[[], None]) -> Iterator[None]:
    """Call *show* every so many *seconds* on one timer."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def wind() -> None:
        nonlocal timer
        timer = loop.call_later(seconds, ring)

    def ring() -> None:
        wind()
        show()

    wind()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


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
    expected, failed = state.requests.expected_requests(), state.tally.failed
    first = Text.assemble(
        (f"{state.done():,}", "bold"),
        f"{state.total()} done   ",
        (f"{failed:,} failed", "red" if failed else "dim"),
        f"   {state.budget.in_flight:,} in flight   "
        f"{clock_time(state.elapsed())} so far, ETA {state.eta(rows)}",
    )
    second = Text.assemble(
        f"{state.of(requests, state.budget.requests)} requests, "
        f"{state.of(tokens, state.budget.tokens)} tokens in the last minute   ",
        (f"{state.tally.refusals:,} refused (429)", "yellow" if state.tally.refusals else "dim"),
    )
    third = Text.assemble("waits for ", (state.waits_for(), "cyan"))
    bar = Table.grid(expand=True)
    bar.add_row(
        ProgressBar(
            total=expected,
            completed=state.done(),
            pulse=expected is None,
            complete_style="cyan",
            finished_style="green",
            pulse_style="cyan",
        )
    )
    return Group(bar, first, second, third)
