"""Refusals whose status misleads: the same 429 or 403 is a passing limit here, no money there.

`TABLE` has (service, where its row is from, rows). "Seen" means that no page of the service says
it, and that its users report it.
"""

from services import Refused, error, refused
from services.openai import BILLING_CODES, OUT_OF_MONEY, TOO_LARGE, TPM

from request_engine.records import Kind

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
QUOTA, AUTH = Kind.QUOTA, Kind.AUTH

OF_OPENAI = {
    "Content-Type": "application/json",
    "x-request-id": "req_d8f6",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "500",
    "x-ratelimit-reset-tokens": "59s",
}
OPENAI = [
    *(
        refused(429, error(code, OUT_OF_MONEY, kind=kind), QUOTA, headers=OF_OPENAI)
        for code in BILLING_CODES
        for kind in ("insufficient_quota", None)
    ),
    refused(429, error(None, OUT_OF_MONEY, kind="insufficient_quota"), QUOTA, headers=OF_OPENAI),
    refused(429, error(None, "No more.", kind="insufficient_quota"), QUOTA),
    refused(429, error("rate_limit_exceeded", TPM, kind="tokens"), RATE_LIMIT, headers=OF_OPENAI),
    refused(429, error("slow_down", "Slow down", kind="rate_limit_error"), RATE_LIMIT),
    refused(503, error("slow_down", "Slow down", kind="rate_limit_error"), RATE_LIMIT),
    refused(
        429, error("rate_limit_exceeded", TOO_LARGE, kind="tokens"), BAD_REQUEST, headers=OF_OPENAI
    ),
]
GROQ = [
    refused(
        413,
        error(
            "rate_limit_exceeded",
            "Request too large for model `llama-3.3-70b-versatile` in organization `org_01` "
            "service tier `on_demand` on tokens per minute (TPM): Limit 12000, Requested 14822, "
            "please reduce your message size and try again.",
            kind="tokens",
        ),
        BAD_REQUEST,
        headers={"x-ratelimit-limit-tokens": "12000", "x-groq-region": "us-west-1"},
    ),
]


def native(code: str, message: str) -> dict:
    """As Aliyun's native interface says it."""
    return {"code": code, "message": message, "request_id": "7a"}


FREE = "Free allocated quota exceeded."
ALIYUN = [
    refused(429, error("insufficient_quota", OUT_OF_MONEY, kind="insufficient_quota"), RATE_LIMIT),
    refused(429, native("Throttling.AllocationQuota", "Allocated quota exceeded"), RATE_LIMIT),
    refused(429, error("insufficient_quota", FREE, kind="insufficient_quota"), QUOTA),
    refused(429, native("Throttling.AllocationQuota", FREE), QUOTA),
    refused(400, native("Arrearage", "Access denied, your account is in arrears."), QUOTA),
    refused(400, error("Arrearage", "Access denied, your account is in arrears."), QUOTA),
    refused(403, native("AllocationQuota.FreeTierOnly", "The free tier is exhausted."), QUOTA),
    refused(429, native("CommodityNotPurchased", "Commodity has not purchased yet."), QUOTA),
    refused(429, native("PrepaidBillOverdue", "The prepaid bill is overdue."), QUOTA),
    refused(429, native("PostpaidBillOverdue", "The postpaid bill is overdue."), QUOTA),
]


def typed(kind: str, message: str) -> dict:
    """As Moonshot says it."""
    return {"error": {"message": message, "type": kind}}


SUSPENDED = (
    "Your account org-e664<ak-f3t8> is suspended due to insufficient balance, please recharge your "
    "account or check your plan and billing details"
)
REACHED = "Your account org-e664<ak-f3t8> request reached organization max RPM: 3, try again later"
MOONSHOT = [
    refused(429, typed("exceeded_current_quota_error", SUSPENDED), QUOTA),
    refused(
        429,
        typed("rate_limit_reached_error", REACHED),
        RATE_LIMIT,
        headers={"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0"},
    ),
    refused(429, typed("engine_overloaded_error", "currently overloaded"), TRANSIENT),
    refused(403, typed("exceeded_current_quota_error", SUSPENDED), QUOTA),
    refused(403, {"error": {"message": "Insufficient balance"}}, QUOTA),
    refused(403, typed("permission_denied_error", "You do not have permission"), AUTH),
]


def numbered(code: str, message: str) -> dict:
    """As Zhipu says it."""
    return {"error": {"code": code, "message": message}}


ZHIPU = [
    refused(429, numbered("1113", "您的账户已欠费，请充值后重试"), QUOTA),
    refused(429, numbered("1309", "您的GLM Coding Plan套餐已到期，暂无法使用"), QUOTA),
    refused(429, numbered("1304", "该API调用次数已达今日上限"), QUOTA),
    refused(429, numbered("1308", "已达到5小时的使用上限。您的限额将在 18:00 重置"), QUOTA),
    refused(429, numbered("1310", "已达到每周使用上限，您的限额将在 18:00 重置"), QUOTA),
    refused(429, numbered("1302", "您当前使用该API的并发数过高，请降低并发"), RATE_LIMIT),
    refused(429, numbered("1303", "您当前使用该API的频率过高，请降低频率"), RATE_LIMIT),
    refused(429, numbered("1305", "该模型当前访问量过大，请您稍后再试"), TRANSIENT),
    refused(429, numbered("1312", "该模型当前访问量过大，请您稍后再试"), TRANSIENT),
]


def of_anthropic(kind: str, message: str, **more: object) -> dict:
    stated = {"type": kind, "message": message, **more}
    return {"type": "error", "error": stated, "request_id": "req_011C"}


NO_MORE = (
    "You have reached your API usage limits: your organization has crossed its monthly API usage "
    "threshold. You will regain access on 2026-09-01 at 00:00 UTC."
)
REACHED_CAP = {"error_code": "enforced_spend_limit_reached"}
LOW = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
    "upgrade or purchase credits."
)
WOULD_EXCEED = "This request would exceed your organization's rate limit of 50 requests per minute."
ANTHROPIC = [
    refused(429, of_anthropic("rate_limit_error", NO_MORE, details=REACHED_CAP), QUOTA),
    refused(429, of_anthropic("rate_limit_error", "enforced_spend_limit_reached"), QUOTA),
    refused(402, of_anthropic("billing_error", "There is an issue with your billing."), QUOTA),
    refused(400, of_anthropic("invalid_request_error", LOW), QUOTA),
    refused(
        429,
        of_anthropic("rate_limit_error", WOULD_EXCEED),
        RATE_LIMIT,
        headers={"retry-after": "13", "anthropic-ratelimit-requests-remaining": "0"},
    ),
]


def exhausted(period: str, limit: int) -> dict:
    """As Gemini says it."""
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": f"GenerateRequestsPer{period}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
        "quotaValue": str(limit),
    }
    message = (
        "You exceeded your current quota, please check your plan and billing details.\n* Quota "
        f"exceeded for metric: {metric}, limit: {limit}\nPlease retry in 45.83s."
    )
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45s"},
    ]
    stated = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    return {"error": stated}


GEMINI = [
    refused(429, body, kind)
    for told, kind in (
        (exhausted("Day", 20), QUOTA),
        (exhausted("Minute", 0), QUOTA),
        (exhausted("Minute", 15), RATE_LIMIT),
    )
    for body in (told, [told])
]

NOT_ALLOWED = "The caller does not have permission to execute the specified operation"
EXHAUSTED = "Some resource has been exhausted"
SPENT = (
    "Your team 7b8c has either used all available credits or reached its monthly spending limit. "
    "To continue making API requests, please purchase more credits or raise your spending limit."
)
XAI = [
    refused(403, {"code": NOT_ALLOWED, "error": SPENT}, QUOTA),
    refused(429, {"code": EXHAUSTED, "error": SPENT}, QUOTA),
    refused(200, {"code": EXHAUSTED, "error": SPENT}, QUOTA),
    refused(429, {"code": EXHAUSTED, "error": "Too many requests for team 7b8c"}, RATE_LIMIT),
]


def of_ark(code: str, kind: str, message: str) -> dict:
    stated = {"code": code, "message": f"{message} Request id: 0217", "param": "", "type": kind}
    return {"error": stated}


VOLCENGINE = [
    refused(403, of_ark("AccountOverdueError", "Forbidden", "Your balance is overdue."), QUOTA),
    refused(429, of_ark("SetLimitExceeded", "TooManyRequests", "The limit is reached."), QUOTA),
    refused(429, of_ark("QuotaExceeded", "TooManyRequests", "The free quota is used up."), QUOTA),
]
NO_CREDITS = {
    "deepseek": error("invalid_request_error", "Insufficient Balance", kind="unknown_error"),
    "openrouter": {"error": {"code": 402, "message": "Insufficient credits. Add more."}},
    "together": error(None, "Monthly spend limit reached", kind="payment_required"),
    "fireworks": {"error": {"object": "error", "message": "Payment required"}},
}
UNPAID = {"error": {"object": "error", "message": "Account lab is suspended, failing to pay"}}
SILICONFLOW = [
    refused(403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, QUOTA),
    refused(403, {"code": 30001, "message": "抱歉，您的账户余额不足", "data": None}, QUOTA),
    refused(403, "Insufficient balance", QUOTA),
    refused(403, {"message": "Please verify your name first", "data": None}, AUTH),
    refused(403, "Forbidden", AUTH),
]


def unpaid_at_a_gateway(kind: str) -> list[Refused]:
    id_ = "(request id: 20260801)"
    return [
        refused(403, error("insufficient_user_quota", f"用户额度不足 {id_}", kind=kind), QUOTA),
        refused(403, error("pre_consume_token_quota_failed", f"no {id_}", kind=kind), QUOTA),
    ]


BUDGET = "Budget has been exceeded! Current cost: 0.0021, Max budget: 0.002"
LITELLM = [
    refused(status, error(str(status), BUDGET, kind="budget_exceeded"), QUOTA)
    for status in (422, 400, 429)
]

TABLE = [
    ("openai", "OpenAI: error codes", OPENAI),
    ("groq", "Groq: rate limits; seen", GROQ),
    ("aliyun", "Model Studio: error codes", ALIYUN),
    ("moonshot", "Kimi: help page; seen", MOONSHOT),
    ("zhipu", "Zhipu: API error codes", ZHIPU),
    ("anthropic", "Anthropic: errors and rate limits", ANTHROPIC),
    ("gemini", "Gemini: rate limits; seen", GEMINI),
    ("xai", "xAI: seen", XAI),
    ("volcengine", "Volcengine Ark: error codes; 429 seen", VOLCENGINE),
    ("deepseek", "DeepSeek: error codes", [refused(402, NO_CREDITS["deepseek"], QUOTA)]),
    ("openrouter", "OpenRouter: errors", [refused(402, NO_CREDITS["openrouter"], QUOTA)]),
    ("together", "Together: error codes", [refused(402, NO_CREDITS["together"], QUOTA)]),
    ("fireworks", "Fireworks: error codes", [refused(402, NO_CREDITS["fireworks"], QUOTA)]),
    ("fireworks", "Fireworks: error codes", [refused(412, UNPAID, QUOTA)]),
    ("siliconflow", "SiliconFlow: rate limits; seen", SILICONFLOW),
    ("one_api", "one-api: its source", unpaid_at_a_gateway("one_api_error")),
    ("new_api", "new-api: its source", unpaid_at_a_gateway("new_api_error")),
    ("litellm", "LiteLLM: its source, now and earlier", LITELLM),
]
