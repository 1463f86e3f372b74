"""Make a request file of a table: a request a row, its columns filled into a prompt or a template.

    python -m request_engine.make_requests people.csv --model gpt-4o-mini \\
        --prompt "Summarise in one sentence: {text}" --id person -o requests.jsonl
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from request_engine import preflight, splice, tables, templates, whole_file
from request_engine.command_line import CommandLine, complain, undisturbed
from request_engine.errors import BadInput
from request_engine.request_maker import (
    ENDPOINTS,
    NUMBER,
    RequestMaker,
    endpoint_of,
    prompted,
    setting,
)
from request_engine.tables import DELIMITERS, FORMATS, TEXT, Table

PROG = "make_requests"
FLAGS: dict[str, tuple[tuple[str, str | None, str], ...]] = {
    # flag, name of its value (None: it has none), help
    "what is asked": (
        ("--model", "NAME", "the model"),
        ("--prompt", "TEXT", f"what is asked, or the text to embed (default: {{{TEXT}}})"),
        ("--system", "TEXT", "a system message, in which columns may stand too"),
        ("--endpoint", "NAME", f"{', '.join(ENDPOINTS)} (default: chat)"),
        (
            "--template",
            "FILE",
            "a JSON file with a whole body, instead of --prompt; a text in it that is one column "
            "alone becomes what the row has there, in JSON lines a number for instance",
        ),
        (
            "--set",
            "NAME=VALUE",
            "a field of every body, such as temperature=0: JSON, or else a text; may be repeated",
        ),
    ),
    "what comes back with the answer": (
        (
            "--id",
            "COLUMN",
            f"names the request: in its metadata, or as custom_id (default: {NUMBER}, the row's "
            "number)",
        ),
        ("--metadata", "COLUMN,...", "further columns for its metadata"),
        (
            "--output_format",
            "FORMAT",
            "requests: a body with metadata a line; batch: input lines of the OpenAI Batch API "
            "(default: requests)",
        ),
    ),
    "how the table is read": (
        (
            "--input_format",
            "FORMAT",
            f"csv, tsv, jsonl, or text, of which each line is a row with the column {TEXT} "
            "(default: by the table's suffix)",
        ),
        ("--delimiter", "SIGN", "what stands between fields, tab for a tab (default: by format)"),
        ("--columns", "NAME,...", "names of the columns, if the table has no header"),
        ("--no_quotes", None, "a quotation mark is a sign like any other, as in many TSV files"),
        ("--encoding", "NAME", "of the table, such as gb18030 or cp1252 (default: utf-8)"),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 when the file is made, 2 when something was wrong and there is none."""
    with undisturbed():
        asked = command_line().read(sys.argv[1:] if arguments is None else arguments)
        try:
            _make(asked)
        except BadInput as wrong:
            complain(PROG, str(wrong))
            return 2
        except KeyboardInterrupt:
            complain(PROG, "interrupted; no file was made")
            return 130
    return 0


def command_line() -> CommandLine:
    """Every flag."""
    line = CommandLine(
        prog=PROG,
        description="Make a request file of a table: a request a row.\n\n"
        '  make_requests people.csv --model gpt-4o-mini --prompt "Summarise: {text}" --id person\n'
        "\n{text} stands for the column text of each row; {{ and }} are braces.",
        epilog="exit codes: 0 the file is made, 2 something was wrong and no file was made",
    )
    line.add_argument(
        "table", metavar="TABLE", help="the table; .gz is decompressed, - is standard input"
    )
    line.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the request file, - for standard output (default: the table's name with "
        "_requests.jsonl)",
    )
    line.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    for title, flags in FLAGS.items():
        group = line.add_argument_group(title)
        for flag, metavar, told in flags:
            if metavar is None:
                group.add_argument(flag, action="store_true", help=told)
            elif flag == "--set":
                group.add_argument(flag, metavar=metavar, action="append", default=[], help=told)
            else:
                group.add_argument(flag, metavar=metavar, help=told)
    return line


def _make(asked: Namespace) -> None:
    table, maker = _table(asked), _maker(asked)
    output = asked.output or _output_of(asked.table)
    if output != "-" and os.path.realpath(output) == os.path.realpath(asked.table):
        raise BadInput(f"{output} is the table itself: give another --output")
    with whole_file.written(output, overwrite=asked.overwrite) as file:
        for line in maker.lines(table):
            file.write(line)
        if not maker.made:
            raise BadInput(f"{table.name} holds no rows, so there is nothing to ask")
    for told in _told(maker, table, output):
        with suppress(OSError):  # nobody reads it
            sys.stderr.write(f"{PROG}: {told}\n")


def _told(maker: RequestMaker, table: Table, output: str) -> list[str]:
    where = "" if output == "-" else f" in {output}"
    told = [f"{maker.made:,} requests{where}, one for each row of {table.name}"]
    if maker.first_repeated is not None:
        told.append(
            f"{maker.repeated:,} of them with the id of an earlier one, the first in line "
            f"{maker.first_repeated.line}"
        )
    for name, count in maker.empty.items():
        told.append(f"{name} is empty in {count:,} of {maker.made:,} rows")
    return told


def _table(asked: Namespace) -> Table:
    kind = asked.input_format or tables.format_of(asked.table)
    if kind is None:
        formats = " or ".join(FORMATS)
        raise BadInput(f"nothing says what {asked.table} holds: give --input_format {formats}")
    preflight.choice(kind, dict.fromkeys(FORMATS), "--input_format")
    delimiter = "\t" if asked.delimiter in ("tab", r"\t") else asked.delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise BadInput(f"--delimiter is {asked.delimiter}, but it must be one sign, or tab")
    for flag in ("delimiter", "columns", "no_quotes"):
        if getattr(asked, flag) and kind not in DELIMITERS:
            raise BadInput(f"--{flag} is for CSV and TSV, but {asked.table} is read as {kind}")
    encoding = asked.encoding or "utf-8"
    try:
        "".encode(encoding)
    except LookupError:
        raise BadInput(f"--encoding is {encoding}, which is not the name of one") from None
    return Table(
        path=asked.table,
        format=kind,
        delimiter=delimiter,
        columns=_names(asked.columns),
        quoted=not asked.no_quotes,
        encoding=encoding,
    )


def _maker(asked: Namespace) -> RequestMaker:
    if asked.endpoint is not None:
        preflight.choice(asked.endpoint, ENDPOINTS, "--endpoint")
    fixed = dict(setting(one) for one in asked.set)
    if asked.model is not None:
        fixed["model"] = asked.model
    body: dict[str, Any] = {"model": None}  # the first field, as everybody writes it
    if asked.template is None:
        prompt = f"{{{TEXT}}}" if asked.prompt is None else asked.prompt
        texts = {"--prompt": prompt, "--system": asked.system}
        for flag, text in texts.items():
            templates.columns(text, flag)  # its braces
        body |= prompted(asked.endpoint or "chat", *texts.values())
    else:
        body |= _template(asked)
    whole = body | fixed
    if whole["model"] is None:
        raise BadInput("no model is named: give --model")
    url = None
    batch = {"requests": False, "batch": True}
    if preflight.choice(asked.output_format or "requests", batch, "--output_format"):
        url = ENDPOINTS[asked.endpoint or endpoint_of(whole)]
        if asked.metadata:
            raise BadInput("--metadata has no place in a batch line: it has its --id only")
    elif "metadata" in whole:
        raise BadInput("metadata in a body is never sent: give columns with --metadata instead")
    return RequestMaker(
        body,
        fixed,
        source=asked.template or "the prompt",
        typed=asked.template is not None,
        identity=asked.id,
        kept=_names(asked.metadata),
        url=url,
    )


def _template(asked: Namespace) -> dict[str, Any]:
    path = asked.template
    if asked.prompt is not None or asked.system is not None:
        raise BadInput("--template is a whole body: write the prompt and the system message there")
    try:
        with open(path, encoding="utf-8-sig") as file:
            body = splice.parse(file.read())
    except OSError as error:
        raise BadInput(f"the template {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the template {path} is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadInput(f"the template {path} is not a body, which is a JSON object")
    return body


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",")) if given else ()


def _output_of(table: str) -> str:
    """`-` for standard input; else the table's name, in its own folder."""
    if table == "-":
        return "-"
    whole = table.removesuffix(".gz")
    known = tables.format_of(whole) is not None
    return (whole.rpartition(".")[0] if known else whole) + "_requests.jsonl"


if __name__ == "__main__":
    sys.exit(main())
