"""xAI: https://docs.x.ai/developers/debugging; the bodies are users' reports."""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, answer, refused

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

CHAT = (
    '{"id": "a1", "object": "chat.completion", "created": 1743770624, "model": "grok-3-mini", '
    '"choices": [{"index": 0, "message": {"role": "assistant", "content": "101", '
    '"reasoning_content": "hm", "refusal": null}, "finish_reason": "stop"}], "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"prompt_tokens": 32, "completion_tokens": 9, '
    '"total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 94}, '
    '"cost_in_usd_ticks": 158500}}'
)
PLAIN = (
    '{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}], "usage": '
    '{"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 41, '
    '"completion_tokens_details": {"reasoning_tokens": 0}}}'
)
SPENT = (
    "Your team 16f2 has either used all available credits or reached its monthly spending limit. "
    "To continue making API requests, please purchase more credits or raise your spending limit."
)
DENIED = "The caller does not have permission to execute the specified operation"
GUIDELINES = "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"
INVALID = "Client specified an invalid argument"
EXHAUSTED = "Some resource has been exhausted"
TEAM = (
    "Too many {} for team f169 and model grok-4. Your team's rate limit is \u2014 {} "
    "(actual/limit): 9/2."
)


def flat(code: str, message: str) -> dict:
    return {"code": code, "error": message}


SERVICE = Service(
    urls=(
        "https://api.x.ai/v1/chat/completions",
        "https://api.x.ai/v1/responses",
        "https://eu-west-1.api.x.ai/v1/chat/completions",
    ),
    look_alikes=(
        "https://api.x.ai.evil.example/v1/chat/completions",
        "https://evilapi.x.ai/v1/chat/completions",
        "https://x.ai/v1/chat/completions",
    ),
    answers=(
        Answered(what="reasoning apart", text=CHAT, usage=Usage(32, 103)),
        Answered(what="no reasoning", text=PLAIN, usage=Usage(32, 9)),
    ),
    refusals=(
        refused(400, flat(INVALID, "Argument not supported: stop"), BAD_REQUEST),
        refused(400, flat(INVALID, "Incorrect API key provided: xa***. You can obtain"), AUTH),
        refused(400, flat(INVALID, GUIDELINES), Kind.CONTENT_FILTER),
        refused(401, flat("unauthenticated", "No authorization header"), AUTH),
        refused(403, flat(DENIED, "Your API key is blocked"), AUTH),
        refused(403, flat(DENIED, GUIDELINES), Kind.CONTENT_FILTER),
        refused(403, flat(DENIED, SPENT), QUOTA),
        refused(429, flat(EXHAUSTED, SPENT), QUOTA),
        refused(200, flat(EXHAUSTED, SPENT), QUOTA),
        refused(429, SPENT, QUOTA),
        refused(403, flat("personal-team-blocked:spending-limit", "You have run out"), QUOTA),
        refused(404, flat("not-found", "The model grok-x does not exist"), MODEL_CONFIG),
        refused(415, flat(INVALID, "Expected request with Content-Type"), BAD_REQUEST),
        refused(422, b"Failed to deserialize the JSON body into the target type", BAD_REQUEST),
        refused(429, flat("Too many requests", "Slow down"), RATE_LIMIT),
        refused(
            429,
            flat("resource-exhausted", TEAM.format("requests", "Requests per Second")),
            RATE_LIMIT,
            limit=Limit.REQUESTS,
        ),
        refused(
            429,
            flat(EXHAUSTED, TEAM.format("tokens", "Tokens per Minute")),
            RATE_LIMIT,
            wait=17.0,
            limit=Limit.TOKENS,
            headers={"Retry-After": "17"},
        ),
        refused(500, flat("internal", "broken"), TRANSIENT),
        refused(503, flat("unavailable", "Service temporarily unavailable"), TRANSIENT),
        refused(200, answer("content_filter", ""), Kind.CONTENT_FILTER),
    ),
)
