"""Mistral: https://docs.mistral.ai/resources/error-glossary; the bodies are users' reports."""

import json

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, answer, error, refused
from services.openai import ANSWERED_EMBEDDINGS, CONTEXT

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

CHAT = (
    '{"id": "cmpl-e5", "created": 1759496862, "model": "mistral-small-latest", "usage": '
    '{"prompt_tokens": 16, "total_tokens": 50, "completion_tokens": 34}, "object": '
    '"chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": '
    '"assistant", "tool_calls": null, "content": "Paris"}}], "x": 1.10, "y": 12345678901234567890}'
)
THOUGHT = (
    '{"id": "cmpl-t", "usage": {"prompt_tokens": 11, "total_tokens": 48, "completion_tokens": 37}, '
    '"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", '
    '"tool_calls": null, "content": [{"type": "thinking", "thinking": [{"type": "text", "text": '
    '"Only READY is wanted."}], "closed": true}, {"type": "text", "text": "READY"}]}}], "x": 1.10}'
)
EXTRA = [{"type": "extra_forbidden", "loc": ["body", "user"], "msg": "Extra inputs are not ..."}]
MONTH = {"x-ratelimitbysize-limit-month": "1000000000", "x-ratelimitbysize-remaining-month": "0"}
MINUTE = {
    "x-ratelimitbysize-limit-minute": "500000",
    "x-ratelimitbysize-remaining-minute": "0",
    "x-ratelimitbysize-remaining-month": "999000000",
    "ratelimitbysize-query-cost": "32000",
    "ratelimitbysize-reset": "34",
}


def flat(message: object, code: object = None, kind: str = "invalid_request_error") -> dict:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


SERVICE = Service(
    urls=(
        "https://api.mistral.ai/v1/chat/completions",
        "https://api.mistral.ai/v1/embeddings",
        "https://codestral.mistral.ai/v1/fim/completions",
    ),
    look_alikes=(
        "https://api.mistral.ai.evil.example/v1/chat/completions",
        "https://mistral.ai/v1/chat/completions",
        "https://evilcodestral.mistral.ai/v1/fim/completions",
    ),
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(16, 34)),
        Answered(what="thoughts in blocks", text=THOUGHT, usage=Usage(11, 37)),
        Answered(what="a full context", text=json.dumps(answer("model_length")), usage=None),
        ANSWERED_EMBEDDINGS,
    ),
    refusals=(
        refused(400, flat("Invalid model: x", "1500", "invalid_model"), MODEL_CONFIG),
        refused(400, flat("no such model", "unknown_model"), MODEL_CONFIG),
        refused(400, flat(CONTEXT), BAD_REQUEST),
        refused(400, flat("temperature should be below 1"), BAD_REQUEST),
        refused(401, {"detail": "Unauthorized"}, AUTH),
        refused(401, {"message": "Unauthorized"}, AUTH),
        refused(402, flat("Payment required"), QUOTA),
        refused(403, flat("Workspace-level permissions"), AUTH),
        refused(404, {"message": "no Route matched with those values"}, MODEL_CONFIG),
        refused(422, {"detail": EXTRA}, BAD_REQUEST),
        refused(422, flat({"detail": EXTRA}), BAD_REQUEST),
        refused(422, flat(json.dumps({"detail": EXTRA}), "1000"), BAD_REQUEST),
        refused(
            422, {"object": "Error", "detail": EXTRA, "message": EXTRA, "code": 3001}, BAD_REQUEST
        ),
        refused(429, flat("Rate limit exceeded", "1300", "rate_limited"), RATE_LIMIT),
        refused(429, {"message": "Requests rate limit exceeded"}, RATE_LIMIT, limit=Limit.REQUESTS),
        refused(429, flat("Service tier capacity exceeded for this model."), RATE_LIMIT),
        refused(200, flat("Capacity", "3505", "service_tier_capacity_exceeded"), RATE_LIMIT),
        refused(429, flat("wait a second"), RATE_LIMIT, wait=2.0, headers={"Retry-After": "2"}),
        refused(
            429, flat("the minute's"), RATE_LIMIT, wait=34.0, limit=Limit.TOKENS, headers=MINUTE
        ),
        refused(
            429,
            flat("the second's"),
            RATE_LIMIT,
            headers=MINUTE | {"x-ratelimitbysize-remaining-minute": "900"},
        ),
        refused(429, flat("the month's"), QUOTA, headers=MINUTE | MONTH),
        refused(500, flat("broken", kind="server_error"), TRANSIENT),
        refused(503, b"upstream connect error", TRANSIENT),
        refused(500, error("x"), TRANSIENT, headers=MONTH),
        refused(200, answer("error", "par"), Kind.BAD_ANSWER),
    ),
)
