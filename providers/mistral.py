"""Mistral: https://docs.mistral.ai/resources/error-glossary, and its pages on limits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from request_engine import retry_after, tokens
from request_engine.encodings import Encode
from request_engine.event_stream import Assembler
from request_engine.judgement import ServiceError
from request_engine.provider import Profile, Wall
from request_engine.records import Failure, Kind, Limit, Reply

from .content_blocks import InBlocks
from .json_asked import STRICTLY
from .openai_compatible import COMPLETIONS, OpenAICompatible

FIM = "fim/completions"
"""Its own completions, of a prompt and what follows the gap."""


class Mistral(OpenAICompatible):
    """Limits requests by the second, and tokens by the minute and the month."""

    name = "mistral"
    aliases = ("mistralai", "codestral")
    hosts = ("api.mistral.ai", "codestral.mistral.ai")
    key_variables = ("MISTRAL_API_KEY",)
    base_url = "https://api.mistral.ai/v1"
    endpoints = (FIM, *OpenAICompatible.endpoints)
    streams = (FIM, *OpenAICompatible.streams)
    profile = Profile(burst_seconds=0.0, base64_vectors=True)
    json_forms = STRICTLY
    stream_usage_option = False  # refused with 422; a stream tells its usage unasked
    limit_headers: ClassVar[Mapping[str, str]] = {"x-ratelimitbysize-limit-minute": "tokens"}
    remaining_headers: ClassVar[Mapping[str, Limit]] = {
        "x-ratelimitbysize-remaining-minute": Limit.TOKENS
    }
    codes: ClassVar[Mapping[str, Kind]] = {
        "invalid_model": Kind.MODEL_CONFIG,
        "unknown_model": Kind.MODEL_CONFIG,
        "rate_limited": Kind.RATE_LIMIT,
        "service_tier_capacity_exceeded": Kind.RATE_LIMIT,
    }

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        endpoint = super().endpoint_of_body(body)
        return FIM if endpoint == COMPLETIONS else endpoint

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        if endpoint != FIM:
            return super().prompt_tokens(body, endpoint, encode)
        return sum(tokens.prompt_tokens(body.get(part), encode) for part in ("prompt", "suffix"))

    def assembler(self) -> Assembler:
        return InBlocks(self.usage)

    def failure(
        self, reply: Reply, payload: Any, error: ServiceError | None, wall: Wall
    ) -> Failure:
        """The tokens of a month come back with the next one."""
        failed = super().failure(reply, payload, error, wall)
        if failed.kind is Kind.RATE_LIMIT and _used_up(reply, "month"):
            return replace(failed, kind=Kind.QUOTA, wait=None, limit=None)
        return failed

    def wait(self, reply: Reply, message: str, wall: Wall) -> float | None:
        """The reset it tells is that of the minute's tokens, whatever was refused."""
        told = super().wait(reply, message, wall)
        if told is None and _used_up(reply, "minute"):
            return retry_after.seconds(reply.headers.get("ratelimitbysize-reset"), wall())
        return told


def _used_up(reply: Reply, period: str) -> bool:
    return reply.headers.get(f"x-ratelimitbysize-remaining-{period}") == "0"
