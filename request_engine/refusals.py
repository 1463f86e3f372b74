"""Which limit a refusal for speed names.

Asked in this order: the provider's own codes, the words of the message, the codes services share,
the headers. The earliest words of a message count: a prompt that it repeats comes after them.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from request_engine.judgement import SEARCHED
from request_engine.limit_headers import used_up
from request_engine.records import Limit

WORDS: Mapping[str, Limit | None] = {
    # Moonshot, DeepSeek ("your current concurrency is 40"), Anthropic ("concurrent connections").
    "concurrency": Limit.CONCURRENCY,
    "concurrent": Limit.CONCURRENCY,
    "max_parallel_requests": Limit.CONCURRENCY,  # LiteLLM
    "并发": Limit.CONCURRENCY,  # Zhipu, one-api
    "increased too quickly": Limit.GROWTH,  # Aliyun
    "usage increase rate": Limit.GROWTH,  # Anthropic, of any limit named after it
    "acceleration limit": Limit.GROWTH,  # Anthropic
    "sudden increase in your request rate": Limit.GROWTH,  # OpenAI
    "input tokens per": Limit.INPUT_TOKENS,  # Anthropic, Groq
    "input_token_count": Limit.INPUT_TOKENS,  # Google: the name of the metric
    "output tokens per": Limit.OUTPUT_TOKENS,  # Anthropic, Groq
    "tokens per": Limit.TOKENS,  # OpenAI, Groq: "on tokens per min (TPM)", "... per day (TPD)"
    "tpm": Limit.TOKENS,  # Moonshot, SiliconFlow, Volcengine
    "tpd": Limit.TOKENS,
    "token rate limit": Limit.TOKENS,  # Azure
    "limit type: tokens": Limit.TOKENS,  # LiteLLM
    "令牌数": Limit.TOKENS,  # not 令牌 alone, which is also what gateways call a key
    "requests per": Limit.REQUESTS,  # OpenAI, Groq
    "rpm": Limit.REQUESTS,  # Moonshot, SiliconFlow, Volcengine
    "rpd": Limit.REQUESTS,
    "rph": Limit.REQUESTS,  # SiliconFlow: an hour's
    "call rate limit": Limit.REQUESTS,  # Azure
    "requests rate limit": Limit.REQUESTS,  # Aliyun, Mistral
    "free_tier_requests": Limit.REQUESTS,  # Google: the name of the metric
    "free-models-per": Limit.REQUESTS,  # OpenRouter
    "limit type: requests": Limit.REQUESTS,  # LiteLLM
    "每分钟请求": Limit.REQUESTS,
    "请求频率": Limit.REQUESTS,
    "频率过高": Limit.REQUESTS,  # Zhipu
    "tpm / rpm": None,  # LiteLLM before 2025-09: "Crossed TPM / RPM / Max Parallel Request Limit"
}
"""Words of a message, in lower case, each not within another word."""

CODES: Mapping[str, Limit] = {
    "requests": Limit.REQUESTS,  # OpenAI and Groq, as the error's type
    "tokens": Limit.TOKENS,
    "max_parallel_requests": Limit.CONCURRENCY,  # LiteLLM, in its header
    "token_concurrency_limit_reached": Limit.CONCURRENCY,  # new-api
    "slow_down": Limit.GROWTH,  # OpenAI: go back to the earlier rate, then rise gradually
}
"""Codes that services share, in lower case. A provider's own (`limits_named`) come first."""

_requested = re.compile(r"requested:?\s+(\d[\d,]*)", re.IGNORECASE).search

_longest_first = "|".join(sorted(WORDS, key=len, reverse=True))
_words = re.compile(rf"(?<![a-z])(?:{_longest_first})(?![a-z])").search
_NONE: Mapping[str, Limit] = MappingProxyType({})


def tokens_requested(message: str) -> int | None:
    """The tokens a service counts for the refused request itself ("Requested 2875"), if it says."""
    said = _requested(message[:SEARCHED])
    return int(said[1].replace(",", "")) if said else None


def limit_named(
    message: str,
    codes: tuple[str, ...],
    headers: Mapping[str, str],
    own: Mapping[str, Limit] = _NONE,
) -> Limit | None:
    """The limit that a refusal with *message* and *codes* names; None where it names none.

    *own* are the provider's own codes.
    """
    by_code = _by_code(codes, own)
    if by_code is not None:
        return by_code
    said = _words(message[:SEARCHED].lower())
    if said is not None:
        return WORDS[said[0]]
    kind = headers.get("rate_limit_type", "")  # LiteLLM
    return _by_code((*codes, kind), CODES) or used_up(headers)


def _by_code(codes: tuple[str, ...], table: Mapping[str, Limit]) -> Limit | None:
    return next((table[code.lower()] for code in codes if code.lower() in table), None)
