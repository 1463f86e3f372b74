"""Show how a run goes: a live panel on a terminal, else one plain line every 30 seconds.

On either, a warning says what is awaited whenever nothing has moved for so long.
"""

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from request_engine import logs
from request_engine.durations import clock_time
from request_engine.gate import Gate
from request_engine.requests_file import RequestsFile
from request_engine.shares import Binding
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.targets import Targets
from request_engine.timers import repeated

if TYPE_CHECKING:
    from rich.console import Group

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two plain lines, and without any movement before a warning."""
_LOOKED = 5.0
"""Seconds between two looks at whether a line is due; while a run drains, one always is."""
_REDRAWN = 0.25
"""Seconds between two drawings of the panel, which take some 5 ms each."""
_MINUTE = 60.0
_SAMPLE = 1.0


class Moving(Protocol):
    """What is known of requests in flight, by the running loop's clock."""

    @property
    def moved_at(self) -> float:
        """When an attempt was last sent, or a byte that means something last received."""
        ...

    def waiting_since(self) -> float | None:
        """Since when the oldest attempt in flight waits."""
        ...


class _Together:
    """Several that move, as one."""

    def __init__(self, parts: Sequence[Moving]) -> None:
        self._parts = parts

    @property
    def moved_at(self) -> float:
        return max(one.moved_at for one in self._parts)

    def waiting_since(self) -> float | None:
        since = (one.waiting_since() for one in self._parts)
        return min((one for one in since if one is not None), default=None)


def together(parts: Sequence[Moving]) -> Moving:
    """What is known of all *parts*."""
    return parts[0] if len(parts) == 1 else _Together(parts)


class State:
    """A reading of a run at one moment, for either display."""

    def __init__(
        self,
        tally: Tally,
        budget: Targets,
        stopping: Stopping,
        requests: RequestsFile,
        moving: Moving,
    ) -> None:
        """Begin to watch a run over *requests*, on the running loop's clock."""
        self.tally = tally
        self.budget = budget
        self.stopping = stopping
        self.requests = requests
        self.moving = moving
        self.clock = asyncio.get_running_loop().time
        self.started = self.clock()
        self._rows, self._rows_at = self.done(), self.started
        self._samples: deque[tuple[float, int, int, int]] = deque([(self.started, 0, 0, 0)])

    def total(self) -> str:
        """How many requests the file holds, as far as is known."""
        expected = self.requests.expected_requests()
        if expected is None:
            return ""
        return f" of {'' if self.requests.finished else '~'}{expected:,}"

    def rates(self) -> tuple[float, float, float]:
        """Attempts and tokens in the last minute, and rows a minute at its speed."""
        now = self.clock()
        tally = self.tally
        samples = self._samples
        if now - samples[-1][0] >= _SAMPLE:
            samples.append((now, tally.attempts, tally.tokens, tally.finished))
        while len(samples) > 1 and now - samples[1][0] >= _MINUTE:
            samples.popleft()
        then, attempts, tokens, rows = samples[0]
        scale = _MINUTE / max(now - then, 1.0)
        part = min(1.0, scale)  # of what was counted since then, if that is more than a minute
        return (
            (tally.attempts - attempts) * part,
            (tally.tokens - tokens) * part,
            (tally.finished - rows) * scale,
        )

    def done(self) -> int:
        """Requests that have their row."""
        return self.tally.finished + self.tally.done_before

    def elapsed(self) -> float:
        return self.clock() - self.started

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
            at_most = clock_time(self.stopping.time_left())
            return f"{budget.in_flight:,} answers in flight, at most {at_most} more"
        if budget.held_by is not None:
            return f"{Binding.DISK}: {budget.held_by}"
        if budget.binding is Binding.PAUSE:
            return f"a pause of {budget.least_wait():.0f} s to end: {self.stopping.kept_out_by}"
        if budget.waiting and budget.binding is not Binding.FILE:
            return budget.binding
        if budget.in_flight:
            return "the service"
        return "the next attempt of what failed" if self.stopping.backing_off else "the file"

    def still(self) -> float:
        """Seconds since anything moved: an attempt, a byte of an answer, or a row."""
        now, rows = self.clock(), self.done()
        if rows != self._rows:
            self._rows, self._rows_at = rows, now
        return now - max(self._rows_at, self.moving.moved_at)

    def of(self, count: float, gates: Sequence[Gate]) -> str:
        """What was used in the last minute, of the limit where one is known; ~ if it was found.

        *gates* are those of all places that requests go to, added up.
        """
        limits = [gate.per_minute for gate in gates]
        told = [limit for limit in limits if limit is not None]
        if len(told) < len(limits):
            return f"{count:,.0f}"
        if all(gate.allowance is not None for gate in gates):
            now = self.clock()
            count = sum(gate.allowance.spent(now) for gate in gates if gate.allowance is not None)
        found = "" if all(gate.given for gate in gates) else "~"
        return f"{count:,.0f}/{found}{sum(told):,.0f}"

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

    def still_line(self) -> str:
        """What is awaited, and since when."""
        since, in_flight = self.moving.waiting_since(), ""
        if since is not None:
            oldest = self.clock() - since
            in_flight = f"{self.budget.in_flight:,} in flight, the oldest for {oldest:,.0f} s; "
        return (
            f"nothing has moved for {self.still():,.0f} s: {in_flight}waits for {self.waits_for()}"
        )

    def draining_line(self) -> str:
        """What a stopped run still waits for."""
        again = "; again to quit now" if self.stopping.interrupted else ""
        return f"waiting for {self.waits_for()}{again}"


class _Lines:
    """Says on the log what is due."""

    def __init__(self, state: State, *, plain: bool) -> None:
        """Without *plain* there is a panel, and only warnings are said here."""
        self._state = state
        self._plain = plain
        self._looked = self._said = self._warned = state.clock()

    def look(self) -> None:
        """Say one line if one is due: the warning in place of the others."""
        state, now = self._state, self._state.clock()
        late, self._looked = now - self._looked > 2 * _LOOKED, now
        state.rates()  # looks as well, so that the last minute is not counted from long ago
        if late:  # the process itself was stopped, and has not yet read what came meanwhile
            return
        if round(state.still()) >= EVERY and round(now - self._warned) >= EVERY:
            self._said = self._warned = now
            log.warning("%s", state.still_line())
            self._tell_places()
        elif self._plain and state.stopping.reason is not None:
            log.info("%s", state.draining_line())
        elif self._plain and round(now - self._said) >= EVERY:
            self._said = now
            log.info("%s", state.line())
            self._tell_places()

    def _tell_places(self) -> None:
        for told in self._state.budget.told() if self._plain else ():
            log.info("  %s", told)


@contextmanager
def display(state: State, *, on_screen: bool) -> Iterator[None]:
    """The live panel if *on_screen* and standard error is a terminal, else plain lines."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    if not on_screen or plain or not sys.stderr.isatty():
        with repeated(_LOOKED, _Lines(state, plain=True).look):
            yield
        return
    from rich.console import Console
    from rich.live import Live

    # Drawn on the loop's own timer: in a thread it would read what the loop is changing.
    panel = Live(
        console=Console(file=logs.lasting(sys.stderr)),
        get_renderable=lambda: _panel(state),
        auto_refresh=False,
        transient=True,
    )
    warnings = _Lines(state, plain=False)
    with panel, repeated(_REDRAWN, panel.refresh), repeated(_LOOKED, warnings.look):
        yield


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
    third = Text.assemble(
        "waits for ", (state.waits_for(), "cyan"), no_wrap=True, overflow="ellipsis"
    )
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
    places = [Text(told, no_wrap=True, overflow="ellipsis") for told in state.budget.told()]
    return Group(bar, first, second, third, *places)
