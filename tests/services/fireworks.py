"""Fireworks: https://docs.fireworks.ai/guides/inference-error-codes"""

from request_engine.records import Kind, Usage
from services import Answered, Service, answer, refused
from services.openai import ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

CHAT = (
    '{"id": "c0", "object": "chat.completion", "created": 1730000000, "model": '
    '"accounts/fireworks/models/llama-v3p1-8b-instruct", "choices": [{"index": 0, "message": '
    '{"role": "assistant", "content": "ok"}, "finish_reason": "stop"}], "usage": '
    '{"prompt_tokens": 25, "total_tokens": 32, "completion_tokens": 7}, "x": 1.10, '
    '"y": 12345678901234567890}'
)
SUSPENDED = (
    "Account lab-1 is suspended, possibly due to reaching the monthly spending limit or failure to "
    "pay past invoices"
)
USAGE_LIMITS = "You have exceeded your usage limits. Please try again later or contact Fireworks"


def stated(code: str, message: str = "no") -> dict:
    return {"error": {"object": "error", "type": "invalid", "code": code, "message": message}}


SERVICE = Service(
    urls=(
        "https://api.fireworks.ai/inference/v1/chat/completions",
        "https://api.fireworks.ai/inference/v1/embeddings",
    ),
    look_alikes=(
        "https://api.fireworks.ai.evil.example/inference/v1/chat/completions",
        "https://fireworks.ai/inference/v1/chat/completions",
    ),
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(25, 7)),
        ANSWERED_COMPLETION,
        ANSWERED_EMBEDDINGS,
    ),
    refusals=(
        refused(400, stated("INVALID_ARGUMENT"), BAD_REQUEST),
        refused(401, {"error": "unauthorized"}, AUTH),
        refused(402, {"error": "payment required"}, QUOTA),
        refused(403, {"error": "forbidden"}, AUTH),
        refused(
            404, stated("NOT_FOUND", "Model not found, inaccessible or not deployed"), MODEL_CONFIG
        ),
        refused(405, {"error": "method not allowed"}, MODEL_CONFIG),
        refused(408, {"error": "timeout"}, TRANSIENT),
        refused(412, stated("PRECONDITION_FAILED", SUSPENDED), QUOTA),
        refused(412, {"error": "precondition failed"}, QUOTA),
        refused(412, stated("PRECONDITION_FAILED", "LoRA failed to load"), MODEL_CONFIG),
        refused(412, b"<html></html>", BAD_REQUEST),
        refused(413, {"error": "payload too large"}, BAD_REQUEST),
        refused(429, {"error": "Too Many Requests", "message": USAGE_LIMITS}, RATE_LIMIT),
        refused(
            429,
            stated("RATE_LIMIT"),
            RATE_LIMIT,
            wait=3.0,
            headers={"Retry-After": "3", "x-ratelimit-over-limit": "yes"},
        ),
        refused(500, stated("INTERNAL"), TRANSIENT),
        refused(502, b"bad gateway", TRANSIENT),
        refused(503, stated("UNAVAILABLE", "the model is overloaded"), TRANSIENT),
        refused(504, b"", TRANSIENT),
        refused(520, b"<html></html>", TRANSIENT),
        refused(200, answer("content_filter", ""), Kind.CONTENT_FILTER),
    ),
)
