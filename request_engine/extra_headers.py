"""Headers beside those that a service asks for: from --header, and an account's from variables."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult

from request_engine.errors import BadInput
from request_engine.provider import Provider

_OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that tell how the bytes travel, which only the transport knows."""
_token = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII).fullmatch
_unsendable = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]").search
_WANTED = "write it as 'Name: value'"


def read(given: Mapping[str, str] | str | Iterable[str] | None) -> dict[str, str]:
    """The headers of --header; BadInput, which repeats no value, for one that cannot be sent."""
    if isinstance(given, Mapping):
        pairs = [*given.items()]
    else:
        texts = [given] if isinstance(given, str) else given or ()
        pairs = [_pair(text) for text in texts]
    headers: dict[str, str] = {}
    for name, value in pairs:
        _check(name, value, f"--header {name!r}")
        if any(name.lower() == other.lower() for other in headers):
            raise BadInput(f"--header {name} is given twice: give it once, with commas in between")
        headers[name] = value.strip(" \t")
    return headers


def of_account(provider: Provider, url: SplitResult, environ: Mapping[str, str]) -> dict[str, str]:
    """What *environ* tells of the account, such as its organization; for its own hosts alone."""
    if not provider.hosts or not provider.matches(url):
        return {}
    headers: dict[str, str] = {}
    for name, variables in provider.header_variables.items():
        variable = next((one for one in variables if environ.get(one, "").strip()), None)
        if variable is not None:
            value = environ[variable].strip(" \t")
            _check(name, value, f"the value of {variable}")
            headers[name] = value
    return headers


def merged(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """*others* over *headers*: a header has one value, in whatever case its name is written."""
    named = {name.lower() for name in others}
    kept = {name: value for name, value in headers.items() if name.lower() not in named}
    return kept | dict(others)


def _pair(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:  # all of it may be a secret
        raise BadInput(f"--header has no colon in it: {_WANTED}")
    return name.strip(" \t"), value


def _check(name: object, value: object, told: str) -> None:
    if not isinstance(name, str) or not isinstance(value, str):
        raise BadInput(f"{told} is not text: {_WANTED}")
    if not _token(name):  # and may be a secret
        raise BadInput(f"--header does not begin with the name of a header: {_WANTED}")
    if _unsendable(value):
        raise BadInput(f"{told} has a line break or another control character in it")
    if not value.strip(" \t"):
        raise BadInput(f"{told} has no value: {_WANTED}")
    if name.lower() in _OF_THE_CONNECTION:
        raise BadInput(f"{told} cannot be given: it belongs to the connection, not to the request")
