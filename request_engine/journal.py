"""Where outcomes go: rows of answers, rows of failures, and which requests have theirs already."""

from array import array
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial

from request_engine.errors import BadInput
from request_engine.identity import Fingerprints, content_id
from request_engine.records import Failure, Outcome, Request, Unusable
from request_engine.results_file import ResultsFile
from request_engine.rows import Spelling


class Journal:
    """The results file, with the failures in a file of their own if the user wants that."""

    def __init__(
        self,
        save_filepath: str,
        errors_filepath: str | None,
        spelling: Spelling,
        *,
        ordered: bool = False,
    ) -> None:
        """Open the files and read what earlier runs left. BadInput when that cannot be done.

        *ordered* puts the rows into the order of the requests when the run ends. Rows are still
        appended as answers arrive, since an answer held back in memory is one that a crash takes.
        It costs 8 bytes of memory a request.
        """
        self.failed_before = 0
        self.unreadable = 0
        self.torn = False
        self.trouble: str | None = None
        """What went wrong while closing."""
        self._spelling = spelling
        self._ordered = ordered
        self._offsets: dict[ResultsFile, array[int]] = {}
        self._unwritten: list[tuple[Request | Unusable, Outcome]] = []
        with ExitStack() as opened:
            self._results, self._answered = self._recovered(save_filepath, opened)
            self._errors = self._results
            if errors_filepath is not None:
                self._errors, _ = self._recovered(errors_filepath, opened)
            self._files = opened.pop_all()
        self.answered_before = len(self._answered)

    @property
    def unclaimed(self) -> int:
        """Answers of earlier runs that no request has claimed."""
        return len(self._answered)

    @property
    def unwritten(self) -> int:
        """Rows that the disk did not take."""
        return len(self._unwritten)

    def claim(self, request: Request) -> bool:
        """Whether an earlier run answered *request*; each answer serves one request only."""
        if not len(self._answered):
            return False
        offset = self._answered.take(content_id(request.body, request.metadata))
        if offset is None:
            return False
        self._place(self._results, request.number, offset)
        return True

    def write(self, request: Request | Unusable, outcome: Outcome) -> None:
        """Append the row of *request*. An OSError means that it is kept, for `write_rest`."""
        try:
            self._append(request, outcome)
        except OSError:
            self._unwritten.append((request, outcome))
            raise

    def close(self, written: Callable[[Request | Unusable, Outcome], None]) -> None:
        """Write what could not be written before, order the rows, and close the files.

        *written* is told of each row that was late. What goes wrong is told by `trouble`.
        """
        self._try("be written", partial(self._write_rest, written))
        self._try("be put in order", self._put_in_order)
        self._try("be brought to the disk", self._files.close)

    def _try(self, doing: str, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self.trouble = self.trouble or f"the results cannot {doing}: {error.strerror}"

    def _append(self, request: Request | Unusable, outcome: Outcome) -> None:
        file = self._errors if isinstance(outcome, Failure) else self._results
        self._place(file, request.number, file.append(self._spelling(request, outcome)))

    def _write_rest(self, written: Callable[[Request | Unusable, Outcome], None]) -> None:
        while self._unwritten:
            self._append(*self._unwritten[0])
            written(*self._unwritten.pop(0))

    def _put_in_order(self) -> None:
        for file, offsets in self._offsets.items():
            file.put_in_order(offsets)

    def _recovered(self, path: str, opened: ExitStack) -> tuple[ResultsFile, Fingerprints]:
        file = opened.enter_context(closing(ResultsFile(path)))
        try:
            earlier = file.recover()
        except OSError as error:
            raise BadInput(f"{path} cannot be prepared: {error.strerror}") from None
        self.failed_before += earlier.failed
        self.unreadable += earlier.unreadable
        self.torn = self.torn or earlier.torn
        if self._ordered:
            self._offsets[file] = array("q")
        return file, earlier.answered

    def _place(self, file: ResultsFile, number: int, offset: int) -> None:
        if not self._ordered:
            return
        offsets = self._offsets[file]
        if len(offsets) <= number:
            offsets.extend([-1] * (number + 1 - len(offsets)))
        offsets[number] = offset
