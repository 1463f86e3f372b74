"""Ctrl-C and its like: the first stops admission and drains, the second gives up what is left."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from request_engine.durations import clock_time
from request_engine.stopping import Stopping
from request_engine.targets import Targets

log = logging.getLogger(__name__)

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def obeyed(stopping: Stopping, targets: Targets) -> Iterator[None]:
    """Listen to signals while a run lasts. Only in the main thread, and not on Windows.

    From the third on, and outside a run, they do what they do to any program.
    """
    loop = asyncio.get_running_loop()
    heard_before = False
    # What is ignored stays so: nohup does that with SIGHUP.
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]

    def heard(number: signal.Signals) -> None:
        nonlocal heard_before
        if heard_before:
            listen_no_more()
            log.warning("%s: what is in flight is given up", number.name)
            stopping.give_up()
            return
        heard_before = True
        stopping.stop(f"interrupted by {number.name}", interrupted=True)
        log.warning(
            "%s: nothing more is sent, waiting for %s answers in flight, at most %s; "
            "again to quit now",
            number.name,
            f"{targets.in_flight:,}",
            clock_time(stopping.time_left()),
        )

    def listen_no_more() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    try:
        for number in numbers:
            loop.add_signal_handler(number, heard, number)
    except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
        numbers = []
    try:
        yield
    finally:
        listen_no_more()
