"""What decides an answer makes two requests differ, and nothing else does."""

import json

import pytest
from scripted import URL, Service, request

import providers
from providers.any_other import AnyOther
from request_engine import amend
from request_engine.address import Address
from request_engine.records import Request
from request_engine.sameness import Place
from request_engine.sampled import is_sampled

KEY = "sk-0123456789abcdefghij"


NAMED = {name: one for one in providers.PROVIDERS for name in (one.name, *one.aliases)}


def target(provider="generic", url=URL, **settings):
    one = Service([]).target
    one.provider = NAMED[provider]
    one.address = Address(one.provider, url, base_allowed=True)
    for name, value in settings.items():
        setattr(one, name, value)
    return one


def amended(**given):
    provider, address = AnyOther(), Address(AnyOther(), URL, base_allowed=False)
    return amend.amendment(
        provider,
        address,
        fields=amend.read_fields(given.get("body")),
        models=amend.read_models(given.get("models")),
        stream=False,
    )


def of(body, number=1, **more):
    return Request(number, body, json.dumps(body).encode(), **more)


def key(asked, headers=None, **place):
    return Place(target(**place), headers or {}).key(asked, None)


ASKED = request(1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key(ASKED), key(request(2))),
        (key(ASKED), key(request(1, metadata={"id": 1}))),
        (key(ASKED), key(of(ASKED.body | {"metadata": {"id": 1}}))),
        (key(ASKED), key(ASKED, api_key=KEY)),
        (key(ASKED, url=f"{URL}?key={KEY}"), key(ASKED, url=f"{URL}?key=another-key")),
        (key(ASKED), key(ASKED, {"X-Api-Key": KEY})),
        (key(ASKED, {"A": "1", "B": "2"}), key(ASKED, {"b": "2", "a": "1"})),
        (key(ASKED, provider="lab_gateway", api_key="me"), key(ASKED, provider="lab_gateway")),
        (
            key(request(1), amendment=amended(models="n")),
            key(of(ASKED.body | {"model": "n"})),
        ),
    ],
    ids=[
        "number",
        "metadata",
        "metadata in the body",
        "key",
        "key in the URL",
        "key in a header",
        "order of headers",
        "key in an envelope",
        "a model by its own name",
    ],
)
def test_what_does_not_decide_an_answer(one, other):
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key(ASKED), key(request(1, "ho"))),
        (key(ASKED), key(of(ASKED.body | {"seed": 1}))),
        (key(ASKED), key(ASKED, amendment=amended(models="n"))),
        (key(ASKED), key(ASKED, amendment=amended(body={"temperature": 0}))),
        (key(ASKED), key(ASKED, url="http://localhost:8001/v1/chat/completions")),
        (key(ASKED), key(ASKED, url="https://localhost/v1/chat/completions")),
        (key(ASKED), key(ASKED, url=f"{URL}?api-version=2")),
        (key(ASKED), key(ASKED, provider="openai")),
        (key(ASKED), key(ASKED, {"beta": "long-answers"})),
    ],
    ids=["text", "seed", "model", "field", "port", "scheme", "query", "provider", "header"],
)
def test_what_decides_an_answer(one, other):
    assert one != other


def test_the_order_of_members_counts():
    """A schema's is the order in which the answer is written."""
    swapped = dict(reversed(ASKED.body.items()))
    assert key(ASKED) != key(of(swapped))


def test_a_model_that_stands_in_the_path_counts():
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    one, other = (
        key(of(body | {"model": name}), provider="gemini", url="http://localhost/")
        for name in ("a", "b")
    )
    assert one != other


def test_P9_a_key_tells_nothing_of_what_is_asked():
    found = key(request(1, "a secret text"), api_key=KEY)
    assert len(found) == 32
    assert b"secret" not in found


ASKS = {"messages": [{"role": "user", "content": "hi"}]}
CHAT, EMBEDDINGS = "chat/completions", "embeddings"


@pytest.mark.parametrize(
    ("provider", "endpoint", "body", "sampled"),
    [
        ("openai", CHAT, ASKS, True),
        ("openai", CHAT, ASKS | {"temperature": 1}, True),
        ("openai", CHAT, ASKS | {"temperature": 0.1}, True),
        ("openai", CHAT, ASKS | {"temperature": None}, True),
        ("openai", CHAT, ASKS | {"temperature": "0"}, True),
        ("openai", CHAT, ASKS | {"temperature": False}, True),
        ("openai", CHAT, ASKS | {"temperature": 0}, False),
        ("openai", CHAT, ASKS | {"temperature": 0.0}, False),
        ("openai", CHAT, ASKS | {"temperature": 1, "seed": 7}, False),
        ("openai", CHAT, ASKS | {"seed": 0}, False),
        ("openai", CHAT, ASKS | {"seed": None}, True),
        ("openai", CHAT, ASKS | {"seed": True}, True),
        ("mistral", CHAT, ASKS | {"random_seed": 7}, False),
        ("zhipu", CHAT, ASKS | {"do_sample": False}, False),
        ("zhipu", CHAT, ASKS | {"do_sample": True}, True),
        ("openai", "completions", {"prompt": "hi"}, True),
        ("openai", "completions", {"prompt": "hi", "temperature": 0}, False),
        ("openai", "responses", {"input": "hi"}, True),
        ("openai", "responses", {"input": "hi", "temperature": 0}, False),
        ("openai", "messages", ASKS, True),
        ("openai", EMBEDDINGS, {"input": "hi"}, False),
        ("gemini", "generateContent", {"contents": []}, True),
        (
            "gemini",
            "generateContent",
            {"contents": [], "generationConfig": {"temperature": 0}},
            False,
        ),
        ("gemini", "embedContent", {"content": {}}, False),
        ("ollama", "api/chat", ASKS | {"options": {"seed": 7}}, False),
        ("ollama", "api/chat", ASKS | {"options": {}}, True),
        ("ollama", "api/embed", {"input": "hi"}, False),
        ("lab_gateway", "gpt", ASKS, True),
        ("lab_gateway", "gpt", {"input": "hi", "model": "text-embedding-3-small"}, False),
        ("openai", CHAT, ASKS | {"options": 5}, True),
    ],
)
def test_what_is_sampled(provider, endpoint, body, sampled):
    assert is_sampled(NAMED[provider], body, endpoint) is sampled


def test_what_the_client_adds_to_a_body_counts_for_that():
    place = Place(target(amendment=amended(body={"temperature": 0})), {})
    assert not place.is_sampled(ASKED)
    assert place.is_sampled(of(ASKED.body | {"temperature": 1}))
