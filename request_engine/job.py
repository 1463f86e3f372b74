"""A file of requests and how to run it: check what the user gave, join the pieces, run."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from request_engine import (
    announce,
    encodings,
    garbage,
    logs,
    preflight,
    progress,
    proxies,
    signals,
)
from request_engine.budget import Budget
from request_engine.counting import Counter
from request_engine.descriptors import most_connections, shortage
from request_engine.disk import Disk
from request_engine.errors import Stopped
from request_engine.intake import Intake, uncounted
from request_engine.journal import Journal
from request_engine.preflight import Service
from request_engine.provider import Provider
from request_engine.records import Failure, Reply
from request_engine.redaction import Redaction, secrets_in
from request_engine.requests_file import RequestsFile
from request_engine.rows import SPELLINGS
from request_engine.run import MANY, Run
from request_engine.send import Sender
from request_engine.stopping import Stopping
from request_engine.summary import Summary
from request_engine.survey import survey
from request_engine.tally import Tally
from request_engine.transport import Transport

log = logging.getLogger(__name__)

CONCURRENT = 1_000
"""Requests in flight where neither the user nor the service says how many."""


class Carrier(progress.Moving, Protocol):
    """What carries requests to the service and back: the transport, entered for a whole run."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        """Send *wire_body* to *url* once."""
        ...


@dataclass(kw_only=True, repr=False)
class Job:
    """What the user asked for; the fields are the parameters of the door's function."""

    requests_filepath: str
    save_filepath: str | None
    request_url: str | None
    api_key: str | None
    max_requests_per_minute: float | str | None
    max_tokens_per_minute: float | str | None
    max_input_tokens_per_minute: float | str | None
    max_output_tokens_per_minute: float | str | None
    token_encoding_name: str | None
    max_attempts: int
    provider: str | None
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

    async def run(self, providers: Sequence[Provider], carrier: Carrier | None = None) -> Summary:
        """Run it. Raises BadInput before anything is sent, Stopped when it ends early.

        *carrier* takes the place of the transport, as a simulated service does.
        """
        service = preflight.service(providers, self.provider, self.request_url)
        proxy = proxies.proxy_for(service.parts)
        key = preflight.key(self.api_key, service.provider, service.parts, os.environ)
        redaction = Redaction(key, *secrets_in(service.parts.geturl()), *secrets_in(proxy or ""))
        logs.hide(redaction)
        budget = self._budget(service.provider)
        counter = self._counter(service)
        transport = carrier or self._transport(service, key, proxy)
        attempts = preflight.count(self.max_attempts, "--max_attempts")
        stopping = self._stopping()
        fsync = None
        if not preflight.is_none(self.fsync):
            fsync = preflight.seconds(self.fsync, "--fsync", zero=True)
        save_filepath = preflight.paths(
            self.requests_filepath, self.save_filepath, self.errors_filepath
        )
        spelling = preflight.choice(self.output_format, SPELLINGS, "--output_format")
        tally = Tally()
        with closing(RequestsFile(self.requests_filepath)) as requests:
            journal = Journal(
                save_filepath,
                self.errors_filepath,
                spelling,
                ordered=self.ordered,
                overwrite=self.overwrite,
            )
            disk = Disk(journal, budget, stopping, tally.finish, fsync=fsync)
            try:
                self._announce(service, key, proxy, save_filepath)
                await journal.recover(keep_failures=self.keep_failures)
                tally.answers_found = journal.answered_before
                tally.failed_before = journal.failed_before
                surveyed = await survey(requests, journal, tally)
                announce.found(journal, requests, tally, surveyed=surveyed)
                state = progress.State(tally, budget, stopping, requests, transport)
                sender = Sender(
                    provider=service.provider,
                    post=transport.post,
                    address=service.address,
                    api_key=key,
                    redaction=redaction,
                    budget=budget,
                    stopping=stopping,
                    tally=tally,
                    max_attempts=attempts,
                )
                measure = uncounted if counter is None else counter.measure
                intake = Intake(requests.batches(), measure, journal, tally)
                run = Run(
                    sender.send,
                    budget,
                    disk,
                    stopping,
                    tally,
                    is_large=lambda: (requests.expected_requests() or 0) - tally.done_before > MANY,
                )
                with self._watched(state), garbage.rarely_looked_for():
                    async with transport, disk.watched():
                        await run.run(intake)
            finally:
                if counter is not None:
                    counter.close()
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

    def _stopping(self) -> Stopping:
        most = None
        if not preflight.is_none(self.max_same_refusals):
            most = preflight.count(self.max_same_refusals, "--max_same_refusals")
        return Stopping(
            preflight.seconds(self.max_wait, "--max_wait"),
            drain_timeout=preflight.seconds(self.drain_timeout, "--drain_timeout"),
            max_same_refusals=most,
        )

    def _budget(self, provider: Provider) -> Budget:
        profile = provider.profile
        wanted = preflight.count(
            self.max_concurrent_requests
            if self.max_concurrent_requests is not None
            else profile.max_concurrent or CONCURRENT,
            "--max_concurrent_requests",
        )
        possible = most_connections(wanted)
        if possible < wanted:
            log.warning("%s", shortage(possible, wanted))
        return Budget(
            requests_per_minute=self._limit("max_requests_per_minute"),
            tokens_per_minute=self._limit("max_tokens_per_minute"),
            input_tokens_per_minute=self._limit("max_input_tokens_per_minute"),
            output_tokens_per_minute=self._limit("max_output_tokens_per_minute"),
            max_concurrent=possible,
            learn_concurrency=self.max_concurrent_requests is None,
            seconds_between_sends=preflight.seconds(
                self.seconds_to_sleep_each_loop, "--seconds_to_sleep_each_loop", zero=True
            ),
            burst_seconds=profile.burst_seconds,
            charges_ceiling=profile.charges_ceiling,
        )

    def _limit(self, name: str) -> float | None:
        return preflight.limit(getattr(self, name), f"--{name}")

    def _counter(self, service: Service) -> Counter | None:
        """What counts tokens; nothing is counted that nothing limits."""
        name = self.token_encoding_name
        if name is not None:
            encodings.check(name)
        limits = (
            self.max_tokens_per_minute,
            self.max_input_tokens_per_minute,
            self.max_output_tokens_per_minute,
        )
        if all(preflight.is_none(one) for one in limits):
            return None
        return Counter(service.provider, service.address, name)

    def _transport(self, service: Service, key: str | None, proxy: str | None) -> Transport:
        return Transport(
            service.provider.headers(key),
            connect_timeout=preflight.seconds(self.connect_timeout, "--connect_timeout"),
            first_byte_timeout=preflight.seconds(self.first_byte_timeout, "--first_byte_timeout"),
            progress_timeout=preflight.seconds(self.progress_timeout, "--progress_timeout"),
            total_timeout=preflight.seconds(self.total_timeout, "--total_timeout"),
            proxy=proxy,
            assembler=service.provider.assembler,
        )

    @contextmanager
    def _watched(self, state: progress.State) -> Iterator[None]:
        with ExitStack() as watching:
            if self.stop_on_signals:
                watching.enter_context(signals.obeyed(state.stopping, state.budget))
            watching.enter_context(progress.display(state, on_screen=self.show_progress))
            yield

    def _announce(
        self, service: Service, key: str | None, proxy: str | None, save_filepath: str
    ) -> None:
        log.info(
            "%s -> %s (%s), results to %s",
            self.requests_filepath,
            service.shown,
            service.provider.name,
            save_filepath,
        )
        given = [one for one in (self.api_key, *secrets_in(service.parts.geturl())) if one]
        if any(one in argument for one in given for argument in sys.argv):
            log.warning(
                "the key is on the command line, where ps shows it to everybody: set %s instead",
                " or ".join(service.provider.key_variables),
            )
        if preflight.travels_openly(service.parts, key):
            log.warning(
                "the key travels unencrypted to %s: use https if the service has it",
                service.parts.hostname,
            )
        if proxy is not None:
            log.info("through the proxy %s", proxies.without_credentials(proxy))

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
        )
        for line in summary.lines():
            log.info("%s", line)
        if summary.stopped is not None:
            raise Stopped(summary.stopped, summary)
        return summary
