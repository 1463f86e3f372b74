"""Keep secrets out of everything that is written or shown, whatever a service echoes."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from request_engine.records import Outcome, Success

_HIDDEN = "[key]"
_TELLING = 16
"""Characters from which on a secret cannot be an ordinary word of an answer."""
_CUT = 12
"""Characters of such a secret that are no longer left standing on their own."""
_NAMED = 6
"""Least characters of a secret that only its name in a URL tells: `max_tokens=5` is none."""

_naming = re.compile("key|token|secret|signature|sig$|passw|pwd|auth|credential", re.I).search
_naming_header = re.compile(
    "(key|token|secret|signature|passw(or)?d|auth|authorization|cookie|credentials?)$", re.I
).search
_past_scheme = re.compile("^[A-Za-z]+ +").sub
_random = re.compile("[A-Za-z0-9]{12}").search
_plain = re.compile("[A-Za-z0-9_.~-]+").findall

_WORD_BEGINS = r"(?:(?<!\w)|(?<=%[\da-fA-F]{2})|(?<=\\[bfnrt])|(?<=\\u[\da-fA-F]{4}))"
"""Also behind the escapes of URLs and JSON, which end in letters."""


class Redaction:
    """Takes secrets out of outcomes and texts."""

    def __init__(self, *secrets: str | None) -> None:
        """None and empty ones, where there is no key, are left out."""
        self._secrets = frozenset[str]()
        self.add(*secrets)

    def add(self, *secrets: str | None) -> None:
        """Take these out as well, from now on."""
        self._secrets |= frozenset(filter(None, secrets))
        longest_first = sorted(self._secrets, key=len, reverse=True)
        telling = [one for one in longest_first if len(one) >= _TELLING]
        # No spelling changes these, so one look at an answer for each is enough.
        self._probes = [max(_plain(one), key=len, default="").encode() for one in telling]
        self._in_answers = re.compile("|".join(map(_spelled, telling)).encode())
        self._anywhere = re.compile("|".join(map(_pattern, longest_first)))

    def __repr__(self) -> str:
        return "<Redaction>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redaction) and self._secrets == other._secrets

    __hash__ = None  # type: ignore[assignment]  # it grows

    def text(self, text: str) -> str:
        """*text* without the secrets."""
        return self._anywhere.sub(_HIDDEN, text) if self._secrets else text

    def outcome(self, outcome: Outcome) -> Outcome:
        """*outcome* without the secrets.

        A short one, such as a gateway's user name, stays in answers: there it may be a word.
        """
        if not self._secrets:
            return outcome
        if not isinstance(outcome, Success):
            raw = None if outcome.raw is None else self.text(outcome.raw)
            return replace(outcome, message=self.text(outcome.message), raw=raw)
        if outcome.extra is not None:
            outcome = replace(outcome, extra=self.text(outcome.extra.decode()).encode())
        for probe in self._probes:
            if probe in outcome.response:
                hidden = self._in_answers.sub(_HIDDEN.encode(), outcome.response)
                return replace(outcome, response=hidden)
        return outcome


def secrets_in(url: str) -> list[str]:
    """What must not be shown of *url*: keys in its query, and a password for its host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    return [*_in_query(parts.query), *_in_user_info(parts.netloc.rpartition("@")[0])]


def secrets_in_headers(headers: Mapping[str, str]) -> list[str]:
    """What must not be shown of *headers*: values that their names tell to be secret."""
    telling = (value for name, value in headers.items() if _naming_header(name))
    parts = (_past_scheme("", part.strip()) for value in telling for part in value.split(";"))
    return [one for one in parts if len(one) >= _NAMED]


def _in_query(query: str) -> Iterator[str]:
    for field in query.split("&"):
        name, _, value = field.partition("=")
        value = unquote(value or name)
        random = len(value) >= _TELLING and _random(value)
        if random or (_naming(name) and len(value) >= _NAMED):
            yield value


def _in_user_info(user_info: str) -> Iterator[str]:
    user, _, password = map(unquote, user_info.partition(":"))
    if password:
        yield password
        yield b64encode(f"{user}:{password}".encode()).decode()  # as HTTP sends it


def _pattern(secret: str) -> str:
    if len(secret) < _TELLING:
        return rf"{_WORD_BEGINS}{_spelled(secret)}(?!\w)"
    # A message may have been cut off within the key.
    return rf"{_spelled(secret)}|{_spelled(secret[:_CUT])}[\w.+/=%\\-]*"


def _spelled(secret: str) -> str:
    """A pattern for *secret* in every spelling that JSON, URLs and HTML have for its signs."""
    return "".join(re.escape(one) if _plain(one) else _sign(one) for one in secret)


def _sign(sign: str) -> str:
    number = ord(sign)
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in sign.encode())
    coded = rf"{percent}|\\+u{number:04x}|&#(?:x0*{number:x}|0*{number});"
    return rf"(?:\\*{re.escape(sign)}|(?i:{coded}))"
