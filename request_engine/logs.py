"""Log lines for a person at a terminal: no secret in them, and no fuss when nobody reads them."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from request_engine.errors import BadInput

if TYPE_CHECKING:
    from request_engine.redaction import Redaction

_OURS = "request_engine"


def show(level: int | str) -> None:
    """Show the engine's log from *level* on, unless the program has set logging up itself.

    BadInput when *level* is neither a number nor a level's name.
    """
    logging.getLogger(_OURS).setLevel(level_of(level))
    if not logging.getLogger().handlers:
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        handler.addFilter(_hiding())
        logging.getLogger().addHandler(handler)


def hide(redaction: "Redaction") -> None:
    """Keep the secrets of a run out of the log, also of what is said after its end."""
    hiding = _hiding()
    # Of those that are alike the latest, which may still learn of other secrets.
    hiding.redactions = [*(one for one in hiding.redactions if one != redaction), redaction]


def hidden(text: str) -> str:
    """*text* without the secrets of any run so far."""
    return _hiding().hidden(text)


def lasting(stream: TextIO) -> TextIO:
    """*stream* for what draws on it: when the terminal goes away, the drawing goes nowhere."""
    return cast(TextIO, _Lasting(stream))


class _Hiding(logging.Handler):
    """Shows nothing: takes the secrets out of a record before the handlers behind it see it.

    First among the handlers of our logger it serves those of any program we run in, since the
    filters of a logger do not see what the loggers below it are told. Elsewhere it is a filter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.redactions: list[Redaction] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Nothing; `filter` has come before."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite what of *record* has a secret in it."""
        try:
            told = record.getMessage()
        except Exception as error:  # noqa: BLE001  a line that cannot be formatted ends no run
            told = f"{record.msg} ({type(error).__name__} in its arguments)"
            record.msg, record.args = told, None
        if (safe := self.hidden(told)) != told:
            record.msg, record.args = safe, None
        if record.exc_info:
            told = record.exc_text or logging.Formatter().formatException(record.exc_info)
            if (safe := self.hidden(told)) != told:
                record.exc_text, record.exc_info = safe, None
        if record.stack_info:
            record.stack_info = self.hidden(record.stack_info)
        return True

    def hidden(self, text: str) -> str:
        for redaction in self.redactions:
            text = redaction.text(text)
        return text


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: under a live panel that is not what it was."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """The base class sets it once; it is looked up instead."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say nothing: who reads the stream has gone, and the run goes on without them."""


class _Lasting:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def level_of(value: object) -> int:
    """The number of a level, which is one or a name."""
    text = str(value).strip().upper()
    level = int(text) if text.isdecimal() else logging.getLevelNamesMapping().get(text)
    if level is None:
        names = "DEBUG, INFO, WARNING, ERROR or a number"
        raise BadInput(f"--logging_level is {value}, but it must be {names}")
    return level


def _hiding() -> _Hiding:
    """The one of this process, which the logger holds."""
    ours = logging.getLogger(_OURS)
    for handler in ours.handlers:
        if isinstance(handler, _Hiding):
            return handler
    hiding = _Hiding()
    ours.handlers.insert(0, hiding)
    logging.getLogger("asyncio").addFilter(hiding)  # "Task exception was never retrieved"
    return hiding
