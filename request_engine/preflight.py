"""Check what the user gave before anything is sent: each fault gets one line and exit code 2."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from request_engine import own_provider
from request_engine.address import Address
from request_engine.errors import BadInput, nearest
from request_engine.provider import Provider

_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")

_past_host = re.compile("[/?#]").split
_harmless = re.compile(r"[\w+.:/\[\]~%-]*").match

Chosen = TypeVar("Chosen")


def limit(value: object, flag: str) -> float | None:
    """A limit a minute above 0; None for `none` (no such limit) and `learn` (to be found)."""
    if is_none(value) or is_learn(value):
        return None
    return _positive(value, flag, "a number above 0, none for no limit, or learn to find it")


def is_learn(value: object) -> bool:
    """Whether *value* is the word."""
    return str(value).strip().lower() == "learn"


def is_none(value: object) -> bool:
    """Whether *value* is None or the word."""
    return value is None or str(value).strip().lower() == "none"


def seconds(value: object, flag: str, *, zero: bool = False) -> float:
    """A time above 0, or with *zero* at least 0."""
    if zero and _finite(value) == 0.0:
        return 0.0
    return _positive(value, flag, f"a number of seconds, {'0 or more' if zero else 'above 0'}")


def count(value: object, flag: str) -> int:
    """A whole number of at least 1."""
    number = _positive(value, flag, "a whole number, 1 or more")
    if number != int(number):
        raise BadInput(f"{flag} is {value}, but it must be a whole number, 1 or more")
    return int(number)


def choice(name: str, known: Mapping[str, Chosen], flag: str) -> Chosen:
    """The one of *known* called *name*."""
    if name not in known:
        raise BadInput(f"{flag} is {name}, but it must be {' or '.join(known)}")
    return known[name]


@dataclass(frozen=True, slots=True)
class Service:
    """Who is asked, and where."""

    provider: Provider
    parts: SplitResult
    address: Address

    def __repr__(self) -> str:
        return f"<Service {self.provider.name} at {self.shown}>"

    @property
    def shown(self) -> str:
        """The URL without anything secret that may be in it."""
        return f"{self.parts.scheme}://{self.parts.netloc}{self.parts.path}"


def service(providers: Sequence[Provider], name: str | None, request_url: str | None) -> Service:
    """The service that *name*, *request_url* or both mean. One of them may be None."""
    if name is not None:
        chosen = provider(providers, name)
        request_url = request_url or chosen.base_url
        if request_url is None:
            raise BadInput(f"--provider {chosen.name} has no URL of its own: give --request_url")
    elif request_url is None:
        raise BadInput("give --request_url, or --provider")
    parts = url(request_url)
    if name is None:
        chosen = _by_url(providers, parts)
    base = urlsplit(chosen.base_url or "").path.rstrip("/")
    known_base = chosen.base_url is not None and parts.path.rstrip("/") == base
    is_base = name is not None or known_base or parts.path in ("", "/")
    return Service(chosen, parts, Address(chosen, request_url, base_allowed=is_base))


def url(text: str) -> SplitResult:
    """The parts of an http or https URL with a host."""
    if "@" in _past_host(text.partition("://")[2])[0]:
        raise BadInput("--request_url has a name or password in it: give the key by itself")
    told = f"--request_url {_shown(text)}".rstrip()
    if any(sign.isspace() for sign in text):
        raise BadInput(f"{told} has a blank or a line break in it")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise BadInput(f"{told} is not a URL: its host cannot be read") from None
    try:
        _ = parts.port
    except ValueError:
        raise BadInput(f"{told} is not a URL: its port is not a number up to 65535") from None
    if parts.scheme not in ("http", "https"):
        what = f"begins with {parts.scheme}://" if "://" in text else "has no scheme"
        raise BadInput(f"{told} {what}: write https://... or http://...")
    if not parts.hostname:
        raise BadInput(f"{told} has no host, as in https://api.example.com/v1/...")
    return parts


def provider(providers: Sequence[Provider], name: str) -> Provider:
    """The provider called *name*: one of *providers*, of an installed package, or in a file."""
    if own_provider.is_file(name):
        return own_provider.load(name)
    asked = name.strip().lower().replace("-", "_")
    names = _names(providers)
    if asked not in names:
        providers = own_provider.joined(providers)
        names = _names(providers)
    if asked not in names:
        every = ", ".join(one.name for one in providers)
        raise BadInput(f"there is no provider {name!r}{nearest(asked, names)} (there are {every})")
    return names[asked]


def _names(providers: Sequence[Provider]) -> dict[str, Provider]:
    return {known: one for one in providers for known in (one.name, *one.aliases)}


def _by_url(providers: Sequence[Provider], parts: SplitResult) -> Provider:
    """The first that claims the URL; installed packages are asked before the last one is."""
    chosen = next(one for one in providers if one.matches(parts))
    if chosen is providers[-1]:
        return next(one for one in own_provider.joined(providers) if one.matches(parts))
    return chosen


def key(
    given: str | None,
    chosen: Provider,
    request_url: SplitResult,
    environ: Mapping[str, str],
    *,
    needed: bool = True,
) -> str | None:
    """The key to use. A known service's own variable serves only that service's hosts.

    Without one BadInput is raised, unless it is not *needed*.
    """
    found, source = given, "--api_key"
    at_home = not chosen.hosts or chosen.matches(request_url)
    if not found and at_home:
        for source in chosen.key_variables:
            if found := environ.get(source):
                break
    if not found:
        if not needed or (chosen.keyless_locally and _local(request_url)):
            return None
        where = " or ".join(chosen.key_variables)
        if where and not at_home:
            raise BadInput(
                f"{where} is not sent to {request_url.hostname}, which is no host of "
                f"{chosen.name}: give --api_key"
            )
        instead = f"set {where}, or " if where else ""
        raise BadInput(f"no key for {chosen.name}: {instead}give --api_key")
    return sendable(found, source)


def sendable(found: str, source: str) -> str:
    """The key that was *found* in *source*; BadInput where no header can hold it."""
    for sign in found:
        if sign.isspace() or not sign.isprintable() or not sign.isascii():
            raise BadInput(
                f"the key from {source} has {_name(sign)} in it: copy it again, without quotes"
            )
    return found


def travels_openly(parts: SplitResult, key: str | None) -> bool:
    """Whether everybody on the way to the service can read *key*."""
    return key is not None and parts.scheme == "http" and not _local(parts)


def paths(requests_path: str, save_path: str | None, errors_path: str | None) -> str:
    """Where the results go. BadInput if that is a directory, or a file that is read as well."""
    if save_path is None:
        if requests_path == "-":
            raise BadInput("requests from standard input need --save_filepath")
        save_path = _default_save_path(requests_path)
    named = [("--requests_filepath", requests_path), ("--save_filepath", save_path)]
    if errors_path is not None:
        named.append(("--errors_filepath", errors_path))
    for at, (flag, path) in enumerate(named):
        if at and os.path.isdir(path):
            raise BadInput(f"{flag} {path} is a directory, but it must be a file")
        for other, taken in named[:at]:
            if _same_file(path, taken):
                raise BadInput(f"{flag} and {other} are the same file, {path}")
        parent = os.path.dirname(os.path.abspath(path))
        if at and not os.path.isdir(parent):
            raise BadInput(f"{flag} {path}: there is no folder {parent}")
    return save_path


def _positive(value: object, flag: str, wanted: str) -> float:
    number = _finite(value)
    if number is None or number <= 0:
        raise BadInput(f"{flag} is {value}, but it must be {wanted}")
    return number


def _finite(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(str(value).replace("_", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _local(parts: SplitResult) -> bool:
    """Whether the host is this machine or one in a private network."""
    from ipaddress import ip_address, ip_network  # not above, for --help

    host = parts.hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".localhost")) or "." not in host
    return address.is_loopback or any(address in ip_network(one) for one in _PRIVATE)


def _shown(text: str) -> str:
    """The part of a wrong URL that cannot hold a secret.

    That is up to its query; nothing of one with a name or password, or of what may be a key.
    """
    if "@" in text or not any(sign in text for sign in "./:"):
        return ""
    found = _harmless(text)
    return found[0] if found else ""


def _default_save_path(path: str) -> str:
    for ending in (".jsonl.gz", ".jsonl", ".gz"):
        if path.endswith(ending):
            return path[: -len(ending)] + "_results.jsonl"
    return path + "_results.jsonl"


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one is not there, or cannot be looked at
        return os.path.abspath(one) == os.path.abspath(other)


def _name(sign: str) -> str:
    names = {" ": "a space", "\n": "a line break", "\r": "a line break", "\t": "a tab"}
    return names.get(sign, f"the character U+{ord(sign):04X}")
