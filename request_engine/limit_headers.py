"""What the headers of a reply tell of a service's limits.

Resets are read elsewhere, as a hint how long to wait (`retry_after.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from request_engine.records import Limit

LIMITS: Mapping[str, str] = {
    "x-ratelimit-limit-requests": "requests",
    "x-ratelimit-limit-tokens": "tokens",
}
"""Headers that tell a limit a minute, and which field of Announced it is for."""
REMAINING: Mapping[str, Limit] = {
    "x-ratelimit-remaining-requests": Limit.REQUESTS,
    "x-ratelimit-remaining-tokens": Limit.TOKENS,
}
"""Headers that tell what is left of one."""
_PARTS = frozenset({Limit.INPUT_TOKENS, Limit.OUTPUT_TOKENS})


@dataclass(frozen=True, slots=True)
class Announced:
    """Limits a minute, None for what is not told.

    A hint to be checked, never a limit to rely on: some tell a sixth of it (the share of ten
    seconds), and for a while less than that.
    """

    requests: float | None = None
    tokens: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None


def announced(headers: Mapping[str, str], names: Mapping[str, str] = LIMITS) -> Announced:
    """The limits that *headers* tell, taken as a minute's; of several for the same, the least."""
    told: dict[str, float] = {}
    for name, what in names.items():
        amount = _amount(headers.get(name))
        if amount is not None:
            told[what] = min(amount, told.get(what, amount))
    return Announced(**told)


def used_up(headers: Mapping[str, str], names: Mapping[str, Limit] = REMAINING) -> Limit | None:
    """The one limit of which nothing remains; None where there is none, or more than one."""
    gone = {limit for name, limit in names.items() if headers.get(name) == "0"}
    if gone & _PARTS:
        gone.discard(Limit.TOKENS)  # the parts together
    return gone.pop() if len(gone) == 1 else None


def _amount(text: str | None) -> float | None:
    """Nothing for 0 and -1, by which some services say that they tell no limit."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
