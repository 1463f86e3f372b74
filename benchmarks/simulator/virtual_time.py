"""An event loop on which time passes only when everything waits: hours in milliseconds."""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_MOST_TURNS = 500_000
"""Turns of the loop within one second of virtual time, after which it goes round in circles."""


class Stuck(AssertionError):
    """Everything waits for ever, or nothing does and no time passes, or too much has passed."""


class _ClockSelector(selectors.SelectSelector):
    """Instead of waiting for a timeout, moves the clock on by it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.until = math.inf
        self.always = False
        self.looks = True
        """Whether anything real may have happened, which takes a system call to see."""
        self._second = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if self.looks or timeout is None:
            # More is registered than the loop's own way to be woken, or signals may come that way.
            self.looks = self.always or len(self.get_map()) > 1
            ready = super().select(0)
            if ready:
                return ready
            if timeout is None:
                raise Stuck("everything waits, and no timer is set: this would hang for ever")
        self._turns += 1
        if timeout is not None and timeout > 0:
            self.now += timeout
        if self.now >= self._second or self._turns >= _MOST_TURNS:
            self._look_at_the_clock()
        return []

    def register(self, *arguments: Any, **named: Any) -> Any:
        self.looks = True
        return super().register(*arguments, **named)

    def _look_at_the_clock(self) -> None:
        turns, self._turns = self._turns, 0
        self._second = self.now + 1.0
        if turns >= _MOST_TURNS:
            raise Stuck(f"{turns:,} turns of the loop in the second before {self.now:,.3f} s")
        if self.now > self.until:
            self.until = math.inf
            raise Stuck(f"not done after {self.now:,.0f} s")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock starts at 0 and jumps from timer to timer; Stuck after *until*."""

    def __init__(self, until: float = math.inf) -> None:
        self._clock = _ClockSelector()
        self._clock.until = until
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def add_signal_handler(self, *arguments: Any) -> None:  # type: ignore[override]
        self._clock.always = True
        super().add_signal_handler(*arguments)

    def call_soon_threadsafe(self, *arguments: Any, **named: Any) -> Any:  # type: ignore[override]
        self._clock.looks = True
        return super().call_soon_threadsafe(*arguments, **named)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, call: Callable[..., T], *arguments: Any
    ) -> Any:
        """At once and here: a thread would take real time."""
        future = self.create_future()
        try:
            future.set_result(call(*arguments))
        except Exception as error:  # noqa: BLE001  raised where it is awaited
            future.set_exception(error)
        return future


def run(coroutine: Coroutine[Any, Any, T], until: float = math.inf) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(until)) as runner:
        return runner.run(coroutine)
