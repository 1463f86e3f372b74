"""A file of texts to embed: read, packed, sent, and each line given a row of its own.

intake -> lines that have no row -> packing -> packs -> unpacking -> a row for each line
"""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from request_engine import packing
from request_engine.disk import Disk, Written
from request_engine.each_line import EachLine
from request_engine.intake import Intake, Measure
from request_engine.journal import Journal
from request_engine.packing import Pack, Packing
from request_engine.records import Outcome, Request, Unusable
from request_engine.requests_file import Batch
from request_engine.send import Send
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.targets import Targets
from request_engine.token_counts import TokenCounts
from request_engine.unpacking import Unpacker
from request_engine.vector_file import ENDING, VectorJournal, index_of

_MOST_TEXTS = 16_384
"""Texts under way, so that memory is bounded."""
_LEAST_PACKS = 16


class EmbedFile(EachLine):
    """What --embed makes of the pieces of a run."""

    def __init__(self, inputs: int | None, tokens: int | None, encoding_name: str | None) -> None:
        """BadInput where *inputs* or *tokens*, the user's own caps, make no sense."""
        self._inputs = packing.own_cap(inputs, "--inputs_per_request")
        self._tokens = packing.own_cap(tokens, "--tokens_per_request")
        self._encoding_name = encoding_name

    def paths(self, requests: str, results: str | None, errors: str | None) -> str:
        """The same, for the index of a file of vectors as well."""
        path = super().paths(requests, results, errors)
        if path.endswith(ENDING):
            super().paths(requests, index_of(path), errors)
        return path

    def journal(self, path: str) -> type[Journal]:
        """The same, or what keeps the index of a file of vectors."""
        return VectorJournal if path.endswith(ENDING) else super().journal(path)

    def disk(
        self,
        journal: Journal,
        targets: Targets,
        stopping: Stopping,
        written: Written,
        *,
        fsync: float | None,
    ) -> Disk:
        """What writes the rows of lines."""
        self._caps = packing.caps(targets, self._inputs, self._tokens)
        rows_each = self._caps.inputs
        disk = PackDisk(journal, targets, stopping, written, fsync=fsync, rows_each=rows_each)
        self._packing = self._packing_for(targets, journal, disk)
        return disk

    def intake(
        self,
        batches: AsyncGenerator[Batch, None],
        measure: Measure,
        journal: Journal,
        tally: Tally,
        *,
        fills: bool,
    ) -> Intake:
        """The lines in packs."""
        return PackedIntake(batches, measure, journal, tally, self._packing, fills=fills)

    def send(
        self, send: Send, measure: Measure, targets: Targets, stopping: Stopping, tally: Tally
    ) -> Send:
        """What sends a pack and unpacks its reply, where *send* sends one request."""
        return Unpacker(
            send, measure, self._packing, targets=targets, stopping=stopping, tally=tally
        ).send

    @property
    def most_open(self) -> int:
        """Packs that may be under way."""
        return max(_LEAST_PACKS, _MOST_TEXTS // self._caps.inputs)

    def _packing_for(self, targets: Targets, journal: Journal, disk: Disk) -> Packing:
        keep, fields = disk.keep, dict[str, Any]()
        if isinstance(journal, VectorJournal):
            keep = partial(_keep_checked, journal, disk)
            if all(one.provider.profile.base64_vectors for one in targets.all):
                fields["encoding_format"] = "base64"
        first = targets.all[0]
        return Packing(
            self._caps,
            keep,
            address=first.address,
            amendment=first.amendment,
            encoding_name=self._encoding_name,
            fields=fields,
        )


def _keep_checked(journal: VectorJournal, disk: Disk, line: Request, outcome: Outcome) -> None:
    disk.keep(line, journal.checked(outcome))


class PackedIntake(Intake):
    """The packs of lines that have no row yet."""

    def __init__(
        self,
        batches: AsyncGenerator[Batch, None],
        measure: Measure,
        journal: Journal,
        tally: Tally,
        packing: Packing,
        *,
        fills: bool,
    ) -> None:
        """*fills*: more lines are read until a pack is full; not where they come as they like."""
        super().__init__(batches, measure, journal, tally)
        self._packing = packing
        self._fills = fills
        self._counting = TokenCounts()

    async def _todo(self) -> Batch | None:
        while (todo := await super()._todo()) is not None:
            ready = await self._packed(todo)
            if not self._fills:
                ready += self._packing.rest()
            if ready:
                return ready
        return [*self._packing.rest()] or None

    async def _packed(self, todo: Batch) -> Batch:
        requests = [item for item in todo if isinstance(item, Request)]
        unusable = [item for item in todo if isinstance(item, Unusable)]
        return [*unusable, *await self._packing.packed(requests, self._counting)]


class PackDisk(Disk):
    """Writes the rows of lines; packs have none."""

    def keep(self, request: Request | Unusable, outcome: Outcome) -> None:
        if not isinstance(request, Pack):
            super().keep(request, outcome)
