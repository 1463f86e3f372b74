"""The flags of the local endpoint, with hyphens or underscores, made into settings."""

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from . import faults
from .limiters import LIMITERS
from .settings import CHARGES, DEFAULT_PORT, HINTS, Settings

_USAGE = "python -m request_engine.local_endpoint [flags] [-- COMMAND ARG...]"
_DESCRIPTION = """\
A loopback server that behaves like an OpenAI-compatible service, limits and faults included:
POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses and /v1/messages (each
also without /v1), the lab gateway's /gpt and /claude, GET /v1/models and GET /ledger (counts as
JSON). Its answers are canned: no model is asked and nothing is paid for.

With a COMMAND after -- it serves on a free port for as long as the command runs, replaces {url} in
the command's arguments by its base URL (also in LOCAL_ENDPOINT_URL), and exits with the command's
status.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says, besides the settings themselves."""

    settings: Settings
    port_file: str | None
    command: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line and exit code 2."""
        self.exit(2, f"local endpoint: {message}; --help lists the flags\n")


class _ListFaults(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *ignored: Any) -> None:
        sys.stdout.write(f"{faults.table()}\n")
        parser.exit()


def read(arguments: Sequence[str]) -> Asked:
    """Raises BadInput for a value that makes no sense; the parser itself exits with 2."""
    flags, command = _divided(arguments)
    given = vars(_parser().parse_args([_underscored(flag) for flag in flags]))
    port_file = given.pop("port_file")
    if given["port"] is None:
        given["port"] = 0 if command is not None else DEFAULT_PORT
    if given["seed"] is None:
        given["seed"] = secrets.randbelow(1_000_000)
    given["fault"] = faults.parse(given["fault"])
    given["models"] = tuple(given["models"])
    if command is not None and not command:
        _parser().error("there is no COMMAND after --")
    return Asked(Settings(**given), port_file, tuple(command or ()))


def _divided(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str] | None]:
    """The flags, and what follows the first `--`."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _underscored(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else argument


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=f"faults, as in --fault reset=0.01,429=0.05:\n{faults.table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _where(parser.add_argument_group("where"))
    _who(parser.add_argument_group("who and what is let in"))
    _limits(parser.add_argument_group("limits"))
    _speed(parser.add_argument_group("speed and answers"))
    _mishaps(parser.add_argument_group("faults and the ledger"))
    return parser


def _where(group: Any) -> None:
    add = _adder(group)
    add("--host", default="127.0.0.1", help="a loopback address (default 127.0.0.1)")
    add("--port", type=_whole, help=f"0 takes any free one (default {DEFAULT_PORT})")
    add("--port_file", metavar="FILE", help="write the port to FILE once it is open")


def _who(group: Any) -> None:
    add = _adder(group)
    add("--key", help="refuse every other key; without it any key or none will do")
    add(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="NAME",
        help="a model that exists; repeatable; without it every model does",
    )
    add("--context_length", type=_whole, metavar="TOKENS", help="most of prompt and answer")


def _limits(group: Any) -> None:
    add = _adder(group)
    add(
        "--limiter",
        help=f"{', '.join(LIMITERS)} (default sliding_window if a limit is given)",
    )
    add("--max_requests_per_minute", type=_limit, metavar="N")
    add("--max_tokens_per_minute", type=_limit, metavar="N")
    add("--max_concurrent", type=_limit, metavar="N", help="requests in flight, for each model")
    add(
        "--burst",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="the span over which the limit is kept: a bucket's size or a window's length",
    )
    add(
        "--charge",
        default="max_tokens",
        help=f"{' or '.join(CHARGES)}: charge the ceiling of the answer at the start, or its "
        "real size at the end (default max_tokens)",
    )
    add("--refund", action="store_true", default=True, help="give back what was not used (default)")
    add("--no_refund", dest="refund", action="store_false", help="keep what was charged")
    add("--hints", default="openai", help=f"how a 429 says its wait: {', '.join(HINTS)}")
    add(
        "--lockout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="after a 429 refuse everything for so long",
    )


def _speed(group: Any) -> None:
    add = _adder(group)
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="before every answer")
    add("--latency_jitter", type=float, default=0.0, metavar="SECONDS", help="more or less")
    add("--tokens_per_second", type=float, metavar="N", help="long answers take longer")
    add(
        "--answer_tokens",
        type=_whole,
        default=30,
        metavar="N",
        help="usual length of an answer, from half to one and a half times it (default 30)",
    )


def _mishaps(group: Any) -> None:
    add = _adder(group)
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=PROBABILITY,...",
        help="what goes wrong, and how often; the table is below",
    )
    add("--seed", type=_whole, help="draws the same faults again (default: random, and printed)")
    add(
        "--slow_seconds",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long the faults blank and slow take (default 5)",
    )
    add("--ledger", metavar="FILE", help="append a JSON line for every request that comes in")
    add(
        "--ledger_memory",
        type=_whole,
        default=100_000,
        metavar="N",
        help="entries kept in memory; counts are always exact (default 100000)",
    )
    add("--list_faults", action=_ListFaults, nargs=0, default=argparse.SUPPRESS, help="and exit")


def _adder(group: Any) -> Callable[..., Any]:
    add: Callable[..., Any] = group.add_argument
    return add


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, but got {text!r}") from None


def _limit(text: str) -> int | None:
    """A number, or `none` for no limit."""
    return None if text == "none" else _whole(text)
