"""Whatever a user gets wrong is told in one line that says what to do, before anything is sent."""

import logging
import os
from urllib.parse import urlsplit

import pytest

from providers import PROVIDERS
from request_engine import logs, preflight
from request_engine.errors import BadInput

BY_NAME = {one.name: one for one in PROVIDERS}


def complaint(check, *arguments, **options) -> str:
    with pytest.raises(BadInput) as caught:
        check(*arguments, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# Numbers.

LIMITS = [
    (500, 500.0),
    ("500", 500.0),
    ("1_500", 1500.0),
    ("0.5", 0.5),
    (" 30 ", 30.0),
    ("1e6", 1e6),
    (None, None),
    ("none", None),
    ("None", None),
    (" NONE ", None),
]


@pytest.mark.parametrize(("value", "wanted"), LIMITS)
def test_a_limit_is_a_number_above_0_or_none(value, wanted):
    assert preflight.limit(value, "--max_requests_per_minute") == wanted


NO_NUMBERS = [0, "0", -1, "-1", "0.0", "nan", float("nan"), "inf", float("inf"), "-inf", "1e999"]
NO_NUMBERS += ["fast", "", " ", "1,500", "1 500", "0x10", True, False, [], b"5"]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_any_other_limit_is_refused_with_what_was_seen_and_what_may_be(value):
    told = complaint(preflight.limit, value, "--max_requests_per_minute")
    expected = f"--max_requests_per_minute is {value}, but it must be a number above 0, none"
    assert told.startswith(expected)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_time_is_a_number_above_0(value):
    told = complaint(preflight.seconds, value, "--max_wait")
    assert told == f"--max_wait is {value}, but it must be a number of seconds, above 0"


def test_a_time_may_be_0_where_that_means_something():
    assert preflight.seconds("0", "--seconds_to_sleep_each_loop", zero=True) == 0.0
    assert preflight.seconds(0.05, "--seconds_to_sleep_each_loop", zero=True) == 0.05
    told = complaint(preflight.seconds, -1, "--seconds_to_sleep_each_loop", zero=True)
    assert told.endswith("it must be a number of seconds, 0 or more")


@pytest.mark.parametrize("value", [*NO_NUMBERS, "2.5", 0.5])
def test_a_count_is_a_whole_number_of_at_least_1(value):
    told = complaint(preflight.count, value, "--max_attempts")
    assert told == f"--max_attempts is {value}, but it must be a whole number, 1 or more"


@pytest.mark.parametrize(("value", "wanted"), [(1, 1), ("5", 5), ("1_000", 1000), (3.0, 3)])
def test_a_count_in_any_spelling(value, wanted):
    assert preflight.count(value, "--max_attempts") == wanted


LEVELS = [
    (20, logging.INFO),
    ("20", logging.INFO),
    ("info", logging.INFO),
    ("DEBUG", logging.DEBUG),
    (" warning ", logging.WARNING),
    (15, 15),
]


@pytest.mark.parametrize(("value", "level"), LEVELS)
def test_a_logging_level_by_name_or_number(value, level):
    assert logs.level_of(value) == level


@pytest.mark.parametrize("value", ["loud", "", "-5", "1.5", None])
def test_an_unknown_logging_level_is_refused(value):
    told = complaint(logs.level_of, value)
    names = "DEBUG, INFO, WARNING, ERROR or a number"
    assert told == f"--logging_level is {value}, but it must be {names}"


def test_a_choice_is_one_of_the_known():
    assert preflight.choice("rows", {"rows": 1, "batch": 2}, "--output_format") == 1
    told = complaint(preflight.choice, "csv", {"rows": 1, "batch": 2}, "--output_format")
    assert told == "--output_format is csv, but it must be rows or batch"


# URLs.

URLS = [
    ("api.openai.com/v1", "has no scheme: write https://"),
    ("localhost:8000/v1", "has no scheme"),
    ("//api.openai.com/v1", "has no scheme"),
    ("/v1/chat/completions", "has no scheme"),
    ("", "has no scheme"),
    ("https:api.openai.com/v1", "has no host"),
    ("ftp://api.openai.com/v1", "begins with ftp://"),
    ("file:///etc/hosts", "begins with file://"),
    ("htps://api.openai.com/v1", "begins with htps://"),
    ("https://api.openai.com /v1", "has a blank or a line break in it"),
    ("https://api.openai.com/v1\n", "has a blank or a line break in it"),
    (" https://api.openai.com/v1", "has a blank or a line break in it"),
    ("https://api.openai.com/v1\u00a0", "has a blank or a line break in it"),
    ("https://", "has no host"),
    ("https:///v1/chat/completions", "has no host"),
    ("https://:443/v1", "has no host"),
    ("https://?x", "has no host"),
    ("https://host:port/v1", "is not a URL"),
    ("https://host:99999/v1", "is not a URL"),
    ("https://[::1/v1", "is not a URL"),
    ("https://api.openai.com\uff0f@evil.example/v1", "a name or password"),
    ("https://user:pass@llm.example.org/v1", "a name or password"),
    ("https://user:pass@llm.example.org:port", "a name or password"),
]


@pytest.mark.parametrize(("text", "words"), URLS)
def test_a_url_needs_a_scheme_and_a_host(text, words):
    told = complaint(preflight.service, PROVIDERS, None, text)
    assert told.startswith("--request_url ")
    assert words in told


@pytest.mark.parametrize(
    "text",
    [
        "llm.example.org/v1?key=SECRET",
        "ftp://llm.example.org/v1?key=SECRET#SECRET",
        "https://?key=SECRET",
        "https://llm.example.org:port/v1?key=SECRET",
        "https://llm.example.org/v1?a=1 2&key=SECRET",
        "https://llm.example.org\uff1fkey=SECRET",
        "https://[::1/v1?key=SECRET",
        "https://me:SECRET@llm.example.org/v1",
        "https://me:SEC/RET@llm.example.org/v1",
        "https://me:SECRET#@llm.example.org:port",
        "me:SECRET@llm.example.org/v1",
        "//me:SECRET@llm.example.org/v1",
        "SECRET",
    ],
)
def test_P9_a_complaint_about_a_url_repeats_nothing_secret(text):
    """Neither a query, nor a name and password, nor a key that was given in the URL's place."""
    told = complaint(preflight.service, PROVIDERS, None, text)
    assert told.startswith("--request_url ")
    assert not {"SEC", "RET"} & {told[at : at + 3] for at in range(len(told))}


def test_a_service_needs_a_url_or_a_name():
    assert (
        complaint(preflight.service, PROVIDERS, None, None) == "give --request_url, or --provider"
    )
    told = complaint(preflight.service, PROVIDERS, "azure", None)
    assert told == "--provider azure has no URL of its own: give --request_url"


NAMES = [
    ("opena", "did you mean openai"),
    ("open-ai", "did you mean openai"),
    ("deepsek", "did you mean deepseek"),
    ("dashscop", "did you mean dashscope"),
    ("labgateway", "did you mean lab_gateway"),
]


@pytest.mark.parametrize(("name", "hint"), NAMES)
def test_an_unknown_provider_is_refused_with_the_nearest_names(name, hint):
    told = complaint(preflight.provider, PROVIDERS, name)
    assert told.startswith(f"there is no provider {name!r}; {hint}")
    assert told.endswith("(there are " + ", ".join(BY_NAME) + ")")


def test_a_provider_like_no_other_is_refused_with_all_names():
    told = complaint(preflight.provider, PROVIDERS, "zzz")
    assert told == f"there is no provider 'zzz' (there are {', '.join(BY_NAME)})"


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("openai", "openai"),
        (" OpenAI ", "openai"),
        ("azure-openai", "azure"),
        ("dashscope", "aliyun"),
        ("Qwen", "aliyun"),
        ("bnu", "lab_gateway"),
        ("lab-gateway", "lab_gateway"),
        ("vllm", "vllm"),
    ],
)
def test_a_provider_answers_to_its_names_and_aliases(name, provider):
    assert preflight.provider(PROVIDERS, name).name == provider


def test_the_url_that_is_shown_has_no_secret_in_it():
    service = preflight.service(PROVIDERS, "vllm", "https://llm.example.org:8443/v1?key=sk-1#x")
    assert service.shown == "https://llm.example.org:8443/v1"
    assert repr(service) == "<Service vllm at https://llm.example.org:8443/v1>"


# Keys.

EVERYTHING = {
    "OPENAI_API_KEY": "sk-openai",
    "AZURE_OPENAI_API_KEY": "azure-key",
    "AZURE_API_KEY": "azure-key-2",
    "DASHSCOPE_API_KEY": "sk-dashscope",
    "QWENCLOUD_API_KEY": "sk-qwen",
    "DEEPINFRA_API_KEY": "di-key",
    "DEEPINFRA_TOKEN": "di-token",
    "DEEPSEEK_API_KEY": "sk-deepseek",
    "BNU_API_KEY": "rose",
    "OPENAI_COMPATIBLE_API_KEY": "own-key",
}


def key(url: str, environ: dict[str, str], given: str | None = None, name: str | None = None):
    service = preflight.service(PROVIDERS, name, url)
    return preflight.key(given, service.provider, service.parts, environ)


KEYS = [
    ("https://api.openai.com/v1", "sk-openai"),
    ("https://eu.api.openai.com/v1", "sk-openai"),
    ("https://lab.openai.azure.com/openai/v1", "azure-key"),
    ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "sk-dashscope"),
    ("https://api.deepinfra.com/v1/openai", "di-key"),
    ("https://api.deepseek.com", "sk-deepseek"),
    ("http://192.0.2.7:8088/gpt", "rose"),
    ("https://llm.example.org/v1", "own-key"),
    ("https://api.openai.com.evil.example/v1", "own-key"),
    ("http://localhost:8000/v1", "own-key"),
]


@pytest.mark.parametrize(("url", "found"), KEYS)
def test_each_service_gets_its_own_key_and_no_other(url, found):
    assert key(url, EVERYTHING) == found


def test_a_key_that_is_given_counts_for_more():
    assert key("https://api.openai.com/v1", EVERYTHING, "given") == "given"
    assert key("https://llm.example.org/v1", EVERYTHING, "given", "openai") == "given"


def test_the_second_variable_serves_where_the_first_is_missing_or_empty():
    url = "https://api.deepinfra.com/v1/openai"
    assert key(url, {"DEEPINFRA_TOKEN": "di-token"}) == "di-token"
    assert key(url, {"DEEPINFRA_API_KEY": "", "DEEPINFRA_TOKEN": "di-token"}) == "di-token"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://api.openai.com/v1", "no key for openai: set OPENAI_API_KEY, or give --api_key"),
        (
            "https://api.deepinfra.com/v1/openai",
            "no key for deepinfra: set DEEPINFRA_API_KEY or DEEPINFRA_TOKEN, or give --api_key",
        ),
        (
            "https://llm.example.org/v1",
            "no key for openai_compatible: set OPENAI_COMPATIBLE_API_KEY, or give --api_key",
        ),
    ],
)
def test_a_missing_key_is_told_with_its_variable(url, words):
    assert complaint(key, url, {}) == words
    assert complaint(key, url, {}, "") == words


@pytest.mark.parametrize("name", ["openai", "azure", "aliyun", "deepinfra", "deepseek"])
def test_the_key_of_a_known_service_is_never_sent_to_an_unknown_host(name):
    """Not even when its name is given, and not through its other variable."""
    told = complaint(key, "https://evil.example/v1", EVERYTHING, name=name)
    assert told.endswith(f"is not sent to evil.example, which is no host of {name}: give --api_key")
    assert told.startswith(BY_NAME[name].key_variables[0])
    assert key("http://127.0.0.1:8000/v1", EVERYTHING, name=name) is None


LOCAL = [
    "http://localhost:8000/v1",
    "http://127.0.0.1/v1",
    "http://[::1]:8000/v1",
    "http://10.1.2.3/v1",
    "http://192.168.0.9:1234/v1",
    "http://172.16.5.5/v1",
    "http://gpu-server:8000/v1",
    "http://gpu.local/v1",
    "http://llm.localhost/v1",
]


@pytest.mark.parametrize("url", LOCAL)
def test_a_service_in_the_house_needs_no_key(url):
    assert key(url, {}) is None


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/v1", "http://172.15.5.5/v1", "http://localhost.example/v1"]
)
def test_a_service_outside_needs_one(url):
    assert "no key for openai_compatible" in complaint(key, url, {})


@pytest.mark.parametrize(
    ("url", "openly"),
    [
        *((url, False) for url in LOCAL),
        ("https://8.8.8.8/v1", False),
        ("http://8.8.8.8:8088/gpt", True),
        ("http://llm.example.org/v1", True),
        ("http://172.15.5.5/v1", True),
        ("HTTP://localhost.example/v1", True),
    ],
)
def test_P9_a_key_travels_openly_by_plain_http_out_of_the_house(url, openly):
    parts = preflight.url(url)
    assert preflight.travels_openly(parts, "sk-a") is openly
    assert not preflight.travels_openly(parts, None)


ODD_KEYS = [
    ("sk a", "a space"),
    ("sk-a ", "a space"),
    ("sk-a\n", "a line break"),
    ("sk-a\r\n", "a line break"),
    ("sk\t-a", "a tab"),
    ("\u201csk-a\u201d", "the character U+201C"),
    ("sk\u2013a", "the character U+2013"),
    ("sk-a\u00a0", "the character U+00A0"),
    ("sk-a\ufeff", "the character U+FEFF"),
    ("sk-a\x00", "the character U+0000"),
    ("sk-a\x7f", "the character U+007F"),
    ("密钥", "the character U+5BC6"),
]


@pytest.mark.parametrize(("given", "words"), ODD_KEYS)
def test_a_key_that_was_copied_badly_is_refused_without_repeating_it(given, words):
    url = "https://api.openai.com/v1"
    told = complaint(key, url, {"OPENAI_API_KEY": given})
    assert told == f"the key from OPENAI_API_KEY has {words} in it: copy it again, without quotes"
    assert complaint(key, url, {}, given).startswith(f"the key from --api_key has {words}")


# Paths.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "in.jsonl").write_bytes(b"{}\n")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


DEFAULTS = [
    ("in.jsonl", "in_results.jsonl"),
    ("sub/in.jsonl", "sub/in_results.jsonl"),
    ("in.jsonl.gz", "in_results.jsonl"),
    ("in.gz", "in_results.jsonl"),
    ("in.txt", "in.txt_results.jsonl"),
    ("in", "in_results.jsonl"),
]


@pytest.mark.parametrize(("requests", "results"), DEFAULTS)
def test_results_go_beside_the_requests_unless_a_path_is_given(folder, requests, results):
    assert preflight.paths(requests, None, None) == results
    assert preflight.paths(requests, "sub/out.jsonl", None) == "sub/out.jsonl"


PATHS = [
    (("-", None, None), "requests from standard input need --save_filepath"),
    (("in.jsonl", "sub", None), "--save_filepath sub is a directory, but it must be a file"),
    (
        ("in.jsonl", "out.jsonl", "sub"),
        "--errors_filepath sub is a directory, but it must be a file",
    ),
    (
        ("in.jsonl", "in.jsonl", None),
        "--save_filepath and --requests_filepath are the same file, in.jsonl",
    ),
    (
        ("in.jsonl", "sub/../in.jsonl", None),
        "--save_filepath and --requests_filepath are the same file, sub/../in.jsonl",
    ),
    (
        ("in.jsonl", "out.jsonl", "out.jsonl"),
        "--errors_filepath and --save_filepath are the same file, out.jsonl",
    ),
    (
        ("in.jsonl", "out.jsonl", "./in.jsonl"),
        "--errors_filepath and --requests_filepath are the same file, ./in.jsonl",
    ),
    (
        ("in.jsonl", None, "in_results.jsonl"),
        "--errors_filepath and --save_filepath are the same file, in_results.jsonl",
    ),
]


@pytest.mark.parametrize(("given", "words"), PATHS)
def test_paths_that_would_overwrite_what_is_read_are_refused(folder, given, words):
    assert complaint(preflight.paths, *given) == words


def test_a_missing_folder_is_told_before_anything_is_paid_for(folder):
    told = complaint(preflight.paths, "in.jsonl", "no/out.jsonl", None)
    assert told == f"--save_filepath no/out.jsonl: there is no folder {folder / 'no'}"
    told = complaint(preflight.paths, "in.jsonl", "out.jsonl", "no/errors.jsonl")
    assert told.startswith("--errors_filepath no/errors.jsonl: there is no folder")


def test_two_names_of_one_file_are_one_file(folder):
    os.link(folder / "in.jsonl", folder / "twin.jsonl")
    told = complaint(preflight.paths, "in.jsonl", "twin.jsonl", None)
    assert "are the same file" in told


def test_nothing_of_a_url_with_a_password_is_told(folder):
    parts = urlsplit("https://user:s3cret@llm.example.org/v1")
    assert "s3cret" not in complaint(preflight.key, None, BY_NAME["openai_compatible"], parts, {})
