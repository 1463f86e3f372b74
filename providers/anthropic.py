"""Anthropic: https://platform.claude.com/docs, pages on errors and on rate limits.

Tokens of prompts and of completions are limited apart: --max_input_tokens_per_minute and
--max_output_tokens_per_minute. max_tokens is not charged, and what a cache gave mostly not either.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine.json_forms import PLAIN, JsonForm, Schema
from request_engine.records import Kind, Limit
from request_engine.turns import MESSAGES_TURNS

from .openai_compatible import CHAT, MESSAGES, MESSAGES_NEED, OpenAICompatible

VERSION = "2023-06-01"


def _output_config(schema: Schema, strict: bool) -> Mapping[str, Any]:
    """Its models from 4.5 on have it; for older ones a body's own `output_config.format` stands."""
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


class Anthropic(OpenAICompatible):
    """The Messages API; `messages` in a body always means it."""

    name = "anthropic"
    aliases = ("claude",)
    hosts = ("api.anthropic.com",)
    key_variables = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    base_url = "https://api.anthropic.com/v1"
    endpoints = (MESSAGES, CHAT)
    streams = (MESSAGES, CHAT)
    json_forms = {
        CHAT: OpenAICompatible.json_forms[CHAT],
        MESSAGES: JsonForm(
            turns=MESSAGES_TURNS,
            place=_output_config,
            subset=PLAIN,
            told=False,
            needed=MESSAGES_NEED,
        ),
    }
    limit_headers: ClassVar[Mapping[str, str]] = {
        "anthropic-ratelimit-requests-limit": "requests",
        "anthropic-ratelimit-tokens-limit": "tokens",
        "anthropic-ratelimit-input-tokens-limit": "input_tokens",
        "anthropic-ratelimit-output-tokens-limit": "output_tokens",
    }
    remaining_headers: ClassVar[Mapping[str, Limit]] = {
        "anthropic-ratelimit-requests-remaining": Limit.REQUESTS,
        "anthropic-ratelimit-tokens-remaining": Limit.TOKENS,
        "anthropic-ratelimit-input-tokens-remaining": Limit.INPUT_TOKENS,
        "anthropic-ratelimit-output-tokens-remaining": Limit.OUTPUT_TOKENS,
    }
    codes: ClassVar[Mapping[str, Kind]] = {
        "enforced_spend_limit_reached": Kind.QUOTA,
        # The statuses tell these as well, except within a stream.
        "invalid_request_error": Kind.BAD_REQUEST,
        "permission_error": Kind.AUTH,
        "not_found_error": Kind.MODEL_CONFIG,
        "request_too_large": Kind.BAD_REQUEST,
        "conflict_error": Kind.TRANSIENT,
        "api_error": Kind.TRANSIENT,
        "timeout_error": Kind.TRANSIENT,
    }
    overruling = (
        ("credit balance is too low", Kind.QUOTA),  # with the code of a bad request
        ("api usage limits", Kind.QUOTA),  # a workspace's own limit, the same
        ("spend limit", Kind.QUOTA),  # with the code of a refusal for speed
        ("enforced_spend_limit_reached", Kind.QUOTA),
    )

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        return MESSAGES

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        return super().path(base.rstrip("/") or "/v1", endpoint, body)

    def headers(self, api_key: str | None) -> dict[str, str]:
        """A key has a header of its own; a token that a login gave is a bearer's."""
        version = {"anthropic-version": VERSION}
        if api_key is None:
            return version
        if api_key.startswith("sk-ant-oat") or api_key.count(".") == 2:
            return super().headers(api_key) | version
        return {"x-api-key": api_key} | version
