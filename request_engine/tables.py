"""Read a table one row at a time: CSV, TSV, JSON lines, or plain text of which a line is a row."""

import codecs
import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import IO, Any, cast

from request_engine import splice
from request_engine.errors import BadInput
from request_engine.lines import LONGEST_LINE

DELIMITERS = {"csv": ",", "tsv": "\t"}
FORMATS = (*DELIMITERS, "jsonl", "text")
_SUFFIXES = {"csv": "csv", "tsv": "tsv", "tab": "tsv", "jsonl": "jsonl", "ndjson": "jsonl"}
_SUFFIXES |= {"txt": "text", "text": "text"}
TEXT = "text"
"""The only column of a plain text."""


@dataclass(frozen=True, slots=True)
class Row:
    """What stands in one row."""

    number: int
    """1 for the first below the header; of text and JSON lines the number of the line."""
    line: int
    """The line of the file on which it ends."""
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file, `-` meaning standard input and `.gz` a compressed one, and how to read it."""

    path: str
    format: str
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    """Names of the columns where no header has them."""
    quoted: bool = True
    """Whether a field may stand in quotation marks."""
    encoding: str = "utf-8"

    @property
    def name(self) -> str:
        """What it is called when something is wrong with it."""
        return "standard input" if self.path == "-" else self.path

    def rows(self) -> Iterator[Row]:
        """Its rows. BadInput names the line of whatever cannot be read."""
        with self._opened() as file:
            if self.format == "text":
                yield from self._texts(file)
            elif self.format == "jsonl":
                yield from self._objects(file)
            else:
                yield from self._records(file)

    def _texts(self, file: IO[str]) -> Iterator[Row]:
        for number, line in self._lines(file):
            if text := line.rstrip("\r\n"):
                yield Row(number, number, {TEXT: text})

    def _objects(self, file: IO[str]) -> Iterator[Row]:
        for number, line in self._lines(file):
            if not line.strip():
                continue
            try:
                fields = splice.parse(line.strip())
            except json.JSONDecodeError as error:
                raise self._wrong(number, f"not JSON: {error.msg} at {error.colno}") from None
            except ValueError as error:
                raise self._wrong(number, str(error)) from None
            except RecursionError:
                raise self._wrong(number, "nested too deeply") from None
            if not isinstance(fields, dict):
                raise self._wrong(number, "not an object with a value for each column")
            yield Row(number, number, fields)

    def _records(self, file: IO[str]) -> Iterator[Row]:
        csv.field_size_limit(LONGEST_LINE)
        records = csv.reader(
            (line for _, line in self._lines(file)),
            delimiter=self.delimiter or DELIMITERS[self.format],
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            strict=True,
        )
        names, number = self._names(self.columns), 0
        try:
            for record in records:
                if not record:  # a blank line
                    continue
                if not names:
                    names = self._names(record)
                    continue
                if len(record) != len(names):
                    raise self._wrong(records.line_num, _odd(len(record), len(names)))
                number += 1
                yield Row(number, records.line_num, dict(zip(names, record, strict=True)))
        except csv.Error as error:
            why = str(error)
            if "end of data" in why or "limit" in why:
                why = "a field that begins with a quotation mark has no end"
            why += "; if quotation marks are signs like any other here, give --no_quotes"
            raise self._wrong(records.line_num, why) from None

    def _names(self, header: Sequence[str]) -> tuple[str, ...]:
        names = tuple(name.strip() for name in header)
        twice = [name for name in names if name and names.count(name) > 1]
        if twice:
            raise BadInput(f"{self.name} has two columns that are called {twice[0]}")
        return names

    def _lines(self, file: IO[str]) -> Iterator[tuple[int, str]]:
        number = 0
        while True:
            try:
                line = file.readline(LONGEST_LINE)
            except UnicodeDecodeError as error:
                raise BadInput(self._not_in_encoding(number, error)) from None
            except UnicodeError as error:  # such as UTF-16 without its mark
                raise self._wrong(number + 1, f"not {self.encoding}: {error}") from None
            except (OSError, EOFError, zlib.error) as error:
                raise BadInput(f"{self.name} cannot be read: {error}") from None
            if not line:
                return
            number += 1
            if len(line) == LONGEST_LINE:
                raise self._wrong(number, f"longer than {LONGEST_LINE:,} characters")
            yield number, line

    def _not_in_encoding(self, line: int, error: UnicodeDecodeError) -> str:
        return (
            f"{self.name} is not {self.encoding.upper()}: byte 0x{error.object[error.start]:02x} "
            f"after line {line}; say what it is with --encoding, such as gb18030, cp1252 or utf-16"
        )

    def _wrong(self, line: int, why: str) -> BadInput:
        return BadInput(f"{self.name}, line {line}: {why}")

    @contextmanager
    def _opened(self) -> Iterator[IO[str]]:
        # csv reads line breaks within fields itself; in the others only \n ends a line.
        newline = "" if self.format in DELIMITERS else "\n"
        # A byte order mark is no part of the first column's name.
        utf_8 = codecs.lookup(self.encoding).name == "utf-8"
        encoding = "utf-8-sig" if utf_8 else self.encoding
        raw = self._raw()
        data = gzip.open(raw) if self.path.endswith(".gz") else raw
        text = TextIOWrapper(cast(IO[bytes], data), encoding=encoding, newline=newline)
        try:
            yield text
        finally:
            text.detach()
            if self.path != "-":
                raw.close()

    def _raw(self) -> IO[bytes]:
        if self.path == "-":
            if sys.stdin is None:
                raise BadInput("standard input is closed, so there is no table to read from it")
            return sys.stdin.buffer
        try:
            return open(self.path, "rb")
        except FileNotFoundError:
            raise BadInput(f"there is no file {self.path}") from None
        except OSError as error:
            raise BadInput(f"{self.path} cannot be read: {error.strerror}") from None


def format_of(path: str) -> str | None:
    """The format that the suffix of *path* stands for, None where it tells none."""
    return _SUFFIXES.get(path.lower().removesuffix(".gz").rpartition(".")[2])


def _odd(found: int, wanted: int) -> str:
    return (
        f"{found} fields, but there are {wanted} columns: is a field with the delimiter or a "
        "line break in it not quoted?"
    )
