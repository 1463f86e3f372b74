"""Look for garbage less often while a run lasts: what it makes is freed when it is no longer used.

Python looks through all young objects whenever 700 more were made than freed. Requests in flight
are no garbage, nor are the modules and the encoding behind them: with 5,000 in flight that took
45 us a request, and 60 ms at a time. So it takes 2 us, 10 ms at a time, and 2 MB of memory.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG = 20_000
"""Objects made between two looks."""


@contextmanager
def rarely_looked_for() -> Iterator[None]:
    """Leave alone what is there already, and look less often. Nothing is changed within another."""
    threshold = gc.get_threshold()
    if gc.get_freeze_count() or not 0 < threshold[0] < _YOUNG:
        yield
        return
    gc.freeze()
    gc.set_threshold(_YOUNG, *threshold[1:])
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()


class Seldom:
    """Look less often while somebody asks for it, in a program that is not ours.

    Nothing is frozen there: what is garbage in it goes on being found.
    """

    def __init__(self) -> None:
        self._users = 0
        self._before: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """One more asks for it. Nothing is changed within another."""
        self._users += 1
        before = gc.get_threshold()
        if self._before is None and 0 < before[0] < _YOUNG:
            self._before = before
            gc.set_threshold(_YOUNG, *before[1:])

    def end(self) -> None:
        """One less; after the last one it is as before, unless it was set otherwise meanwhile."""
        self._users -= 1
        if self._users or self._before is None:
            return
        if gc.get_threshold()[0] == _YOUNG:
            gc.set_threshold(*self._before)
        self._before = None
