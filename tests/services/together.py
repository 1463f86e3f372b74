"""Together: https://docs.together.ai/docs/error-codes"""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, answer, error, refused
from services.openai import ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

CHAT = (
    '{"id": "8b43", "object": "chat.completion", "created": 1723834621, "model": '
    '"meta-llama/Llama-3.3-70B", "prompt": [], "choices": [{"finish_reason": "eos", "seed": '
    '4294967295, "logprobs": null, "index": 0, "message": {"role": "assistant", "content": "ok", '
    '"tool_calls": []}}], "usage": {"prompt_tokens": 15, "completion_tokens": 100, '
    '"total_tokens": 115}, "x": 1.10, "y": 12345678901234567890}'
)
TOO_LONG = "Input token count + max_tokens parameter must be less than the context length"
MODEL_LIMIT = (
    "You have reached the rate limit specific to this model deepseek-ai/DeepSeek-R1. The maximum "
    "rate limit for this model is 120 queries per minute."
)
SECOND = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "0.5"}

SERVICE = Service(
    urls=(
        "https://api.together.ai/v1/chat/completions",
        "https://api.together.xyz/v1/embeddings",
    ),
    look_alikes=(
        "https://api.together.ai.evil.example/v1/chat/completions",
        "https://together.xyz/v1/chat/completions",
    ),
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(15, 100)),
        ANSWERED_COMPLETION,
        ANSWERED_EMBEDDINGS,
    ),
    refusals=(
        refused(400, error(None, "no", kind="invalid_request_error"), BAD_REQUEST),
        refused(401, error("invalid_api_key", "Invalid API key provided"), AUTH),
        refused(402, error(None, "monthly spend limit", kind="credit_limit"), QUOTA),
        refused(403, error(None, TOO_LONG, kind="invalid_request_error"), BAD_REQUEST),
        refused(403, {"error": TOO_LONG, "error_type": "invalid_request"}, BAD_REQUEST),
        refused(403, error("invalid_api_key", "Invalid API key provided"), AUTH),
        refused(403, b"<html><title>Forbidden</title></html>", AUTH),
        refused(404, error("model_not_available", "Unable to access model"), MODEL_CONFIG),
        refused(422, error(None, "`inputs` tokens + `max_new_tokens` must be"), BAD_REQUEST),
        refused(429, error(None, MODEL_LIMIT, kind="model_rate_limit"), RATE_LIMIT),
        refused(429, {"error": "Request was rejected", "error_type": "rate_limit"}, RATE_LIMIT),
        refused(429, error(None, "Slow down"), RATE_LIMIT, wait=0.5, headers=SECOND),
        refused(
            429,
            error(None, "tokens per second"),
            RATE_LIMIT,
            limit=Limit.TOKENS,
            headers={"x-tokenlimit-limit": "1000", "x-tokenlimit-remaining": "0"},
        ),
        refused(500, error(None, "Internal server error", kind="server_error"), TRANSIENT),
        refused(503, error(None, "overloaded", kind="overloaded_error"), TRANSIENT),
        refused(503, {"error": "overloaded", "error_type": "overloaded"}, TRANSIENT),
        refused(524, b"<html><title>A timeout occurred</title></html>", TRANSIENT),
        refused(200, answer("content_filter", ""), Kind.CONTENT_FILTER),
    ),
)
