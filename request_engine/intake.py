"""Requests on their way in: read, matched with the rows of earlier runs, and measured.

One batch is made ready while the one before is admitted, so that neither a slow disk nor counting
holds up the sending; there are never more than two.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from request_engine.journal import Journal
from request_engine.records import Request, Unusable
from request_engine.requests_file import Batch
from request_engine.sizes import UNCOUNTED, Size
from request_engine.tally import Tally

Measure = Callable[[Sequence[Request]], Awaitable[Sequence[Size]]]
Measured = list[tuple[Request | Unusable, Size]]


async def uncounted(requests: Sequence[Request]) -> Sequence[Size]:
    """Their sizes where nothing is limited that would have to be counted."""
    return [UNCOUNTED] * len(requests)


class Intake:
    """The requests of a run that have no row yet, each with its size."""

    def __init__(
        self,
        batches: AsyncGenerator[Batch, None],
        measure: Measure,
        journal: Journal,
        tally: Tally,
    ) -> None:
        """*measure* says what one attempt of each request may take of the budget."""
        self._batches = batches
        self._measure = measure
        self._journal = journal
        self._tally = tally
        self._ahead: asyncio.Task[Measured | None] | None = None

    @property
    def waits(self) -> bool:
        """Whether the next batch has still to be read or measured."""
        return self._ahead is None or not self._ahead.done()

    async def next(self) -> Measured | None:
        """The next batch, None when there is no more; the one after that is begun."""
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._prepared())
        batch = await self._ahead
        if batch is not None:
            self._ahead = asyncio.create_task(self._prepared())
        return batch

    async def close(self) -> None:
        """Read no more."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)
        await self._batches.aclose()

    async def _prepared(self) -> Measured | None:
        todo = await self._todo()
        if todo is None:
            return None
        requests = [item for item in todo if isinstance(item, Request)]
        sizes = iter(await self._measure(requests) if requests else ())
        return [(item, next(sizes) if isinstance(item, Request) else UNCOUNTED) for item in todo]

    async def _todo(self) -> Batch | None:
        """What has no row yet of the next batch."""
        batch = await anext(self._batches, None)
        return None if batch is None else [item for item in batch if not self._has_row(item)]

    def _has_row(self, item: Request | Unusable) -> bool:
        claim = self._journal.claim(item)
        if claim is not None:
            self._tally.claim(claim)
        return claim is not None
