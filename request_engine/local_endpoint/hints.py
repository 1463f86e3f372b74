"""How a service tells its limits: the headers of every reply, and the words of a refusal."""

import math
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from .limiters import Limits, Rate, Refusal


def go_duration(seconds: float) -> str:
    """`120ms`, `1s`, `5.289s`, `6m0s`, `1h0m0.5s`."""
    milliseconds = math.ceil(round(seconds * 1000, 6))
    if milliseconds <= 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def whole_seconds(seconds: float) -> str:
    return str(math.ceil(round(seconds, 6)))


def limit_headers(spelling: str, limits: Limits, now: float) -> dict[str, str]:
    """`x-ratelimit-*`: the limit, what remains of it, and when it is whole again."""
    if spelling not in ("openai", "azure"):
        return {}
    headers: dict[str, str] = {}
    for rate in reversed(limits.rates):
        headers |= _rate_headers(spelling, rate, now)
    return headers


def _rate_headers(spelling: str, rate: Rate, now: float) -> dict[str, str]:
    meter, azure = rate.meter, spelling == "azure"
    remaining = max(0, math.floor(meter.capacity - meter.used(now)))
    spell: Callable[[float], str] = whole_seconds if azure else go_duration
    return {
        f"x-ratelimit-limit-{rate.what}": str(math.floor(meter.capacity) if azure else rate.limit),
        f"x-ratelimit-remaining-{rate.what}": str(remaining),
        f"x-ratelimit-reset-{rate.what}": spell(meter.reset(now)),
    }


def wait_headers(spelling: str, wait: float | None, wall: float) -> dict[str, str]:
    """How long to wait, as *spelling* says it; *wall* is the time of day, for the date."""
    if wait is None or spelling in ("text", "none"):
        return {}
    if spelling == "date":
        return {"Retry-After": formatdate(math.ceil(wall + wait), usegmt=True)}
    headers = {"Retry-After": whole_seconds(wait)}
    if spelling in ("openai", "azure"):
        headers["retry-after-ms"] = str(math.ceil(round(wait * 1000, 6)))
    return headers


def refusal_error(spelling: str, refusal: Refusal, model: str) -> dict[str, Any]:
    """The error object of a 429."""
    if spelling == "azure":
        return {"code": "429", "message": _pricing_tier_message(refusal)}
    return {
        "message": _message(spelling, refusal, model),
        "type": refusal.what if " per " in refusal.per else "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def _message(spelling: str, refusal: Refusal, model: str) -> str:
    subject = f"for {model} in organization org-canned on {refusal.per}"
    if refusal.wait is None:
        return (
            f"Request too large {subject}: Limit {refusal.limit}, Requested {refusal.requested}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
    figures = f"Limit {refusal.limit}, Used {refusal.used}, Requested {refusal.requested}."
    wait = f" Please try again in {go_duration(refusal.wait)}."
    return f"Rate limit reached {subject}: {figures}{wait if spelling in _SAYS_WAIT else ''}"


_SAYS_WAIT = ("openai", "text")


def _pricing_tier_message(refusal: Refusal) -> str:
    what = {"tokens": "token rate", "requests": "call rate"}.get(refusal.what, "concurrency")
    hint = f" Please retry after {whole_seconds(refusal.wait)} seconds." if refusal.wait else ""
    return f"Requests have exceeded the {what} limit of your current pricing tier.{hint}"
