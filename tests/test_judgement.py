"""What each service's errors mean: (service, status, body) -> kind, row by row of their tables."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from providers import PROVIDERS
from request_engine.records import Failure, Kind, Reply, Success, Usage

BY_NAME = {one.name: one for one in PROVIDERS}
RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
CONTENT_FILTER, BAD_ANSWER = Kind.CONTENT_FILTER, Kind.BAD_ANSWER
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG


def read(name: str, status: int, body: object, **headers: str) -> Success | Failure:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = CIMultiDict({key.replace("_", "-"): value for key, value in headers.items()})
    return BY_NAME[name].read(Reply(status, named, content), lambda: 1_800_000_000.0)


def error(code: object = None, message: str = "no", *, kind: object = None) -> dict:
    """An error as OpenAI spells it; *kind* is its `type`."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def table(*rows: tuple[int, object, Kind]) -> pytest.MarkDecorator:
    """One test a row, named after what tells it apart."""
    names = [f"{status} {_shown(body)[:80]}" for status, body, _ in rows]
    return pytest.mark.parametrize(("status", "body", "kind"), rows, ids=names)


def _shown(body: object) -> str:
    return repr(body) if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False)


def answer(finish_reason: str | None, content: str | None = "ok") -> dict:
    return {"choices": [{"message": {"content": content}, "finish_reason": finish_reason}]}


# One service at a time.

TPM = (
    "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
    "Used 29500, Requested 3144. Please try again in 5.289s. Visit the rate limits page."
)
TOO_LARGE = (
    "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
    "Requested 40201. The input or output tokens must be reduced."
)
CONTEXT = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
OUT_OF_MONEY = "You exceeded your current quota, please check your plan and billing details."


@table(
    (400, error(None, "Invalid value for 'n'", kind="invalid_request_error"), BAD_REQUEST),
    (400, error("context_length_exceeded", CONTEXT), BAD_REQUEST),
    (400, error("unsupported_parameter", kind="invalid_request_error"), BAD_REQUEST),
    (400, error("invalid_prompt", kind="invalid_request_error"), BAD_REQUEST),
    (400, error("content_policy_violation"), CONTENT_FILTER),
    (401, error("invalid_api_key", "Incorrect API key provided: sk-***"), AUTH),
    (401, error(None, "You must be a member of an organization to use the API"), AUTH),
    (403, error("unsupported_country_region_territory"), AUTH),
    (404, error("model_not_found", "The model `x` does not exist"), MODEL_CONFIG),
    (404, error(None, "Invalid URL (POST /v1/chat)", kind="invalid_request_error"), MODEL_CONFIG),
    (409, error(None), TRANSIENT),
    (422, error(None), BAD_REQUEST),
    (429, error("rate_limit_exceeded", TPM, kind="tokens"), RATE_LIMIT),
    (
        429,
        error("rate_limit_exceeded", "Limit 3, Used 3", kind="requests"),
        RATE_LIMIT,
    ),
    (429, error("slow_down", kind="rate_limit_error"), RATE_LIMIT),
    (503, error("slow_down", kind="rate_limit_error"), RATE_LIMIT),
    (429, error("insufficient_quota", OUT_OF_MONEY, kind="insufficient_quota"), QUOTA),
    (429, error(None, OUT_OF_MONEY, kind="insufficient_quota"), QUOTA),
    (429, error(None, OUT_OF_MONEY), QUOTA),
    (429, error("credit_balance_exhausted", kind="insufficient_quota"), QUOTA),
    (429, error("organization_usage_limit_exceeded"), QUOTA),
    (429, error("organization_spend_limit_exceeded"), QUOTA),
    (429, error("project_spend_limit_exceeded"), QUOTA),
    (429, error("billing_hard_limit_reached"), QUOTA),
    (429, error("rate_limit_exceeded", TOO_LARGE, kind="tokens"), BAD_REQUEST),
    (429, error("resource_unavailable"), TRANSIENT),
    (500, error("server_error", kind="server_error"), TRANSIENT),
    (502, error(None), TRANSIENT),
    (503, error("server_is_overloaded"), TRANSIENT),
    (503, error(None, "The engine is currently overloaded, please try again later"), TRANSIENT),
    (504, error(None), TRANSIENT),
    (200, {"status": "failed", **error("server_error"), "output": []}, TRANSIENT),
    (200, {"status": "failed", **error("rate_limit_exceeded"), "output": []}, RATE_LIMIT),
    (200, {"status": "failed", **error("invalid_prompt"), "output": []}, BAD_REQUEST),
    (200, {"status": "failed", **error("invalid_image"), "output": []}, BAD_REQUEST),
    (200, {"status": "failed", **error("image_too_large"), "output": []}, BAD_REQUEST),
    (200, {"status": "failed", **error("image_content_policy_violation")}, CONTENT_FILTER),
)
def test_openai(status, body, kind):
    assert read("openai", status, body).kind is kind


def native(code: str, message: str = "no", said: str = "message") -> dict:
    """An error of the native interface, which is flat."""
    return {"code": code, said: message, "request_id": "7a"}


FREE = "Free allocated quota exceeded."


@table(
    (400, native("InvalidParameter"), BAD_REQUEST),
    (400, error("invalid_parameter_error", kind="invalid_request_error"), BAD_REQUEST),
    (400, native("BadRequest.EmptyInput"), BAD_REQUEST),
    (400, native("InvalidURL.Timeout"), BAD_REQUEST),
    (400, native("InvalidParameter.DataInspection"), BAD_REQUEST),
    (400, native("DataInspectionFailed"), CONTENT_FILTER),
    (400, error("data_inspection_failed"), CONTENT_FILTER),
    (400, native("Arrearage", "Access denied, please make sure your account is ok"), QUOTA),
    (400, native("Arrearage", said="msg"), QUOTA),
    (400, native("Arrearage", ""), QUOTA),
    (400, error("Arrearage", kind="Arrearage"), QUOTA),
    (401, native("InvalidApiKey"), AUTH),
    (401, error("invalid_api_key"), AUTH),
    (401, native("NOT AUTHORIZED"), AUTH),
    (403, native("AccessDenied"), AUTH),
    (403, native("Workspace.AccessDenied"), AUTH),
    (403, native("AccessDenied.Unpurchased"), MODEL_CONFIG),
    (403, native("Model.AccessDenied"), MODEL_CONFIG),
    (403, native("AllocationQuota.FreeTierOnly", "The free tier is exhausted"), QUOTA),
    (404, native("ModelNotFound"), MODEL_CONFIG),
    (404, error("model_not_found"), MODEL_CONFIG),
    (404, error("model_not_supported"), MODEL_CONFIG),
    (429, native("Throttling"), RATE_LIMIT),
    (429, native("Throttling.RateQuota", "Requests rate limit exceeded"), RATE_LIMIT),
    (429, native("LimitRequests"), RATE_LIMIT),
    (429, error("limit_requests", "You exceeded your current requests list."), RATE_LIMIT),
    (429, native("Throttling.BurstRate"), RATE_LIMIT),
    (429, error("limit_burst_rate"), RATE_LIMIT),
    (429, native("Throttling.AllocationQuota", "Allocated quota exceeded"), RATE_LIMIT),
    (429, error("insufficient_quota", OUT_OF_MONEY, kind="insufficient_quota"), RATE_LIMIT),
    (429, native("Throttling.AllocationQuota", FREE), QUOTA),
    (429, error("insufficient_quota", FREE), QUOTA),
    (429, native("CommodityNotPurchased"), QUOTA),
    (429, native("PrepaidBillOverdue"), QUOTA),
    (429, native("PostpaidBillOverdue"), QUOTA),
    (500, native("InternalError"), TRANSIENT),
    (500, native("InternalError.Algo", "list index out of range"), TRANSIENT),
    (500, native("InternalError.Timeout"), TRANSIENT),
    (500, native("SystemError"), TRANSIENT),
    (500, native("ModelServiceFailed"), TRANSIENT),
    (500, native("RequestTimeOut"), TRANSIENT),
    (500, native("ModelServingError"), TRANSIENT),
    (503, native("ModelServingError"), TRANSIENT),
    (503, native("ModelUnavailable"), TRANSIENT),
    (200, native("DataInspectionFailed"), CONTENT_FILTER),
    (200, {"output": {"choices": []}, "usage": {"total_tokens": 3}}, BAD_ANSWER),
)
def test_aliyun(status, body, kind):
    assert read("aliyun", status, body).kind is kind


@table(
    (401, {"detail": "Not authenticated"}, AUTH),
    (402, {"error": "inference prohibited, please add a payment method"}, QUOTA),
    (403, {"error": "not allowed"}, AUTH),
    (404, {"error": "model not found"}, MODEL_CONFIG),
    (422, {"detail": [{"loc": ["body", "input"], "msg": "field required"}]}, BAD_REQUEST),
    (423, {"error": "locked"}, BAD_REQUEST),
    (429, {"error": "Rate limited"}, RATE_LIMIT),
    (429, {"detail": {"error": "Model busy, retry later"}}, RATE_LIMIT),
    (429, {"error": {"message": "Model busy, retry later"}}, RATE_LIMIT),
    (500, {"error": {"message": "inference exception"}}, TRANSIENT),
    (500, {"detail": "inference exception"}, TRANSIENT),
)
def test_deepinfra(status, body, kind):
    assert read("deepinfra", status, body).kind is kind


@table(
    (400, error("invalid_request_error", "Failed to deserialize the JSON body"), BAD_REQUEST),
    (401, error("invalid_request_error", kind="authentication_error"), AUTH),
    (402, error("invalid_request_error", "Insufficient Balance", kind="unknown_error"), QUOTA),
    (422, error("invalid_request_error"), BAD_REQUEST),
    (429, error(None, "Concurrency limit exceeded"), RATE_LIMIT),
    (500, error(None), TRANSIENT),
    (503, error(None, "Service is too busy"), TRANSIENT),
    (200, answer("insufficient_system_resource", "par"), TRANSIENT),
    (200, answer("content_filter", ""), CONTENT_FILTER),
    (200, answer("stop", ""), BAD_ANSWER),
    (200, answer("stop", None), BAD_ANSWER),
)
def test_deepseek(status, body, kind):
    assert read("deepseek", status, body).kind is kind


def test_deepseeks_empty_lines_before_an_answer_are_not_an_answer():
    waited = b"\n\n\n" + json.dumps(answer("stop")).encode()
    assert read("deepseek", 200, waited) == Success(json.dumps(answer("stop")).encode())
    assert read("deepseek", 200, b"\n\n\n").kind is TRANSIENT


def test_deepseeks_answer_may_be_a_call_or_end_by_its_length():
    call = answer("tool_calls", "")
    call["choices"][0]["message"]["tool_calls"] = [{"id": "1"}]
    assert isinstance(read("deepseek", 200, call), Success)
    assert isinstance(read("deepseek", 200, answer("length", "")), Success)


RESPONSIBLE = {"innererror": {"code": "ResponsibleAIPolicyViolation"}}
FILTERED = "The response was filtered due to the prompt triggering content management policy."
RATE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 "
    "have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 7 "
    "seconds."
)


@table(
    (400, {"error": {"code": "content_filter", "message": FILTERED}}, CONTENT_FILTER),
    (400, {"error": {"message": FILTERED, "code": "400", **RESPONSIBLE}}, CONTENT_FILTER),
    (
        400,
        {"error": {"message": "no", "inner_error": {"code": "ResponsibleAIPolicyViolation"}}},
        CONTENT_FILTER,
    ),
    (400, {"code": "content_filter", "message": FILTERED, "status": 400}, CONTENT_FILTER),
    (400, {"message": FILTERED, **RESPONSIBLE}, CONTENT_FILTER),
    (400, error("BadRequest", "Unrecognized request argument"), BAD_REQUEST),
    (401, error("401", "Access denied due to invalid subscription key"), AUTH),
    (401, {"statusCode": 401, "message": "Unauthorized"}, AUTH),
    (403, error("403", "Access denied due to Virtual Network rules"), AUTH),
    (404, error("DeploymentNotFound"), MODEL_CONFIG),
    (404, error("404", "Resource not found"), MODEL_CONFIG),
    (429, error("429", RATE), RATE_LIMIT),
    (429, error("RateLimitReached", RATE), RATE_LIMIT),
    (429, error("429", "The system is currently experiencing high demand"), RATE_LIMIT),
    (429, error("429", "Temporary reduction of your limit"), RATE_LIMIT),
    (429, error("429", "max_tokens is larger than the limit leaves"), RATE_LIMIT),
    (429, {"statusCode": 429, "message": "Rate limit is exceeded."}, RATE_LIMIT),
    (500, error("InternalServerError"), TRANSIENT),
    (503, error("503"), TRANSIENT),
    (200, answer("content_filter"), CONTENT_FILTER),
)
def test_azure(status, body, kind):
    assert read("azure", status, body).kind is kind


SATURATED = "当前分组上游负载已饱和，请稍后再试 (request id: 2026)"
TPM_LIMIT = {
    "message": "Request was rejected due to rate limiting. Details: TPM limit reached.",
    "data": None,
}
SPENT = {
    "code": "The caller does not have permission to execute the specified operation",
    "error": "Your team has either used all available credits or reached its monthly spending "
    "limit. Purchase more credits or raise your spending limit.",
}


@table(
    # LiteLLM's proxy
    (401, error("401", "Authentication Error, Invalid proxy server token", kind="auth"), AUTH),
    (422, error("422", "Budget has been exceeded!", kind="budget_exceeded"), QUOTA),
    (400, error("400", "ExceededBudget", kind="budget_exceeded"), QUOTA),
    (429, error("429", "ExceededBudget", kind="budget_exceeded"), QUOTA),
    (429, error("429", "litellm.RateLimitError: no", kind="throttling_error"), RATE_LIMIT),
    (408, error("408", "litellm.Timeout: no"), TRANSIENT),
    (500, error("500", "litellm.APIConnectionError: no"), TRANSIENT),
    (503, error("503", "litellm.ServiceUnavailableError: no"), TRANSIENT),
    # one-api
    (403, error("insufficient_user_quota", "用户额度不足", kind="one_api_error"), QUOTA),
    (403, error("pre_consume_token_quota_failed", kind="one_api_error"), QUOTA),
    (403, error("", "该令牌无权访问此模型", kind="one_api_error"), AUTH),
    (401, error("", "该令牌额度已用尽", kind="one_api_error"), QUOTA),
    (401, error("", "该令牌已过期", kind="one_api_error"), AUTH),
    (429, error(None, SATURATED, kind="upstream_error"), RATE_LIMIT),
    (503, error("", "当前分组 default 下对于模型 m 无可用渠道", kind="one_api_error"), TRANSIENT),
    # new-api
    (403, error("insufficient_user_quota", kind="new_api_error"), QUOTA),
    (403, error("pre_consume_token_quota_failed", kind="new_api_error"), QUOTA),
    (403, error("entitlement_required", kind="new_api_error"), QUOTA),
    (403, error("entitlement_inactive", kind="new_api_error"), QUOTA),
    (429, error("entitlement_daily_limit_exceeded", kind="new_api_error"), QUOTA),
    (429, error("entitlement_total_limit_exceeded", kind="new_api_error"), QUOTA),
    (429, error("token_concurrency_limit_reached", kind="new_api_error"), RATE_LIMIT),
    (400, error("sensitive_words_detected", kind="new_api_error"), CONTENT_FILTER),
    (400, error("prompt_blocked", kind="new_api_error"), CONTENT_FILTER),
    (500, error("channel:no_available_key", kind="new_api_error"), TRANSIENT),
    (503, error("get_channel_failed", kind="new_api_error"), TRANSIENT),
    (500, error("do_request_failed", kind="new_api_error"), TRANSIENT),
    (502, error("bad_response_body", kind="new_api_error"), TRANSIENT),
    (500, error("empty_response", kind="new_api_error"), TRANSIENT),
    (400, error("model_price_error", kind="new_api_error"), MODEL_CONFIG),
    (403, error("access_denied", kind="new_api_error"), AUTH),
    # OpenRouter
    (400, error(400), BAD_REQUEST),
    (401, error(401), AUTH),
    (402, error(402, "Insufficient credits"), QUOTA),
    (404, error(404, "No endpoints found"), MODEL_CONFIG),
    (408, error(408), TRANSIENT),
    (429, error(429, "Rate limit exceeded: free-models-per-min"), RATE_LIMIT),
    (200, error(400), BAD_REQUEST),
    (200, error(402), QUOTA),
    (200, error(408), TRANSIENT),
    (200, error(429), RATE_LIMIT),
    (200, error(502, "Provider returned error"), TRANSIENT),
    (200, error(503), TRANSIENT),
    (
        200,
        {"error": {"code": 400, "message": "no", "metadata": {"error_type": "string_too_long"}}},
        BAD_REQUEST,
    ),
    (
        200,
        {"error": {"code": 502, "message": "", "metadata": {"error_type": "rate_limit_exceeded"}}},
        RATE_LIMIT,
    ),
    (
        200,
        {"error": {"code": 500, "message": "no", "metadata": {"error_type": "payment_required"}}},
        QUOTA,
    ),
    (200, answer("error", "par"), BAD_ANSWER),
    (200, {**answer("stop"), **error(429)}, RATE_LIMIT),
    # SiliconFlow
    (400, {"code": 20015, "message": "bad parameter", "data": None}, BAD_REQUEST),
    (401, "Invalid token", AUTH),
    (404, "404 page not found", MODEL_CONFIG),
    (429, TPM_LIMIT, RATE_LIMIT),
    (503, {"code": 50505, "message": "Model service overloaded", "data": None}, TRANSIENT),
    (504, "timeout", TRANSIENT),
    # xAI
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key"}, AUTH),
    (403, SPENT, QUOTA),
    (429, SPENT, QUOTA),
    (200, SPENT, QUOTA),
    (429, {"code": "Too many requests", "error": "Slow down"}, RATE_LIMIT),
    # FastAPI, and Mistral's and vLLM's flat form
    (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}, BAD_REQUEST),
    (401, {"detail": "Unauthorized"}, AUTH),
    (400, {"object": "error", "message": CONTEXT, "type": "BadRequestError"}, BAD_REQUEST),
    (429, {"object": "error", "message": "Service tier capacity exceeded"}, RATE_LIMIT),
    # Groq
    (413, error("rate_limit_exceeded", TOO_LARGE, kind="tokens"), BAD_REQUEST),
    (498, error(None, "flex capacity exceeded"), RATE_LIMIT),
    # Anthropic's dialect
    (400, error(None, "Your credit balance is too low", kind="invalid_request_error"), QUOTA),
    (402, error(None, kind="billing_error"), QUOTA),
    (400, error(None, "prompt is too long: 210000 tokens > 200000"), BAD_REQUEST),
    (429, error(None, kind="rate_limit_error"), RATE_LIMIT),
    (529, error(None, "Overloaded", kind="overloaded_error"), TRANSIENT),
    (200, {"content": [{"type": "text", "text": "I"}], "stop_reason": "refusal"}, CONTENT_FILTER),
    (200, {"content": [], "stop_reason": "refusal"}, CONTENT_FILTER),
    # llama.cpp and Ollama
    (400, error(400, "the request exceeds", kind="exceed_context_size_error"), BAD_REQUEST),
    (503, error(503, "Loading model", kind="unavailable_error"), TRANSIENT),
    (503, {"error": "server busy, please try again. maximum pending requests exceeded"}, TRANSIENT),
    # The Responses shape
    (
        200,
        {
            "status": "incomplete",
            "incomplete_details": {"reason": "content_filter"},
            "output": [{"type": "message"}],
        },
        CONTENT_FILTER,
    ),
    (
        200,
        {
            "status": "incomplete",
            "incomplete_details": {"reason": "content_filter"},
            "output": [],
        },
        CONTENT_FILTER,
    ),
    # An error in one of the odder places
    (400, {"response": {"error": {"message": "no", "code": "content_filter"}}}, CONTENT_FILTER),
    (400, [error("context_length_exceeded")], BAD_REQUEST),
    (402, {"header": {"code": 10013, "message": "balance"}}, QUOTA),
    (400, {"err": "余额不足"}, QUOTA),
    (400, {"error_msg": "API key not valid. Please pass a valid API key."}, AUTH),
)
def test_any_other_service(status, body, kind):
    assert read("openai_compatible", status, body).kind is kind


def enveloped(body: object) -> dict:
    return {"raw": json.dumps(body), "credits_consumed": "0$", "credits_total": "20$"}


@table(
    (200, {"error": {"message": "no such user"}}, TRANSIENT),
    (200, {"error": "busy"}, TRANSIENT),
    (200, "Error code: 500", TRANSIENT),
    (200, {"credits_total": "20$"}, TRANSIENT),
    (200, answer("stop"), TRANSIENT),
    (200, {"raw": None}, TRANSIENT),
    (200, {"raw": "<html>"}, TRANSIENT),
    (200, {"raw": "Internal Server Error"}, TRANSIENT),
    (401, {"error": "unknown user"}, AUTH),
    (402, {"error": "no credits left"}, QUOTA),
    (429, {"error": "slow down"}, RATE_LIMIT),
    (502, b"<html>Bad Gateway</html>", TRANSIENT),
    (200, enveloped(error("rate_limit_exceeded", TPM)), RATE_LIMIT),
    (200, enveloped(error("insufficient_quota", OUT_OF_MONEY)), QUOTA),
    (200, enveloped(error("context_length_exceeded", CONTEXT)), BAD_REQUEST),
    (200, enveloped(error(None, kind="overloaded_error")), TRANSIENT),
    (200, enveloped(error(None)), TRANSIENT),
    (200, enveloped({"choices": []}), TRANSIENT),
    (200, enveloped(answer("content_filter")), CONTENT_FILTER),
    (200, enveloped({"content": [], "stop_reason": "refusal"}), CONTENT_FILTER),
    (500, enveloped(answer("stop")), TRANSIENT),
)
def test_the_lab_gateway(status, body, kind):
    assert read("lab_gateway", status, body).kind is kind


# What holds for all of them.

each = pytest.mark.parametrize("name", BY_NAME)

DEFAULTS = [
    (301, MODEL_CONFIG),
    (307, MODEL_CONFIG),
    (400, BAD_REQUEST),
    (401, AUTH),
    (402, QUOTA),
    (403, AUTH),
    (404, MODEL_CONFIG),
    (405, MODEL_CONFIG),
    (408, TRANSIENT),
    (409, TRANSIENT),
    (410, MODEL_CONFIG),
    (413, BAD_REQUEST),
    (415, BAD_REQUEST),
    (422, BAD_REQUEST),
    (424, BAD_REQUEST),
    (425, TRANSIENT),
    (429, RATE_LIMIT),
    (498, RATE_LIMIT),
    (499, TRANSIENT),
    *((status, TRANSIENT) for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)),
]


@each
@pytest.mark.parametrize(("status", "kind"), DEFAULTS)
def test_a_status_without_a_word_means_the_same_everywhere(name, status, kind):
    assert {read(name, status, body).kind for body in (b"", b"{}", b"<html></html>")} == {kind}


@each
def test_a_success_without_an_answer_is_a_bad_answer_with_its_text_kept(name):
    failed = read(name, 200, {"choices": None, "usage": {"prompt_tokens": 4}})
    assert failed.kind is (TRANSIENT if name == "lab_gateway" else BAD_ANSWER)
    assert '"prompt_tokens": 4' in failed.raw


def test_what_an_unusable_answer_used_is_known():
    body = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 9}}
    assert read("openai", 200, body).usage == Usage(4, 9)
    assert read("openai", 200, {**body, "error": "broken"}).usage == Usage(4, 9)


def test_one_answer_of_many_that_was_filtered_leaves_the_others_usable():
    body = answer("stop")
    body["choices"].append({"message": {}, "finish_reason": "content_filter"})
    assert isinstance(read("azure", 200, body), Success)


def test_an_empty_answer_that_was_asked_for_is_an_answer():
    for reason in ("stop", "length", "tool_calls", None):
        assert isinstance(read("openai", 200, answer(reason, "")), Success)


@each
def test_a_number_in_an_echoed_prompt_is_no_status(name):
    body = error(None, "Invalid prompt: 'why do I get 429, 503 and rate limit errors?'")
    assert read(name, 400, body).kind is BAD_REQUEST


def test_words_deep_in_an_echoed_prompt_do_not_count():
    body = error(None, "Invalid prompt: " + "x" * 600 + " insufficient balance")
    assert read("openai", 400, body).kind is BAD_REQUEST


def test_words_do_not_turn_a_breakdown_into_something_hopeless():
    body = error(None, "upstream said: invalid api key")
    assert read("openai", 502, body).kind is TRANSIENT


WAITS = [
    ("openai", 429, error("rate_limit_exceeded", TPM), {}, 5.289),
    ("openai", 429, error("rate_limit_exceeded", TPM), {"retry_after": "2"}, 2.0),
    ("openai", 429, error("slow_down"), {"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
    ("openai", 503, error("server_is_overloaded"), {"retry_after": "30"}, 30.0),
    ("openai", 429, error("slow_down"), {}, None),
    ("openai", 429, error("insufficient_quota"), {"retry_after": "30"}, None),
    ("openai", 400, error(None), {"retry_after": "30"}, None),
    ("azure", 429, error("429", RATE), {}, 7.0),
    ("azure", 429, error("429", RATE), {"retry_after_ms": "250"}, 0.25),
    ("azure", 429, error("429", "Please retry after 86400 seconds."), {}, 86_400.0),
    (
        "azure",
        429,
        {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 30 seconds."},
        {},
        30.0,
    ),
    ("openai_compatible", 429, error(None, "please try again after 20 seconds"), {}, 20.0),
    ("openai_compatible", 429, error(None, "Please retry in 10h17m5.7s."), {}, 37_025.7),
    ("openai_compatible", 429, TPM_LIMIT, {}, None),
    ("lab_gateway", 200, enveloped(error("rate_limit_exceeded", TPM)), {}, 5.289),
    ("aliyun", 429, native("Throttling.RateQuota"), {}, None),
]


@pytest.mark.parametrize(("name", "status", "body", "headers", "seconds"), WAITS)
def test_the_wait_that_a_refusal_asks_for_is_passed_on(name, status, body, headers, seconds):
    assert read(name, status, body, **headers).wait == pytest.approx(seconds)


MESSAGES = [
    (400, {"error": {"message": "a"}}, "a"),
    (400, {"error": "a"}, "a"),
    (400, "a", "a"),
    (400, {"message": "a"}, "a"),
    (400, {"msg": "a"}, "a"),
    (400, {"err": "a"}, "a"),
    (400, {"error_msg": "a"}, "a"),
    (400, {"detail": "a"}, "a"),
    (400, {"header": {"message": "a"}}, "a"),
    (400, {"response": {"error": {"message": "a"}}}, "a"),
    (400, {"error": {"code": 1}, "message": "a"}, "a"),
    (400, {"detail": {"message": "a"}}, "a"),
    (400, b"a\n b", "a b"),
    (400, b"<html><TITLE>\n a \n</TITLE></html>", "a"),
    (400, {"error": {"message": "a\n\n  b\tc"}}, "a b c"),
    (400, b"", "the service answered 400 without a word"),
    (400, {"error": {"message": " "}}, "the service answered 400 without a word"),
    (200, b"", "an empty answer instead of JSON"),
    (200, b"<html><title>a</title>", "an HTML page (a) instead of JSON"),
    (200, b"[]", "the answer is not a JSON object but a list"),
    (200, b"null", "the answer is not a JSON object but null"),
    (200, b"1.5", "the answer is not a JSON object but a number"),
    (200, b'{"a"', "the answer is not valid JSON"),
]


@pytest.mark.parametrize(("status", "body", "message"), MESSAGES)
def test_the_message_is_the_services_own_words_on_one_line(status, body, message):
    assert read("openai", status, body).message == message


def test_a_redirect_is_told_with_its_target():
    failed = read("openai", 308, b"", location="https://llm.example.org/v2")
    assert failed.kind is MODEL_CONFIG
    assert failed.message == (
        "the service redirects to https://llm.example.org/v2: give that as the URL if it is right"
    )


KEYS = [
    "choices",
    "code",
    "completion_tokens_details",
    "content",
    "data",
    "detail",
    "error",
    "finish_reason",
    "header",
    "incomplete_details",
    "innererror",
    "message",
    "metadata",
    "output",
    "prompt_tokens",
    "raw",
    "reason",
    "response",
    "results",
    "status",
    "stop_reason",
    "text",
    "total_tokens",
    "type",
    "usage",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(payload=json_values, status=st.integers(100, 599), name=st.sampled_from(sorted(BY_NAME)))
def test_any_json_with_any_status_is_judged(payload, status, name):
    outcome = read(name, status, payload)
    assert isinstance(outcome, Success) or outcome.message.strip()
    assert not isinstance(outcome, Success) or 200 <= status < 300


@given(content=st.binary(max_size=60), name=st.sampled_from(sorted(BY_NAME)))
def test_any_bytes_are_judged(content, name):
    assert read(name, 200, content).message.strip()
    assert read(name, 500, content).message.strip()
