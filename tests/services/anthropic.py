"""Anthropic: https://platform.claude.com/docs/en/api/errors and .../rate-limits."""

import json

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Refused, Service, error, refused
from services.lab_gateway import MESSAGE
from services.openai import CHAT

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
QUOTA = Kind.QUOTA

TOOL_USE = (
    '{"id": "msg_2", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", '
    '"content": [{"type": "thinking", "thinking": "...", "signature": "Eq"}, {"type": "tool_use", '
    '"id": "toolu_1", "name": "tide", "input": {"at": 1.10}}], "stop_reason": "tool_use", '
    '"usage": {"input_tokens": 12345678901234567890, "output_tokens": 40}}'
)
SPENT = "You have reached your specified API usage limits. You will regain access on 2026-11-01."
TOO_LONG = "prompt is too long: 213462 tokens > 200000 maximum"
INPUT = (
    "This request would exceed your organization's rate limit of 30,000 input tokens per minute "
    "(model: claude-sonnet-4-5). For details, refer to: https://docs.claude.com/en/api/rate-limits."
)
GROWTH = (
    "This request would exceed your organization's maximum usage increase rate for input tokens "
    "per minute. Please scale up your input tokens usage more gradually to stay within limits."
)
CLOUDFLARE = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
RESETS = {
    "Date": "Fri, 15 Jan 2027 08:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:01Z",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "0",
    "anthropic-ratelimit-output-tokens-reset": "2027-01-15T08:00:21Z",
}


def said(kind: str, message: str = "no") -> dict:
    """An error as it spells it."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"}


def events(*payloads: dict) -> bytes:
    """A stream that begins as every message does."""
    usage = {"input_tokens": 10, "output_tokens": 1}
    start = {"type": "message", "role": "assistant", "content": [], "usage": usage}
    told = ({"type": "message_start", "message": start}, {"type": "ping"}, *payloads)
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in told).encode()


SERVICE = Service(
    urls=(
        "https://api.anthropic.com/v1/messages",
        "https://api.anthropic.com/v1",
        "https://api.anthropic.com",
        "https://api.anthropic.com/v1/chat/completions",
    ),
    look_alikes=(
        "https://evil.example/api.anthropic.com/v1/messages",
        "https://api.anthropic.com.evil.example/v1/messages",
        "https://evil-api.anthropic.com/v1/messages",
    ),
    answers=(
        Answered(what="message", text=MESSAGE, usage=Usage(213, 25)),
        Answered(what="thinking and a tool", text=TOOL_USE, usage=Usage(0, 40)),
        Answered(what="chat", text=CHAT, usage=Usage(9, 12)),
    ),
    refusals=(
        *(
            Refused(
                what=f"no {what} remain",
                status=429,
                body=said("rate_limit_error"),
                kind=RATE_LIMIT,
                headers={f"anthropic-ratelimit-{what}-remaining": "0"},
                limit=limit,
            )
            for what, limit in (
                ("requests", Limit.REQUESTS),
                ("tokens", Limit.TOKENS),
                ("input-tokens", Limit.INPUT_TOKENS),
                ("output-tokens", Limit.OUTPUT_TOKENS),
            )
        ),
        refused(400, said("invalid_request_error", "max_tokens: Field required"), BAD_REQUEST),
        refused(400, said("invalid_request_error", TOO_LONG), BAD_REQUEST),
        refused(
            400, said("invalid_request_error", "Your credit balance is too low to access"), QUOTA
        ),
        refused(400, said("invalid_request_error", SPENT), QUOTA),
        refused(401, said("authentication_error", "invalid x-api-key"), Kind.AUTH),
        refused(402, said("billing_error"), QUOTA),
        refused(403, said("permission_error"), Kind.AUTH),
        refused(404, said("not_found_error", "model: claude-none"), Kind.MODEL_CONFIG),
        refused(409, said("conflict_error"), TRANSIENT),
        refused(413, said("request_too_large"), BAD_REQUEST),
        refused(413, CLOUDFLARE, BAD_REQUEST),
        refused(
            429,
            said("rate_limit_error", INPUT),
            RATE_LIMIT,
            wait=7.0,
            limit=Limit.INPUT_TOKENS,
            headers={"retry-after": "7"},
        ),
        refused(
            429,
            said("rate_limit_error", "Rate limited"),
            RATE_LIMIT,
            wait=21.0,
            limit=Limit.OUTPUT_TOKENS,
            headers=RESETS,
        ),
        refused(
            429,
            said("rate_limit_error", "too many concurrent connections"),
            RATE_LIMIT,
            limit=Limit.CONCURRENCY,
        ),
        refused(429, said("rate_limit_error", GROWTH), RATE_LIMIT, limit=Limit.GROWTH),
        refused(429, said("rate_limit_error", "enforced_spend_limit_reached"), QUOTA),
        refused(429, said("enforced_spend_limit_reached"), QUOTA),
        refused(429, said("rate_limit_error", "Your monthly spend limit is reached"), QUOTA),
        refused(500, said("api_error", "Internal server error"), TRANSIENT),
        refused(504, said("timeout_error"), TRANSIENT),
        refused(529, said("overloaded_error", "Overloaded"), TRANSIENT),
        refused(
            200,
            {"type": "message", "content": [], "stop_reason": "refusal"},
            Kind.CONTENT_FILTER,
        ),
        refused(
            200,
            {"type": "message", "content": [], "stop_reason": "end_turn"},
            Kind.BAD_ANSWER,
        ),
        refused(200, events(said("overloaded_error", "Overloaded")), TRANSIENT, headers=STREAM),
        refused(200, events(said("invalid_request_error")), BAD_REQUEST, headers=STREAM),
        refused(200, events(), Kind.BAD_ANSWER, headers=STREAM),
        refused(400, error(None, "as OpenAI spells it"), BAD_REQUEST),
    ),
)
