"""Where outcomes go: rows of answers, rows of failures, and which requests have theirs already."""

import logging
from array import array

from request_engine.identity import Fingerprints, content_id
from request_engine.records import Failure, Outcome, Request, Unusable
from request_engine.results_file import ResultsFile

log = logging.getLogger(__name__)


class Journal:
    """The results file, with the failures in a file of their own if the user wants that."""

    def __init__(
        self, results: ResultsFile, errors: ResultsFile | None = None, *, ordered: bool = False
    ) -> None:
        """*ordered* puts the rows into the order of the requests when the run ends.

        Rows are still appended as answers arrive, since an answer held back in memory is one that
        a crash takes. It costs 8 bytes of memory a request.
        """
        self.failed_before = 0
        self.unreadable = 0
        self._results = results
        self._errors = errors
        self._ordered = ordered
        self._offsets: dict[ResultsFile, array[int]] = {}
        self._unwritten: list[tuple[ResultsFile, int, bytes]] = []
        self._answered = self._recover(results)
        self.answered_before = len(self._answered)
        if errors is not None:
            self._recover(errors)

    @property
    def unclaimed(self) -> int:
        """Answers of earlier runs that no request has claimed."""
        return len(self._answered)

    def claim(self, request: Request | Unusable) -> bool:
        """Whether an earlier run answered *request*; each answer serves one request only."""
        if not len(self._answered) or isinstance(request, Unusable):
            return False
        offset = self._answered.take(content_id(request.body, request.metadata))
        if offset is None:
            return False
        self._place(self._results, request.number, offset)
        return True

    def write(self, request: Request | Unusable, outcome: Outcome) -> None:
        """Append the row of *request*. An OSError means it is kept, to be written by `close`."""
        file = self._results
        if self._errors is not None and isinstance(outcome, Failure):
            file = self._errors
        row = file.format.row(request, outcome)
        try:
            self._place(file, request.number, file.append(row))
        except OSError:
            self._unwritten.append((file, request.number, row))
            raise

    def close(self) -> None:
        """Write what could not be written before, order the rows, and close the files."""
        try:
            self._write_rest()
            for file, offsets in self._offsets.items():
                file.put_in_order(offsets)
        except OSError as error:
            log.error("the results cannot be written: %s", error.strerror)
        finally:
            self._results.close()
            if self._errors is not None:
                self._errors.close()

    @property
    def unwritten(self) -> int:
        """Rows that the disk did not take."""
        return len(self._unwritten)

    def _write_rest(self) -> None:
        while self._unwritten:
            file, number, row = self._unwritten[0]
            self._place(file, number, file.append(row))
            del self._unwritten[0]

    def _recover(self, file: ResultsFile) -> Fingerprints:
        earlier = file.recover()
        self.failed_before += earlier.failed
        self.unreadable += earlier.unreadable
        if self._ordered:
            self._offsets[file] = array("q")
        return earlier.answered

    def _place(self, file: ResultsFile, number: int, offset: int) -> None:
        if not self._ordered:
            return
        offsets = self._offsets[file]
        if len(offsets) <= number:
            offsets.extend([-1] * (number + 1 - len(offsets)))
        offsets[number] = offset
