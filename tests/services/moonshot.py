"""Moonshot (Kimi): https://platform.moonshot.cn/docs; its messages are users' reports."""

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, answer, refused

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

CHAT = (
    '{"id": "cmpl-04ea", "object": "chat.completion", "created": 1698999496, "model": '
    '"moonshot-v1-8k", "choices": [{"index": 0, "message": {"role": "assistant", "content": "1+1 '
    '\u7b49\u4e8e 2\u3002"}, "finish_reason": "stop"}], "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, '
    '"cached_tokens": 10}}'
)
REACHED = "Your account org-1<ak-2> request reached "
SUSPENDED = (
    "Your account org-1 <ak-2> is suspended due to insufficient balance, please recharge your "
    "account or check your plan and billing details"
)
INACTIVE = (
    "Your account is not active, organization <xx> exceeded current quota, please check your plan"
)


def typed(kind: str, message: str = "no") -> dict:
    return {"error": {"message": message, "type": kind}}


SERVICE = Service(
    urls=(
        "https://api.moonshot.cn/v1/chat/completions",
        "https://api.moonshot.ai/v1/chat/completions",
    ),
    look_alikes=(
        "https://api.moonshot.com/v1/chat/completions",
        "https://api.moonshot.cn.evil.example/v1/chat/completions",
        "https://moonshot.ai/v1/chat/completions",
    ),
    answers=(Answered(what="chat", text=CHAT, usage=Usage(19, 21)),),
    refusals=(
        refused(400, typed("invalid_request_error", "only 1 is allowed"), BAD_REQUEST),
        refused(400, typed("content_filter", "The request was rejected"), Kind.CONTENT_FILTER),
        refused(401, typed("invalid_authentication_error"), AUTH),
        refused(401, typed("incorrect_api_key_error"), AUTH),
        refused(403, typed("permission_denied_error"), AUTH),
        refused(403, typed("exceeded_current_quota_error", INACTIVE), QUOTA),
        refused(403, {"error": {"message": "Insufficient balance"}}, QUOTA),
        refused(404, typed("resource_not_found_error"), MODEL_CONFIG),
        refused(429, typed("exceeded_current_quota_error", SUSPENDED), QUOTA),
        refused(429, typed("engine_overloaded_error", "currently overloaded"), TRANSIENT),
        refused(
            429,
            typed(
                "rate_limit_reached_error",
                REACHED + "max request: 3, please try again after 1 seconds",
            ),
            RATE_LIMIT,
            wait=1.0,
        ),
        refused(
            429,
            typed(
                "rate_limit_reached_error",
                REACHED + "organization max RPM: 3, please try again after 20 seconds",
            ),
            RATE_LIMIT,
            wait=20.0,
            limit=Limit.REQUESTS,
        ),
        refused(
            429,
            typed("rate_limit_reached_error", REACHED + "max organization concurrency: 1"),
            RATE_LIMIT,
            limit=Limit.CONCURRENCY,
        ),
        refused(
            429,
            typed("rate_limit_reached_error", REACHED + "project TPM rate limit, current: 1410"),
            RATE_LIMIT,
            limit=Limit.TOKENS,
        ),
        refused(
            429,
            typed("rate_limit_reached_error", REACHED + "organization TPD rate limit"),
            RATE_LIMIT,
            limit=Limit.TOKENS,
        ),
        refused(500, typed("server_error"), TRANSIENT),
        refused(200, answer("content_filter", ""), Kind.CONTENT_FILTER),
        refused(
            200,
            b'data: {"choices": [{"index": 0, "delta": {"content": "1+"}}]}\n\n',
            Kind.BAD_ANSWER,
            headers=STREAM,
        ),
    ),
)
