"""OpenAI: https://developers.openai.com/api/docs/guides/error-codes

Its replies and its words are also those of the services that speak its dialect.
"""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Refused, Service, answer, error, refused

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
CONTENT_FILTER, BAD_ANSWER = Kind.CONTENT_FILTER, Kind.BAD_ANSWER
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

# Key order, 1.10 and 20 digits tell whether a reply was spelled again.
CHAT = (
    '{"id": "chatcmpl-1", "object": "chat.completion", "created": 12345678901234567890, '
    '"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", '
    '"content": "caf\\u00e9"}, "logprobs": null, "finish_reason": "stop"}], "score": 1.10, '
    '"usage": {"total_tokens": 21, "prompt_tokens": 9, "completion_tokens": 12, '
    '"completion_tokens_details": {"reasoning_tokens": 8}}}'
)
COMPLETION = (
    '{"id": "cmpl-1", "object": "text_completion", "choices": [{"text": " a test", "index": 0, '
    '"logprobs": null, "finish_reason": "length"}], "p": 1.10, "n": 12345678901234567890, '
    '"usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}'
)
EMBEDDINGS = (
    '{"object": "list", "data": [{"object": "embedding", "index": 0, '
    '"embedding": [1.10, -0.0, 1e-7]}], "model": "text-embedding-3-small", '
    '"n": 12345678901234567890, "usage": {"prompt_tokens": 8, "total_tokens": 8}}'
)
RESPONSES = (
    '{"id": "resp_1", "object": "response", "status": "completed", "error": null, '
    '"incomplete_details": null, "output": [{"type": "message", "role": "assistant", '
    '"content": [{"type": "output_text", "text": "hi", "annotations": []}]}], '
    '"temperature": 1.10, "created_at": 12345678901234567890, "usage": {"input_tokens": 36, '
    '"input_tokens_details": {"cached_tokens": 4}, "output_tokens": 87, '
    '"output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 123}}'
)
ANSWERED_CHAT = Answered(what="chat", text=CHAT, usage=Usage(9, 12))
ANSWERED_COMPLETION = Answered(what="completions", text=COMPLETION, usage=Usage(5, 7))
ANSWERED_EMBEDDINGS = Answered(what="embeddings", text=EMBEDDINGS, usage=Usage(8, 0))
ANSWERED_RESPONSES = Answered(what="responses", text=RESPONSES, usage=Usage(36, 87))

TPM = (
    "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
    "Used 29500, Requested 3144. Please try again in 5.289s. Visit the rate limits page."
)
TOO_LARGE = (
    "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
    "Requested 40201. The input or output tokens must be reduced."
)
CONTEXT = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
OVERLOADED = "The engine is currently overloaded, please try again later"
OUT_OF_MONEY = "You exceeded your current quota, please check your plan and billing details."

AT_ONCE = error("rate_limit_exceeded", TPM, kind="tokens")
BILLING_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_usage_limit_exceeded",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "billing_hard_limit_reached",
)
BAD_IMAGES = (
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_base64_image",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "image_file_too_large",
    "image_file_not_found",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
)


def failed(code: str) -> dict:
    """A response of the Responses API that failed inside a 200."""
    return {"status": "failed", **error(code), "output": []}


def incomplete(reason: str, *output: object) -> dict:
    """One that was broken off."""
    details = {"reason": reason}
    return {"status": "incomplete", "incomplete_details": details, "output": list(output)}


SERVICE = Service(
    urls=(
        "https://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1",
        "https://API.OpenAI.com:443/v1/responses",
        "https://eu.api.openai.com/v1/embeddings",
        "https://us.api.openai.com/v1/completions",
    ),
    look_alikes=(
        "https://api.openai.com.evil.example/v1/chat/completions",
        "https://evil.example/?api.openai.com",
        "https://evil.example/api.openai.com/v1/chat/completions",
        "https://evil.example/v1/chat/completions#api.openai.com",
        "https://api.openai.com@evil.example/v1/chat/completions",
        "https://api.openai.com:sk@evil.example/v1/chat/completions",
        "https://notapi.openai.com.example/v1",
        "https://evilapi.openai.com/v1",
        "https://openai.com/v1/chat/completions",
    ),
    answers=(ANSWERED_CHAT, ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS, ANSWERED_RESPONSES),
    refusals=(
        refused(400, error(None, "Invalid 'n'", kind="invalid_request_error"), BAD_REQUEST),
        refused(400, error(), BAD_REQUEST, headers={"Retry-After": "30"}),
        refused(400, error("context_length_exceeded", CONTEXT), BAD_REQUEST),
        refused(400, error("unsupported_parameter", kind="invalid_request_error"), BAD_REQUEST),
        refused(400, error("invalid_prompt", kind="invalid_request_error"), BAD_REQUEST),
        refused(400, error("content_policy_violation"), CONTENT_FILTER),
        refused(401, error("invalid_api_key", "Incorrect API key provided: sk-***"), AUTH),
        refused(401, error(None, "You must be a member of an organization to use the API"), AUTH),
        refused(403, error("unsupported_country_region_territory"), AUTH),
        refused(404, error("model_not_found", "The model `x` does not exist"), MODEL_CONFIG),
        refused(404, error(None, "Invalid URL", kind="invalid_request_error"), MODEL_CONFIG),
        refused(409, error(), TRANSIENT),
        refused(422, error(), BAD_REQUEST),
        refused(429, AT_ONCE, RATE_LIMIT, wait=5.289, limit=Limit.TOKENS),
        refused(
            429, AT_ONCE, RATE_LIMIT, headers={"Retry-After": "2"}, wait=2.0, limit=Limit.TOKENS
        ),
        refused(
            429,
            error("rate_limit_exceeded", "Limit 3, Used 3", kind="requests"),
            RATE_LIMIT,
            limit=Limit.REQUESTS,
        ),
        refused(429, error("slow_down", kind="rate_limit_error"), RATE_LIMIT, limit=Limit.GROWTH),
        refused(503, error("slow_down", kind="rate_limit_error"), RATE_LIMIT, limit=Limit.GROWTH),
        Refused(
            what="the project's tokens are used up",
            status=429,
            body=error("rate_limit_exceeded"),
            kind=RATE_LIMIT,
            headers={"x-ratelimit-remaining-project-tokens": "0"},
            limit=Limit.TOKENS,
        ),
        refused(
            429,
            error("slow_down"),
            RATE_LIMIT,
            headers={"retry-after-ms": "1500", "retry-after": "9"},
            wait=1.5,
            limit=Limit.GROWTH,
        ),
        *(refused(429, error(code, kind="insufficient_quota"), QUOTA) for code in BILLING_CODES),
        *(refused(429, error(code), QUOTA) for code in BILLING_CODES),
        refused(429, error(None, OUT_OF_MONEY, kind="insufficient_quota"), QUOTA),
        refused(429, error(None, OUT_OF_MONEY), QUOTA),
        refused(429, error("insufficient_quota"), QUOTA, headers={"Retry-After": "30"}),
        refused(429, error("rate_limit_exceeded", TOO_LARGE, kind="tokens"), BAD_REQUEST),
        refused(429, error("resource_unavailable"), TRANSIENT),
        refused(500, error("server_error", kind="server_error"), TRANSIENT),
        refused(502, error(), TRANSIENT),
        refused(503, error("server_is_overloaded"), TRANSIENT),
        refused(
            503, error("server_is_overloaded"), TRANSIENT, headers={"Retry-After": "30"}, wait=30.0
        ),
        refused(503, error(None, OVERLOADED), TRANSIENT),
        refused(504, error(), TRANSIENT),
        refused(200, failed("server_error"), TRANSIENT),
        refused(200, failed("rate_limit_exceeded"), RATE_LIMIT),
        refused(200, failed("invalid_prompt"), BAD_REQUEST),
        *(refused(200, failed(code), BAD_REQUEST) for code in BAD_IMAGES),
        refused(200, failed("image_content_policy_violation"), CONTENT_FILTER),
        refused(200, incomplete("content_filter"), CONTENT_FILTER),
        refused(200, answer("content_filter"), CONTENT_FILTER),
    ),
)
