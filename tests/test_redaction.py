"""P9: a secret is found in every spelling in which a service may echo it."""

import json
from urllib.parse import quote

import pytest

from request_engine.records import Failure, Kind, Success
from request_engine.redaction import Redaction, secrets_in

CORE = "Q7vXcanary0123456789"
KEY = f"sk/{CORE}+end=="
"""With the signs that URLs and JSON spell in other ways."""

SPELLINGS = {
    "as it is": KEY,
    "within a header": f"Authorization: Bearer {KEY}, or none",
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in small letters": quote(KEY, safe="").lower().replace(CORE.lower(), CORE),
    "percent-encoded twice": quote(quote(KEY, safe=""), safe=""),
    "with escaped slashes": KEY.replace("/", "\\/"),
    "as JSON within JSON": json.dumps(json.dumps({"key": KEY.replace("/", "\\/")})),
    "with escaped signs": KEY.replace("+", "\\u002B").replace("=", "\\u003d"),
    "in HTML": KEY.replace("/", "&#x2F;").replace("=", "&#61;"),
    "cut off": f"Incorrect API key provided: {KEY[:14]}",
    "cut off within a sign": quote(KEY, safe="")[:-4],
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_P9_a_key_is_found_in_every_spelling(text):
    """In whatever is an error, a header's value or a line of the log."""
    told = Redaction(KEY).text(f"before {text} behind")
    assert CORE[:8] not in told
    assert "[key]" in told
    assert told.startswith("before ")
    assert told.endswith(" behind")


@pytest.mark.parametrize(
    "name", ["as it is", "percent-encoded", "with escaped slashes", "with escaped signs"]
)
def test_P9_a_key_is_taken_out_of_an_answer_which_stays_json(name):
    answer = Success(f'{{"said": "{SPELLINGS[name]}", "n": 1.10}}'.encode())
    assert Redaction(KEY).outcome(answer) == Success(b'{"said": "[key]", "n": 1.10}')


def test_P9_every_secret_of_a_run_is_taken_out():
    """Also one that is the beginning of another, and none where there is none."""
    redaction = Redaction(None, "", KEY, "a-proxy-s-password", KEY + "-and-more")
    assert redaction.text(f"{KEY}-and-more {KEY} a-proxy-s-password") == "[key] [key] [key]"
    assert Redaction(None).text("as it was") == Redaction().text("as it was") == "as it was"


USER_NAMES = [
    ("user rose is unknown", "user [key] is unknown"),
    ('{"username": "rose"}', '{"username": "[key]"}'),
    ("the prose of rose-garden", "the prose of [key]-garden"),
    ("user%3Drose&x", "user%3D[key]&x"),
    (r"name:\nrose", r"name:\n[key]"),
    (r"\u0022rose\u0022", r"\u0022[key]\u0022"),
    ("roses, primrose", "roses, primrose"),
]


@pytest.mark.parametrize(("text", "told"), USER_NAMES)
def test_P9_a_short_secret_is_a_word_of_its_own(text, told):
    """As a gateway's user name; in an answer it may be an ordinary word, and stays."""
    redaction = Redaction("rose")
    failure = redaction.outcome(Failure(Kind.AUTH, text, raw=text))
    answer = Success(json.dumps({"said": text}).encode(), extra=b'{"for": "rose"}')
    redacted = redaction.outcome(answer)

    assert isinstance(failure, Failure)
    assert (failure.message, failure.raw) == (told, told)
    assert redacted == Success(answer.response, extra=b'{"for": "[key]"}')


IN_URLS = [
    ("https://h.example/v1", []),
    ("https://h.example/v1?key=abc%2Fdef", ["abc/def"]),
    ("https://h.example/v1?a=1&api-key=secret&subscription-key=tellno", ["secret", "tellno"]),
    ("https://h.example/v1?access_token=abcdef#key=never-sent", ["abcdef"]),
    ("https://h.example/v1?id=0123456789abcdef0123", ["0123456789abcdef0123"]),
    ("https://h.example/v1?sk-0123456789abcdef0123", ["sk-0123456789abcdef0123"]),
    ("https://h.example/v1?api-version=2024-12-01-preview&max_tokens=5&key=", []),
    ("http://me:pass%40word@proxy:3128", ["pass@word", "bWU6cGFzc0B3b3Jk"]),
    ("http://me@proxy:3128", []),
    ("http://[broken", []),
]


@pytest.mark.parametrize(("url", "secrets"), IN_URLS)
def test_P9_what_is_secret_in_a_url(url, secrets):
    """By its name, or by looking random; a version or a number is none."""
    assert secrets_in(url) == secrets
