"""How Google's APIs say no: one shape for all of them, sometimes within a list of one.

{"error": {"code": 429, "message", "status": "RESOURCE_EXHAUSTED", "details": [
    {"@type": ".../google.rpc.ErrorInfo", "reason"},
    {"@type": ".../google.rpc.QuotaFailure", "violations": [{"quotaId": "...PerDay...", ...}]},
    {"@type": ".../google.rpc.RetryInfo", "retryDelay": "46s"}]}}

Codes: https://ai.google.dev/gemini-api/docs/troubleshooting and google.rpc.Code.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from request_engine import retry_after, splice
from request_engine.judgement import ServiceError
from request_engine.provider import Wall
from request_engine.records import Failure, Kind, Limit, Reply

from .openai_compatible import OpenAICompatible

_USED_UP, _REQUESTS, _INPUT = "quota used up", "quota of requests", "quota of input tokens"
"""Codes of ours, for what only the names of quotas tell."""
_EXHAUSTED = "RESOURCE_EXHAUSTED"
_no_quota = re.compile(r"\blimit: 0(?![\d.])").search
_a_days = re.compile("PerDay|per_day").search
_of_requests = re.compile("Requests|requests_per_minute").search
_of_input = re.compile("InputToken|input_tokens_per_minute").search


class GoogleErrors(OpenAICompatible):
    """A day's quota that is used up is out of quota: it comes back at midnight, Pacific time."""

    # Of its statuses those that the number beside them does not explain.
    codes: ClassVar[Mapping[str, Kind]] = {
        _USED_UP: Kind.QUOTA,
        "api_key_invalid": Kind.AUTH,
        "billing_disabled": Kind.QUOTA,
        "invalid_argument": Kind.BAD_REQUEST,  # whatever words of the request it repeats
        "failed_precondition": Kind.AUTH,  # no billing, or a country that is not served
        "resource_exhausted": Kind.RATE_LIMIT,
    }
    limits_named: ClassVar[Mapping[str, Limit]] = {
        _REQUESTS: Limit.REQUESTS,
        _INPUT: Limit.INPUT_TOKENS,
    }
    overruling = (
        ("api key not valid", Kind.AUTH),  # with the code of a bad request
        ("multiple authentication credentials", Kind.AUTH),  # the same
    )

    def failure(
        self, reply: Reply, payload: Any, error: ServiceError | None, wall: Wall
    ) -> Failure:
        """What its details tell counts for more than its status."""
        if error is not None:
            details = _details(payload)
            reasons = [one["reason"] for one in details if isinstance(one.get("reason"), str)]
            quotas = _quotas(error.message, details) if _EXHAUSTED in error.codes else ()
            error = replace(error, codes=(*quotas, *reasons, *error.codes))
        return super().failure(reply, payload, error, wall)

    def wait(self, reply: Reply, message: str, wall: Wall) -> float | None:
        hint = super().wait(reply, message, wall)
        return _retry_delay(reply.content) if hint is None else hint


def _quotas(message: str, details: list[dict[str, Any]]) -> Iterator[str]:
    quotas = [one for detail in details for one in _objects(detail.get("violations"))]
    # Some answers name a quota in words alone.
    names = [str(one.get("quotaId")) for one in quotas] or [message]
    nothing = any(str(one.get("quotaValue")) == "0" for one in quotas)
    if nothing or any(map(_a_days, names)) or _no_quota(message):
        yield _USED_UP
    # Where different ones are used up, none is named.
    if all(map(_of_input, names)):
        yield _INPUT
    elif all(map(_of_requests, names)):
        yield _REQUESTS


def _retry_delay(content: bytes) -> float | None:
    try:
        payload = splice.parse_reply(content.decode())
    except (ValueError, RecursionError):
        return None
    delays = [detail.get("retryDelay") for detail in _details(payload)]
    told = [retry_after.duration(delay) for delay in delays if isinstance(delay, str)]
    return next((one for one in told if one is not None), None)


def _details(payload: Any) -> list[dict[str, Any]]:
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    error = payload.get("error") if isinstance(payload, dict) else None
    return _objects(error.get("details")) if isinstance(error, dict) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
