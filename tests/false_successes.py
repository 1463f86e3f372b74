"""Replies with status 200 that are no success: (service, where its row is from, rows).

"Seen" means that no page of the service says it, and that its users report it.
"""

import json

from services import STREAM, answer, error, refused
from services.openai import failed, incomplete

from request_engine.records import Kind

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
CONTENT_FILTER, BAD_ANSWER, QUOTA = Kind.CONTENT_FILTER, Kind.BAD_ANSWER, Kind.QUOTA


def routed(code: int, error_type: str, message: str = "Provider returned error") -> dict:
    """As OpenRouter says it."""
    return {"error": {"code": code, "message": message, "metadata": {"error_type": error_type}}}


BROKEN_OFF = answer("error", "par")
BROKEN_OFF["choices"][0]["error"] = {"code": 502, "message": "Provider disconnected"}
OPENROUTER = [
    refused(200, routed(429, "rate_limit_exceeded"), RATE_LIMIT),
    refused(200, routed(502, "server"), TRANSIENT),
    refused(200, routed(503, "provider_overloaded"), TRANSIENT),
    refused(200, routed(402, "payment_required", "Insufficient credits"), QUOTA),
    refused(200, routed(400, "context_length_exceeded"), BAD_REQUEST),
    refused(200, {"error": {"code": 502, "message": "Provider returned error"}}, TRANSIENT),
    refused(200, answer("error", "par"), BAD_ANSWER),
    refused(200, BROKEN_OFF, TRANSIENT),
]
RESPONSES = [
    refused(200, failed("server_error"), TRANSIENT),
    refused(200, failed("rate_limit_exceeded"), RATE_LIMIT),
    refused(200, failed("invalid_prompt"), BAD_REQUEST),
    refused(200, {"status": "failed", "error": None, "output": []}, BAD_ANSWER),
    refused(200, incomplete("content_filter"), CONTENT_FILTER),
    refused(200, incomplete("max_output_tokens"), BAD_ANSWER),
]


def blocked(reason: str) -> dict:
    """As Gemini says it of a prompt."""
    return {"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 4}}


def ended(reason: str) -> dict:
    """And of an answer."""
    return {"candidates": [{"content": {"role": "model"}, "finishReason": reason, "index": 0}]}


GEMINI = [
    refused(200, blocked("SAFETY"), CONTENT_FILTER),
    refused(200, blocked("PROHIBITED_CONTENT"), CONTENT_FILTER),
    *(
        refused(200, ended(reason), CONTENT_FILTER)
        for reason in (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        )
    ),
    *(
        refused(200, ended(reason), BAD_ANSWER)
        for reason in ("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "OTHER")
    ),
]
FILTERED = [
    refused(200, answer("content_filter", ""), CONTENT_FILTER),
    refused(200, answer("content_filter", "part of an answer"), CONTENT_FILTER),
]
REFUSED = {
    "type": "message",
    "role": "assistant",
    "content": [],
    "stop_reason": "refusal",
    "usage": {"input_tokens": 9, "output_tokens": 1},
}


def event(payload: object, name: str = "", status: int | None = None) -> bytes:
    """One event of a stream; services differ in what stands before its data."""
    lines = [f"event: {name}"] if name else []
    lines += [f":HTTP_STATUS/{status}"] if status else []
    return "\n".join([*lines, f"data: {json.dumps(payload)}", "", ""]).encode()


SAID = event({"choices": [{"index": 0, "delta": {"content": "par"}, "finish_reason": None}]})
BEGUN = event({"type": "message_start", "message": {"content": [], "usage": {}}}, "message_start")
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
OPENAI_STREAMS = [
    refused(200, SAID + event(error("server_error")), TRANSIENT, headers=STREAM),
    refused(200, event(error("rate_limit_exceeded")), RATE_LIMIT, headers=STREAM),
]
ANTHROPIC_STREAMS = [
    refused(200, BEGUN + event(OVERLOADED, "error"), TRANSIENT, headers=STREAM),
    refused(200, event(OVERLOADED, "error"), TRANSIENT, headers=STREAM),
]
ALIYUN_STREAMS = [
    refused(
        200,
        b"id:1\n" + event({"code": code, "message": "no"}, "error", status),
        kind,
        headers=STREAM,
    )
    for status, code, kind in (
        (429, "Throttling.RateQuota", RATE_LIMIT),
        (429, "Throttling.AllocationQuota", RATE_LIMIT),
        (400, "DataInspectionFailed", CONTENT_FILTER),
        (400, "Arrearage", QUOTA),
        (400, "InvalidParameter", BAD_REQUEST),
        (500, "InternalError", TRANSIENT),
    )
]
LINES = {"Content-Type": "application/x-ndjson"}
OLLAMA_STREAMS = [
    refused(
        200,
        b'{"model":"m","message":{"role":"assistant","content":"par"},"done":false}\n'
        b'{"error":"an error was encountered while running the model"}\n',
        BAD_ANSWER,
        headers=LINES,
    ),
]
DEEPSEEK = [
    refused(200, answer("insufficient_system_resource", "par"), TRANSIENT),
    refused(200, answer("stop", ""), BAD_ANSWER),
]
ZHIPU = [
    refused(200, answer("sensitive", ""), CONTENT_FILTER),
    refused(200, answer("network_error", "par"), TRANSIENT),
]
PAGE = {"Content-Type": "text/html; charset=utf-8"}
NOTHING = [
    refused(200, b"", TRANSIENT, headers={"Content-Length": "0"}),
    refused(200, b"<html><title>Sign in</title></html>", TRANSIENT, headers=PAGE),
    refused(200, {"id": "c-1", "object": "chat.completion"}, BAD_ANSWER),
]

TABLE = [
    ("openrouter", "OpenRouter: errors and debugging", OPENROUTER),
    ("openai", "OpenAI: specification of the Responses API", RESPONSES),
    ("azure", "OpenAI: specification of the Responses API", RESPONSES),
    ("gemini", "Gemini: enums of its SDK", GEMINI),
    ("openai", "OpenAI: specification", FILTERED),
    ("azure", "Azure: content filtering", FILTERED),
    ("anthropic", "Anthropic: types of its SDK", [refused(200, REFUSED, CONTENT_FILTER)]),
    ("openai", "OpenAI: streaming", OPENAI_STREAMS),
    ("anthropic", "Anthropic: streaming", ANTHROPIC_STREAMS),
    ("aliyun", "Model Studio: its SDK", ALIYUN_STREAMS),
    ("ollama", "Ollama: its source", OLLAMA_STREAMS),
    ("deepseek", "DeepSeek: chat completion, JSON mode; seen", DEEPSEEK),
    ("zhipu", "Zhipu: chat completion; seen", ZHIPU),
    ("litellm", "gateways: seen", NOTHING),
    ("one_api", "gateways: seen", NOTHING),
    ("new_api", "gateways: seen", NOTHING),
    ("openai_compatible", "gateways: seen", NOTHING),
]
