"""Every spelling of "come back later" that services use gives the same seconds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from request_engine import retry_after

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def wait(message: str = "", **headers: str) -> float | None:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return retry_after.wait(named, message, lambda: NOW)


SPELLINGS = [
    ("0", 0.0),
    ("7", 7.0),
    (" 7 ", 7.0),
    ("7.5", 7.5),
    ("1e1", 10.0),
    ("1s", 1.0),
    ("120ms", 0.12),
    ("7.66s", 7.66),
    ("6m0s", 360.0),
    ("2m59.56s", 179.56),
    ("1h2m3s", 3_723.0),
    ("10h17m5.7s", 37_025.7),
    ("1d", 86_400.0),
    ("30 seconds", 30.0),
    ("1 minute", 60.0),
    ("2 minutes 5 seconds", 125.0),
    ("5 milliseconds", 0.005),
    ("3 hours", 10_800.0),
    ("20S", 20.0),
    ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
    ("Fri, 15 Jan 2027 08:00:00 GMT", 0.0),
    ("Fri, 15 Jan 2027 10:00:30 +0200", 30.0),
    ("Friday, 15-Jan-27 08:00:30 GMT", 30.0),
    ("Fri Jan 15 08:00:30 2027", 30.0),
    ("2027-01-15T08:00:30Z", 30.0),
    ("2027-01-15T08:00:30.250Z", 30.25),
    ("2027-01-15T16:00:30+08:00", 30.0),
    ("2027-01-15 08:00:30", 30.0),
    ("1800000030", 30.0),
    ("1800000030.5", 30.5),
    ("1800000030250", 30.25),
    # what is no time to wait
    ("", None),
    (" ", None),
    ("-1", None),
    ("-1s", None),
    ("inf", None),
    ("-inf", None),
    ("infinity", None),
    ("1e999", None),
    ("nan", None),
    ("soon", None),
    ("7 apples", None),
    ("2 months", None),
    ("7,5", None),
    ("s", None),
    ("1s2", None),
    ("9" * 400 + "s", None),
    ("9" * 400, None),
    ("6m 0s later", None),
    ("Fri, 15 Jan 2027 07:59:59 GMT", None),
    ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ("Fri, 15 Jan 100000 08:00:00 GMT", None),
    ("100000-01-15T08:00:00Z", None),
    ("Fri, 99 Jan 2027 08:00:00 GMT", None),
    ("0001-01-01T00:00:00Z", None),
    ("1700000000", None),
    ("1700000000000", None),
]


@pytest.mark.parametrize(("text", "seconds"), SPELLINGS)
def test_a_retry_after_header_in_any_spelling(text, seconds):
    assert wait(retry_after=text) == pytest.approx(seconds)


MILLISECONDS = [
    ("0", 0.0),
    ("1500", 1.5),
    (" 250.5 ", 0.2505),
    ("-1", None),
    ("nan", None),
    ("inf", None),
    ("soon", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "seconds"), MILLISECONDS)
def test_a_header_in_milliseconds(text, seconds):
    assert wait(retry_after_ms=text) == pytest.approx(seconds)


WORDS = [
    ("Rate limit reached for m: Limit 3, Used 3. Please try again in 5.289s.", 5.289),
    ("Please try again in 424ms. Visit the page to learn more.", 0.424),
    ("Please try again in 1m2.5s.", 62.5),
    ("Please retry in 45.83s.", 45.83),
    ("Please retry in 10h17m5.7s.", 37_025.7),
    ("Please retry after 7 seconds.", 7.0),
    ("retry after 86400 seconds", 86_400.0),
    ("Rate limit is exceeded. Try again in 30 seconds.", 30.0),
    ("please try again after 20 seconds", 20.0),
    ("Retrying in 3 s", 3.0),
    ("TRY AGAIN IN 2 MINUTES", 120.0),
    ("try again later in 5 s", 5.0),
    ("please wait for 1 minute", 60.0),
    ("Your limit resets in 2 hours", 7_200.0),
    ("", None),
    ("no", None),
    ("try again later", None),
    ("try again in a few seconds", None),
    ("try again in 5", None),
    ("retry in 3 steps", None),
    ("retry after 2 more attempts", None),
    ("retry in 5 months", None),
    ("used 5s of 10s", None),
    ("try again in -5s", None),
    ("try again in " + "9" * 400 + "s", None),
    ("try again in ٣s", None),
]


@pytest.mark.parametrize(("message", "seconds"), WORDS)
def test_the_errors_own_words(message, seconds):
    assert wait(message) == pytest.approx(seconds)


def test_a_date_is_told_by_the_services_own_clock():
    """However wrong our clock is, 40 seconds from its Date are 40 seconds."""
    hints = {"retry_after": "Sat, 01 Jan 2000 00:00:40 GMT"}
    assert wait(**hints, date="Sat, 01 Jan 2000 00:00:00 GMT") == 40.0
    assert wait(**hints, date="not a date") is None
    assert wait(**hints) is None


def test_an_epoch_is_told_by_the_services_own_clock():
    assert wait(retry_after="1800000090", date="Fri, 15 Jan 2027 08:01:00 GMT") == 30.0


PRECEDENCE = [
    ({"retry_after_ms": "100", "retry_after": "2"}, "try again in 3s", 0.1),
    ({"retry_after_ms": "0", "retry_after": "2"}, "try again in 3s", 0.0),
    ({"retry_after_ms": "soon", "retry_after": "2"}, "try again in 3s", 2.0),
    ({"retry_after": "2"}, "try again in 3s", 2.0),
    ({"retry_after": "nan"}, "try again in 3s", 3.0),
    ({"retry_after": "Fri, 15 Jan 2027 08:00:04 GMT"}, "try again in 3s", 4.0),
    ({"retry_after": "Fri, 15 Jan 2027 07:00:00 GMT"}, "try again in 3s", 3.0),
    (
        {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "9s"},
        "try again in 3s",
        3.0,
    ),
    (
        {
            "retry_after": "2",
            "x_ratelimit_remaining_requests": "0",
            "x_ratelimit_reset_requests": "9s",
        },
        "",
        2.0,
    ),
]


@pytest.mark.parametrize(("headers", "message", "seconds"), PRECEDENCE)
def test_the_most_particular_hint_wins(headers, message, seconds):
    assert wait(message, **headers) == pytest.approx(seconds)


def limits(requests: tuple[str, str] | None, tokens: tuple[str, str] | None) -> dict[str, str]:
    """Remaining and reset of both dimensions, as OpenAI tells them."""
    told = {}
    for name, pair in (("requests", requests), ("tokens", tokens)):
        if pair is not None:
            told[f"x_ratelimit_remaining_{name}"] = pair[0]
            told[f"x_ratelimit_reset_{name}"] = pair[1]
    return told


RESETS = [
    (limits(("0", "1s"), ("29000", "6m0s")), 1.0),
    (limits(("2", "1s"), ("0", "12.5s")), 12.5),
    (limits(("0", "1s"), ("0", "12.5s")), 12.5),
    (limits(("2", "1s"), ("5", "12.5s")), None),
    (limits(("-1", "10"), None), 10.0),  # Azure says -1, and plain seconds
    (limits(("0", "300"), None), 60.0),  # the time until the limit is full, far more than needed
    (limits(("0", "120ms"), None), 0.12),
    (limits(("0", "soon"), None), None),
    (limits(("0", "-5"), ("0", "4s")), 4.0),
    (limits(("none", "4s"), None), None),
    ({"x_ratelimit_remaining_requests": "0"}, None),
    ({"x_ratelimit_reset_requests": "4s"}, None),
    (
        {
            "anthropic_ratelimit_tokens_remaining": "0",
            "anthropic_ratelimit_tokens_reset": "2027-01-15T08:00:11Z",
        },
        11.0,
    ),
    ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1800000005000"}, 5.0),
    (
        {"X_RateLimit_Remaining_Tokens": "0", "x_ratelimit_reset_tokens": "8s"},
        8.0,
    ),
]


@pytest.mark.parametrize(("headers", "seconds"), RESETS)
def test_only_the_limit_that_is_used_up_tells_when_there_is_room_again(headers, seconds):
    assert wait(**headers) == pytest.approx(seconds)


# Whatever the headers hold.

pieces = st.text("0123456789.-+eE :,TZmshdinfa", max_size=24) | st.text(max_size=24)
moments = st.datetimes().map(str) | st.datetimes().map(lambda at: at.isoformat() + "Z")
values = (
    pieces
    | moments
    | st.floats().map(str)
    | st.integers().map(str)
    | st.sampled_from(["9" * 400, "9" * 400 + "h"])
)
NAMES = [
    *("retry-after", "retry-after-ms", "date"),
    *("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
]


@given(headers=st.dictionaries(st.sampled_from(NAMES), values), words=values, now=st.floats(0, 4e9))
def test_any_hint_gives_a_time_to_wait_or_none_and_never_raises(headers, words, now):
    message = f"please try again in {words}"
    seconds = retry_after.wait(CIMultiDict(headers), message, lambda: now)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), milliseconds=st.integers(0, 59_999))
def test_every_duration_is_read_as_it_was_written(hours, minutes, milliseconds):
    text = f"{hours}h{minutes}m{milliseconds / 1000}s"
    expected = hours * 3600 + minutes * 60 + milliseconds / 1000
    assert retry_after.duration(text) == pytest.approx(expected)
    assert retry_after.in_words(f"Please try again in {text}.") == pytest.approx(expected)
