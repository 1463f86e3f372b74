"""Runs a command against a local endpoint of its own, as if the endpoint were not there.

The child keeps the terminal and the process group, so Ctrl-C reaches it directly and it decides;
what only its parent is sent (SIGTERM, SIGHUP) is passed on.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress

NOT_FOUND = 127
NOT_RUNNABLE = 126


async def run(command: Sequence[str], url: str) -> int:
    """The exit status of *command*, with every `{url}` in its arguments replaced."""
    arguments = [argument.replace("{url}", url) for argument in command]
    signals = _Signals()
    try:
        process = await asyncio.create_subprocess_exec(*arguments, env=environment(url))
    except OSError as error:
        sys.stderr.write(f"local endpoint: cannot run {arguments[0]}: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
    signals.to(process)
    return shell_status(await process.wait())


def environment(url: str) -> dict[str, str]:
    """Ours, with the URL in it, and with a proxy kept out of the way to this machine."""
    exempt = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "", "127.0.0.1", "::1"]
    no_proxy = ",".join(filter(None, exempt))
    ours = {"LOCAL_ENDPOINT_URL": url, "no_proxy": no_proxy, "NO_PROXY": no_proxy}
    return os.environ | ours


def shell_status(returncode: int) -> int:
    """128 + n for a child that signal n has ended, as shells have it."""
    return returncode if returncode >= 0 else 128 - returncode


class _Signals:
    """Passes signals on; those that come before there is a child wait for it."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._early: list[int] = []
        self._on("SIGINT", self._leave)
        self._on("SIGTERM", self._pass_on)
        self._on("SIGHUP", self._pass_on)

    def to(self, process: Process) -> None:
        self._process = process
        for number in self._early:
            self._pass_on(number)

    def _on(self, name: str, act: Callable[[int], None]) -> None:
        """A signal that was ignored at our start (nohup, a background job) stays so.

        A handler, unlike SIG_IGN, is not inherited by the child.
        """
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) == signal.SIG_IGN:
            return
        try:
            asyncio.get_running_loop().add_signal_handler(number, act, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, frame: act(number))

    def _leave(self, number: int) -> None:
        """The child has had it from the terminal already."""

    def _pass_on(self, number: int) -> None:
        if self._process is None:
            self._early.append(number)
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
