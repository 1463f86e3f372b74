"""How long a service asks us to wait, in any of the spellings services use.

Looked for in this order: `retry-after-ms`, `retry-after` as a number, `retry-after` as a date,
the error's own words ("try again in 5.3s"), the reset header of a limit that is used up.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNIT = "ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?|d|days?"
_PART = rf"(\d+(?:\.\d+)?)\s*({_UNIT})(?![a-z])"
_duration = re.compile(rf"(?:{_PART}\s*)+", re.ASCII).fullmatch
_parts = re.compile(_PART, re.ASCII).findall
_in_words = re.compile(
    rf"(?:try again|retry|wait|reset)\w*\s+(?:\w+\s+)?(?:in|after|for)\s+((?:{_PART}\s*)+)",
    re.ASCII | re.IGNORECASE,
).search

_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12
_LONGEST_RESET = 60.0
"""Seconds. Reset headers give the time until the limit is full again, far more than is needed."""


def wait(headers: Mapping[str, str], message: str, wall: Callable[[], float]) -> float | None:
    """Seconds to wait, from the reply's *headers* or the error's *message*; None if unsaid.

    *wall* gives the time of day in seconds since 1970, for dates in a reply without its own.
    """
    hint = _milliseconds(headers.get("retry-after-ms"))
    if hint is None:
        now = _now(headers, wall)
        hint = seconds(headers.get("retry-after"), now)
        if hint is None:
            hint = in_words(message)
        if hint is None:
            hint = _reset(headers, now)
    return hint


def seconds(text: str | None, now: float) -> float | None:
    """Seconds from *now* that a header means: a number, a duration, a date, or a moment in time.

    Nothing for what is negative, past, infinite or not understood.
    """
    if not text:
        return None
    text = text.strip()
    value = _number(text)
    if value is None:
        value = duration(text)
    if value is None:
        moment = _moment(text)
        value = None if moment is None else moment - now
    elif value >= _EPOCH_MILLISECONDS:
        value = value / 1000 - now
    elif value >= _EPOCH_SECONDS:
        value -= now
    return value if value is not None and value >= 0 else None


def duration(text: str) -> float | None:
    """Seconds of a duration such as 120ms, 7.66s, 6m0s, 1h2m3s or "2 minutes"."""
    text = text.strip().lower()
    if not _duration(text):
        return None
    total = sum(float(number) * _UNITS[_unit(unit)] for number, unit in _parts(text))
    return total if math.isfinite(total) else None


def in_words(message: str) -> float | None:
    """Seconds from words such as "Please try again in 5.289s" or "retry after 30 seconds"."""
    found = _in_words(message)
    return duration(found[1]) if found else None


def _unit(text: str) -> str:
    return "ms" if text.startswith(("ms", "mill")) else text[0]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else -1.0


def _milliseconds(text: str | None) -> float | None:
    value = _number(text.strip()) if text else None
    return value / 1000 if value is not None and value >= 0 else None


def _moment(text: str) -> float | None:
    # A fifth of the time that --help takes; needed only when a service names a date.
    from email.utils import parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _now(headers: Mapping[str, str], wall: Callable[[], float]) -> float:
    """The service's own time of day, since its dates are told by its own clock."""
    date = headers.get("date")
    moment = _moment(date) if date else None
    return wall() if moment is None else moment


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """When the limit that is used up will be there again (several: the latest)."""
    waits = [
        seconds(headers.get(name.lower().replace("remaining", "reset")), now)
        for name, value in headers.items()
        if "remaining" in name.lower() and _number(value) in (0.0, -1.0)
    ]
    told = [min(one, _LONGEST_RESET) for one in waits if one is not None]
    return max(told, default=None)
