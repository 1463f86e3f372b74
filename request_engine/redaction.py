"""Keep the key out of everything that is written or shown, whatever a service echoes."""

import re
from dataclasses import replace

from request_engine.records import Outcome, Success

_HIDDEN = "[key]"
_TELLING = 16
"""Characters from which on a key cannot be an ordinary word of an answer."""
_CUT = 12
"""Characters of such a key that are no longer left standing on their own."""


class Redaction:
    """Takes one secret out of outcomes."""

    def __init__(self, secret: str | None) -> None:
        """*secret* may be None or empty when there is no key."""
        self._telling = len(secret or "") >= _TELLING
        self._bytes = (secret or "").encode()
        self._find = _pattern(secret) if secret else None

    def __repr__(self) -> str:
        return "<Redaction>"

    def text(self, text: str) -> str:
        """*text* without the secret."""
        return self._find.sub(_HIDDEN, text) if self._find else text

    def outcome(self, outcome: Outcome) -> Outcome:
        """*outcome* without the secret.

        A short one, such as a gateway's user name, stays in answers: there it may be a word.
        """
        if not self._bytes:
            return outcome
        if not isinstance(outcome, Success):
            raw = None if outcome.raw is None else self.text(outcome.raw)
            return replace(outcome, message=self.text(outcome.message), raw=raw)
        if outcome.extra is not None:
            outcome = replace(outcome, extra=self.text(outcome.extra.decode()).encode())
        if self._telling and self._bytes in outcome.response:
            hidden = outcome.response.replace(self._bytes, _HIDDEN.encode())
            return replace(outcome, response=hidden)
        return outcome


def _pattern(secret: str) -> re.Pattern[str]:
    if len(secret) < _TELLING:
        return re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)")
    # A message may have been cut off within the key.
    return re.compile(rf"{re.escape(secret)}|{re.escape(secret[:_CUT])}[\w.+/=-]*")
