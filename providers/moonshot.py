"""Moonshot (Kimi): https://platform.moonshot.cn/docs, error and rate-limit pages.

A key is of one of its two sites: .cn or .ai.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind, Usage

from .json_asked import JSON_OBJECT
from .openai_compatible import OpenAICompatible


class Moonshot(OpenAICompatible):
    """Its limits are the account's, whatever the model, and count max_tokens without refund."""

    name = "moonshot"
    aliases = ("kimi",)
    hosts = ("api.moonshot.cn", "api.moonshot.ai")
    key_variables = ("MOONSHOT_API_KEY",)
    base_url = "https://api.moonshot.cn/v1"
    profile = Profile(charges_ceiling=True)
    json_forms = JSON_OBJECT
    codes: ClassVar[Mapping[str, Kind]] = {
        "exceeded_current_quota_error": Kind.QUOTA,  # with 429 or 403
        "rate_limit_reached_error": Kind.RATE_LIMIT,
        "engine_overloaded_error": Kind.TRANSIENT,  # with 429
        "invalid_authentication_error": Kind.AUTH,
        "incorrect_api_key_error": Kind.AUTH,
        "permission_denied_error": Kind.AUTH,
        "resource_not_found_error": Kind.MODEL_CONFIG,
    }
    # Not confirmed: the format of its x-ratelimit-reset; the message tells the wait.

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        """A streamed answer has it in its choice."""
        choices = payload.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        told = super().usage(payload)
        return super().usage(choice) if told is None and isinstance(choice, dict) else told
