"""Groq: https://console.groq.com/docs/errors, https://console.groq.com/docs/rate-limits"""

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, answer, error, refused

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG
BAD_ANSWER = Kind.BAD_ANSWER

CHAT = (
    '{"id": "chatcmpl-f5", "object": "chat.completion", "created": 1730241104, "model": '
    '"llama-3.3-70b", "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok", '
    '"reasoning": "hm"}, "logprobs": null, "finish_reason": "stop"}], "usage": {"queue_time": '
    '0.037493756, "prompt_tokens": 18, "prompt_time": 0.000680594, "completion_tokens": 556, '
    '"completion_time": 0.463333333, "total_tokens": 574, "total_time": 0.464013927}, '
    '"system_fingerprint": "fp_1", "x_groq": {"id": "req_1"}, "x": 1.10, "y": 12345678901234567890}'
)
WHO = "Rate limit reached for model `llama-3.3-70b` in organization `org_1` on "
TOO_LARGE = (
    "Request too large for model `llama-3.3-70b` in organization `org_1` on tokens per minute "
    "(TPM): Limit 6000, Requested 8011, please reduce your message size and try again."
)
FAILED = "Failed to call a function. Please adjust your prompt. See 'failed_generation'."


def reached(what: str, wait: str, dimension: str) -> dict:
    message = f"{WHO}{what}: Limit 6000, Used 5000, Requested 2875. Please try again in {wait}."
    return error("rate_limit_exceeded", message, kind=dimension)


SERVICE = Service(
    urls=("https://api.groq.com/openai/v1/chat/completions",),
    look_alikes=(
        "https://api.groq.com.evil.example/openai/v1/chat/completions",
        "https://console.groq.com/openai/v1/chat/completions",
    ),
    answers=(Answered(what="chat", text=CHAT, usage=Usage(18, 556)),),
    refusals=(
        refused(400, error(None, "property 'n' is unsupported"), BAD_REQUEST),
        refused(400, error("json_validate_failed", "Failed to generate JSON."), BAD_ANSWER),
        refused(400, error("tool_use_failed", FAILED), BAD_ANSWER),
        refused(
            400, error("model_decommissioned", "The model has been decommissioned"), MODEL_CONFIG
        ),
        refused(400, error("blocked_api_access", "Spend limit reached"), QUOTA),
        refused(401, error("invalid_api_key", "Invalid API Key"), AUTH),
        refused(403, error(None, "Forbidden"), AUTH),
        refused(404, error("model_not_found", "The model `x` does not exist"), MODEL_CONFIG),
        refused(413, error("rate_limit_exceeded", TOO_LARGE, kind="tokens"), BAD_REQUEST),
        refused(413, error("request_too_large", "Request Entity Too Large"), BAD_REQUEST),
        refused(422, error(None, "semantic errors"), BAD_REQUEST),
        refused(424, error(None, "the remote server failed"), BAD_REQUEST),
        refused(
            429,
            reached("tokens per minute (TPM)", "7.66s", "tokens"),
            RATE_LIMIT,
            wait=7.66,
            limit=Limit.TOKENS,
        ),
        refused(
            429,
            reached("requests per minute (RPM)", "2s", "requests"),
            RATE_LIMIT,
            wait=3.0,
            limit=Limit.REQUESTS,
            headers={"retry-after": "3"},
        ),
        refused(
            429,
            reached("requests per day (RPD)", "2m59.56s", "requests"),
            RATE_LIMIT,
            wait=179.56,
            limit=Limit.REQUESTS,
        ),
        refused(
            429,
            reached("input tokens per minute (ITPM)", "1s", "tokens"),
            RATE_LIMIT,
            wait=1.0,
            limit=Limit.INPUT_TOKENS,
        ),
        refused(
            429,
            error("rate_limit_exceeded"),
            RATE_LIMIT,
            wait=7.66,
            limit=Limit.TOKENS,
            headers={
                "x-ratelimit-limit-requests": "14400",
                "x-ratelimit-remaining-requests": "14370",
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-limit-tokens": "18000",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7.66s",
            },
        ),
        refused(498, error("capacity_exceeded", "Flex tier capacity exceeded"), RATE_LIMIT),
        refused(498, error(None, "flex"), RATE_LIMIT),
        refused(499, error(None, "Request cancelled"), TRANSIENT),
        refused(500, error(None, kind="internal_server_error"), TRANSIENT),
        refused(503, error(None, "over capacity"), TRANSIENT),
        refused(200, {**answer(None), "x_groq": {"id": "r", "error": "over capacity"}}, BAD_ANSWER),
        refused(
            200,
            b'data: {"error": {"message": "Failed to call a function", "type": '
            b'"invalid_request_error", "code": "tool_use_failed", "status_code": 400}}\n\n',
            BAD_ANSWER,
            headers=STREAM,
        ),
    ),
)
