"""The command line's manners: underscores or hyphens, and a hint for a mistyped flag."""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from request_engine import logs
from request_engine.errors import nearest

_STANDARD_ERROR = 2
_MAY_BE_A_KEY = 16
"""Characters from which on a stray word is not repeated."""


class CommandLine(argparse.ArgumentParser):
    """An ArgumentParser that answers a mistake with one line and exit code 2."""

    def __init__(self, *, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=_help,
        )

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The values of *arguments*, where `--a-flag` is `--a_flag`."""
        values, unknown = self.parse_known_args([_underscored(one) for one in arguments])
        if unknown:
            flag = unknown[0].partition("=")[0]
            if not flag.startswith("-") and len(flag) >= _MAY_BE_A_KEY:
                self.error(f"a word of {len(flag)} characters belongs to no flag")
            known = [option for action in self._actions for option in action.option_strings]
            self.error(f"there is no flag {flag}{nearest(flag, known)}")
        return values

    def error(self, message: str) -> NoReturn:
        """Say *message* and end."""
        complain(self.prog, message)
        sys.exit(2)


class Alone(argparse.Action):
    """A flag beside which no other is required."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(nargs=0, default=False, **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object
    ) -> None:
        setattr(namespace, self.dest, True)
        for action in parser._actions:
            action.required = False


def complain(prog: str, message: str) -> None:
    """One line on standard error about what was wrong."""
    with suppress(OSError):  # nobody reads it any more
        print(f"{prog}: {logs.hidden(message)}", file=sys.stderr)


def complain_fault(prog: str, fault: BaseException) -> None:
    """The traceback of what should never happen, without the key that it may have quoted."""
    told = "".join(traceback.format_exception(fault)).rstrip()
    complain(prog, f"this is a fault of the program; run it again to go on\n{told}")


@contextmanager
def undisturbed() -> Iterator[None]:
    """A command whose standard streams may be closed, or lose their readers while it runs."""
    replace_closed_streams()
    logging.captureWarnings(True)  # into the log, where secrets are taken out
    try:
        yield
    finally:
        logging.captureWarnings(False)
        end_quietly()


def replace_closed_streams() -> None:
    """Put nothing in the place of standard streams that were closed by whoever started us.

    Otherwise the results file would get the number of standard error, and whatever is said there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")


def end_quietly() -> None:
    """Flush the standard streams, so that a pipe nobody reads does not change the exit code.

    Python would try at its end, say that it failed, and exit with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            with suppress(OSError), open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), stream.fileno())


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def _help(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=96)
