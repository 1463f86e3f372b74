"""Turn rows of a table into lines of a request file."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from request_engine import splice, templates
from request_engine.errors import BadInput, nearest
from request_engine.seen import Seen
from request_engine.tables import Row, Table

ENDPOINTS = {
    "chat": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
}
NUMBER = "row"
"""What the metadata calls the number of a row, where no column names it."""

_SHOWN = 30
"""Columns that are named at most."""


def prompted(endpoint: str, prompt: str, system: str | None) -> dict[str, Any]:
    """The body of a request to *endpoint* that asks *prompt*, without its model."""
    if system is not None and endpoint not in ("chat", "responses"):
        raise BadInput(f"--system has no place in a request to {endpoint}")
    if endpoint == "chat":
        messages = [{"role": "user", "content": prompt}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        return {"messages": messages}
    if endpoint == "responses" and system is not None:
        return {"instructions": system, "input": prompt}
    return {"prompt" if endpoint == "completions" else "input": prompt}


def endpoint_of(body: Mapping[str, Any]) -> str:
    """The endpoint that the body of a template is for, judged by its keys."""
    if "messages" in body:
        return "chat"
    if "prompt" in body:
        return "completions"
    return "embeddings" if "embedding" in str(body.get("model")) else "responses"


def setting(text: str) -> tuple[str, Any]:
    """Name and value of a NAME=VALUE, whose value is JSON or else a text."""
    name, equals, spelled = text.partition("=")
    if not equals or not name.strip():
        raise BadInput(f"--set is {text}, but it must be NAME=VALUE, such as temperature=0")
    try:
        return name.strip(), splice.parse(spelled.strip())
    except (ValueError, RecursionError):
        return name.strip(), spelled


class RequestMaker:
    """Fills rows into a body, and knows afterwards what is worth saying of them."""

    def __init__(
        self,
        body: dict[str, Any],
        fixed: dict[str, Any],
        *,
        source: str,
        typed: bool,
        identity: str | None,
        kept: tuple[str, ...],
        url: str | None,
    ) -> None:
        """*body* has columns in its texts, and *fixed* goes over it as it is.

        *source* and *typed* are as in `templates.value`. *identity* is the column that names a
        request and *kept* those that come back with the answer. *url* makes batch lines.
        """
        self.made = 0
        self.repeated = 0
        """Rows whose name an earlier one has."""
        self.first_repeated: Row | None = None
        self.empty: Counter[str] = Counter()
        """Rows that have nothing in a column that is used."""
        self._fill = templates.value(body, source, typed=typed)
        self._fixed = fixed
        self._identity = identity
        self._kept = kept if identity is None else (identity, *kept)
        self._used = sorted({*templates.columns(body, source), *self._kept})
        self._url = url
        self._seen = Seen()

    def lines(self, table: Table) -> Iterator[bytes]:
        """A line for each row of *table*. BadInput names the line of what cannot be one."""
        for row in table.rows():
            place = f"{table.name}, line {row.line}"
            try:
                yield self._line(row)
            except templates.NoColumn as error:
                raise _missing(error.column, row.fields, place) from None
            except ValueError as error:  # a number that JSON cannot spell
                raise BadInput(f"{place}: {error}") from None
            except RecursionError:
                raise BadInput(f"{place}: nested too deeply") from None
            self._notice(row)

    def _line(self, row: Row) -> bytes:
        body = self._fill(row.fields) | self._fixed
        metadata = {name: templates.field(row.fields, name) for name in self._kept}
        if self._url is not None:
            named = f"{NUMBER}-{row.number}"
            if self._identity is not None:
                named = templates.spelled(metadata[self._identity])
            body = {"custom_id": named, "method": "POST", "url": self._url, "body": body}
        else:
            number = {NUMBER: row.number} if self._identity is None else {}
            body["metadata"] = number | metadata
        return _encoded(body)

    def _notice(self, row: Row) -> None:
        self.made += 1
        for name in self._used:
            if row.fields[name] in ("", None):
                self.empty[name] += 1
        if self._identity is None:
            return
        if self._seen.add(templates.spelled(row.fields[self._identity])):
            self.repeated += 1
            self.first_repeated = self.first_repeated or row


def _missing(column: str, fields: Mapping[str, Any], place: str) -> BadInput:
    """There is no *column* at *place*: which there are, and what may have been meant."""
    names = list(fields)
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    there = (", ".join(names[:_SHOWN]) or "an empty row") + more
    why = f"{place}: there is no column {templates.short(column)}, only {there}"
    sign = next((sign for sign in ";\t|" if len(names) == 1 and sign in names[0]), None)
    if sign is not None:
        why += f"; if those are several, give --delimiter {'tab' if sign == chr(9) else repr(sign)}"
    elif any(sign in column for sign in '":,\n'):
        why += "; write {{ and }} for braces that stand for themselves"
    else:
        why += nearest(column, names)
    return BadInput(why)


def _encoded(line: dict[str, Any]) -> bytes:
    """*line* with the signs it is written in; escapes only where half a character stands alone."""
    try:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(line, allow_nan=False).encode() + b"\n"
