"""OpenRouter: https://openrouter.ai/docs/api_reference/errors-and-debugging"""

import json

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, answer, error, refused
from services.openai import ANSWERED_EMBEDDINGS, ANSWERED_RESPONSES

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG
CONTENT_FILTER, BAD_ANSWER = Kind.CONTENT_FILTER, Kind.BAD_ANSWER

CHAT = (
    '{"id": "gen-1", "provider": "OpenAI", "model": "openai/gpt-4o-mini", "object": '
    '"chat.completion", "choices": [{"logprobs": null, "finish_reason": "stop", '
    '"native_finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": '
    '"Hi", "refusal": null, "reasoning": null}}], "x": 1.10, "y": 12345678901234567890, "usage": '
    '{"prompt_tokens": 14, "completion_tokens": 163, "total_tokens": 177, "cost": 0.00014, '
    '"completion_tokens_details": {"reasoning_tokens": 100}}}'
)
FREE = "Rate limit exceeded: free-models-per-"
FLAGGED = {"reasons": ["violence"], "flagged_input": "a ... b", "provider_name": "OpenAI"}


def routed(code: int, error_type: str, message: str = "Provider returned error", **more) -> dict:
    metadata = {"error_type": error_type, "provider_code": "x"}
    return {"error": {"code": code, "message": message, "metadata": metadata, **more}}


def forbidden(message: str, **metadata) -> dict:
    return {"error": {"code": 403, "message": message, "metadata": metadata}}


def available(code: int, **told) -> dict:
    return {"error": {"code": code, "message": "all providers are busy", "availability": told}}


def broken_off(code: int, error_type: str) -> dict:
    """An answer that its model did not finish."""
    choice = {"message": {"content": "par"}, "finish_reason": "error"}
    return {"choices": [choice | routed(code, error_type)]}


TYPES = (
    (400, "context_length_exceeded", BAD_REQUEST),
    (400, "max_tokens_exceeded", BAD_REQUEST),
    (400, "token_limit_exceeded", BAD_REQUEST),
    (400, "string_too_long", BAD_REQUEST),
    (401, "authentication", AUTH),
    (403, "permission_denied", CONTENT_FILTER),
    (402, "payment_required", QUOTA),
    (429, "rate_limit_exceeded", RATE_LIMIT),
    (502, "rate_limit_exceeded", RATE_LIMIT),
    (503, "provider_overloaded", TRANSIENT),
    (429, "provider_overloaded", TRANSIENT),
    (502, "provider_unavailable", TRANSIENT),
    (400, "invalid_request", BAD_REQUEST),
    (400, "invalid_prompt", BAD_REQUEST),
    (404, "not_found", MODEL_CONFIG),
    (412, "precondition_failed", BAD_REQUEST),
    (413, "payload_too_large", BAD_REQUEST),
    (422, "unprocessable", BAD_REQUEST),
    (400, "content_policy_violation", CONTENT_FILTER),
    (400, "refusal", CONTENT_FILTER),
    (400, "invalid_image", BAD_REQUEST),
    (404, "image_not_found", BAD_REQUEST),
    (500, "server", TRANSIENT),
    (504, "timeout", TRANSIENT),
    (500, "unmapped", TRANSIENT),
)
"""Its table of typed errors: with their own status, and inside a 200."""

SERVICE = Service(
    urls=(
        "https://openrouter.ai/api/v1/chat/completions",
        "https://openrouter.ai/api/v1/embeddings",
        "https://openrouter.ai/api/v1",
    ),
    look_alikes=(
        "https://openrouter.ai.evil.example/api/v1/chat/completions",
        "https://notopenrouter.ai/api/v1/chat/completions",
    ),
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(14, 163)),
        Answered(
            what="chat after keep-alive lines",
            text=CHAT,
            usage=Usage(14, 163),
            reply=b"\n         \n\n         \n" + CHAT.encode(),
        ),
        ANSWERED_EMBEDDINGS,
        ANSWERED_RESPONSES,
    ),
    refusals=(
        *(refused(code, routed(code, kind), what) for code, kind, what in TYPES),
        *(refused(200, routed(code, kind), what) for code, kind, what in TYPES),
        *(
            refused(200, routed(code, kind, "Incorrect API key provided"), TRANSIENT)
            for code, kind in ((502, "provider_unavailable"), (500, "server"), (504, "timeout"))
        ),
        refused(400, error(400), BAD_REQUEST),
        refused(401, error(401, "No auth credentials found"), AUTH),
        refused(402, error(402, "Insufficient credits"), QUOTA),
        refused(200, error(402, "Insufficient credits"), QUOTA),
        refused(403, forbidden("Your input was flagged", **FLAGGED), CONTENT_FILTER),
        refused(
            403, forbidden("Request blocked: prompt injection", patterns=["x"]), CONTENT_FILTER
        ),
        refused(200, forbidden("Your input was flagged", **FLAGGED), CONTENT_FILTER),
        refused(403, forbidden("Key limit exceeded (total limit). Manage it"), QUOTA),
        refused(403, forbidden("This API key is not allowed to do that"), AUTH),
        refused(403, forbidden("Request blocked: an API key was found in it"), CONTENT_FILTER),
        refused(429, error(429, "Rate limit of this API key exceeded"), RATE_LIMIT),
        refused(403, b"<html><title>Access denied</title></html>", AUTH),
        refused(404, error(404, "No endpoints found matching your data policy"), MODEL_CONFIG),
        refused(408, error(408), TRANSIENT),
        refused(429, error(429, FREE + "min"), RATE_LIMIT, limit=Limit.REQUESTS),
        refused(429, error(429), RATE_LIMIT, wait=60.0, headers={"Retry-After": "60"}),
        refused(
            429,
            error(429, FREE + "min."),
            RATE_LIMIT,
            wait=12.0,
            limit=Limit.REQUESTS,
            headers={
                "X-RateLimit-Limit": "20",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1800000012000",
            },
        ),
        refused(429, error(429, FREE + "day"), QUOTA),
        refused(503, error(503), TRANSIENT, wait=9.0, headers={"Retry-After": "9"}),
        refused(200, error(503), TRANSIENT),
        refused(200, {**answer("stop"), **error(429)}, RATE_LIMIT),
        refused(503, available(503, retryable=True, retry_after=30), TRANSIENT, wait=30.0),
        refused(200, available(429, retryable=True, retry_after=1.5), RATE_LIMIT, wait=1.5),
        refused(404, available(404, retryable=True, retry_after=None), TRANSIENT),
        refused(503, available(503, retryable=False), BAD_REQUEST),
        refused(429, available(429, retryable=False, retry_after=5), BAD_REQUEST),
        refused(402, available(402, retryable=True, retry_after=5), QUOTA),
        refused(200, available(503, retry_after="soon"), TRANSIENT),
        refused(200, broken_off(502, "provider_unavailable"), TRANSIENT),
        refused(200, broken_off(400, "content_policy_violation"), CONTENT_FILTER),
        refused(200, answer("error", "par"), BAD_ANSWER),
        refused(200, {"choices": [{"error": " "}]}, BAD_ANSWER),
        refused(200, answer("stop", ""), BAD_ANSWER),
        refused(
            200,
            b": OPENROUTER PROCESSING\n\ndata: "
            + json.dumps({"choices": [], **routed(429, "rate_limit_exceeded")}).encode()
            + b"\n\n",
            RATE_LIMIT,
            headers=STREAM,
        ),
    ),
)
