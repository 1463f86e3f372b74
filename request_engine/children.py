"""Processes of our own, for work that would hold up the event loop: another interpreter, set to
one function of ours.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
_CHILD = """import sys
folders, module, function, *arguments = sys.argv[1:]
sys.path += folders.split("\\n")
getattr(__import__(module, fromlist=["*"]), function)(*arguments)"""


def processors() -> int:
    """How many may work for us; 1 where no interpreter can be started."""
    # A program made into one file has no interpreter to start.
    if not sys.executable or getattr(sys, "frozen", False):
        return 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


async def start(module: str, function: str, *arguments: str, packages: bool = False) -> Process:
    """A process that calls *function* of *module*; we hold its standard input and output.

    *packages*: it imports installed ones, and so is told where ours are found. OSError where it
    cannot be started.
    """
    folders = [_ROOT, *(filter(os.path.isabs, sys.path) if packages else ())]
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            sys.executable,
            # Neither the folder we are in nor the user's own start-up files have a say in it.
            *("-I", "-S", "-c", _CHILD, "\n".join(folders), module, function, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await end(await starting)  # half started it would stay open
        raise


async def end(process: Process) -> None:
    """Wait no longer for *process*; nothing of it is left, even if this is cancelled."""
    # Not process.kill, which reaps it first and leaves the loop waiting for nobody.
    if process.stdin is not None:
        process.stdin.close()
    with suppress(OSError):
        os.kill(process.pid, signal.SIGTERM)
    ending = asyncio.create_task(process.communicate())
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise
