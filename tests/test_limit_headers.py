"""What the headers of a reply tell of a service's limits; which is used up: test_refusals.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from providers import PROVIDERS
from request_engine.limit_headers import Announced, announced

OPENAI = {
    "X-RateLimit-Limit-Requests": "500",
    "X-RateLimit-Limit-Tokens": "30000",
    "X-RateLimit-Remaining-Requests": "499",
    "X-RateLimit-Reset-Tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-tokens-limit": "38000",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-output-tokens-limit": "8000",
}
BY_NAME = {one.name: one for one in PROVIDERS}
HEADERS = [
    ("openai", OPENAI, Announced(500.0, 30_000.0)),
    ("openai", OPENAI | {"x-ratelimit-limit-project-tokens": "9000"}, Announced(500.0, 9_000.0)),
    ("openai_compatible", OPENAI, Announced(500.0, 30_000.0)),
    ("anthropic", ANTHROPIC, Announced(50.0, 38_000.0, 30_000.0, 8_000.0)),
    ("mistral", {"x-ratelimitbysize-limit-minute": "2000000"}, Announced(tokens=2_000_000.0)),
    # By the second:
    ("together", {"x-ratelimit-limit": "100", "x-tokenlimit-limit": "100"}, Announced()),
    ("fireworks", {"x-ratelimit-limit-tokens-prompt": "60000"}, Announced()),
    ("openai", {}, Announced()),
]


@pytest.mark.parametrize(("name", "headers", "told"), HEADERS)
def test_the_limits_a_minute_that_headers_tell(name, headers, told):
    assert BY_NAME[name].announced(CIMultiDict(headers)) == told


@pytest.mark.parametrize("text", ["0", "-1", "", "nan", "inf", "-inf", "many", "100;w=60", "1e999"])
def test_what_is_no_limit_is_not_told(text):
    assert announced({"x-ratelimit-limit-requests": text}) == Announced()


@given(st.text(max_size=30))
def test_any_header_gives_an_answer(text):
    told = announced({"x-ratelimit-limit-tokens": text}).tokens
    assert told is None or 0 < told < float("inf")
