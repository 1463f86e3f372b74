"""Google's Gemini API: ai.google.dev/gemini-api/docs, troubleshooting and rate limits."""

import json

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, refused
from services.openai import CHAT

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
CONTENT_FILTER, BAD_ANSWER = Kind.CONTENT_FILTER, Kind.BAD_ANSWER
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

ANSWER = (
    '{"candidates": [{"content": {"parts": [{"text": "caf\\u00e9"}], "role": "model"}, '
    '"finishReason": "STOP", "index": 0, "avgLogprobs": -1.10}], "usageMetadata": '
    '{"promptTokenCount": 8, "candidatesTokenCount": 5, "thoughtsTokenCount": 20, '
    '"cachedContentTokenCount": 4, "toolUsePromptTokenCount": 3, "totalTokenCount": 36}, '
    '"modelVersion": "gemini-2.5-flash", "responseId": 12345678901234567890}'
)
THOUGHT_ONLY = (
    '{"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}], '
    '"usageMetadata": {"promptTokenCount": 8, "thoughtsTokenCount": 400}}'
)
EMBEDDING = '{"embedding": {"values": [0.013168523, -1.10, 1e-7]}}'
EMBEDDINGS = '{"embeddings": [{"values": [1.10, -0.0]}, {"values": [12345678901234567890]}]}'
LISTED = (
    '[{"candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}}]},\n'
    '{"candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}], '
    '"usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 2}}]'
)
LISTED_TEXT = (
    '{"candidates": [{"content": {"parts": [{"text": "ab"}], "role": "model"}, '
    '"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 2}}'
)
EXCEEDED = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n"
    "* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_"
)
TPM = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
RPM = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
RPD = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


def said(code: int, status: str, message: str = "no", *details: dict) -> dict:
    """An error as Google spells it."""
    error = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": list(details)} if details else {})}


def reason(reason: str) -> dict:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}


def exceeded(*quotas: str, delay: str | None = None, value: str = "15", words: str = "") -> dict:
    """A 429 that names its quotas, and perhaps when to come again."""
    violations = [{"quotaId": one, "quotaValue": value} for one in quotas]
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}]
    if delay is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": delay})
    return said(429, "RESOURCE_EXHAUSTED", EXCEEDED + words, *details)


def ended(why: str, text: str | None = None) -> dict:
    content = {"parts": [{"text": text}], "role": "model"} if text else {"role": "model"}
    return {
        "candidates": [{"content": content, "finishReason": why, "index": 0}],
        "usageMetadata": {"promptTokenCount": 8},
    }


def events(*payloads: object) -> bytes:
    return "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in payloads).encode()


EXHAUSTED = said(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
BLOCKED = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}}
SHARED = (
    refused(400, said(400, "INVALID_ARGUMENT", "Unknown name"), BAD_REQUEST),
    refused(400, said(400, "INVALID_ARGUMENT", "Requests PerDay, limit: 0"), BAD_REQUEST),
    refused(400, said(400, "INVALID_ARGUMENT", "Unknown name 'incorrect api key'"), BAD_REQUEST),
    refused(400, said(400, "INVALID_ARGUMENT", "The input token count exceeds"), BAD_REQUEST),
    refused(400, said(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid"), AUTH),
    refused(400, said(400, "INVALID_ARGUMENT", "no", reason("API_KEY_INVALID")), AUTH),
    refused(400, said(400, "INVALID_ARGUMENT", "Multiple authentication credentials"), AUTH),
    refused(400, said(400, "FAILED_PRECONDITION", "User location is not supported"), AUTH),
    refused(401, said(401, "UNAUTHENTICATED", "no", reason("ACCESS_TOKEN_EXPIRED")), AUTH),
    refused(402, said(402, "PAYMENT_REQUIRED"), QUOTA),
    refused(403, said(403, "PERMISSION_DENIED"), AUTH),
    refused(403, said(403, "PERMISSION_DENIED", "no", reason("BILLING_DISABLED")), QUOTA),
    refused(404, said(404, "NOT_FOUND", "models/gemini-0 is not found"), MODEL_CONFIG),
    refused(429, EXHAUSTED, RATE_LIMIT),
    refused(429, [EXHAUSTED], RATE_LIMIT),
    refused(429, exceeded(RPM, delay="46s"), RATE_LIMIT, wait=46.0, limit=Limit.REQUESTS),
    refused(429, [exceeded(RPM, delay="0.5s")], RATE_LIMIT, wait=0.5, limit=Limit.REQUESTS),
    refused(429, exceeded(TPM, delay="1m2.5s"), RATE_LIMIT, wait=62.5, limit=Limit.INPUT_TOKENS),
    refused(429, exceeded(TPM, RPM), RATE_LIMIT),
    refused(
        429,
        exceeded(RPM, words="free_tier_requests, limit: 20\nPlease retry in 45.83s."),
        RATE_LIMIT,
        wait=45.83,
        limit=Limit.REQUESTS,
    ),
    refused(
        429,
        said(429, "RESOURCE_EXHAUSTED", EXCEEDED + "paid_tier_input_token_count, limit: 1000000"),
        RATE_LIMIT,
        limit=Limit.INPUT_TOKENS,
    ),
    refused(429, exceeded(RPD, delay="30s"), QUOTA),
    refused(429, [exceeded(TPM, RPM, RPD, delay="30s")], QUOTA),
    refused(429, exceeded(RPM, value="0"), QUOTA),
    refused(429, said(429, "RESOURCE_EXHAUSTED", EXCEEDED + "requests, limit: 0\nPlease"), QUOTA),
    refused(499, said(499, "CANCELLED"), TRANSIENT),
    refused(500, said(500, "INTERNAL"), TRANSIENT),
    refused(503, said(503, "UNAVAILABLE", "The model is overloaded."), TRANSIENT),
    refused(504, said(504, "DEADLINE_EXCEEDED"), TRANSIENT),
)
"""What its APIs have in common."""
NATIVE = (
    refused(200, BLOCKED, CONTENT_FILTER),
    *(
        refused(200, ended(why), CONTENT_FILTER)
        for why in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")
    ),
    *(
        refused(200, ended(f"IMAGE_{why}"), CONTENT_FILTER)
        for why in ("SAFETY", "PROHIBITED_CONTENT", "RECITATION", "OTHER")
    ),
    refused(200, ended("SAFETY", "half of it"), CONTENT_FILTER),
    refused(200, ended("MALFORMED_FUNCTION_CALL"), BAD_ANSWER),
    refused(200, ended("MALFORMED_RESPONSE"), BAD_ANSWER),
    refused(200, ended("OTHER"), BAD_ANSWER),
    *(
        refused(200, ended(why, "half of it"), BAD_ANSWER)
        for why in ("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "OTHER")
    ),
    refused(200, ended("STOP"), BAD_ANSWER),
    refused(200, {"candidates": [None]}, BAD_ANSWER),
    refused(200, {"candidates": [], "usageMetadata": {"promptTokenCount": 8}}, BAD_ANSWER),
    refused(200, events(BLOCKED), CONTENT_FILTER, headers=STREAM),
    refused(200, events(ended("SAFETY", "half")), CONTENT_FILTER, headers=STREAM),
    refused(200, events(ended("", "half")), BAD_ANSWER, headers=STREAM),
    refused(200, events(ended("", "half"), said(503, "UNAVAILABLE")), TRANSIENT, headers=STREAM),
)
"""What its own shape adds."""
ANSWERS = (
    Answered(what="answer", text=ANSWER, usage=Usage(11, 25)),
    Answered(what="all thoughts", text=THOUGHT_ONLY, usage=Usage(8, 400)),
    Answered(what="listed chunks", text=LISTED_TEXT, usage=Usage(2, 2), reply=LISTED.encode()),
    Answered(what="embedding", text=EMBEDDING, usage=None),
    Answered(what="embeddings", text=EMBEDDINGS, usage=None),
    Answered(what="chat", text=CHAT, usage=Usage(9, 12)),
)
HOST = "https://generativelanguage.googleapis.com"

SERVICE = Service(
    urls=(
        f"{HOST}/v1beta",
        f"{HOST}/v1beta/models/gemini-2.5-flash:generateContent",
        f"{HOST}/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        f"{HOST}/v1/models/gemini-embedding-001:batchEmbedContents",
        f"{HOST}/v1beta/openaix",
        HOST,
    ),
    look_alikes=(
        "https://generativelanguage.googleapis.com.evil.example/v1beta",
        "https://evil.example/generativelanguage.googleapis.com/v1beta/openai",
        "https://evilgenerativelanguage.googleapis.com/v1beta",
        "https://evil-generativelanguage.googleapis.com/v1beta",
    ),
    answers=ANSWERS,
    refusals=(*SHARED, *NATIVE),
)
