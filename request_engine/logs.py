"""Log lines for a person at a terminal, which a live panel must not paint over."""

import logging
import sys
from typing import TextIO

from request_engine.preflight import logging_level


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: under a live panel that is not what it was."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """The base class sets it once; it is looked up instead."""


def show(level: int | str) -> None:
    """Show the engine's log from *level* on, unless the program has set logging up itself.

    BadInput when *level* is neither a number nor a level's name.
    """
    logging.getLogger("request_engine").setLevel(logging_level(level))
    if not logging.getLogger().handlers:
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.getLogger().addHandler(handler)
