"""Read --endpoints: a TOML file of places that share the work of a run.

[[endpoint]]
name = "here"
url = "http://localhost:8000/v1"
concurrency = 64

[[endpoint]]
provider = "NAME"
key_variable = "KEY_OF_THE_LAB"
models = { "my-model" = "its-name-there" }
rpm = 500
account = "lab"
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from request_engine import amend, extra_headers, preflight
from request_engine.destination import Asked, Destination
from request_engine.errors import BadInput, nearest
from request_engine.provider import Provider
from request_engine.redaction import secrets_in_headers

_FIELDS = {
    # key of the file: field, and the flag that errors call it by
    "name": ("name", None),
    "provider": ("provider", "--provider"),
    "url": ("request_url", "--request_url"),
    "key_variable": ("api_key", "--api_key"),
    "key_command": ("api_key_command", "--api_key_command"),
    "model": ("models", None),
    "models": ("models", "--model"),
    "rpm": ("max_requests_per_minute", "--max_requests_per_minute"),
    "tpm": ("max_tokens_per_minute", "--max_tokens_per_minute"),
    "input_tpm": ("max_input_tokens_per_minute", "--max_input_tokens_per_minute"),
    "output_tpm": ("max_output_tokens_per_minute", "--max_output_tokens_per_minute"),
    "concurrency": ("max_concurrent_requests", "--max_concurrent_requests"),
    "spacing": ("seconds_to_sleep_each_loop", "--seconds_to_sleep_each_loop"),
    "headers": ("headers", "--header"),
    "body": ("body", "--body"),
    "weight": ("weight", None),
    "account": ("account", None),
}
_TEXTS = ("name", "provider", "url", "key_variable", "key_command", "model", "account")
_TABLES = ("models", "headers", "body")
_MAY_BE_SECRET = ("key_variable", "key_command", "url", "headers")
"""Keys whose values are not repeated."""
_OF_AN_ACCOUNT = ("rpm", "tpm", "input_tpm", "output_tpm", "concurrency", "spacing")
"""Keys that are for a whole account, so that two of its endpoints must not differ in them."""
_like_a_variable = re.compile(r"[A-Z_][A-Z0-9_]*").fullmatch


@dataclass(frozen=True, slots=True)
class _Entry:
    """One table of the file."""

    told: str
    fields: Mapping[str, Any]


def read(path: str, common: Asked, providers: Sequence[Provider]) -> list[Destination]:
    """The places that *path* names; what it leaves open is as in *common*.

    BadInput, in one line that says which endpoint, where something is wrong with one.
    """
    entries = [_entry(path, number, one) for number, one in enumerate(_tables(path), 1)]
    names = [entry.fields["name"] for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadInput(f"{path} has two endpoints named {min(twice)}: names must differ")
    _check_common(path, common)
    asked = [_asked(entry, common) for entry in entries]
    _agree(path, entries)
    return [_destination(one, providers) for one in asked]


@contextmanager
def told_by(asked: Asked) -> Iterator[None]:
    """Complaints about *asked* name the endpoint, and its settings as the file does."""
    try:
        yield
    except BadInput as wrong:
        if not asked.told:
            raise
        message = str(wrong)
        for key, (_, flag) in sorted(_FIELDS.items(), key=_longest_flag_first):
            if flag is not None:
                message = message.replace(flag, key)
        raise BadInput(f"{asked.told}: {message}") from None


def _tables(path: str) -> list[Any]:
    try:
        with open(path, encoding="utf-8-sig") as file:  # some editors begin files with a BOM
            content = tomllib.loads(file.read())
    except OSError as error:
        raise BadInput(f"--endpoints {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"--endpoints {path} is not TOML: it is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"--endpoints {path} is not TOML: {error}") from None
    tables = content.pop("endpoint", None)
    if content:
        raise BadInput(
            f"--endpoints {path} has {min(content)!r}, which is no [[endpoint]]: "
            "write each place as a table of that name"
        )
    if not isinstance(tables, list) or not tables:
        raise BadInput(
            f"--endpoints {path} has no [[endpoint]]: write one, in two brackets, for each place"
        )
    return tables


def _entry(path: str, number: int, fields: Any) -> _Entry:
    told = f"endpoint {number} of {path}"
    if not isinstance(fields, dict):
        raise BadInput(f"{told} is not a table: write [[endpoint]], and its keys below")
    if isinstance(fields.get("name"), str) and fields["name"]:
        told = f"endpoint {fields['name']} of {path}"
    for key, value in fields.items():
        if key not in _FIELDS:
            raise BadInput(f"{told} has no setting {key!r}{_nearest(key)}")
        _check(told, key, value)
    if "model" in fields and "models" in fields:
        raise BadInput(f"{told} has both model and models: give one of them")
    return _Entry(told, {"name": f"endpoint {number}", **fields})


def _nearest(key: str) -> str:
    """A hint at the key that was meant, be it by the name of a flag."""
    for known, (field, _) in _FIELDS.items():
        if key.replace("-", "_") == field:
            return f"; did you mean {known}?"
    return nearest(key, _FIELDS)


def _check(told: str, key: str, value: Any) -> None:
    """Of the right type; what its value must be is checked where it is used."""
    if key in _TEXTS:
        wanted, right = "a text", isinstance(value, str) and value != ""
    elif key in _TABLES:
        wanted, right = "a table", isinstance(value, dict)
    elif key == "weight":
        wanted = "a number above 0"
        right = type(value) in (int, float) and 0 < value < float("inf")
    else:
        wanted, right = "a number or a word", type(value) in (int, float, str)
    if not right:
        seen = "something else" if key in _MAY_BE_SECRET else repr(value)
        raise BadInput(f"{told}: {key} is {seen}, but it must be {wanted}")


def _asked(entry: _Entry, common: Asked) -> Asked:
    fields = dict(entry.fields)
    if "key_variable" in fields:
        fields["key_variable"] = _key(entry.told, fields["key_variable"])
    if "model" in fields:
        fields["model"] = {amend.EVERY: fields["model"]}
    named = {_FIELDS[key][0]: value for key, value in fields.items()}
    asked = replace(common, told=entry.told, **named)
    with told_by(asked):  # an endpoint's own count for more than the run's
        if "headers" in fields:
            own = extra_headers.read(fields["headers"])
            asked = replace(
                asked, headers=extra_headers.merged(extra_headers.read(common.headers), own)
            )
        if "body" in fields:
            members = amend.read_fields(common.body) | amend.read_fields(fields["body"])
            body = f"{{{', '.join(one.member for one in members.values())}}}"
            asked = replace(asked, body=body)
    return asked


def _key(told: str, variable: str) -> str:
    key = os.environ.get(variable)
    if key:
        return key
    if not _like_a_variable(variable):  # perhaps the key itself
        raise BadInput(
            f"{told}: key_variable names no variable that is set: write the name of the "
            "environment variable that holds the key, and not the key"
        )
    raise BadInput(f"{told}: key_variable is {variable}, but it is not set: set that variable")


def _check_common(path: str, common: Asked) -> None:
    """What is said for all endpoints is called by its flags, and goes to every host."""
    amend.read_fields(common.body)
    preflight.seconds(common.seconds_to_sleep_each_loop, "--seconds_to_sleep_each_loop", zero=True)
    for name, value in extra_headers.read(common.headers).items():
        if secrets_in_headers({name: value}):
            raise BadInput(
                f"--header {name} would go to every endpoint: write it into {path}, as headers of "
                "the one it is for"
            )


def _agree(path: str, entries: Sequence[_Entry]) -> None:
    """Endpoints of one account have one budget, and so one set of limits."""
    first: dict[str, _Entry] = {}
    for entry in entries:
        account = entry.fields.get("account")
        if account is None:
            continue
        other = first.setdefault(account, entry)
        for key in _OF_AN_ACCOUNT:
            if entry.fields.get(key) != other.fields.get(key):
                raise BadInput(
                    f"{entry.told} and {other.told} share the account {account}, but differ in "
                    f"{key}: give both the same"
                )


def _longest_flag_first(field: tuple[str, tuple[str, str | None]]) -> int:
    return -len(field[1][1] or "")


def _destination(asked: Asked, providers: Sequence[Provider]) -> Destination:
    with told_by(asked):
        return Destination(asked, providers)
