"""Groq: https://console.groq.com/docs, its pages on errors, rate limits and spend limits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from request_engine.limit_headers import Announced
from request_engine.records import Kind, Usage

from .json_asked import JSON_OBJECT
from .openai_compatible import OpenAICompatible


class Groq(OpenAICompatible):
    """498 is its flex tier without room; 413 one request above the limit of a minute."""

    name = "groq"
    aliases = ("groqcloud",)
    hosts = ("api.groq.com",)
    key_variables = ("GROQ_API_KEY",)
    base_url = "https://api.groq.com/openai/v1"
    json_forms = JSON_OBJECT
    codes: ClassVar[Mapping[str, Kind]] = {
        # The model's own output did not fit; another attempt may.
        "json_validate_failed": Kind.BAD_ANSWER,
        "tool_use_failed": Kind.BAD_ANSWER,
        "capacity_exceeded": Kind.RATE_LIMIT,
        "blocked_api_access": Kind.QUOTA,  # the spend limit, with a 400
        "model_decommissioned": Kind.MODEL_CONFIG,
    }

    def announced(self, headers: Mapping[str, str]) -> Announced:
        """Its limit of requests is a day's, under the name that is a minute's elsewhere."""
        return replace(super().announced(headers), requests=None)

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        """A streamed answer that was not asked for it has it in `x_groq`."""
        own = payload.get("x_groq")
        told = super().usage(payload)
        return super().usage(own) if told is None and isinstance(own, dict) else told

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        """`x_groq` says why a stream ended early."""
        own = payload.get("x_groq")
        stopped = own.get("error") if isinstance(own, dict) else None
        if stopped:
            return Kind.BAD_ANSWER, f"the service stopped the answer: {stopped}"
        return super().judge_answer(payload)
