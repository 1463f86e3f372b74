"""What an error means, asked in this order: overruling words, codes, other words, status.

Status alone never decides: services say "out of money" with 429 and "too fast" with 403. Sources:
the providers' own error tables, gathered in docs/failures.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from request_engine.records import Kind

LONGEST_MESSAGE = 2_000
"""Characters of a service's message that are kept. Some echo the whole prompt."""
SEARCHED = 500
"""Characters of it that phrases are looked for in: an echoed prompt comes later."""


@dataclass(frozen=True, slots=True)
class ServiceError:
    """The error inside a reply, whatever shape the service gives it."""

    message: str
    codes: tuple[str, ...] = ()
    """Everything in it that names the error, most particular first."""
    status: int | None = None
    """An HTTP status that the body states for itself."""


STATUSES: Mapping[int, Kind] = {
    401: Kind.AUTH,
    402: Kind.QUOTA,
    403: Kind.AUTH,
    404: Kind.MODEL_CONFIG,
    405: Kind.MODEL_CONFIG,
    407: Kind.AUTH,
    408: Kind.TRANSIENT,
    409: Kind.TRANSIENT,
    410: Kind.MODEL_CONFIG,
    425: Kind.TRANSIENT,
    429: Kind.RATE_LIMIT,
    498: Kind.RATE_LIMIT,
    499: Kind.TRANSIENT,
}
"""Where neither code nor words tell. Any other 4xx is a bad request, and 5xx is transient."""

CODES: Mapping[str, Kind] = {
    "insufficient_quota": Kind.QUOTA,
    "credit_balance_exhausted": Kind.QUOTA,
    "organization_usage_limit_exceeded": Kind.QUOTA,
    "organization_spend_limit_exceeded": Kind.QUOTA,
    "project_spend_limit_exceeded": Kind.QUOTA,
    "billing_hard_limit_reached": Kind.QUOTA,
    "billing_error": Kind.QUOTA,
    "insufficient_user_quota": Kind.QUOTA,
    "pre_consume_token_quota_failed": Kind.QUOTA,
    "budget_exceeded": Kind.QUOTA,
    "entitlement_required": Kind.QUOTA,
    "entitlement_inactive": Kind.QUOTA,
    "entitlement_daily_limit_exceeded": Kind.QUOTA,
    "entitlement_total_limit_exceeded": Kind.QUOTA,
    "payment_required": Kind.QUOTA,
    "rate_limit_exceeded": Kind.RATE_LIMIT,
    "rate_limit_error": Kind.RATE_LIMIT,
    "slow_down": Kind.RATE_LIMIT,
    "token_concurrency_limit_reached": Kind.RATE_LIMIT,
    "invalid_api_key": Kind.AUTH,
    "authentication_error": Kind.AUTH,
    "model_not_found": Kind.MODEL_CONFIG,
    "model_price_error": Kind.MODEL_CONFIG,
    "context_length_exceeded": Kind.BAD_REQUEST,
    "string_too_long": Kind.BAD_REQUEST,
    "invalid_prompt": Kind.BAD_REQUEST,
    "exceed_context_size_error": Kind.BAD_REQUEST,
    "content_filter": Kind.CONTENT_FILTER,
    "content_policy_violation": Kind.CONTENT_FILTER,
    "responsibleaipolicyviolation": Kind.CONTENT_FILTER,
    "sensitive_words_detected": Kind.CONTENT_FILTER,
    "prompt_blocked": Kind.CONTENT_FILTER,
    "server_error": Kind.TRANSIENT,
    "server_is_overloaded": Kind.TRANSIENT,
    "overloaded_error": Kind.TRANSIENT,
}
"""Codes that OpenAI-compatible services share, in lower case. A provider's own come first."""

OVERRULING: tuple[tuple[str, Kind], ...] = (
    # One request over the whole limit, said with the code of a passing refusal.
    ("request too large for", Kind.BAD_REQUEST),
)
"""Words of a message, in lower case, that count for more than its code."""

PHRASES: tuple[tuple[str, Kind], ...] = (
    ("maximum context length", Kind.BAD_REQUEST),
    ("prompt is too long", Kind.BAD_REQUEST),
    ("insufficient balance", Kind.QUOTA),
    ("insufficient account balance", Kind.QUOTA),
    ("credit balance is too low", Kind.QUOTA),
    ("used all available credits", Kind.QUOTA),
    ("monthly spending limit", Kind.QUOTA),
    ("exceeded your current quota", Kind.QUOTA),
    ("crossed budget", Kind.QUOTA),
    ("余额不足", Kind.QUOTA),
    ("余额已用尽", Kind.QUOTA),
    ("额度已用尽", Kind.QUOTA),
    ("欠费", Kind.QUOTA),
    ("incorrect api key", Kind.AUTH),
    ("api key not valid", Kind.AUTH),
    ("invalid api key", Kind.AUTH),
)
"""Words of a message, in lower case, for services whose codes do not tell."""


def kind_of(
    status: int,
    error: ServiceError | None,
    *,
    overruling: Iterable[tuple[str, Kind]],
    codes: Mapping[str, Kind],
    phrases: Iterable[tuple[str, Kind]],
    statuses: Mapping[int, Kind],
) -> Kind:
    """The kind of a reply with *status* and perhaps an *error*; a provider's tables come first."""
    if error is None:
        return _by_status(status, statuses)
    words = error.message[:SEARCHED].lower()
    told = (
        _by_words(words, (*overruling, *OVERRULING))
        or _by_codes(error.codes, (codes, CODES))
        or (_by_words(words, (*phrases, *PHRASES)) if (error.status or status) < 500 else None)
    )
    if told is not None:
        return told
    if status < 300 and error.status is None:
        return Kind.BAD_ANSWER  # an error inside a success
    return _by_status(error.status or status if status < 300 else status, statuses)


def _by_words(words: str, phrases: Iterable[tuple[str, Kind]]) -> Kind | None:
    return next((kind for phrase, kind in phrases if phrase in words), None)


def _by_codes(codes: tuple[str, ...], tables: Sequence[Mapping[str, Kind]]) -> Kind | None:
    for code in codes:
        for table in tables:
            if code.lower() in table:
                return table[code.lower()]
    return None


def _by_status(status: int, statuses: Mapping[int, Kind]) -> Kind:
    for table in (statuses, STATUSES):
        if status in table:
            return table[status]
    if 300 <= status < 400:
        return Kind.MODEL_CONFIG
    return Kind.BAD_REQUEST if 400 <= status < 500 else Kind.TRANSIENT


def error_in(payload: Any) -> ServiceError | None:
    """The error that *payload* states, None where it states none."""
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]  # some services wrap their errors in a list
    if isinstance(payload, str):
        return ServiceError(_shortened(payload)) if payload else None
    if not isinstance(payload, dict):
        return None
    inner = payload.get("error")
    if not inner and isinstance(payload.get("response"), dict):
        inner = payload["response"].get("error")
    if inner and inner is not True:
        return _stated(inner, payload)
    return None


def flat_error_in(payload: Any) -> ServiceError | None:
    """The error of a reply known to have failed, where any message will do."""
    stated = error_in(payload)
    if (
        stated is None
        and isinstance(payload, dict)
        and (_message_in(payload) or payload.get("code"))
    ):
        stated = _stated(payload, payload)
    return stated


def _stated(error: Any, payload: dict[str, Any]) -> ServiceError:
    if not isinstance(error, dict):
        codes = _words(payload.get("code"), payload.get("type"), payload.get("error_type"))
        return ServiceError(_shortened(_text(error)), codes, _status_in(payload.get("code")))
    inner = error.get("innererror") or error.get("inner_error") or {}
    meta = error.get("metadata") if isinstance(error.get("metadata"), dict) else {}
    codes = _words(
        inner.get("code") if isinstance(inner, dict) else None,
        meta.get("error_type") if isinstance(meta, dict) else None,
        error.get("error_type") or payload.get("error_type"),
        error.get("code"),
        error.get("type"),
        error.get("status"),
    )
    message = _message_in(error) or _message_in(payload) or _text(error)
    return ServiceError(_shortened(message), codes, _status_in(error.get("code")))


def _message_in(payload: dict[str, Any]) -> str:
    for name in ("message", "msg", "error_msg", "err", "detail", "error_message"):
        if payload.get(name):
            return _text(payload[name])
    header = payload.get("header")
    return _text(header["message"]) if isinstance(header, dict) and header.get("message") else ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return str(value)


def _words(*values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values if isinstance(value, str | int) and value != "")


def _status_in(code: Any) -> int | None:
    """Some services put the HTTP status into the error's code, as a number or as digits."""
    try:
        status = int(code)
    except (TypeError, ValueError, OverflowError):
        return None
    return status if 400 <= status < 600 else None


def _shortened(text: str) -> str:
    text = " ".join(text[: 10 * LONGEST_MESSAGE].split())
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "..."
