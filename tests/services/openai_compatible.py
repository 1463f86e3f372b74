"""Any other service: the words of all kinds of them, which a gateway or a proxy may pass on."""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, answer, error, refused
from services.lab_gateway import MESSAGE
from services.openai import (
    ANSWERED_CHAT,
    ANSWERED_COMPLETION,
    ANSWERED_EMBEDDINGS,
    CONTEXT,
    TOO_LARGE,
    incomplete,
)

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
CONTENT_FILTER, BAD_ANSWER = Kind.CONTENT_FILTER, Kind.BAD_ANSWER
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG

FOLDED = (
    '{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}], "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"prompt_tokens": 10, "completion_tokens": 5, '
    '"total_tokens": 115, "completion_tokens_details": {"reasoning_tokens": 100}}}'
)
SATURATED = "当前分组上游负载已饱和，请稍后再试 (request id: 2026)"
BUSY = "server busy, please try again. maximum pending requests exceeded"
NO_CHANNEL = "当前分组 default 下对于模型 m 无可用渠道"
TPM_LIMIT = {
    "message": "Request was rejected due to rate limiting. Details: TPM limit reached.",
    "data": None,
}
SPENT = {
    "code": "The caller does not have permission to execute the specified operation",
    "error": "Your team has either used all available credits or reached its monthly spending "
    "limit. Purchase more credits or raise your spending limit.",
}


def one_api(code: object, message: str = "no") -> dict:
    return error(code, message, kind="one_api_error")


def new_api(code: str) -> dict:
    return error(code, kind="new_api_error")


def routed(code: int, error_type: str, message: str = "no") -> dict:
    """An error as OpenRouter gives it, inside a 200."""
    return {"error": {"code": code, "message": message, "metadata": {"error_type": error_type}}}


LITELLM = (
    refused(401, error("401", "Invalid proxy server token", kind="auth"), AUTH),
    refused(422, error("422", "Budget has been exceeded!", kind="budget_exceeded"), QUOTA),
    refused(400, error("400", "ExceededBudget", kind="budget_exceeded"), QUOTA),
    refused(429, error("429", "ExceededBudget", kind="budget_exceeded"), QUOTA),
    refused(429, error("429", "litellm.RateLimitError: no", kind="throttling_error"), RATE_LIMIT),
    refused(429, error("429", "No deployments available - crossed budget: x"), QUOTA),
    refused(408, error("408", "litellm.Timeout: no"), TRANSIENT),
    refused(500, error("500", "litellm.APIConnectionError: no"), TRANSIENT),
    refused(503, error("503", "litellm.ServiceUnavailableError: no"), TRANSIENT),
)
ONE_API = (
    refused(403, one_api("insufficient_user_quota", "用户额度不足"), QUOTA),
    refused(403, one_api("pre_consume_token_quota_failed"), QUOTA),
    refused(403, one_api("", "该令牌无权访问此模型"), AUTH),
    refused(401, one_api("", "该令牌额度已用尽"), QUOTA),
    refused(401, one_api("", "该令牌已过期"), AUTH),
    refused(429, error(None, SATURATED, kind="upstream_error"), RATE_LIMIT),
    refused(503, one_api("", NO_CHANNEL), TRANSIENT),
)
NEW_API = (
    refused(403, new_api("insufficient_user_quota"), QUOTA),
    refused(403, new_api("pre_consume_token_quota_failed"), QUOTA),
    refused(403, new_api("entitlement_required"), QUOTA),
    refused(403, new_api("entitlement_inactive"), QUOTA),
    refused(429, new_api("entitlement_daily_limit_exceeded"), QUOTA),
    refused(429, new_api("entitlement_total_limit_exceeded"), QUOTA),
    refused(429, new_api("token_concurrency_limit_reached"), RATE_LIMIT, limit=Limit.CONCURRENCY),
    refused(400, new_api("sensitive_words_detected"), CONTENT_FILTER),
    refused(400, new_api("prompt_blocked"), CONTENT_FILTER),
    refused(500, new_api("channel:no_available_key"), TRANSIENT),
    refused(503, new_api("get_channel_failed"), TRANSIENT),
    refused(500, new_api("do_request_failed"), TRANSIENT),
    refused(502, new_api("bad_response_body"), TRANSIENT),
    refused(500, new_api("empty_response"), TRANSIENT),
    refused(400, new_api("model_price_error"), MODEL_CONFIG),
    refused(403, new_api("access_denied"), AUTH),
)
OPENROUTER = (
    refused(400, error(400), BAD_REQUEST),
    refused(401, error(401), AUTH),
    refused(402, error(402, "Insufficient credits"), QUOTA),
    refused(404, error(404, "No endpoints found"), MODEL_CONFIG),
    refused(408, error(408), TRANSIENT),
    refused(
        429,
        error(429, "Rate limit exceeded: free-models-per-min"),
        RATE_LIMIT,
        limit=Limit.REQUESTS,
    ),
    refused(200, error(400), BAD_REQUEST),
    refused(200, error(402), QUOTA),
    refused(200, error(408), TRANSIENT),
    refused(200, error(429), RATE_LIMIT),
    refused(200, error(502, "Provider returned error"), TRANSIENT),
    refused(200, error(503), TRANSIENT),
    refused(200, routed(400, "string_too_long"), BAD_REQUEST),
    refused(200, routed(502, "rate_limit_exceeded", ""), RATE_LIMIT),
    refused(200, routed(500, "payment_required"), QUOTA),
    refused(200, answer("error", "par"), BAD_ANSWER),
    refused(200, {**answer("stop"), **error(429)}, RATE_LIMIT),
)
SILICONFLOW = (
    refused(400, {"code": 20015, "message": "bad parameter", "data": None}, BAD_REQUEST),
    refused(401, "Invalid token", AUTH),
    refused(404, "404 page not found", MODEL_CONFIG),
    refused(429, TPM_LIMIT, RATE_LIMIT, limit=Limit.TOKENS),
    refused(503, {"code": 50505, "message": "Model service overloaded", "data": None}, TRANSIENT),
    refused(504, "timeout", TRANSIENT),
)
XAI = (
    refused(400, {"code": "Client specified ...", "error": "Incorrect API key"}, AUTH),
    refused(403, SPENT, QUOTA),
    refused(429, SPENT, QUOTA),
    refused(200, SPENT, QUOTA),
    refused(429, {"code": "Too many requests", "error": "Slow down"}, RATE_LIMIT),
)
FASTAPI_MISTRAL_AND_VLLM = (
    refused(422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, BAD_REQUEST),
    refused(401, {"detail": "Unauthorized"}, AUTH),
    refused(400, {"object": "error", "message": CONTEXT, "type": "BadRequestError"}, BAD_REQUEST),
    refused(429, {"object": "error", "message": "Service tier capacity exceeded"}, RATE_LIMIT),
)
GROQ = (
    refused(413, error("rate_limit_exceeded", TOO_LARGE, kind="tokens"), BAD_REQUEST),
    refused(498, error(None, "flex capacity exceeded"), RATE_LIMIT),
)
MESSAGES = (
    refused(
        400, error(None, "Your credit balance is too low", kind="invalid_request_error"), QUOTA
    ),
    refused(402, error(kind="billing_error"), QUOTA),
    refused(400, error(None, "prompt is too long: 210000 tokens > 200000"), BAD_REQUEST),
    refused(429, error(kind="rate_limit_error"), RATE_LIMIT),
    refused(529, error(None, "Overloaded", kind="overloaded_error"), TRANSIENT),
    refused(
        200, {"content": [{"type": "text", "text": "I"}], "stop_reason": "refusal"}, CONTENT_FILTER
    ),
    refused(200, {"content": [], "stop_reason": "refusal"}, CONTENT_FILTER),
)
ZHIPU_AND_VOLCENGINE = tuple(
    refused(429, error(code), RATE_LIMIT, limit=limit)
    for code, limit in (
        ("1302", Limit.CONCURRENCY),
        ("1303", Limit.REQUESTS),
        ("RateLimitExceeded.EndpointRPMExceeded", Limit.REQUESTS),
        ("RateLimitExceeded.EndpointTPMExceeded", Limit.TOKENS),
        ("RateLimitExceeded.FoundationModelRPMExceeded", Limit.REQUESTS),
        ("RateLimitExceeded.FoundationModelTPMExceeded", Limit.TOKENS),
        ("ModelAccountRpmRateLimitExceeded", Limit.REQUESTS),
        ("ModelAccountTpmRateLimitExceeded", Limit.TOKENS),
        ("APIAccountRpmRateLimitExceeded", Limit.REQUESTS),
        ("InflightBatchsizeExceeded", Limit.CONCURRENCY),
        ("RequestBurstTooFast", Limit.GROWTH),
    )
)
LLAMA_CPP_AND_OLLAMA = (
    refused(400, error(400, "the request exceeds", kind="exceed_context_size_error"), BAD_REQUEST),
    refused(503, error(503, "Loading model", kind="unavailable_error"), TRANSIENT),
    refused(503, {"error": BUSY}, TRANSIENT),
)
RESPONSES = (
    refused(200, incomplete("content_filter", {"type": "message"}), CONTENT_FILTER),
    refused(200, incomplete("content_filter"), CONTENT_FILTER),
)
IN_ODDER_PLACES = (
    refused(
        400, {"response": {"error": {"message": "no", "code": "content_filter"}}}, CONTENT_FILTER
    ),
    refused(400, [error("context_length_exceeded")], BAD_REQUEST),
    refused(402, {"header": {"code": 10013, "message": "balance"}}, QUOTA),
    refused(400, {"err": "余额不足"}, QUOTA),
    refused(400, {"error_msg": "API key not valid. Please pass a valid API key."}, AUTH),
)
WAITS = (
    refused(429, error(None, "please try again after 20 seconds"), RATE_LIMIT, wait=20.0),
    refused(429, error(None, "Please retry in 10h17m5.7s."), RATE_LIMIT, wait=37_025.7),
)

SERVICE = Service(
    urls=(
        "http://localhost:8000/v1/chat/completions",
        "http://127.0.0.1:11434/v1/embeddings",
        "http://[::1]:8000/v1/chat/completions",
        "https://llm.example.org/v1/chat/completions",
    ),
    example_urls={"openai_compatible": "http://localhost:8000/v1"},
    answers=(
        ANSWERED_CHAT,
        ANSWERED_COMPLETION,
        ANSWERED_EMBEDDINGS,
        Answered(what="messages", text=MESSAGE, usage=Usage(213, 25)),
        Answered(what="reasoning apart", text=FOLDED, usage=Usage(10, 105)),
    ),
    refusals=(
        *(*LITELLM, *ONE_API, *NEW_API, *OPENROUTER, *SILICONFLOW, *XAI, *GROQ, *MESSAGES),
        *(*ZHIPU_AND_VOLCENGINE, *FASTAPI_MISTRAL_AND_VLLM, *LLAMA_CPP_AND_OLLAMA, *RESPONSES),
        *(*IN_ODDER_PLACES, *WAITS),
    ),
)
