"""Say when two lines share a custom_id, which is all that many tools tell rows apart by."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from request_engine.records import Request, Unusable
from request_engine.requests_file import Batch
from request_engine.seen import Seen

log = logging.getLogger(__name__)

MOST = 100_000
"""How many are remembered, in 2 MB: as many lines as any service's batch file may have."""
_SHOWN = 60
"""Characters of the one that is shown."""


async def watched(batches: AsyncGenerator[Batch, None]) -> AsyncGenerator[Batch, None]:
    """*batches* as they are, with a warning at the first custom_id that is there again."""
    seen = Seen()
    watching = True
    async with aclosing(batches):
        async for batch in batches:
            if watching:
                again = _again(batch, seen)
                if again is not None:
                    _warn(again)
                watching = again is None and len(seen) < MOST
            yield batch


def _again(batch: Batch, seen: Seen) -> Request | Unusable | None:
    """The first line of *batch* that is named as one before it."""
    for item in batch:
        if item.custom_id is not None and seen.add(item.custom_id):
            return item
    return None


def _warn(item: Request | Unusable) -> None:
    log.warning(
        "line %d has the custom_id of an earlier line, %s: each such line is answered, but nothing "
        "in their rows says which is whose, and the Batch API refuses such a file",
        item.number,
        json.dumps(item.custom_id)[:_SHOWN],
    )
