"""OpenRouter: https://openrouter.ai/docs/api_reference/errors-and-debugging

What fails after a model was chosen fails inside a 200, and with an `error_type` of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from request_engine import judgement, retry_after
from request_engine.judgement import ServiceError
from request_engine.provider import Wall
from request_engine.records import Failure, Kind, Reply

from .json_asked import STRICTLY
from .openai_compatible import OpenAICompatible


class OpenRouter(OpenAICompatible):
    """403 is a guardrail's or a moderator's word on one line, unless it speaks of the key."""

    name = "openrouter"
    aliases = ("open_router",)
    hosts = ("openrouter.ai",)
    key_variables = ("OPENROUTER_API_KEY",)
    base_url = "https://openrouter.ai/api/v1"
    json_forms = STRICTLY
    overruling = (("free-models-per-day", Kind.QUOTA),)  # until midnight, with a 429
    codes: ClassVar[Mapping[str, Kind]] = {
        "refusal": Kind.CONTENT_FILTER,
        "image_not_found": Kind.BAD_REQUEST,
        # Inside a 200, whatever the words of the provider behind it.
        "provider_overloaded": Kind.TRANSIENT,
    }
    phrases = (("key limit exceeded", Kind.QUOTA),)  # with a 403
    statuses: ClassVar[Mapping[int, Kind]] = {403: Kind.CONTENT_FILTER}
    may_be_empty = False  # nothing comes from a model that is still being loaded

    def kind(self, status: int, error: ServiceError | None) -> Kind:
        kind = super().kind(status, error)
        if kind is Kind.CONTENT_FILTER and error is not None and _is_of_the_key(status, error):
            return Kind.AUTH
        return kind

    def failure(
        self, reply: Reply, payload: Any, error: ServiceError | None, wall: Wall
    ) -> Failure:
        failed = super().failure(reply, payload, error, wall)
        stated = payload.get("error") if isinstance(payload, dict) else None
        told = stated.get("availability") if isinstance(stated, dict) else None
        return _as_available(failed, told, wall()) if isinstance(told, dict) else failed

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        """The error of an answer that broke off is in its choice."""
        choices = payload.get("choices")
        broken = judgement.error_in(choices[0]) if isinstance(choices, list) and choices else None
        if broken is not None:
            return self.kind(200, broken), broken.message or "the answer broke off"
        return super().judge_answer(payload)


def _is_of_the_key(status: int, error: ServiceError) -> bool:
    """Whether a 403 is about the key, and not about one that was found in the request."""
    words = error.message[: judgement.SEARCHED].lower()
    on_the_line = "blocked" in words or "flagged" in words
    return (error.status or status) == 403 and "api key" in words and not on_the_line


def _as_available(failed: Failure, told: Mapping[str, Any], now: float) -> Failure:
    """*failed*, by what is *told* of whether and when another attempt can go better."""
    if told.get("retryable") is False and failed.kind in _PASSING:
        return replace(failed, kind=Kind.BAD_REQUEST, wait=None, limit=None)
    if told.get("retryable") is True and failed.kind in (Kind.MODEL_CONFIG, Kind.BAD_ANSWER):
        failed = replace(failed, kind=Kind.TRANSIENT)
    wait = retry_after.seconds(str(told.get("retry_after")), now)
    return replace(failed, wait=wait) if wait is not None and failed.kind in _PASSING else failed


_PASSING = (Kind.RATE_LIMIT, Kind.TRANSIENT)
