"""What a service's headers tell of its limits, where the usual names mean something else there."""

import pytest
from multidict import CIMultiDict
from streamed import BY_NAME

from request_engine.limit_headers import Announced

GROQ = {
    "x-ratelimit-limit-requests": "14400",  # a day's
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "17997",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
TOGETHER = {  # all of them a second's
    "x-ratelimit-limit": "10",
    "x-ratelimit-remaining": "9",
    "x-ratelimit-reset": "1",
    "x-tokenlimit-limit": "3000",
    "x-tokenlimit-remaining": "2990",
}
FIREWORKS = {
    "x-ratelimit-limit-tokens-prompt": "60000",
    "x-ratelimit-limit-tokens-generated": "600",
    "x-ratelimit-over-limit": "no",
}
MISTRAL = {
    "x-ratelimitbysize-limit-minute": "500000",
    "x-ratelimitbysize-limit-month": "1000000000",
    "ratelimitbysize-limit": "500000",
}
OPENROUTER = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"}


@pytest.mark.parametrize(
    ("name", "headers", "told"),
    [
        ("groq", GROQ, Announced(tokens=18_000.0)),
        ("together", TOGETHER, Announced()),
        ("fireworks", FIREWORKS, Announced()),
        ("mistral", MISTRAL, Announced(tokens=500_000.0)),
        ("openrouter", OPENROUTER, Announced()),
        ("moonshot", OPENROUTER, Announced()),
    ],
)
def test_only_a_minutes_limit_is_taken_for_one(name, headers, told):
    """Not a day's, a second's or a month's."""
    assert BY_NAME[name].announced(CIMultiDict(headers)) == told


@pytest.mark.parametrize("name", ["mistral", "together", "xai"])
def test_where_limits_are_a_seconds_nothing_goes_in_a_burst(name):
    assert BY_NAME[name].profile.burst_seconds == 0.0


def test_moonshot_counts_max_tokens_whatever_the_answer_took():
    assert BY_NAME["moonshot"].profile.charges_ceiling
