"""A file of requests and how to run it: check what the user gave, join the pieces, run."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from request_engine import (
    announce,
    custom_ids,
    encodings,
    garbage,
    places,
    preflight,
    progress,
    shape,
    signals,
)
from request_engine.counting import Counter
from request_engine.destination import Carrier, Destination, Timeouts
from request_engine.each_line import EachLine
from request_engine.embed_files import EmbedFile
from request_engine.errors import BadInput, Stopped
from request_engine.extraction import Extraction
from request_engine.intake import Measure, uncounted
from request_engine.journal import Journal
from request_engine.provider import Provider
from request_engine.requests_file import RequestsFile
from request_engine.rows import SPELLINGS
from request_engine.run import MANY, Run
from request_engine.send import Sender
from request_engine.stopping import Stopping
from request_engine.summary import Summary
from request_engine.survey import survey
from request_engine.tally import Tally
from request_engine.targets import Targets
from request_engine.token_counts import WORTH_A_PROCESS, TokenCounts

log = logging.getLogger(__name__)


@dataclass(kw_only=True, repr=False)
class Job:
    """What the user asked for; the fields are the parameters of the door's function."""

    requests_filepath: str
    save_filepath: str | None
    endpoints: str | None
    request_url: str | None
    api_key: str | None
    api_key_command: str | None
    max_requests_per_minute: float | str | None
    max_tokens_per_minute: float | str | None
    max_input_tokens_per_minute: float | str | None
    max_output_tokens_per_minute: float | str | None
    token_encoding_name: str | None
    max_attempts: int
    provider: str | None
    models: Mapping[str, str] | str | Iterable[str] | None
    response_schema: str | None
    embed: bool
    inputs_per_request: int | None
    tokens_per_request: int | None
    body: Mapping[str, Any] | str | Iterable[str] | None
    headers: Mapping[str, str] | str | Iterable[str] | None
    stream: bool
    seconds_to_sleep_each_loop: float
    max_concurrent_requests: int | None
    max_wait: float
    max_same_refusals: int | str | None
    drain_timeout: float
    connect_timeout: float
    first_byte_timeout: float
    progress_timeout: float
    total_timeout: float
    fsync: float | str | None
    overwrite: bool
    keep_failures: bool
    errors_filepath: str | None
    output_format: str
    ordered: bool
    show_progress: bool
    stop_on_signals: bool

    def __post_init__(self) -> None:
        self.requests_filepath = os.fspath(self.requests_filepath)
        if self.save_filepath is not None:
            self.save_filepath = os.fspath(self.save_filepath)
        if self.errors_filepath is not None:
            self.errors_filepath = os.fspath(self.errors_filepath)
        if self.endpoints is not None:
            self.endpoints = os.fspath(self.endpoints)

    async def run(self, providers: Sequence[Provider], carrier: Carrier | None = None) -> Summary:
        """Run it. Raises BadInput before anything is sent, Stopped when it ends early.

        *carrier* takes the place of the transport, as a simulated service does.
        """
        destinations = places.named(vars(self), providers)
        timeouts = self._timeouts()
        if self.token_encoding_name is not None:
            encodings.check(self.token_encoding_name)
        attempts = preflight.count(self.max_attempts, "--max_attempts")
        stopping = self._stopping()
        extraction = self._extraction(destinations)
        pieces = self._pieces(extraction)
        fsync = None
        if not preflight.is_none(self.fsync):
            fsync = preflight.seconds(self.fsync, "--fsync", zero=True)
        save_filepath = pieces.paths(
            self.requests_filepath, self.save_filepath, self.errors_filepath
        )
        spelling = preflight.choice(self.output_format, SPELLINGS, "--output_format")
        tally = Tally()
        targets, carriers = await places.opened(destinations, carrier, timeouts)
        counter = self._counter(destinations, targets, apart=carrier is None)
        with closing(RequestsFile(self.requests_filepath)) as requests:
            journal = pieces.journal(save_filepath)(
                save_filepath,
                self.errors_filepath,
                spelling,
                ordered=self.ordered,
                overwrite=self.overwrite,
            )
            disk = pieces.disk(journal, targets, stopping, tally.finish, fsync=fsync)
            try:
                self._announce(destinations, save_filepath)
                surveyed = await self._matched(requests, journal, tally)
                moving = progress.together(carriers)
                state = progress.State(tally, targets, stopping, requests, moving)
                sender = Sender(
                    targets,
                    stopping=stopping,
                    tally=tally,
                    max_attempts=attempts,
                    extraction=extraction,
                )
                measure: Measure = uncounted if counter is None else counter.measure
                if counter is not None and extraction is not None:
                    measure = extraction.measuring(measure, destinations[0].service)
                intake = pieces.intake(
                    custom_ids.watched(requests.batches()),
                    measure,
                    journal,
                    tally,
                    fills=requests.can_be_read_twice,
                )
                run = Run(
                    pieces.send(sender.send, measure, targets, stopping, tally),
                    targets,
                    disk,
                    stopping,
                    tally,
                    most_open=pieces.most_open,
                    is_large=lambda: (requests.expected_requests() or 0) - tally.done_before > MANY,
                )
                with self._watched(state), garbage.rarely_looked_for():
                    async with AsyncExitStack() as entered:
                        for one in carriers:
                            await entered.enter_async_context(one)
                        await entered.enter_async_context(disk.watched())
                        await run.run(intake)
            finally:
                if counter is not None:
                    await counter.close()
                targets.close()
                trouble = disk.close()
            changed = requests.changed()
        stopping.judge_whole_run(tally)
        if trouble is not None:
            stopping.stop(trouble)
        if changed is not None:
            log.warning("%s changed while it was read: %s", self.requests_filepath, changed)
        if not surveyed:
            announce.unmatched(journal)
        return self._closed(state, journal, save_filepath)

    async def _matched(self, requests: RequestsFile, journal: Journal, tally: Tally) -> bool:
        """Find what is done, and say so; whether that is known of all requests by now."""
        await journal.recover(keep_failures=self.keep_failures)
        tally.answers_found = journal.answered_before
        tally.failed_before = journal.failed_before
        surveyed = await survey(requests, journal, tally)
        announce.found(journal, requests, tally, surveyed=surveyed)
        return surveyed

    def _pieces(self, extraction: Extraction | None) -> EachLine:
        """What the run is made of."""
        if self.embed:
            if extraction is not None:
                raise BadInput(f"{shape.FLAG} is for answers in words: --embed has no use for it")
            name = self.token_encoding_name
            return EmbedFile(self.inputs_per_request, self.tokens_per_request, name)
        for name in ("inputs_per_request", "tokens_per_request"):
            if getattr(self, name) is not None:
                raise BadInput(f"--{name} says how texts are packed: give --embed as well")
        return EachLine()

    def _stopping(self) -> Stopping:
        most = None
        if not preflight.is_none(self.max_same_refusals):
            most = preflight.count(self.max_same_refusals, "--max_same_refusals")
        return Stopping(
            preflight.seconds(self.max_wait, "--max_wait"),
            drain_timeout=preflight.seconds(self.drain_timeout, "--drain_timeout"),
            max_same_refusals=most,
        )

    def _counter(
        self, destinations: Sequence[Destination], targets: Targets, *, apart: bool
    ) -> Counter | None:
        """What counts tokens, as the first place does; nothing is counted that nothing limits.

        *apart*: a process may do it, as none may where time is simulated.
        """
        if not any(one.counts_tokens for one in destinations):
            return None
        service, amendment = destinations[0].service, destinations[0].amendment
        counts = TokenCounts(apart=apart and self._size() >= WORTH_A_PROCESS)
        return Counter(
            service.provider,
            service.address,
            self.token_encoding_name,
            counts,
            amendment,
            targets.is_far,
        )

    def _extraction(self, destinations: Sequence[Destination]) -> Extraction | None:
        """What all lines are asked for, where that is of one shape."""
        if self.response_schema is None:
            return None
        extraction = Extraction(shape.read_schema(os.fspath(self.response_schema)))
        for one in destinations:
            extraction.check(one.service)
        return extraction

    def _size(self) -> int:
        """Bytes of the requests file, 0 where that is not known beforehand."""
        try:
            return os.path.getsize(self.requests_filepath)
        except OSError:  # standard input, or not there, which is said later
            return 0

    def _timeouts(self) -> Timeouts:
        return Timeouts(
            connect_timeout=preflight.seconds(self.connect_timeout, "--connect_timeout"),
            first_byte_timeout=preflight.seconds(self.first_byte_timeout, "--first_byte_timeout"),
            progress_timeout=preflight.seconds(self.progress_timeout, "--progress_timeout"),
            total_timeout=preflight.seconds(self.total_timeout, "--total_timeout"),
        )

    @contextmanager
    def _watched(self, state: progress.State) -> Iterator[None]:
        with ExitStack() as watching:
            if self.stop_on_signals:
                watching.enter_context(signals.obeyed(state.stopping, state.budget))
            watching.enter_context(progress.display(state, on_screen=self.show_progress))
            yield

    def _announce(self, destinations: Sequence[Destination], save_filepath: str) -> None:
        shown = ", ".join(one.shown for one in destinations)
        log.info("%s -> %s, results to %s", self.requests_filepath, shown, save_filepath)
        for one in destinations:
            one.announce()

    def _closed(self, state: progress.State, journal: Journal, save_filepath: str) -> Summary:
        summary = Summary(
            tally=state.tally,
            seconds=state.elapsed(),
            save_filepath=save_filepath,
            errors_filepath=self.errors_filepath,
            stopped=state.stopping.reason,
            interrupted=state.stopping.interrupted,
            unwritten=journal.unwritten,
            waited=state.budget.shares.told(state.clock()),
            endpoints=state.budget.told_at_the_end(),
        )
        for line in summary.lines():
            log.info("%s", line)
        if summary.stopped is not None:
            raise Stopped(summary.stopped, summary)
        return summary
