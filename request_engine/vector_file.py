"""Vectors in a NumPy file that grows, and the rows that say whose each is.

vectors.npy           an array of float32, a row for each text that was answered
vectors.index.jsonl   the results file: [body, {"row": 17, ...}, metadata], and the failures

A vector is written before its row. So the index is what a run resumes from, as ever; a crash in
between leaves a vector that no row tells of, and its text is asked again.
"""

import ast
import os
import sys
import threading
from array import array
from dataclasses import replace

from request_engine.errors import BadInput
from request_engine.journal import Journal
from request_engine.lock import is_still
from request_engine.record import record
from request_engine.records import Failure, Kind, Outcome, Request, Success, Unusable
from request_engine.results_file import moved_aside
from request_engine.rows import Spelling
from request_engine.vectors import vector_of, without_vectors

ENDING = ".npy"
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = 128
"""Bytes before the numbers: room for any number of rows."""
_NUMBER = 4
"""Bytes of one."""


@record(frozen=True, slots=True, kw_only=True)
class Vectored(Success):
    """An answer with its vector read."""

    vector: "array[float]"


class VectorFile:
    """A `.npy` file. It is there once there is a vector."""

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        """Open what an earlier run left. BadInput where that is something else.

        *overwrite* moves it aside instead.
        """
        self.path = path
        self.rows = 0
        self.size: int | None = None
        """Numbers of a vector; None until there is one."""
        self._descriptor = -1
        self._lock = threading.Lock()
        """Rows and the header are written in two threads."""
        try:
            if overwrite:
                moved_aside(path)
            elif os.path.exists(path) and os.path.getsize(path):
                self._open()
                self._read_header()
        except OSError as error:
            self.close()
            raise BadInput(f"{path} cannot be written: {error.strerror}") from None

    def append(self, vector: "array[float]") -> int:
        """Write *vector*; returns its row."""
        if self.size is None:
            self._open()
            self.size = len(vector)
            self._write_header()
        with self._lock:
            os.lseek(self._descriptor, self._offset(self.rows), os.SEEK_SET)
            left = memoryview(vector.tobytes())
            while left:
                left = left[os.write(self._descriptor, left) :]
            self.rows += 1
            return self.rows - 1

    def sync(self) -> None:
        """Bring what was written to the disk, and let others see it."""
        if self._descriptor >= 0:
            self._write_header()
            os.fsync(self._descriptor)

    def close(self) -> None:
        descriptor = self._descriptor
        if descriptor >= 0:
            try:
                self.sync()
            finally:
                self._descriptor = -1
                os.close(descriptor)

    def is_gone(self) -> bool:
        """Whether somebody removed or replaced it."""
        try:
            return self._descriptor >= 0 and not is_still(self._descriptor, self.path)
        except OSError:  # it cannot be looked at now
            return False

    def _open(self) -> None:
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self.path, flags, 0o644)

    def _read_header(self) -> None:
        """How many rows there are: whole ones, whatever the header says, which is written later."""
        header = os.read(self._descriptor, _HEADER)
        try:
            told = ast.literal_eval(header[len(_MAGIC) + 2 :].decode("latin-1").strip())
            _, size = told["shape"]
            ours = header == _header(*told["shape"]) and size > 0
        except (ValueError, SyntaxError, TypeError, KeyError):
            ours = False
        if not ours:
            os.close(self._descriptor)
            self._descriptor = -1
            raise BadInput(f"{self.path} is no file of vectors that this has written: name another")
        self.size = size
        self.rows = (os.fstat(self._descriptor).st_size - _HEADER) // (_NUMBER * size)
        os.ftruncate(self._descriptor, self._offset(self.rows))

    def _write_header(self) -> None:
        with self._lock:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, _header(self.rows, self.size or 0))

    def _offset(self, row: int) -> int:
        return _HEADER + _NUMBER * (self.size or 0) * row


class VectorJournal(Journal):
    """The index as the journal of a run, with the vectors in a file of their own."""

    def __init__(
        self,
        path: str,
        errors_filepath: str | None,
        spelling: Spelling,
        *,
        ordered: bool,
        overwrite: bool,
    ) -> None:
        """Open and lock the files. BadInput when that cannot be done."""
        self._spelled = spelling
        self._size: int | None = None
        index = index_of(path)
        super().__init__(index, errors_filepath, self._row, ordered=ordered, overwrite=overwrite)
        try:
            self.vectors = VectorFile(path, overwrite=overwrite)
        except BaseException:
            super().close()
            raise

    async def recover(self, *, keep_failures: bool = False) -> None:
        await super().recover(keep_failures=keep_failures)
        if self.answered_before > self.vectors.rows:
            raise BadInput(
                f"{self._results.path} tells of {self.answered_before:,} vectors, and "
                f"{self.vectors.path} has {self.vectors.rows:,}: bring that file back, or give "
                "--overwrite to begin anew"
            )

    def checked(self, outcome: Outcome) -> Outcome:
        """*outcome* with its vector, or the failure that it is where there is none that fits."""
        if isinstance(outcome, Failure):
            return outcome
        try:
            vector = vector_of(outcome.response)
            self._size = self._size or self.vectors.size or len(vector)
            if len(vector) != self._size:
                raise ValueError(f"a vector of {len(vector)} numbers, others have {self._size}")
        except ValueError as error:
            raw = outcome.response[:2_000].decode(errors="replace")
            return Failure(Kind.BAD_ANSWER, str(error), 200, raw=raw, usage=outcome.usage)
        return Vectored(outcome.response, outcome.usage, outcome.extra, vector=vector)

    def sync(self) -> None:
        self.vectors.sync()  # first: a row must not tell of a vector that is not there
        super().sync()

    def is_gone(self) -> str | None:
        return self.vectors.path if self.vectors.is_gone() else super().is_gone()

    def close(self) -> None:
        try:
            self.vectors.close()
        finally:
            super().close()

    def _row(self, request: Request | Unusable, outcome: Outcome) -> bytes:
        if isinstance(outcome, Vectored):
            row = self.vectors.append(outcome.vector)
            outcome = replace(outcome, response=without_vectors(outcome.response, row))
        return self._spelled(request, outcome)


def index_of(path: str) -> str:
    """The file that says whose the vectors of *path* are."""
    return path.removesuffix(ENDING) + ".index.jsonl"


def _header(rows: int, size: int) -> bytes:
    descr = "<f4" if sys.byteorder == "little" else ">f4"
    told = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {size}), }}"
    length = _HEADER - len(_MAGIC) - 2
    return _MAGIC + length.to_bytes(2, "little") + told.ljust(length - 1).encode() + b"\n"
