"""Run a JSONL file of requests through an LLM API, as fast as its limits allow.

    python api_request_parallel_processor.py --requests_filepath requests.jsonl \\
        --request_url https://api.openai.com/v1/embeddings

The door: flags, and the names that other pipelines import. The path of a request is in
`request_engine/`, the services are in `providers/`.
"""

# What only a run needs is imported where it starts: --help and a refused flag answer at once.
import importlib
import logging
import sys
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from request_engine.blocking import Client
    from request_engine.client import AsyncClient
    from request_engine.command_line import CommandLine
    from request_engine.embeddings import Embeddings
    from request_engine.extracted import Extracted
    from request_engine.result import RequestFailed, Result
    from request_engine.summary import Summary

__all__ = [
    "AsyncClient",
    "Client",
    "Embeddings",
    "Extracted",
    "RequestFailed",
    "Result",
    "main",
    "process_api_requests_from_file",
]

PROG = "api_request_parallel_processor"
COOKBOOK_URL = "https://api.openai.com/v1/embeddings"
LIBRARY = {
    "AsyncClient": "request_engine.client",
    "Client": "request_engine.blocking",
    "Embeddings": "request_engine.embeddings",
    "Extracted": "request_engine.extracted",
    "RequestFailed": "request_engine.result",
    "Result": "request_engine.result",
}
"""Classes for requests in memory, imported where they are used."""

REQUIRED, REPEATED = "required", "repeated"
PARAMETERS = {"--model": "models", "--header": "headers"}
"""Where the function's parameter is not called like the flag."""
FLAGS: dict[str, tuple[tuple[str, str | None, str | None, str], ...]] = {
    # flag, name of its value (None: it has none), default, help
    "files": (
        (
            "--requests_filepath",
            "FILE",
            REQUIRED,
            "one JSON request a line; .gz is decompressed, - is standard input",
        ),
        (
            "--save_filepath",
            "FILE",
            None,
            "where rows are appended (default: the requests file's name with _results)",
        ),
        (
            "--errors_filepath",
            "FILE",
            None,
            "failed rows go here, so that the results hold answers only",
        ),
        (
            "--output_format",
            "FORMAT",
            "rows",
            "rows: [body, response, metadata]; batch: output lines of the OpenAI Batch API",
        ),
        (
            "--ordered",
            None,
            None,
            "put the rows into the order of the requests when the run ends",
        ),
        (
            "--overwrite",
            None,
            None,
            "start afresh: old results are moved to <results>.1, not gone on from",
        ),
        (
            "--keep_failures",
            None,
            None,
            "leave the failed rows of earlier runs, and do not try their requests again",
        ),
        (
            "--fsync",
            "S",
            "1",
            "seconds between two flushes of the results to the disk, what a power cut may cost; 0 "
            "flushes every row, none leaves it to the system (default: {default})",
        ),
    ),
    "service": (
        (
            "--request_url",
            "URL",
            None,
            f"where requests go; a base URL if --provider is given (default: {COOKBOOK_URL})",
        ),
        (
            "--provider",
            "NAME",
            None,
            "the service, when the URL's host does not tell: a name that --list_providers shows, "
            "or one of your own, as path/to/file.py:ClassName",
        ),
        (
            "--endpoints",
            "FILE",
            None,
            "several places that share the work, each an [[endpoint]] of a TOML file: provider, "
            "url, key_variable, model, rpm, tpm, concurrency, weight",
        ),
        (
            "--list_providers",
            None,
            None,
            "print what is known of each service, and whether its key is set, then end",
        ),
        (
            "--api_key",
            "KEY",
            None,
            "the key; better in the service's environment variable, since ps shows this one",
        ),
        (
            "--api_key_command",
            "COMMAND",
            None,
            "prints the key, and again before it expires: 'gcloud auth print-access-token'",
        ),
        (
            "--model",
            "NAME",
            REPEATED,
            "the model for every line, or OLD=NEW: NEW for the lines that say OLD (may be "
            "repeated); the rows keep what the lines say",
        ),
        (
            "--body",
            "JSON",
            REPEATED,
            "an object of fields for every body that does not have them: '{{\"temperature\": 0}}'",
        ),
        (
            "--header",
            "NAME:VALUE",
            REPEATED,
            "a header for every request: 'X-Title: tides' (may be repeated)",
        ),
        (
            "--response_schema",
            "FILE",
            None,
            "a JSON Schema that every answer must fit: asked for as the service can, checked, and "
            "asked for again with what was wrong, within --max_attempts",
        ),
        (
            "--embed",
            None,
            None,
            "the lines are texts to embed, an input or a text each: many go in one request, each "
            "gets a row of its own; with a --save_filepath that ends in .npy the vectors go there",
        ),
        (
            "--inputs_per_request",
            "N",
            None,
            "with --embed: most texts of one request (default: what the service takes, at most "
            "256)",
        ),
        (
            "--tokens_per_request",
            "N",
            None,
            "with --embed: most tokens of one request (default: what is known of the service)",
        ),
        (
            "--stream",
            None,
            None,
            "let answers come word by word, for every line: connections that are silent for long "
            "are cut by some networks; the rows are the same",
        ),
    ),
    "limits": (
        (
            "--max_requests_per_minute",
            "N",
            "learn",
            "never more in any 60 s; none if there is no such limit, learn to find out what the "
            "service lets in (default: {default})",
        ),
        (
            "--max_tokens_per_minute",
            "N",
            "learn",
            "the same for prompt and completion together (default: {default})",
        ),
        (
            "--max_input_tokens_per_minute",
            "N",
            "none",
            "the same for the prompts alone, where a service limits them apart "
            "(default: {default})",
        ),
        (
            "--max_output_tokens_per_minute",
            "N",
            "none",
            "the same for the completions (default: {default})",
        ),
        (
            "--max_concurrent_requests",
            "N",
            None,
            "in flight at once (default: as many as are of use, found out from 16 on, at most the "
            "service's number or 1000)",
        ),
        (
            "--seconds_to_sleep_each_loop",
            "S",
            "0",
            "least time between two sends, for services that also limit by the second "
            "(default: {default})",
        ),
        (
            "--token_encoding_name",
            "NAME",
            None,
            "the tiktoken encoding to count with, always (default: by each request's model, where "
            "a limit is near)",
        ),
    ),
    "when things go wrong": (
        (
            "--max_attempts",
            "N",
            "5",
            "attempts of one request; refusals for speed do not count (default: {default})",
        ),
        (
            "--max_wait",
            "S",
            "3600",
            "stop if the service refuses everything for so long (default: {default})",
        ),
        (
            "--max_same_refusals",
            "N",
            "10",
            "stop if so many requests are refused in the same words and none was answered; none "
            "goes on (default: {default})",
        ),
        ("--connect_timeout", "S", "30", "to connect (default: {default})"),
        (
            "--first_byte_timeout",
            "S",
            "600",
            "from sending to the first byte of the answer; blank lines and comments that only keep "
            "the connection alive are none (default: {default})",
        ),
        (
            "--progress_timeout",
            "S",
            "120",
            "between two bytes of an answer, blank lines and comments again not counted "
            "(default: {default})",
        ),
        (
            "--total_timeout",
            "S",
            "1800",
            "for one attempt as a whole (default: {default})",
        ),
        (
            "--drain_timeout",
            "S",
            "300",
            "for the answers in flight when a run is stopped, by Ctrl-C or else "
            "(default: {default})",
        ),
        ("--strict", None, None, "exit with 1 if any row is a failure"),
        (
            "--logging_level",
            "LEVEL",
            "INFO",
            "DEBUG, INFO, WARNING, ERROR, or a number (default: {default})",
        ),
    ),
}


async def process_api_requests_from_file(
    requests_filepath: str,
    save_filepath: str | None = None,
    request_url: str | None = None,
    api_key: str | None = None,
    max_requests_per_minute: float | str | None = "learn",
    max_tokens_per_minute: float | str | None = "learn",
    token_encoding_name: str | None = None,
    max_attempts: int = 5,
    logging_level: int | str = logging.INFO,
    *,
    max_input_tokens_per_minute: float | str | None = None,
    max_output_tokens_per_minute: float | str | None = None,
    endpoints: str | None = None,
    provider: str | None = None,
    api_key_command: str | None = None,
    models: "Mapping[str, str] | str | Iterable[str] | None" = None,
    body: "Mapping[str, Any] | str | Iterable[str] | None" = None,
    headers: "Mapping[str, str] | str | Iterable[str] | None" = None,
    response_schema: str | None = None,
    embed: bool = False,
    inputs_per_request: int | None = None,
    tokens_per_request: int | None = None,
    stream: bool = False,
    seconds_to_sleep_each_loop: float = 0.0,
    max_concurrent_requests: int | None = None,
    max_wait: float = 3_600.0,
    max_same_refusals: int | str | None = 10,
    drain_timeout: float = 300.0,
    connect_timeout: float = 30.0,
    first_byte_timeout: float = 600.0,
    progress_timeout: float = 120.0,
    total_timeout: float = 1_800.0,
    fsync: float | str | None = 1.0,
    overwrite: bool = False,
    keep_failures: bool = False,
    errors_filepath: str | None = None,
    output_format: str = "rows",
    ordered: bool = False,
    show_progress: bool = False,
    stop_on_signals: bool = False,
) -> "Summary":
    """Give every request of a file its row in *save_filepath*; run again, it goes on from there.

    The positional parameters are the cookbook's. Limits are a minute's, None or "none" where the
    service has no such limit, "learn" to find it out; timeouts are seconds of one attempt.
    *token_encoding_name* None chooses by each request's model, and counts where a limit is near.
    *models* is a name for every line's model or a mapping of names, *body* an object of fields for
    bodies without them, *headers* a mapping; the rows keep the bodies as they are.
    *response_schema* is a file with the JSON Schema that answers must fit. *embed* packs texts, at
    most *inputs_per_request* and *tokens_per_request* in one. *show_progress* draws on a terminal
    and *stop_on_signals* lets the first Ctrl-C drain what is in flight: both are for the main
    thread of a command.

    Raises BadInput (a ValueError) when an argument, a file or the key is wrong, before anything
    is sent; Stopped when the run ends early, with everything answered so far in the file.
    """
    asked = dict(locals())  # the parameters, and nothing else yet
    from request_engine import logs
    from request_engine.job import Job

    logs.show(asked.pop("logging_level"))
    if request_url is None and provider is None and endpoints is None:
        asked["request_url"] = COOKBOOK_URL
    return await Job(**asked).run(find_providers().PROVIDERS)


def find_providers() -> ModuleType:
    """The adapters: `request_engine.providers` once installed, else the folder beside this file.

    Whoever imports this module may have a `providers` of their own, which is left alone.
    """
    import importlib.util
    from pathlib import Path

    if importlib.util.find_spec("request_engine.providers"):
        return importlib.import_module("request_engine.providers")
    ours = Path(__file__).resolve().parent / "providers" / "__init__.py"
    found = importlib.util.find_spec("providers")
    if found is not None and found.origin and Path(found.origin).resolve() == ours:
        return importlib.import_module("providers")
    name = "request_engine.providers"
    spec = importlib.util.spec_from_file_location(
        name, ours, submodule_search_locations=[str(ours.parent)]
    )
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"the adapters should be in {ours.parent}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _of_library(name: str) -> type:
    """The class *name* of the library; a client is one that knows our services."""
    found: type = getattr(importlib.import_module(LIBRARY[name]), name)
    if not hasattr(found, "providers"):
        return found
    ours = {"providers": find_providers().PROVIDERS, "__doc__": found.__doc__}
    return type(name, (found,), ours)


def __getattr__(name: str) -> type:
    """The classes of LIBRARY, and those that one's own provider may derive from.

    `from api_request_parallel_processor import OpenAICompatible` works however this is installed,
    and so does the class of any service.
    """
    if name in LIBRARY:
        return _of_library(name)
    if not name.startswith("_"):  # those are the import system's questions
        for one in find_providers().PROVIDERS:
            for found in type(one).__mro__[:-1]:
                if found.__name__ == name:
                    return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def command_line() -> "CommandLine":
    """Every flag, with the reason for those that the cookbook's script does not have."""
    from request_engine.command_line import Alone, CommandLine

    line = CommandLine(
        prog=PROG,
        description="Run a JSONL file of requests through an LLM API, as fast as its limits "
        "allow.\nRunning the same command again goes on where it stopped: nothing answered is sent "
        "twice.",
        epilog="exit codes: 0 every line has its row, 1 some failed (with --strict), 2 the "
        "command, a file\nor the key was wrong, 3 stopped early, 130 interrupted; after 3 and 130 "
        "run it again to go on",
    )
    for title, flags in FLAGS.items():
        group = line.add_argument_group(title)
        for flag, metavar, default, text in flags:
            told = text.format(default=default)
            if metavar is None:
                action = Alone if flag == "--list_providers" else "store_true"
                group.add_argument(flag, action=action, help=told)
            elif default == REPEATED:
                dest = PARAMETERS.get(flag)
                group.add_argument(flag, metavar=metavar, action="append", dest=dest, help=told)
            else:
                needed = default == REQUIRED
                group.add_argument(
                    flag,
                    metavar=metavar,
                    default=None if needed else default,
                    required=needed,
                    help=told,
                )
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: run what *arguments* ask for and return the exit code."""
    from request_engine.command_line import undisturbed

    with undisturbed():
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(arguments: Sequence[str]) -> int:
    from request_engine.command_line import complain, complain_fault

    asked = vars(command_line().read(arguments))
    list_providers = asked.pop("list_providers")
    strict = asked.pop("strict")
    import asyncio

    from request_engine.errors import BadInput, Stopped
    from request_engine.loops import fastest_loop
    from request_engine.provider_table import show

    try:
        if list_providers:
            show(find_providers().PROVIDERS, asked["provider"])
            return 0
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            summary = runner.run(
                process_api_requests_from_file(**asked, show_progress=True, stop_on_signals=True)
            )
    except BadInput as wrong:
        complain(PROG, str(wrong))
        return 2
    except ModuleNotFoundError as missing:
        complain(
            PROG,
            f"{sys.executable} has no package {missing.name}: use sh run.sh, or "
            "`pip install -r requirements.txt` for this Python",
        )
        return 2
    except Stopped as early:
        return early.summary.exit_code(strict=strict) if early.summary else 3
    except (KeyboardInterrupt, asyncio.CancelledError):
        complain(PROG, "interrupted; run the same command again to go on")
        return 130
    except Exception as fault:
        complain_fault(PROG, fault)
        return 3
    return summary.exit_code(strict=strict)


if __name__ == "__main__":
    sys.exit(main())
