"""Where outcomes go: rows of answers, rows of failures, and which requests have theirs already."""

from array import array
from collections.abc import Callable
from contextlib import ExitStack, closing

from request_engine.errors import BadInput
from request_engine.identity import Fingerprints, key_of
from request_engine.lines import content_of
from request_engine.records import Claim, Failure, Outcome, Request, Unusable
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
        overwrite: bool = False,
    ) -> None:
        """Open and lock the files. BadInput when that cannot be done.

        *ordered* puts the rows into the order of the requests when the run ends. Rows are still
        appended as answers arrive, since an answer held back in memory is one that a crash takes.
        It costs 16 bytes of memory a request. *overwrite* moves old files aside.
        """
        self.answered_before = 0
        """Rows of answers that earlier runs left."""
        self.failed_before = 0
        """Rows of failures that they left."""
        self.claimable = 0
        """Rows of earlier runs that a request may claim."""
        self.keeps_failures = False
        self.unreadable = 0
        self.zeros = 0
        self.torn = False
        self.unflushed = False
        """Whether rows were written that have not been brought to the disk."""
        self.bytes_written = 0
        self.rows_written = 0
        self.longest_row = 0
        self._spelling = spelling
        self._ordered = ordered
        self._offsets: dict[ResultsFile, array[int]] = {}
        self._earlier: list[tuple[ResultsFile, Fingerprints, Claim]] = []
        """Where rows of earlier runs are, their ids, and what they say."""
        self._unwritten: list[tuple[Request | Unusable, Outcome]] = []
        with ExitStack() as opened:
            # The failures first: answers are moved aside only when nothing can refuse any more.
            errors = None
            if errors_filepath is not None:
                errors = ResultsFile(errors_filepath, overwrite=overwrite)
                opened.enter_context(closing(errors))
            self._results = ResultsFile(save_filepath, overwrite=overwrite)
            opened.enter_context(closing(self._results))
            self._errors = errors or self._results
            self._both = tuple(dict.fromkeys((self._results, self._errors)))
            self._files = opened.pop_all()

    async def recover(self, *, keep_failures: bool = False) -> None:
        """Read what earlier runs left. BadInput when that cannot be done.

        Rows of failures are taken out, so that their requests are tried again, unless
        *keep_failures*: then they stay, and so does what they say.
        """
        for file in self._both:
            try:
                earlier = await file.recover(keep_failures=keep_failures, ordered=self._ordered)
            except OSError as error:
                why = f"{file.path} cannot be prepared: {error.strerror}"
                raise BadInput(
                    f"{why} (its rows of failures are taken out by way of a copy)"
                ) from None
            if file is self._results:
                self.answered_before = len(earlier.answered)
                self._earlier.append((file, earlier.answered, Claim.ANSWER))
            self._earlier.append((file, earlier.kept, Claim.FAILURE))
            self.failed_before += earlier.failed
            self.unreadable += earlier.unreadable
            self.zeros += earlier.zeros
            self.torn = self.torn or earlier.torn
            if self._ordered:
                self._offsets[file] = array("q")
        self.keeps_failures = keep_failures
        self.claimable = self.unclaimed
        self._earlier = [one for one in self._earlier if len(one[1])]

    @property
    def paths(self) -> list[str]:
        """The files that rows go to."""
        return [file.path for file in self._both]

    @property
    def moved_aside(self) -> list[str]:
        """Where old files went."""
        return [file.aside for file in self._both if file.aside is not None]

    @property
    def unclaimed(self) -> int:
        """Rows of earlier runs that no request has claimed."""
        return sum(len(ids) for _, ids, _ in self._earlier)

    @property
    def unwritten(self) -> int:
        """Rows that the disk did not take."""
        return len(self._unwritten)

    def claim(self, request: Request | Unusable) -> Claim | None:
        """The row that an earlier run left for *request*; each serves one request only."""
        return self.claim_content(request.number, content_of(request)) if self._earlier else None

    def claim_content(self, number: int, content: bytes) -> Claim | None:
        """The same of the request of line *number* with the content id *content*."""
        key = key_of(content)
        for file, keys, claim in self._earlier:
            offset = keys.take(key)
            if offset is not None:
                if self._ordered:
                    self._place(file, number, offset)
                return claim
        return None

    def write(self, request: Request | Unusable, outcome: Outcome) -> None:
        """Append the row of *request*. An OSError means that it is kept, for `write_rest`."""
        if self._unwritten:  # the disk refuses; it is asked again from time to time only
            self._unwritten.append((request, outcome))
            return
        try:
            self._append(request, outcome)
        except OSError:
            self._unwritten.append((request, outcome))
            raise

    def write_rest(self, written: Callable[[Request | Unusable, Outcome], None]) -> None:
        """Append what the disk did not take. *written* is told of each; OSError if some is left."""
        done = 0
        try:
            for row in self._unwritten:
                self._append(*row)
                done += 1
                written(*row)
        finally:
            del self._unwritten[:done]

    def sync(self) -> None:
        """Bring what was written to the disk. An OSError is final: nobody knows what is there."""
        self.unflushed = False
        for file in self._both:
            file.sync()

    def is_gone(self) -> str | None:
        """The path of a file that somebody removed while it was written."""
        return next((file.path for file in self._both if file.is_gone()), None)

    def put_in_order(self) -> None:
        """Put the rows into the order of the requests, if that is wanted."""
        for file, offsets in self._offsets.items():
            file.put_in_order(offsets)

    def close(self) -> None:
        """Bring all to the disk and let others write the files."""
        self._files.close()

    def _append(self, request: Request | Unusable, outcome: Outcome) -> None:
        file = self._errors if isinstance(outcome, Failure) else self._results
        row = self._spelling(request, outcome)
        offset = file.append(row)
        if self._ordered:
            self._place(file, request.number, offset)
        self.unflushed = True
        self.rows_written += 1
        self.bytes_written += len(row)
        if len(row) > self.longest_row:
            self.longest_row = len(row)

    def _place(self, file: ResultsFile, number: int, offset: int) -> None:
        offsets = self._offsets[file]
        if len(offsets) <= number:
            offsets.extend([-1] * (number + 1 - len(offsets)))
        offsets[number] = offset
