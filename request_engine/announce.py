"""The first lines of a run: what goes where, and what earlier runs left."""

import logging

from request_engine.journal import Journal
from request_engine.requests_file import RequestsFile
from request_engine.tally import Tally

log = logging.getLogger(__name__)


def found(journal: Journal, requests: RequestsFile, tally: Tally, *, surveyed: bool) -> None:
    """Say what is done, to do, failed before, and what matches no line.

    *surveyed*: whether every line was matched already; else that is told when the run ends.
    """
    for aside in journal.moved_aside:
        log.info("the old results were moved to %s", aside)
    if journal.zeros:
        log.warning("%s zeros at the end, left by a power cut, were cut off", f"{journal.zeros:,}")
    if journal.torn:
        log.warning("the last row was torn off by a crash; it is in the .torn file beside it")
    if journal.unreadable:
        log.warning(
            "%s lines of %s are no rows of ours: left alone, and not counted as done",
            f"{journal.unreadable:,}",
            " or ".join(journal.paths),
        )
    if not (journal.answered_before or journal.failed_before):
        return
    kept = "are kept" if journal.keeps_failures else "are tried again"
    failed = f"{journal.failed_before:,} failed before and {kept}"
    if not surveyed:
        log.info("going on: %s rows of answers, %s", f"{journal.answered_before:,}", failed)
        return
    expected = requests.expected_requests() or 0
    log.info(
        "going on: %s of %s are done, %s to do; %s",
        f"{tally.done_before:,}",
        f"{expected:,}",
        f"{expected - tally.done_before:,}",
        failed,
    )
    unmatched(journal)


def unmatched(journal: Journal) -> None:
    """Say how many rows of earlier runs no line of the file has claimed."""
    if journal.unclaimed:
        log.warning(
            "%s of %s earlier rows match no line of the file: they stay, and their lines were "
            "changed or taken out",
            f"{journal.unclaimed:,}",
            f"{journal.claimable:,}",
        )
