"""Write a file that is there as a whole or not at all."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from request_engine.errors import BadInput


@contextmanager
def written(path: str, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """What is written becomes *path* at the end; `-` is standard output, `.gz` is compressed.

    Nothing changes when the block fails. BadInput when *path* is there and is not to be
    overwritten, or cannot be written.
    """
    try:
        if path == "-":
            if sys.stdout is None:
                raise BadInput("standard output is closed, so nothing can be written to it")
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        target = os.path.realpath(path)
        _check(path, target, overwrite)
        beside = f"{target}.{os.getpid()}.unfinished"
        try:
            with open(beside, "wb") as raw:
                if path.endswith(".gz"):
                    with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
                        yield cast(IO[bytes], file)
                else:
                    yield raw
                raw.flush()
                os.fsync(raw.fileno())
            _check(path, target, overwrite)
            os.replace(beside, target)
        finally:
            with suppress(OSError):
                os.remove(beside)
    except OSError as error:
        name = "standard output" if path == "-" else path
        raise BadInput(f"{name} cannot be written: {error.strerror or error}") from None


def _check(path: str, target: str, overwrite: bool) -> None:
    if os.path.lexists(target):
        if not os.path.isfile(target):
            raise BadInput(f"{path} is there and is not a regular file: name another, or - ")
        if not overwrite:
            raise BadInput(f"{path} is there already: name another, or give --overwrite")
