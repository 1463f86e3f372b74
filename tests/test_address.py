"""Every request goes to the endpoint its body is for, always on the host that was given."""

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import PROVIDERS
from request_engine import preflight
from request_engine.lines import read_line
from request_engine.records import Request

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
COMPLETION = {"model": "m", "prompt": "hi"}
EMBEDDING = {"model": "text-embedding-3-small", "input": "hi"}
RESPONSE = {"model": "m", "input": "hi", "max_output_tokens": 9}
TEXT = {"model": "qwen-plus", "input": {"messages": CHAT["messages"]}}
PROMPT = {"model": "qwen-plus", "input": {"prompt": "hi"}}
IMAGES = {
    "model": "qwen-vl-plus",
    "input": {"messages": [{"role": "user", "content": [{"image": "http://a/b.png"}]}]},
}
TEXTS = {"model": "text-embedding-v4", "input": {"texts": ["hi"]}}
CLAUDE = {**CHAT, "model": "claude-sonnet-4-5"}


def request(body: dict, url: str | None = None) -> Request:
    line = body if url is None else {"custom_id": "1", "method": "POST", "url": url, "body": body}
    read = read_line(1, json.dumps(line).encode())
    assert isinstance(read, Request), read
    return read


def sent_to(name: str | None, url: str | None, body: dict, own: str | None = None) -> str:
    return preflight.service(PROVIDERS, name, url).address.url(request(body, own))


OPENAI = "https://api.openai.com/v1"
AZURE = "https://lab.openai.azure.com"
CLASSIC = AZURE + "/openai/deployments/gpt-4o"
VERSION = "?api-version=2024-10-21"
ALIYUN = "https://dashscope.aliyuncs.com"
INTL = "https://dashscope-intl.aliyuncs.com"
SERVICES = "/api/v1/services"
DEEPINFRA = "https://api.deepinfra.com/v1"
GATEWAY = "http://192.0.2.7:8088"
LOCAL = "http://localhost:8000/v1"

BASES = [
    # the name alone
    ("openai", None, CHAT, OPENAI + "/chat/completions"),
    ("openai", None, COMPLETION, OPENAI + "/completions"),
    ("openai", None, EMBEDDING, OPENAI + "/embeddings"),
    ("openai", None, RESPONSE, OPENAI + "/responses"),
    ("openai", None, {"model": "gpt-4o", "input": "hi"}, OPENAI + "/responses"),
    ("aliyun", None, CHAT, ALIYUN + "/compatible-mode/v1/chat/completions"),
    ("aliyun", None, EMBEDDING, ALIYUN + "/compatible-mode/v1/embeddings"),
    ("aliyun", None, TEXT, ALIYUN + SERVICES + "/aigc/text-generation/generation"),
    ("aliyun", None, PROMPT, ALIYUN + SERVICES + "/aigc/text-generation/generation"),
    ("aliyun", None, IMAGES, ALIYUN + SERVICES + "/aigc/multimodal-generation/generation"),
    ("aliyun", None, TEXTS, ALIYUN + SERVICES + "/embeddings/text-embedding/text-embedding"),
    ("deepinfra", None, CHAT, DEEPINFRA + "/openai/chat/completions"),
    ("deepinfra", None, EMBEDDING, DEEPINFRA + "/openai/embeddings"),
    ("deepseek", None, CHAT, "https://api.deepseek.com/chat/completions"),
    ("deepseek", None, COMPLETION, "https://api.deepseek.com/completions"),
    # a base URL of a service that has one
    (None, OPENAI, CHAT, OPENAI + "/chat/completions"),
    (None, OPENAI + "/", CHAT, OPENAI + "/chat/completions"),
    (None, "https://eu.api.openai.com/v1", CHAT, "https://eu.api.openai.com/v1/chat/completions"),
    (
        None,
        INTL + "/compatible-mode/v1",
        CHAT,
        INTL + "/compatible-mode/v1/chat/completions",
    ),
    (
        None,
        INTL + "/compatible-mode/v1",
        TEXTS,
        INTL + SERVICES + "/embeddings/text-embedding/text-embedding",
    ),
    (None, "https://api.deepseek.com", CHAT, "https://api.deepseek.com/chat/completions"),
    (None, "https://api.deepseek.com/", CHAT, "https://api.deepseek.com/chat/completions"),
    # a base URL of one's own, with the name
    ("openai_compatible", LOCAL, CHAT, LOCAL + "/chat/completions"),
    ("vllm", LOCAL + "/", EMBEDDING, LOCAL + "/embeddings"),
    ("azure", AZURE, CHAT, AZURE + "/openai/v1/chat/completions"),
    ("azure", AZURE + "/", RESPONSE, AZURE + "/openai/v1/responses"),
    ("azure", AZURE + "/openai/v1", EMBEDDING, AZURE + "/openai/v1/embeddings"),
    ("azure", CLASSIC + VERSION, CHAT, CLASSIC + "/chat/completions" + VERSION),
    ("azure", CLASSIC + "/" + VERSION, EMBEDDING, CLASSIC + "/embeddings" + VERSION),
    (
        "deepseek",
        "https://api.deepseek.com/beta",
        COMPLETION,
        "https://api.deepseek.com/beta/completions",
    ),
    ("bnu", GATEWAY, CHAT, GATEWAY + "/gpt"),
    ("lab_gateway", GATEWAY + "/", EMBEDDING, GATEWAY + "/gpt"),
    ("lab_gateway", GATEWAY, CLAUDE, GATEWAY + "/claude"),
    # a whole URL, which is left as it is
    (None, OPENAI + "/chat/completions", CHAT, OPENAI + "/chat/completions"),
    (None, OPENAI + "/responses", EMBEDDING, OPENAI + "/responses"),
    (None, CLASSIC + "/chat/completions" + VERSION, CHAT, CLASSIC + "/chat/completions" + VERSION),
    (
        None,
        ALIYUN + SERVICES + "/aigc/text-generation/generation",
        TEXT,
        ALIYUN + SERVICES + "/aigc/text-generation/generation",
    ),
    (None, DEEPINFRA + "/inference/org/m", {"input": "hi"}, DEEPINFRA + "/inference/org/m"),
    (None, GATEWAY + "/claude", CHAT, GATEWAY + "/claude"),
    (None, GATEWAY + "/gpt", CLAUDE, GATEWAY + "/gpt"),
    (None, "http://localhost:8000/odd/path", CHAT, "http://localhost:8000/odd/path"),
    (None, "http://localhost:8000/odd?a=b#c", CHAT, "http://localhost:8000/odd?a=b#c"),
    (
        "openai_compatible",
        "http://127.0.0.1:9/v1/chat/completions",
        CHAT,
        "http://127.0.0.1:9/v1/chat/completions",
    ),
]


@pytest.mark.parametrize(("name", "url", "body", "target"), BASES)
def test_a_base_is_completed_and_a_whole_url_is_kept(name, url, body, target):
    assert sent_to(name, url, body) == target


LINES = [
    (OPENAI + "/chat/completions", "/v1/chat/completions", CHAT, OPENAI + "/chat/completions"),
    (OPENAI + "/chat/completions", "/v1/embeddings", EMBEDDING, OPENAI + "/embeddings"),
    (OPENAI + "/embeddings", "/v1/responses", RESPONSE, OPENAI + "/responses"),
    (OPENAI, "/v1/responses", {"model": "m", "input": "hi"}, OPENAI + "/responses"),
    (OPENAI, "/v1/completions", COMPLETION, OPENAI + "/completions"),
    (
        CLASSIC + "/chat/completions" + VERSION,
        "/chat/completions",
        CHAT,
        CLASSIC + "/chat/completions" + VERSION,
    ),
    (
        CLASSIC + "/chat/completions" + VERSION,
        "/v1/embeddings",
        EMBEDDING,
        CLASSIC + "/embeddings" + VERSION,
    ),
    (
        ALIYUN + "/compatible-mode/v1/chat/completions",
        "/v1/embeddings",
        EMBEDDING,
        ALIYUN + "/compatible-mode/v1/embeddings",
    ),
    (DEEPINFRA + "/openai", "/v1/chat/completions", CHAT, DEEPINFRA + "/openai/chat/completions"),
    (LOCAL + "/chat/completions", "/v1/embeddings", EMBEDDING, LOCAL + "/embeddings"),
    (GATEWAY + "/gpt", "/v1/chat/completions", CHAT, GATEWAY + "/gpt"),
    (GATEWAY + "/gpt", "/v1/messages", CLAUDE, GATEWAY + "/claude"),
]


@pytest.mark.parametrize(("url", "own", "body", "target"), LINES)
def test_a_batch_line_names_its_own_endpoint(url, own, body, target):
    assert sent_to(None, url, body, own) == target


@given(
    own=st.text(min_size=1).map(lambda text: "/" + text) | st.just("//evil.example/v1/embeddings"),
    url=st.sampled_from([OPENAI, CLASSIC + VERSION, ALIYUN, GATEWAY + "/gpt", LOCAL]),
)
def test_no_line_can_send_the_key_to_another_host(own, url):
    target = urlsplit(sent_to(None, url, CHAT, own))
    given = urlsplit(url)
    assert (target.scheme, target.netloc, target.query) == (given.scheme, given.netloc, given.query)


ENDPOINTS = [
    (OPENAI, None, CHAT, "chat/completions"),
    (OPENAI + "/completions", None, CHAT, "completions"),
    (OPENAI, "/v1/embeddings", EMBEDDING, "embeddings"),
    (DEEPINFRA + "/inference/org/m", None, {"input": "hi"}, "inference"),
    (GATEWAY + "/claude", None, CHAT, "claude"),
    (LOCAL + "/chat/completions/", None, EMBEDDING, "chat/completions"),
    ("http://localhost:8000/odd", None, EMBEDDING, "embeddings"),
    ("http://localhost:8000/odd", None, {"model": "m"}, "embeddings"),
]


@pytest.mark.parametrize(("url", "own", "body", "endpoint"), ENDPOINTS)
def test_the_endpoint_decides_how_tokens_are_counted(url, own, body, endpoint):
    address = preflight.service(PROVIDERS, None, url).address
    assert address.endpoint(request(body, own)) == endpoint
