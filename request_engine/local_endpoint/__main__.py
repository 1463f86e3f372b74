"""Runs the local endpoint from the command line: until it is stopped, or for one command."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..command_line import undisturbed
from ..descriptors import most_connections
from ..errors import BadInput
from . import LocalEndpoint, serving
from .command import run
from .flags import Asked, read

_CONNECTIONS = 16_000
"""A connection each for the requests in flight of the largest rehearsal."""


def main() -> int:
    with undisturbed():
        try:
            return asyncio.run(_serve(read(sys.argv[1:])))
        except BadInput as error:
            _say(f"local endpoint: {error}")
            return 2
        except KeyboardInterrupt:
            return 130


async def _serve(asked: Asked) -> int:
    most_connections(_CONNECTIONS)
    async with serving(asked.settings) as endpoint:
        stop = None if asked.command else _told_to_stop()
        with _port_file(asked.port_file, endpoint.url):
            _say(_greeting(asked, endpoint))
            if stop is None:
                return await run(asked.command, endpoint.url)
            await stop.wait()
            _say(_farewell(endpoint))
            return 0


def _say(line: str) -> None:
    with suppress(OSError):  # nobody reads it any more
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _greeting(asked: Asked, endpoint: LocalEndpoint) -> str:
    seed = f" (faults drawn with --seed {asked.settings.seed})" if asked.settings.fault else ""
    return f"local endpoint at {endpoint.url}, its answers are canned{seed}"


def _farewell(endpoint: LocalEndpoint) -> str:
    ledger = endpoint.ledger
    return f"local endpoint: {ledger.requests} requests, {ledger.billed} billed"


def _told_to_stop() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM; listening before anybody can know our port."""
    stop = asyncio.Event()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    except NotImplementedError:  # Windows, where Ctrl-C cancels us
        pass
    return stop


@contextmanager
def _port_file(filepath: str | None, url: str) -> Iterator[None]:
    """The port on a line of its own, whole from the moment the file is there until we end."""
    if filepath is None:
        yield
        return
    path = Path(filepath)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(f"{url.rpartition(':')[2]}\n", encoding="ascii")
        unfinished.replace(path)
    except OSError as error:
        raise BadInput(f"cannot write the port file {filepath}: {error.strerror}") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
