"""Vectors of texts in memory: each text's own, in order, as they were sent; none is made up."""

import base64
import json
import math
import sys
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threaded import endpoint

from api_request_parallel_processor import AsyncClient, Client
from request_engine import local_endpoint, vectors
from request_engine.errors import BadInput
from request_engine.local_endpoint.settings import Settings
from request_engine.records import Kind, Usage
from request_engine.result import RequestFailed

MODEL = "text-embedding-3-small"
NO_LIMIT = {"max_requests_per_minute": None, "max_tokens_per_minute": None}

floats = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)


def spelled(numbers):
    """As base64 of 32-bit floats, little end first."""
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def reply(*items, **more):
    return json.dumps({"object": "list", "data": items, "model": "m", **more}).encode()


# A reply with vectors in it.


@given(floats)
def test_base64_is_read_as_the_same_numbers(numbers):
    plain = vectors.vector_of(reply({"index": 0, "embedding": numbers}))
    packed = vectors.vector_of(reply({"index": 0, "embedding": spelled(numbers)}))
    assert plain == packed == array("f", numbers)


@pytest.mark.parametrize(
    "vector",
    [[], "", None, [None], [[1.0]], "no base64", "AAA=", "AAAAAAA=", spelled([math.inf]), {}, 5],
    ids=repr,
)
def test_what_is_no_vector_is_not_taken_for_one(vector):
    with pytest.raises(ValueError, match=r"vector|bytes"):
        vectors.vector_of(reply({"index": 0, "embedding": vector}))


@settings(deadline=None)
@given(st.permutations(range(7)), st.booleans(), st.sampled_from([None, 1]))
def test_a_reply_is_taken_apart_by_the_index_and_vectors_keep_their_spelling(order, packed, indent):
    vector = [spelled([at]) if packed else [at, 1e-5] for at in range(7)]
    items = [{"embedding": vector[at], "index": at, "more": {"a": [1, "]"]}} for at in order]
    whole = {"usage": {"total_tokens": 9}, "data": items, "model": "m]"}
    parts = vectors.taken_apart(json.dumps(whole, indent=indent).encode(), 7)

    assert [json.loads(part)["data"][0]["embedding"] for part in parts] == vector
    assert [json.loads(part)["data"][0]["index"] for part in parts] == [0] * 7
    assert ["usage" in json.loads(part) for part in parts] == [True] + [False] * 6
    assert {json.loads(part)["model"] for part in parts} == {"m]"}


def test_numbers_are_not_spelled_anew():
    whole = b'{"data":[{"index":1,"embedding":[1.0,2.50E-3]},{"index":0,"embedding":[-0.0]}]}'
    first, second = vectors.taken_apart(whole, 2)
    assert b"[-0.0]" in first
    assert b"[1.0,2.50E-3]" in second


def test_a_vector_that_does_not_tell_its_index_is_in_its_place():
    """Some services leave out a 0, or every index."""
    whole = reply({"embedding": [0.5]}, {"embedding": [1.5], "index": 1})
    assert [vectors.vector_of(one)[0] for one in vectors.taken_apart(whole, 2)] == [0.5, 1.5]


@pytest.mark.parametrize(
    "items",
    [
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 1, "embedding": [1.0]}, {"embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": -1, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": "1", "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, None]}],
        [{"index": 0, "embedding": [1.0]}, None],
    ],
    ids=repr,
)
def test_a_reply_without_one_vector_for_each_text_is_none(items):
    with pytest.raises(ValueError, match="vector"):
        vectors.taken_apart(reply(*items), 2)


# A client.


async def embed(texts, service=None, path="/v1/embeddings", asked=NO_LIMIT, **more):
    """What comes of *texts*, and the ledger of the endpoint that was asked."""
    async with (
        local_endpoint.serving(Settings(**service or {})) as served,
        AsyncClient(request_url=served.url + path, api_key="k", **asked) as client,
    ):
        return await client.embed(texts, model=MODEL, dimensions=8, **more), served.ledger


async def test_vectors_are_in_the_order_of_the_texts_and_those_of_single_requests():
    texts = [f"note {at}" for at in range(150)]
    one_by_one, ledger = await embed(texts, inputs_per_request=1)
    assert ledger.answered == 150
    packed, ledger = await embed(texts)
    assert ledger.answered == 5
    assert packed.vectors.dtype == np.float32
    assert packed.vectors.shape == (150, 8)
    assert (packed.vectors == one_by_one.vectors).all()
    assert (packed[-1] == packed.vectors[149]).all()
    assert packed.usage == one_by_one.usage == Usage(ledger.prompt_tokens)


async def test_a_bad_text_has_a_failure_and_the_others_their_vectors():
    texts = ["a", "", "b", "tide " * 300, None, "c"]
    embedded, _ = await embed(texts, {"context_length": 100})

    assert not embedded.ok
    assert len(embedded) == 6
    assert {at: one.kind for at, one in embedded.failures.items()} == dict.fromkeys(
        [1, 3, 4], Kind.BAD_REQUEST
    )
    assert [embedded.failures[at].sent for at in (1, 3, 4)] == [False, True, False]
    assert embedded.answered == [0, 2, 5]
    assert embedded.answered_vectors.shape == (3, 8)
    assert (embedded[5] == embedded.answered_vectors[2]).all()
    assert np.isclose(np.linalg.norm(embedded.answered_vectors, axis=1), 1.0).all()


async def test_asking_for_a_vector_that_is_not_there_raises_what_went_wrong():
    embedded, _ = await embed(["a", ""])
    with pytest.raises(RequestFailed, match="nothing to embed"):
        embedded[1]
    with pytest.raises(RequestFailed, match="nothing to embed"):
        _ = embedded.vectors
    with pytest.raises(IndexError):
        embedded[2]


async def test_without_numpy_vectors_are_arrays_of_floats(monkeypatch):
    with_numpy, _ = await embed(["a", "b"])
    monkeypatch.setitem(sys.modules, "numpy", None)
    without, _ = await embed(["a", "b"])
    assert without.vectors == [array("f", one) for one in with_numpy.vectors]
    assert without[1] == without.vectors[1]


async def test_texts_may_come_from_anywhere():
    async def arriving():
        for text in "abc":
            yield text

    of_list, _ = await embed(["a", "b", "c"])
    for texts in (iter("abc"), arriving(), dict.fromkeys("abc")):
        if isinstance(texts, dict):
            texts = texts.keys()
        embedded, _ = await embed(texts)
        assert (embedded.vectors == of_list.vectors).all()


async def test_no_texts_have_no_vectors():
    embedded, ledger = await embed([])
    assert (len(embedded), embedded.ok, len(embedded.vectors), ledger.requests) == (0, True, 0, 0)


@pytest.mark.parametrize("path", ["", "/v1/chat/completions"])
async def test_a_client_of_any_of_its_urls_embeds(path):
    embedded, _ = await embed(["a"], path=path)
    assert embedded.ok


async def test_vectors_are_asked_for_as_base64_where_the_service_has_it():
    asked = {**NO_LIMIT, "provider": "vllm"}
    plain, _ = await embed(["a", "b"])
    packed, _ = await embed(["a", "b"], path="/v1", asked=asked)
    assert np.allclose(packed.vectors, plain.vectors, atol=1e-8)


async def test_a_key_that_is_refused_is_every_text_s_failure_and_few_are_sent():
    texts = [f"note {at}" for at in range(2_000)]
    embedded, ledger = await embed(texts, {"key": "another"})
    assert {one.kind for one in embedded.failures.values()} == {Kind.AUTH}
    assert len(embedded.failures) == 2_000
    assert ledger.requests < 40


async def test_at_a_deadline_what_is_not_there_has_a_failure():
    texts = [f"note {at}" for at in range(100)]
    embedded, _ = await embed(texts, {"latency": 30.0}, batch_deadline=0.2)
    assert len(embedded) == len(embedded.failures) == 100
    assert "deadline" in embedded.failures[0].message


async def test_requests_for_speed_are_refused_and_no_text_is_lost():
    service = {"max_requests_per_minute": 600, "limiter": "per_second"}
    embedded, ledger = await embed([f"{at}" for at in range(60)], service, inputs_per_request=4)
    assert embedded.ok
    assert ledger.answered == 15


@pytest.mark.parametrize("texts", ["one text", b"bytes", {"a": "b"}, 5])
async def test_one_text_is_not_taken_for_many(texts):
    with pytest.raises(BadInput, match=r"write \[text\]"):
        await embed(texts)


@pytest.mark.parametrize("caps", [{"inputs_per_request": 0}, {"tokens_per_request": "x"}])
async def test_caps_that_make_no_sense_are_refused(caps):
    with pytest.raises(BadInput, match=next(iter(caps))):
        await embed(["a"], **caps)


@pytest.mark.parametrize(
    ("provider", "path", "most"),
    [
        ("aliyun", "/v1", 10),
        ("siliconflow", "/v1", 32),
        ("google_openai", "/v1", 100),
        ("openai", "/v1", 256),
        ("lab_gateway", "/gpt", 32),
        ("ollama", "/v1", 32),
    ],
)
async def test_no_request_holds_more_texts_than_its_service_takes(provider, path, most):
    """Each text is one token, by which the ledger tells how many there were."""
    asked = {**NO_LIMIT, "provider": provider}
    embedded, ledger = await embed(["a"] * 600, path=path, asked=asked)
    assert embedded.ok
    assert max(entry.prompt_tokens for entry in ledger.entries) == most


async def test_the_user_s_cap_on_tokens_is_kept():
    _, ledger = await embed(["one two three four five"] * 20, tokens_per_request=12)
    assert max(entry.prompt_tokens for entry in ledger.entries) <= 12
    assert ledger.requests == 10


async def test_every_text_that_was_asked_is_in_the_tally_once():
    async with (
        local_endpoint.serving() as served,
        AsyncClient(request_url=served.url, **NO_LIMIT) as client,
    ):
        await client.embed(["a", "b", ""], model=MODEL)
        assert (client.tally.succeeded, client.tally.failed) == (2, 0)


def test_the_blocking_client_has_it_too():
    with endpoint() as served, Client(request_url=served.url, **NO_LIMIT) as client:
        embedded = client.embed((text for text in ["a", "", "b"]), model=MODEL, dimensions=8)
        assert embedded.answered == [0, 2]
        with pytest.raises(BadInput, match="AsyncClient"):
            client.embed(_never(), model=MODEL)


async def _never():
    for text in ():
        yield text
