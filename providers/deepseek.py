"""DeepSeek: https://api-docs.deepseek.com"""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind

from .openai_compatible import OpenAICompatible


class DeepSeek(OpenAICompatible):
    """Limits concurrency only, by account and model; 402 is an empty account."""

    name = "deepseek"
    hosts = ("api.deepseek.com",)
    key_variables = ("DEEPSEEK_API_KEY",)
    base_url = "https://api.deepseek.com"
    profile = Profile(max_concurrent=500)
    finish_reasons: ClassVar[Mapping[str, Kind]] = {
        **OpenAICompatible.finish_reasons,
        "insufficient_system_resource": Kind.TRANSIENT,
    }

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        """An empty answer that ended well is a known fault of its JSON mode."""
        wrong = super().judge_answer(payload)
        choices = payload.get("choices")
        if wrong is None and isinstance(choices, list) and choices and all(map(_empty, choices)):
            return Kind.BAD_ANSWER, "the answer is empty"
        return wrong


def _empty(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    return (
        isinstance(message, dict)
        and choice.get("finish_reason") == "stop"
        and not (message.get("content") or message.get("tool_calls"))
    )
