"""A key that lives for an hour: a command prints it, and prints another one in mid-run.

printed -> sent -> 45 minutes old, or refused -> printed anew -> hidden in all that is told -> sent
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult

from request_engine import preflight
from request_engine.errors import BadInput
from request_engine.provider import Provider

log = logging.getLogger(__name__)

RENEWED = 45 * 60.0
"""Seconds after which a key is renewed: some services let theirs live for an hour."""
AGAIN = 3 * 60.0
"""Seconds until the next try, where the command failed or printed the same key: some tools keep
theirs, and replace it a few minutes before it expires."""
SLOWEST = 60.0
"""Seconds that the command may take."""
_SHOWN = 200
"""Characters of what the command says about its failure."""


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """What prints the key."""

    text: str = field(repr=False)
    """Never shown: it may have a secret in it."""
    name: str
    """What it is called when it fails."""
    advice: str = ""
    """What to do instead."""


def command_for(
    given: str | None,
    api_key: str | None,
    provider: Provider,
    url: SplitResult,
    environ: Mapping[str, str],
    *,
    needed: bool = True,
) -> KeyCommand | None:
    """What prints the key: the user's command, or the one that comes with the service's own tools.

    That one serves the service's own hosts alone, where a key is *needed* and there is none.
    """
    if given and api_key:
        raise BadInput("--api_key and --api_key_command are both given: give one of them")
    if given:
        return KeyCommand(given, "--api_key_command")
    known = api_key or any(environ.get(one) for one in provider.key_variables)
    if provider.key_command is None or known or not needed or not provider.matches(url):
        return None
    variables = " or ".join(provider.key_variables)
    advice = f"; set {variables}, or give --api_key_command"
    return KeyCommand(provider.key_command, f"`{provider.key_command}`", advice)


class RenewableKey:
    """The key of a run, which every request asks for. Needs a running loop."""

    def __init__(
        self, first: str, fetch: Callable[[], Awaitable[str]], take: Callable[[str], None]
    ) -> None:
        """*fetch* gives the key of the moment, or BadInput; *take* is told each before its use."""
        self._text = first
        self._fetch = fetch
        self._take = take
        self.refused = False
        """Whether the key was refused and the next one is not there yet: sending is in vain."""
        self._renewal: asyncio.Task[None] | None = None
        self._due = _now() + RENEWED

    def __repr__(self) -> str:
        return "<RenewableKey>"

    def current(self) -> str:
        """The key to send. An old one still serves while it is being renewed."""
        if self._renewal is None and _now() >= self._due:
            self._renew()
        return self._text

    async def replaced(self, refused: str) -> bool:
        """Whether there is another key than the *refused* one: waits for the renewal it needs."""
        if refused == self._text:
            self.refused = True
            await asyncio.shield(self._renewal or self._renew())
        return refused != self._text

    def close(self) -> None:
        """The run is over: a renewal under way is of no use."""
        if self._renewal is not None:
            self._renewal.cancel()

    def _renew(self) -> asyncio.Task[None]:
        self._renewal = asyncio.create_task(self._renewed())
        return self._renewal

    async def _renewed(self) -> None:
        before = self._text
        try:
            text = await self._fetch()
            if text != before:
                self._take(text)
                self._text = text
                log.info("the key was renewed")
        except BadInput as wrong:
            log.warning("the key could not be renewed: %s", wrong)
        finally:
            self._due = _now() + (AGAIN if self._text == before else RENEWED)
            self._renewal, self.refused = None, False


async def printed_by(command: KeyCommand, slowest: float = SLOWEST) -> str:
    """The key that *command* prints; BadInput, in one line, where it prints none."""
    try:
        return await _printed_by(command, slowest)
    except BadInput as wrong:
        raise BadInput(f"{wrong}{command.advice}") from None


async def _printed_by(command: KeyCommand, slowest: float) -> str:
    try:
        # In a session of its own, so that the Ctrl-C that drains a run does not reach it.
        process = await asyncio.create_subprocess_shell(
            command.text,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError, NotImplementedError) as error:
        raise BadInput(f"{command.name} cannot be started: {error}") from None
    try:
        async with asyncio.timeout(slowest):
            printed, complaint = await process.communicate()
    except TimeoutError:
        raise BadInput(f"{command.name} printed no key within {slowest:.0f} s") from None
    finally:
        if process.returncode is None:
            _kill(process)
            await process.wait()
    if process.returncode != 0:
        said = _last_line(complaint)
        raise BadInput(
            f"{command.name} failed with exit code {process.returncode}{said and ': '}{said}"
        )
    return _checked(printed, command)


def _checked(printed: bytes, command: KeyCommand) -> str:
    key = printed.decode("utf-8", errors="replace").strip()
    if not key:
        raise BadInput(f"{command.name} printed nothing, but it must print the key")
    lines = len(key.splitlines())
    if lines > 1:
        raise BadInput(f"{command.name} printed {lines:,} lines, but it must print the key alone")
    return preflight.sendable(key, command.name)


def _kill(process: asyncio.subprocess.Process) -> None:
    """Also what its shell has started, which holds its output open."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode("utf-8", errors="replace").strip().splitlines()
    return " ".join(lines[-1].split())[:_SHOWN] if lines else ""


def _now() -> float:
    return asyncio.get_running_loop().time()
