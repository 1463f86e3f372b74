"""The command line's manners: underscores or hyphens, and a hint for a mistyped flag."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from request_engine.preflight import nearest

_STANDARD_ERROR = 2


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
            known = [option for action in self._actions for option in action.option_strings]
            self.error(f"there is no flag {flag}{nearest(flag, known)}")
        return values

    def error(self, message: str) -> NoReturn:
        """Say *message* and end."""
        complain(self.prog, message)
        sys.exit(2)


def complain(prog: str, message: str) -> None:
    """One line on standard error about what was wrong."""
    print(f"{prog}: {message}", file=sys.stderr)


def replace_closed_streams() -> None:
    """Put nothing in the place of standard streams that were closed by whoever started us.

    Otherwise the results file would get the number of standard error, and whatever is said there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def _help(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=96)
