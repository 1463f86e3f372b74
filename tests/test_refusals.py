"""Which limit a refusal for speed names: (service, refusal) -> limit, in services' own words."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from providers import PROVIDERS
from request_engine.records import Failure, Kind, Limit, Reply
from request_engine.refusals import CODES, WORDS, limit_named

ROOT = Path(__file__).resolve().parent.parent
BY_NAME = {one.name: one for one in PROVIDERS}
REQUESTS, TOKENS, CONCURRENCY, GROWTH = (
    Limit.REQUESTS,
    Limit.TOKENS,
    Limit.CONCURRENCY,
    Limit.GROWTH,
)
INPUT_TOKENS, OUTPUT_TOKENS = Limit.INPUT_TOKENS, Limit.OUTPUT_TOKENS


def refusal(name: str, body: object, headers: dict[str, str] | None = None) -> Failure:
    content = json.dumps(body, ensure_ascii=False).encode()
    failed = BY_NAME[name].read(Reply(429, CIMultiDict(headers or {}), content), lambda: 0.0)
    assert isinstance(failed, Failure)
    assert failed.kind is Kind.RATE_LIMIT
    return failed


def error(message: str, code: object = None, kind: object = None) -> dict:
    """An error as OpenAI spells it; *kind* is its `type`."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def openai(per: str, kind: str) -> dict:
    message = (
        f"Rate limit reached for gpt-4 in organization org-uVqpjtJi on {per}: Limit 10000, "
        "Used 8554, Requested 3082. Please try again in 9.816s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more."
    )
    return error(message, "rate_limit_exceeded", kind)


def azure(what: str) -> dict:
    message = (
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
        f"2024-08-01-preview have exceeded {what} of your current OpenAI S0 pricing tier. Please "
        "retry after 7 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would "
        "like to further increase the default rate limit."
    )
    return error(message, "429")


def anthropic(message: str) -> dict:
    stated = {"type": "rate_limit_error", "message": message}
    return {"type": "error", "error": stated, "request_id": "req_011"}


def exceeding(what: str) -> dict:
    message = (
        f"This request would exceed your organization's rate limit of 30,000 {what} (org: 0dccdde6-"
        "f924, model: claude-opus-4-6). For details, refer to: https://docs.claude.com/en/api/"
        "rate-limits. You can see the response headers for current usage. Please reduce the "
        "prompt length or the maximum tokens requested, or try again later."
    )
    return anthropic(message)


RISING = (
    "This request would exceed your organization's (8d863577-e8f4) maximum usage increase rate for "
    "input tokens per minute. Please scale up your input tokens usage more gradually to stay "
    "within the acceleration limit."
)


def moonshot(what: str) -> dict:
    message = f"Your account org-e664<ak-f3t8> request reached {what}"
    return {"error": {"message": message, "type": "rate_limit_reached_error"}}


def siliconflow(what: str) -> dict:
    message = f"Request was rejected due to rate limiting. Details: {what} limit reached."
    return {"message": message, "data": None}


def litellm(kind: str) -> dict:
    message = (
        f"Rate limit exceeded for api_key: sk-hash. Limit type: {kind}. Current limit: 100, "
        "Remaining: 0. Limit resets at: 2026-01-01 00:00:00 UTC"
    )
    return error(message, "429", "throttling_error")


DEEPSEEK = (
    "Your current concurrency is 40, which exceeds your concurrency limit of 39 based on your "
    "remaining balance. Please top up your balance to restore your concurrency."
)
ALIBABA = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client "
    "logic to scale requests more smoothly over time."
)
GOOGLE = (
    "Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_{}, "
    "limit: 15, model: gemini-2.5-pro Please retry in 20.04466179s."
)
CROSSED = (
    "LiteLLM Rate Limit Handler for rate limit type = team. Crossed TPM / RPM / Max Parallel "
    "Request Limit. current rpm: 1, rpm limit: 15, current tpm: 12260, tpm limit: 5000"
)

REFUSALS = [
    # OpenAI and Groq
    ("openai", openai("tokens per min (TPM)", "tokens"), TOKENS),
    ("openai", openai("requests per min (RPM)", "requests"), REQUESTS),
    ("openai", openai("tokens per day (TPD)", "tokens"), TOKENS),
    ("openai", openai("requests per day (RPD)", "requests"), REQUESTS),
    ("openai", openai("requests per min. Limit: 3 / min", "requests"), REQUESTS),
    ("openai", error("", "rate_limit_exceeded", "tokens"), TOKENS),
    ("openai", error("", "rate_limit_exceeded", "requests"), REQUESTS),
    ("openai", error("Rate limit exceeded for images per minute", "rate_limit_exceeded"), None),
    ("openai", error("Slow down", "slow_down", "rate_limit_error"), GROWTH),
    ("openai_compatible", openai("input tokens per minute (ITPM)", "tokens"), INPUT_TOKENS),
    ("openai_compatible", openai("output tokens per minute (OTPM)", "tokens"), OUTPUT_TOKENS),
    # Azure
    ("azure", azure("token rate limit"), TOKENS),
    ("azure", azure("the token rate limit"), TOKENS),
    ("azure", azure("call rate limit"), REQUESTS),
    ("azure", error("Rate limit is exceeded. Try again in 30 seconds.", "429"), None),
    # Anthropic
    ("openai_compatible", exceeding("input tokens per minute"), INPUT_TOKENS),
    ("openai_compatible", exceeding("output tokens per minute"), OUTPUT_TOKENS),
    ("openai_compatible", exceeding("requests per minute"), REQUESTS),
    ("openai_compatible", exceeding("tokens per day"), TOKENS),
    ("openai_compatible", anthropic("Number of concurrent connections exceeded"), CONCURRENCY),
    ("openai_compatible", anthropic(RISING), GROWTH),
    ("openai_compatible", anthropic("This request would exceed your account's rate limit."), None),
    # Aliyun
    ("aliyun", error("You exceeded your current requests list.", "limit_requests"), REQUESTS),
    ("aliyun", error(ALIBABA, "limit_burst_rate", "limit_burst_rate"), GROWTH),
    ("aliyun", error("You exceeded your current quota", "insufficient_quota"), TOKENS),
    ("aliyun", {"code": "LimitRequests", "message": "You exceeded your requests"}, REQUESTS),
    ("aliyun", {"code": "Throttling.RateQuota", "message": "Requests rate limit"}, REQUESTS),
    ("aliyun", {"code": "Throttling.BurstRate", "message": "no"}, GROWTH),
    ("aliyun", {"code": "Throttling.AllocationQuota", "message": "Allocated quota"}, TOKENS),
    ("aliyun", {"code": "Throttling", "message": "Requests throttling triggered."}, None),
    ("openai_compatible", error(f"Upstream error from Alibaba: {ALIBABA}", 429), GROWTH),
    # Those that limit concurrency
    ("deepseek", error(DEEPSEEK, kind="rate_limit_error"), CONCURRENCY),
    ("deepseek", error("Rate limit reached"), CONCURRENCY),  # it has no other
    ("deepinfra", {"error": "Too many concurrent requests"}, CONCURRENCY),
    ("deepinfra", {"error": "Rate limited"}, None),
    # Moonshot
    ("openai_compatible", moonshot("max organization concurrency: 1"), CONCURRENCY),
    ("openai_compatible", moonshot("organization max RPM: 3, please try again"), REQUESTS),
    ("openai_compatible", moonshot("project TPM rate limit, current: 1410, limit: 100"), TOKENS),
    ("openai_compatible", moonshot("organization TPD rate limit, current: 1526210"), TOKENS),
    # SiliconFlow
    ("openai_compatible", siliconflow("TPM"), TOKENS),
    ("openai_compatible", siliconflow("RPM"), REQUESTS),
    ("openai_compatible", siliconflow("RPH"), REQUESTS),
    ("openai_compatible", siliconflow("IPM"), None),
    # Zhipu
    (
        "openai_compatible",
        error("您当前使用该API的并发数过高，请降低并发，或联系客服增加限额。", "1302"),
        CONCURRENCY,
    ),
    ("openai_compatible", error("您的账户已达到速率限制，请您控制请求频率", "1302"), CONCURRENCY),
    ("openai_compatible", error("您当前使用该API的频率过高，请降低频率", "1303"), REQUESTS),
    ("openai_compatible", error("该模型当前访问量过大，请您稍后再试", "1305"), None),
    # Volcengine
    ("openai_compatible", error("请稍后重试", "RateLimitExceeded.EndpointTPMExceeded"), TOKENS),
    ("openai_compatible", error("请稍后重试", "ModelAccountRpmRateLimitExceeded"), REQUESTS),
    ("openai_compatible", error("no", "InflightBatchsizeExceeded"), CONCURRENCY),
    ("openai_compatible", error("no", "RequestBurstTooFast"), GROWTH),
    ("openai_compatible", error("已超过 TPM (Tokens Per Minute) 限制, 请稍后重试。"), TOKENS),
    # Google, Mistral, OpenRouter, xAI
    ("openai_compatible", error(GOOGLE.format("requests")), REQUESTS),
    ("openai_compatible", error(GOOGLE.format("input_token_count")), INPUT_TOKENS),
    ("openai_compatible", {"message": "Requests rate limit exceeded"}, REQUESTS),
    ("openai_compatible", error("Rate limit exceeded: free-models-per-min", 429), REQUESTS),
    ("openai_compatible", {"code": "Too many requests", "error": "Slow down"}, None),
    # Gateways
    ("openai_compatible", litellm("requests"), REQUESTS),
    ("openai_compatible", litellm("tokens"), TOKENS),
    ("openai_compatible", litellm("max_parallel_requests"), CONCURRENCY),
    ("openai_compatible", error(CROSSED, "429"), None),
    ("openai_compatible", error("no", "token_concurrency_limit_reached"), CONCURRENCY),
    ("openai_compatible", error("当前分组上游负载已饱和，请稍后再试"), None),
    ("openai_compatible", error("该令牌并发数已达上限"), CONCURRENCY),
    ("openai_compatible", error("每分钟令牌数超限"), TOKENS),
    ("openai_compatible", error("超过每分钟请求数限制"), REQUESTS),
    ("lab_gateway", openai("tokens per min (TPM)", "tokens"), TOKENS),
]


@pytest.mark.parametrize(("name", "body", "limit"), REFUSALS)
def test_a_refusal_names_the_limit_in_its_services_own_words(name, body, limit):
    assert refusal(name, body).limit is limit


def test_inside_the_gateways_envelope_it_is_named_as_well():
    raw = json.dumps(openai("requests per min (RPM)", "requests"))
    assert refusal("lab_gateway", {"raw": raw, "credits_total": "20$"}).limit is REQUESTS


def test_only_a_refusal_for_speed_names_a_limit():
    body = json.dumps(openai("tokens per min (TPM)", "tokens") | {"status": 500}).encode()
    overloaded = json.dumps(error("too many concurrent requests")).encode()
    spent = json.dumps(error("1,000 requests per day", "insufficient_quota")).encode()
    named = [
        BY_NAME["openai"].read(Reply(status, CIMultiDict(), content), lambda: 0.0)
        for status, content in ((503, overloaded), (429, spent), (200, body))
    ]
    assert [(one.kind, one.limit) for one in named] == [
        (Kind.TRANSIENT, None),
        (Kind.QUOTA, None),
        (Kind.RATE_LIMIT, TOKENS),
    ]


# What counts for more.


def test_the_first_words_count_since_an_echoed_prompt_comes_after_them():
    told = "Rate limit reached on requests per min. Your prompt: 'tokens per min, concurrency'"
    assert limit_named(told, (), {}) is REQUESTS


def test_words_deep_in_an_echoed_prompt_do_not_count():
    assert limit_named("Rate limited: " + "x " * 300 + "tokens per min", (), {}) is None


def test_words_within_other_words_do_not_count():
    told = "harpmaker outputtpm org-Xrpmq nonconcurrent myrequests permitted tokens perhaps"
    assert limit_named(told, (), {}) is None


def test_a_provider_s_codes_come_before_words_and_shared_codes_after_them():
    own = {"limit_burst_rate": GROWTH}
    assert limit_named("on tokens per min", ("limit_burst_rate",), {}, own) is GROWTH
    assert limit_named("on concurrent requests", ("requests",), {}) is CONCURRENCY
    assert limit_named("Rate limited", ("rate_limit_exceeded", "Requests"), {}) is REQUESTS


# What the headers tell.

PREFIX = "x-ratelimit-remaining-"
HEADERS = [
    ("openai_compatible", {"Rate_Limit_Type": "tokens"}, TOKENS),
    ("openai_compatible", {"rate_limit_type": "max_parallel_requests"}, CONCURRENCY),
    ("openai_compatible", {"rate_limit_type": "weekly"}, None),
    ("openai_compatible", {f"{PREFIX}requests": "0", f"{PREFIX}tokens": "120"}, REQUESTS),
    ("openai_compatible", {f"{PREFIX}requests": "7", f"{PREFIX}tokens": "0"}, TOKENS),
    ("openai", {f"{PREFIX}project-tokens": "0"}, TOKENS),
    ("openai_compatible", {f"{PREFIX}requests": "0", f"{PREFIX}tokens": "0"}, None),
    ("openai_compatible", {f"{PREFIX}requests": "7", f"{PREFIX}tokens": "1014"}, None),
    ("openai_compatible", {f"{PREFIX}requests": "-1", f"{PREFIX}tokens": "soon"}, None),
    ("anthropic", {"anthropic-ratelimit-requests-remaining": "0"}, REQUESTS),
    (
        "anthropic",
        {
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-remaining": "0",
        },
        OUTPUT_TOKENS,
    ),
    (
        "anthropic",
        {
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-remaining": "0",
        },
        None,
    ),
    ("mistral", {"x-ratelimitbysize-remaining-minute": "0"}, TOKENS),
    ("openai_compatible", {"x-ratelimit-remaining": "0"}, None),
    ("openai_compatible", {}, None),
]


@pytest.mark.parametrize(("name", "headers", "limit"), HEADERS)
def test_a_wordless_refusal_names_the_one_limit_that_is_used_up(name, headers, limit):
    assert refusal(name, error("Too Many Requests"), headers).limit is limit


def test_words_count_for_more_than_headers():
    used_up = {f"{PREFIX}requests": "0"}
    assert refusal("openai", openai("tokens per min (TPM)", "tokens"), used_up).limit is TOKENS


# What holds for all.


@pytest.mark.parametrize("name", BY_NAME)
def test_every_code_that_names_a_limit_is_in_lower_case_and_refuses_for_speed(name):
    """A code in capitals would never be found; one that stops the run would never be asked."""
    for code, limit in BY_NAME[name].limits_named.items():
        assert code == code.lower()
        assert refusal(name, error("no", code.title())).limit is limit


def test_all_words_and_codes_are_found_whatever_their_case():
    for words, limit in WORDS.items():
        assert limit_named(f"Sorry: {words.upper()}!", (), {}) is limit
    for code, limit in CODES.items():
        assert limit_named("", (code.upper(),), {}) is limit


@given(
    st.text(),
    st.lists(st.text(max_size=20)),
    st.dictionaries(st.sampled_from(["rate_limit_type", f"{PREFIX}tokens"]), st.text(max_size=9)),
)
def test_any_refusal_gives_an_answer(message, codes, headers):
    assert limit_named(message, tuple(codes), headers) in (None, *Limit)


def test_docs_name_every_word_and_code_by_which_a_limit_is_named():
    """docs/failures.md has a table of all of them, one row a limit."""
    page = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    told = {row[1].strip(" `"): "|".join(row[2:]) for row in rows if row[1].strip(" `") in [*Limit]}
    own = [pair for one in PROVIDERS for pair in one.limits_named.items()]
    for words, limit in (*WORDS.items(), *CODES.items(), *own):
        assert limit is None or f"`{words}`" in told[limit]
