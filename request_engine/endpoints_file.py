"""Read --endpoints: a TOML file of places that share the work of a run.

[[endpoint]]
provider = "vllm"
url = "http://localhost:8000/v1"
concurrency = 64

[[endpoint]]
provider = "deepseek"
key_variable = "DEEPSEEK_KEY_OF_THE_LAB"
models = { "my-model" = "deepseek-chat" }
rpm = 500
account = "lab"
"""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from request_engine import preflight
from request_engine.destination import Asked, Destination
from request_engine.errors import BadInput
from request_engine.provider import Provider

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
_OF_AN_ACCOUNT = ("rpm", "tpm", "input_tpm", "output_tpm", "concurrency", "spacing")
"""Keys that are for a whole account, so that two of its endpoints must not differ in them."""


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
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise BadInput(f"--endpoints {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"--endpoints {path} is not TOML: {error}") from None
    tables = content.pop("endpoint", None)
    if content:
        raise BadInput(
            f"--endpoints {path} has {min(content)!r}, which is no [[endpoint]]: "
            "write each place as a table of that name"
        )
    if not isinstance(tables, list) or not tables:
        raise BadInput(f"--endpoints {path} has no [[endpoint]]: write a table for each place")
    return tables


def _entry(path: str, number: int, fields: Any) -> _Entry:
    told = f"endpoint {number} of {path}"
    if not isinstance(fields, dict):
        raise BadInput(f"{told} is not a table")
    if isinstance(fields.get("name"), str) and fields["name"]:
        told = f"endpoint {fields['name']} of {path}"
    for key, value in fields.items():
        if key not in _FIELDS:
            raise BadInput(f"{told} has no setting {key!r}{preflight.nearest(key, _FIELDS)}")
        _check(told, key, value)
    if "model" in fields and "models" in fields:
        raise BadInput(f"{told} has both model and models: give one of them")
    return _Entry(told, {"name": f"endpoint {number}", **fields})


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
        wanted, right = "a number or a word", isinstance(value, int | float | str)
    if not right:
        raise BadInput(f"{told}: {key} is {value!r}, but it must be {wanted}")


def _asked(entry: _Entry, common: Asked) -> Asked:
    fields = dict(entry.fields)
    if "key_variable" in fields:
        variable = fields["key_variable"]
        fields["key_variable"] = os.environ.get(variable)
        if not fields["key_variable"]:
            raise BadInput(f"{entry.told}: there is no key in {variable}: set that variable")
    for key in ("headers", "body"):  # an endpoint's own count for more than the run's
        if key in fields:
            fields[key] = _over(getattr(common, key), fields[key])
    named = {_FIELDS[key][0]: value for key, value in fields.items()}
    return replace(common, told=entry.told, **named)


def _over(common: Any, own: Mapping[str, Any]) -> Any:
    return {**common, **own} if isinstance(common, dict) else own


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
