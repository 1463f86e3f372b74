"""Call something again and again on one timer of the running loop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call *call* every so many *seconds* on one timer."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def wind() -> None:
        nonlocal timer
        timer = loop.call_later(seconds, ring)

    def ring() -> None:
        wind()
        call()

    wind()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
