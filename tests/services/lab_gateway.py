"""The lab's gateway: an upstream reply in an envelope, which also tells the credits."""

import json

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, answer, error, refused
from services.openai import CHAT, CONTEXT, EMBEDDINGS, OUT_OF_MONEY, TPM

TRANSIENT, CONTENT_FILTER = Kind.TRANSIENT, Kind.CONTENT_FILTER

MESSAGE = (
    '{"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", '
    '"text": "Hi!"}], "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, '
    '"cache_read_input_tokens": 200, "output_tokens": 25}}'
)
USER = "sk-canary-0123456789abcdefABCDEF"
CREDITS = {"credits_consumed": "0.006715$", "credits_total": "20.0$"}


def answered(what: str, raw: str, usage: Usage) -> Answered:
    """What is inside, with the credits and without the user."""
    echo = {"request": json.dumps({"username": USER, "request": "{}"})}
    envelope = echo | {"raw": raw, "username": USER} | dict(reversed(CREDITS.items()))
    return Answered(
        what=what,
        text=raw,
        usage=usage,
        reply=json.dumps(envelope).encode(),
        extra=json.dumps(CREDITS).encode(),
    )


def enveloped(body: object) -> dict:
    return {"raw": json.dumps(body), "credits_consumed": "0$", "credits_total": "20$"}


SERVICE = Service(
    urls=(
        "http://192.0.2.7:8088/gpt",
        "http://192.0.2.7:8088/claude",
        "http://192.0.2.7:8088/gpt/",
        "http://gateway.example/claude",
    ),
    look_alikes=(
        "http://192.0.2.7:8088/gpt/v1/chat/completions",
        "http://192.0.2.7:8088/?path=/gpt",
    ),
    example_urls={
        "lab_gateway": "http://192.0.2.7:8088/gpt",
        "lab_gateway_claude": "http://192.0.2.7:8088/claude",
        "lab_gateway_embeddings": "http://192.0.2.7:8088/gpt",
    },
    answers=(
        answered("gpt", CHAT, Usage(9, 12)),
        answered("claude", MESSAGE, Usage(213, 25)),
        answered("embeddings", EMBEDDINGS, Usage(8, 0)),
        Answered(
            what="without credits",
            text=CHAT,
            usage=Usage(9, 12),
            reply=json.dumps({"raw": CHAT}).encode(),
        ),
    ),
    refusals=(
        refused(200, {"error": {"message": "no such user"}}, TRANSIENT),
        refused(200, {"error": "busy"}, TRANSIENT),
        refused(200, "Error code: 500", TRANSIENT),
        refused(200, {"credits_total": "20$"}, TRANSIENT),
        refused(200, answer("stop"), TRANSIENT),
        refused(200, {"raw": None}, TRANSIENT),
        refused(200, {"raw": "<html>"}, TRANSIENT),
        refused(200, {"raw": "Internal Server Error"}, TRANSIENT),
        refused(401, {"error": "unknown user"}, Kind.AUTH),
        refused(402, {"error": "no credits left"}, Kind.QUOTA),
        refused(429, {"error": "slow down"}, Kind.RATE_LIMIT),
        refused(502, b"<html>Bad Gateway</html>", TRANSIENT),
        refused(
            200,
            enveloped(error("rate_limit_exceeded", TPM)),
            Kind.RATE_LIMIT,
            wait=5.289,
            limit=Limit.TOKENS,
        ),
        refused(200, enveloped(error("insufficient_quota", OUT_OF_MONEY)), Kind.QUOTA),
        refused(200, enveloped(error("context_length_exceeded", CONTEXT)), Kind.BAD_REQUEST),
        refused(200, enveloped(error(kind="invalid_request_error")), Kind.BAD_REQUEST),
        refused(200, enveloped(error(kind="not_found_error")), Kind.MODEL_CONFIG),
        refused(200, enveloped(error(kind="overloaded_error")), TRANSIENT),
        refused(200, enveloped(error()), TRANSIENT),
        refused(200, enveloped({"choices": []}), TRANSIENT),
        refused(200, enveloped(answer("content_filter")), CONTENT_FILTER),
        refused(200, enveloped({"content": [], "stop_reason": "refusal"}), CONTENT_FILTER),
        refused(500, enveloped(answer("stop")), TRANSIENT),
    ),
    cut_off=TRANSIENT,  # its errors come inside a success and mostly pass
)
