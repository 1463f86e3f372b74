"""Ctrl-C and its like: the first stops admission and drains, the second ends now."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from request_engine.budget import Budget
from request_engine.stopping import Stopping

log = logging.getLogger(__name__)

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def obeyed(stopping: Stopping, budget: Budget) -> Iterator[None]:
    """Listen to signals while a run lasts. Only in the main thread, and not on Windows."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    before: list[signal.Signals] = []

    def heard(number: signal.Signals) -> None:
        before.append(number)
        if len(before) == 1:
            log.warning(
                "%s: nothing more is sent, waiting for %s answers in flight; again to quit now",
                number.name,
                f"{budget.in_flight:,}",
            )
            stopping.stop(f"interrupted by {number.name}", interrupted=True)
        else:
            task.cancel()

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    # What is ignored stays so: nohup does that with SIGHUP.
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    installed = []
    try:
        for number in numbers:
            loop.add_signal_handler(number, heard, number)
            installed.append(number)
    except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
        pass
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)
