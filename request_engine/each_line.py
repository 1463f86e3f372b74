"""What a run is made of where every line is a request of its own."""

from collections.abc import AsyncGenerator

from request_engine import preflight
from request_engine.disk import Disk, Written
from request_engine.intake import Intake, Measure
from request_engine.journal import Journal
from request_engine.requests_file import Batch
from request_engine.send import Send
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.targets import Targets


class EachLine:
    """The pieces of such a run; `embed_files.EmbedFile` has others."""

    @property
    def most_open(self) -> int | None:
        """Requests that may be under way, None for as many as are of use."""
        return None

    def paths(self, requests: str, results: str | None, errors: str | None) -> str:
        """Where the results go. BadInput where two of the files are one."""
        return preflight.paths(requests, results, errors)

    def journal(self, path: str) -> type[Journal]:
        """What keeps the rows of the results file *path*."""
        return Journal

    def disk(
        self,
        journal: Journal,
        targets: Targets,
        stopping: Stopping,
        written: Written,
        *,
        fsync: float | None,
    ) -> Disk:
        """What writes the rows."""
        return Disk(journal, targets, stopping, written, fsync=fsync)

    def intake(
        self,
        batches: AsyncGenerator[Batch, None],
        measure: Measure,
        journal: Journal,
        tally: Tally,
        *,
        fills: bool,
    ) -> Intake:
        """The requests that have no row yet. *fills*: more may be read ahead."""
        return Intake(batches, measure, journal, tally)

    def send(
        self, send: Send, measure: Measure, targets: Targets, stopping: Stopping, tally: Tally
    ) -> Send:
        """What sends one of them, where *send* sends a request."""
        return send
