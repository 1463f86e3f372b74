"""DeepSeek: https://api-docs.deepseek.com/quick_start/error_codes"""

import json

from request_engine.records import Kind, Limit, Usage
from services import Answered, Refused, Service, answer, error
from services.openai import ANSWERED_COMPLETION

CHAT = (
    '{"id": "930c60df", "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": '
    '"Hello!", "reasoning_content": "...", "role": "assistant"}}], "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"completion_tokens": 30, "prompt_tokens": 16, '
    '"total_tokens": 46, "prompt_cache_hit_tokens": 10, "prompt_cache_miss_tokens": 6}}'
)
CALL = {"message": {"content": "", "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"}
FORMAT = error("invalid_request_error", "Failed to deserialize the JSON body")
BUSY = "Concurrency limit exceeded"

SERVICE = Service(
    urls=(
        "https://api.deepseek.com/chat/completions",
        "https://api.deepseek.com/v1/chat/completions",
        "https://api.deepseek.com/beta/completions",
    ),
    look_alikes=(
        "https://evil.example/api.deepseek.com/chat/completions",
        "https://api-deepseek.com/chat/completions",
    ),
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(16, 30)),
        ANSWERED_COMPLETION,
        Answered(
            what="chat after a wait in the queue",
            text=CHAT,
            usage=Usage(16, 30),
            reply=b"\n\n\n" + CHAT.encode(),
        ),
        Answered(what="call", text=json.dumps({"choices": [CALL]}), usage=None),
        Answered(what="cut at its length", text=json.dumps(answer("length", "")), usage=None),
    ),
    refusals=(
        Refused(what="format", status=400, body=FORMAT, kind=Kind.BAD_REQUEST),
        Refused(
            what="key",
            status=401,
            body=error("invalid_request_error", kind="authentication_error"),
            kind=Kind.AUTH,
        ),
        Refused(
            what="no money",
            status=402,
            body=error("invalid_request_error", "Insufficient Balance", kind="unknown_error"),
            kind=Kind.QUOTA,
        ),
        Refused(
            what="parameters",
            status=422,
            body=error("invalid_request_error"),
            kind=Kind.BAD_REQUEST,
        ),
        Refused(
            what="too many in flight",
            status=429,
            body=error(None, BUSY),
            kind=Kind.RATE_LIMIT,
            limit=Limit.CONCURRENCY,
        ),
        Refused(
            what="too fast",
            status=429,
            body=error(),
            kind=Kind.RATE_LIMIT,
            limit=Limit.CONCURRENCY,
        ),
        Refused(what="broken", status=500, body=error(), kind=Kind.TRANSIENT),
        Refused(
            what="busy", status=503, body=error(None, "Service is too busy"), kind=Kind.TRANSIENT
        ),
        Refused(
            what="out of resources",
            status=200,
            body=answer("insufficient_system_resource", "par"),
            kind=Kind.TRANSIENT,
        ),
        Refused(
            what="filtered",
            status=200,
            body=answer("content_filter", ""),
            kind=Kind.CONTENT_FILTER,
        ),
        Refused(what="empty", status=200, body=answer("stop", ""), kind=Kind.BAD_ANSWER),
        Refused(what="null", status=200, body=answer("stop", None), kind=Kind.BAD_ANSWER),
        Refused(what="only waited", status=200, body=b"\n\n\n", kind=Kind.TRANSIENT),
    ),
)
