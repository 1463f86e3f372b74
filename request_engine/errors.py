"""The two ways a run ends badly, each with one line that a person can act on, and a hint for it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from request_engine.summary import Summary


class BadInput(ValueError):
    """The command, a file, a key or a limit was wrong; nothing has been sent. Exit code 2."""


class Stopped(RuntimeError):
    """The run ended early; what was answered is in the results file. Exit code 3 or 130."""

    def __init__(self, reason: str, summary: "Summary | None" = None) -> None:
        """*summary* tells how far the run came."""
        super().__init__(reason)
        self.summary = summary


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the names most like *word*, empty if none is."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""
