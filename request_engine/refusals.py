"""Which limit a refusal for speed names.

Asked in this order: the provider's own codes, the words of the message, the codes services share,
the headers. The earliest words of a message count: a prompt that it repeats comes after them.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from request_engine.judgement import SEARCHED
from request_engine.limit_headers import REMAINING, used_up
from request_engine.records import Limit

WORDS: Mapping[str, Limit | None] = {
    "concurrency": Limit.CONCURRENCY,
    "concurrent": Limit.CONCURRENCY,
    "max_parallel_requests": Limit.CONCURRENCY,
    "并发": Limit.CONCURRENCY,
    "increased too quickly": Limit.GROWTH,
    "usage increase rate": Limit.GROWTH,
    "acceleration limit": Limit.GROWTH,
    "sudden increase in your request rate": Limit.GROWTH,
    "input tokens per": Limit.INPUT_TOKENS,
    "input_token_count": Limit.INPUT_TOKENS,
    "output tokens per": Limit.OUTPUT_TOKENS,
    "tokens per": Limit.TOKENS,
    "tpm": Limit.TOKENS,
    "tpd": Limit.TOKENS,
    "token rate limit": Limit.TOKENS,
    "limit type: tokens": Limit.TOKENS,
    "令牌数": Limit.TOKENS,  # not 令牌 alone, which is also what gateways call a key
    "requests per": Limit.REQUESTS,
    "rpm": Limit.REQUESTS,
    "rpd": Limit.REQUESTS,
    "rph": Limit.REQUESTS,
    "call rate limit": Limit.REQUESTS,
    "requests rate limit": Limit.REQUESTS,
    "free_tier_requests": Limit.REQUESTS,
    "free-models-per": Limit.REQUESTS,
    "limit type: requests": Limit.REQUESTS,
    "每分钟请求": Limit.REQUESTS,
    "请求频率": Limit.REQUESTS,
    "频率过高": Limit.REQUESTS,
    "tpm / rpm": None,
}
"""Words of a message, in lower case, each not within another word; whose: docs/failures.md."""

CODES: Mapping[str, Limit] = {
    "requests": Limit.REQUESTS,
    "tokens": Limit.TOKENS,
    "max_parallel_requests": Limit.CONCURRENCY,
    "token_concurrency_limit_reached": Limit.CONCURRENCY,
    "slow_down": Limit.GROWTH,
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
    remaining: Mapping[str, Limit] = REMAINING,
) -> Limit | None:
    """The limit that a refusal with *message* and *codes* names; None where it names none.

    *own* are the provider's own codes, *remaining* its headers that tell what is left of a limit.
    """
    by_code = _by_code(codes, own)
    if by_code is not None:
        return by_code
    said = _words(message[:SEARCHED].lower())
    if said is not None:
        return WORDS[said[0]]
    kind = headers.get("rate_limit_type", "")
    return _by_code((*codes, kind), CODES) or used_up(headers, remaining)


def _by_code(codes: tuple[str, ...], table: Mapping[str, Limit]) -> Limit | None:
    return next((table[code.lower()] for code in codes if code.lower() in table), None)
