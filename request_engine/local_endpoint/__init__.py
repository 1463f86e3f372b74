"""A loopback server that behaves like an OpenAI-compatible service, limits and faults included.

Its answers are canned. For tests, in the same event loop:

    async with serving(Settings(max_requests_per_minute=60)) as endpoint:
        ...  # endpoint.url, endpoint.ledger

In reading order: `server` (routes), `service` (one call's path), `calls`, `limiters` and `meters`,
`faults`, `answers`, `stream`, `delivery`, `ledger`; `__main__` and `command` for the command line.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .ledger import Entry, Ledger
from .settings import Settings

__all__ = ["Entry", "Ledger", "LocalEndpoint", "Settings", "serving"]


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """A server that is running; *url* has neither a path nor a slash at its end."""

    url: str
    ledger: Ledger


@asynccontextmanager
async def serving(settings: Settings | None = None) -> AsyncIterator[LocalEndpoint]:
    """Serve while the block runs, on any free port unless the settings name one."""
    # Imported here so that --help does not wait for aiohttp.
    from .server import running

    async with running(settings or Settings()) as (url, ledger):
        yield LocalEndpoint(url, ledger)
