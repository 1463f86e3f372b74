"""Headers that the user adds are sent as they are, or refused in one line that tells no secret."""

from urllib.parse import urlsplit

import pytest

from providers import PROVIDERS
from request_engine.errors import BadInput
from request_engine.extra_headers import merged, of_account, read
from request_engine.redaction import secrets_in_headers

BY_NAME = {one.name: one for one in PROVIDERS}
SECRET = "s3cr3t-0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        (None, {}),
        ("X-Title: tides", {"X-Title": "tides"}),
        (["X-Title:tides", "a: b: c"], {"X-Title": "tides", "a": "b: c"}),
        ({"X-Title": "潮汐"}, {"X-Title": "潮汐"}),
        ([" x-a :\tb c \t"], {"x-a": "b c"}),
        (["Authorization: Basic a:b"], {"Authorization": "Basic a:b"}),
    ],
)
def test_headers_are_read_as_curl_reads_them(given, headers):
    assert read(given) == headers


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (f"{SECRET}", "no colon"),
        (f"Bearer {SECRET}: x", "does not begin with the name of a header"),
        (f": {SECRET}", "does not begin with the name of a header"),
        (f"X-Key: {SECRET}\r\nX-Other: 1", "'X-Key' has a line break"),
        (f"X-Key: {SECRET}\n", "'X-Key' has a line break"),
        (f"X-Key\n: {SECRET}", "does not begin with the name of a header"),
        (f"X-Key: {SECRET}\0", "control character"),
        (f"X-Key: {SECRET}\udcff", "control character"),
        ("X-Key:", "'X-Key' has no value"),
        ({"X-Key": 5}, "'X-Key' is not text"),
        (["X-Key: 1", f"x-key: {SECRET}"], "x-key is given twice"),
        ("Content-Length: 5", "'Content-Length' cannot be given"),
        ("host: elsewhere.invalid", "'host' cannot be given"),
        ("Transfer-Encoding: chunked", "cannot be given"),
        ("Connection: close", "cannot be given"),
        ("Expect: 100-continue", "cannot be given"),
        (f"Proxy-Authorization: {SECRET}", "cannot be given"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused_without_repeating_them(given, words):
    with pytest.raises(BadInput) as refused:
        read(given)
    told = str(refused.value)
    assert words in told
    assert SECRET[:6] not in told
    assert told.splitlines() == [told]


def test_a_header_has_one_value_in_whatever_case_its_name_is_written():
    assert merged({"User-Agent": "a", "X": "1"}, {"user-agent": "b"}) == {
        "X": "1",
        "user-agent": "b",
    }


ACCOUNT = {"OPENAI_ORG_ID": " org-1", "OPENAI_PROJECT_ID": "proj_2"}
TOLD = {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj_2"}


@pytest.mark.parametrize(
    ("name", "url", "environ", "headers"),
    [
        ("openai", "https://api.openai.com/v1", ACCOUNT, TOLD),
        ("openai", "https://eu.api.openai.com/v1", ACCOUNT, TOLD),
        ("openai", "https://api.openai.com/v1", {"OPENAI_ORG_ID": ""}, {}),
        ("openai", "https://api.openai.com/v1", {}, {}),
        ("openai", "https://proxy.invalid/v1", ACCOUNT, {}),
        ("openai", "https://api.openai.com.invalid/v1", ACCOUNT, {}),
        ("deepseek", "https://api.deepseek.com/v1", ACCOUNT, {}),
        ("openai_compatible", "http://localhost/v1", ACCOUNT, {}),
    ],
)
def test_an_account_s_headers_go_to_its_service_s_own_hosts_alone(name, url, environ, headers):
    assert of_account(BY_NAME[name], urlsplit(url), environ) == headers


def test_an_account_s_header_that_was_copied_badly_is_refused():
    with pytest.raises(BadInput, match="the value of OPENAI_ORG_ID has a line break"):
        of_account(
            BY_NAME["openai"],
            urlsplit("https://api.openai.com/v1"),
            {"OPENAI_ORG_ID": "org\n1"},
        )


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_a_service_that_has_such_headers_has_hosts_to_send_them_to(provider):
    assert provider.hosts or not provider.header_variables


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("Authorization", f"Bearer {SECRET}", [SECRET]),
        ("authorization", SECRET, [SECRET]),
        ("x-api-key", SECRET, [SECRET]),
        ("Ocp-Apim-Subscription-Key", SECRET, [SECRET]),
        ("X-Auth-Token", SECRET, [SECRET]),
        ("Cookie", f"a=1; b={SECRET}; c={SECRET}", [f"b={SECRET}", f"c={SECRET}"]),
        ("X-Key", "short", []),
        ("X-Max-Tokens", "123456789", []),
        ("X-Author", "somebody or other", []),
        ("HTTP-Referer", "https://example.invalid/evaluations", []),
        ("anthropic-beta", "token-efficient-tools-2025-02-19", []),
    ],
)
def test_what_a_header_s_name_tells_to_be_secret_is_hidden(name, value, hidden):
    assert secrets_in_headers({name: value}) == hidden
