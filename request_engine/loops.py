"""The event loop that a run or a client gets where nobody has brought one."""

import asyncio
import importlib
import importlib.util
from collections.abc import Callable


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes uvloop's event loop if it is installed (`pip install .[fast]`), else asyncio's own."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return made
