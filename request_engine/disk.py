"""Rows on their way to the disk: written at once, flushed on a timer, held while it takes none.

A row counts when it is written. While the disk takes none, nothing more is sent, what arrives is
kept in memory, and writing is tried again; when that does not pass, the run stops.
"""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from request_engine.journal import Journal
from request_engine.records import Outcome, Request, Unusable
from request_engine.stopping import Abandoned, Stopping
from request_engine.targets import Targets
from request_engine.timers import repeated

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds a disk may refuse before the run stops: somebody may be making room."""
_EVERY = 1.0
"""Seconds between two looks at the disk."""
_SPARE = 64 * 1024
"""Bytes that are left free whatever the rows need."""

Written = Callable[[Request | Unusable, Outcome], None]


class Disk:
    """Writes the rows of one run."""

    def __init__(
        self,
        journal: Journal,
        targets: Targets,
        stopping: Stopping,
        written: Written,
        *,
        fsync: float | None = 1.0,
        rows_each: int = 1,
    ) -> None:
        """*written* is told of each row when it is written, and not before.

        *rows_each*: most rows that come of one request.

        *fsync*: seconds between two flushes to the disk; 0 flushes each row before it counts, None
        leaves it to the system.
        """
        self._journal = journal
        self._targets = targets
        self._stopping = stopping
        self._written = written
        self._fsync = fsync
        self._rows_each = rows_each
        self._flushing: asyncio.Future[None] | None = None
        self._flushed_at = 0.0
        self._refused_since: float | None = None
        self._most_in_flight = 0
        self._accepted = asyncio.Event()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Flush, look for room and try again, for as long as the run lasts."""
        self._flushed_at = self._now()
        try:
            often = self._fsync or _EVERY
            with repeated(min(often, _EVERY), self._look), repeated(often, self._flush):
                yield
                await self._all_written()
        finally:
            if self._flushing is not None:
                await asyncio.wait([self._flushing])

    def keep(self, request: Request | Unusable, outcome: Outcome) -> None:
        """Write the row of *request*, or hold the run until the disk takes it."""
        try:
            self._journal.write(request, outcome)
        except OSError as error:
            self._refuse(f"the results cannot be written: {error.strerror}")
            return
        if self._journal.unwritten:
            return
        if self._fsync == 0 and not self._flush_now():
            return
        self._written(request, outcome)

    def close(self) -> str | None:
        """Write what is left, order the rows and close the files; what went wrong in that."""
        journal = self._journal
        gone = self._gone()
        if gone is not None:
            with suppress(OSError):
                journal.close()
            return gone
        steps: list[tuple[str, Callable[[], None]]] = [
            ("be written", partial(journal.write_rest, self._written)),
            ("be put in order", journal.put_in_order),
            ("be brought to the disk", journal.close),
        ]
        trouble = None
        for doing, step in steps:
            try:
                step()
            except OSError as error:
                trouble = trouble or f"the results cannot {doing}: {error.strerror}"
        return trouble

    def _look(self) -> None:
        gone = self._gone()
        if gone is not None:
            self._stopping.stop(gone)
        elif self._journal.unwritten:
            self._try_again()
        else:
            self._look_for_room()

    def _gone(self) -> str | None:
        path = self._journal.is_gone()
        return None if path is None else f"{path} was removed or replaced while it was written"

    async def _all_written(self) -> None:
        """Nothing is left to be sent, but the disk may have to be waited for."""
        with suppress(Abandoned):
            while self._journal.unwritten:
                with self._stopping.resting():
                    await self._accepted.wait()

    def _try_again(self) -> None:
        try:
            self._journal.write_rest(self._written)
        except OSError as error:
            self._refuse(f"the results cannot be written: {error.strerror}")
        else:
            self._accept()

    def _look_for_room(self) -> None:
        """Hold the run before the disk is full, so that what is in flight has room."""
        self._most_in_flight = max(self._most_in_flight, self._rows_each * self._targets.in_flight)
        rows, size = self._journal.rows_written, self._journal.bytes_written
        expected = 2 * size // max(rows, 1) * self._most_in_flight
        needed = expected + self._journal.longest_row + _SPARE
        for path in self._journal.paths:
            free = _free(path)
            if free is not None and free < needed:
                self._refuse(
                    f"the disk is nearly full: {_size(free)} free beside {path}, and "
                    f"{_size(needed)} may be needed for what is in flight"
                )
                return
        self._accept()

    def _refuse(self, reason: str) -> None:
        if self._refused_since is None:
            self._refused_since = self._now()
            log.warning("%s; nothing more is sent until that passes", reason)
        self._accepted.clear()
        self._targets.hold(reason)
        patience = min(PATIENCE, self._stopping.max_wait)
        if self._now() - self._refused_since >= patience:
            self._stopping.stop(reason)

    def _accept(self) -> None:
        if self._refused_since is not None:
            self._refused_since = None
            self._accepted.set()
            log.info("the disk takes rows again")
            self._targets.release()

    def _flush_now(self) -> bool:
        try:
            self._journal.sync()
        except OSError as error:
            self._unsure(error)
            return False
        return True

    def _flush(self) -> None:
        """Flush in a thread, since a slow disk may take seconds; where it is wanted and needed."""
        if not self._fsync or not self._journal.unflushed or self._flushing is not None:
            return
        self._flushed_at = self._now()
        loop = asyncio.get_running_loop()
        self._flushing = loop.run_in_executor(None, self._journal.sync)
        self._flushing.add_done_callback(self._flushed)

    def _flushed(self, flushing: "asyncio.Future[None]") -> None:
        self._flushing = None
        error = flushing.exception()
        if isinstance(error, OSError):
            self._unsure(error)

    def _unsure(self, error: OSError) -> None:
        ago = max(0.0, self._now() - self._flushed_at)
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - ago))
        self._stopping.stop(
            f"the results cannot be brought to the disk ({error.strerror}): of the rows written "
            f"since {since}, nobody knows which are there"
        )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _free(path: str) -> int | None:
    try:
        return shutil.disk_usage(os.path.dirname(os.path.realpath(path))).free
    except OSError:
        return None


def _size(count: int) -> str:
    return f"{count / 1_048_576:,.1f} MiB" if count >= 1_048_576 else f"{count / 1024:,.0f} KiB"
