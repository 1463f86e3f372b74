"""Requests are measured as their provider says, the first of them by a guess."""

import asyncio
import json
import weakref
from pathlib import Path

import pytest
from scripted import URL, request
from virtual_time import run

from providers import PROVIDERS
from request_engine import encodings
from request_engine.address import Address
from request_engine.counting import MOST_TOKENS, Counter
from request_engine.lines import read_line
from request_engine.records import Request
from request_engine.token_counts import TokenCounts

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.jsonl"))
OTHER = PROVIDERS[-1]


def counter(provider=OTHER, name=None, count=encodings.token_counts):
    address = Address(provider, URL, base_allowed=False)
    return Counter(provider, address, name, TokenCounts(count))


def measured(*batches, **settings):
    """The sizes of each batch."""

    async def scenario():
        counts = counter(**settings)
        try:
            return [await counts.measure(batch) for batch in batches]
        finally:
            await counts.close()

    return run(scenario())


def prompt(asked, provider=OTHER, name="o200k_base"):
    endpoint = Address(provider, URL, base_allowed=False).endpoint(asked)
    return provider.prompt_tokens(asked.body, endpoint, encodings.encoder(name))


def examples():
    for path in EXAMPLES:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if isinstance(item := read_line(number, line), Request):
                yield item


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_a_batch_is_counted_as_one_by_one(provider):
    """What a provider counts is a sum over texts, whatever shape a body has."""
    asked = list(examples())
    _, sizes = measured([request()], asked, provider=provider, name="cl100k_base")
    assert [size.prompt for size in sizes] == [
        prompt(one, provider, "cl100k_base") for one in asked
    ]


def test_each_model_is_counted_with_its_own_encoding():
    text = "不以物喜,不以己悲"
    asked = [
        Request(1, {"model": model, "messages": [{"role": "user", "content": text}]}, b"")
        for model in ("gpt-4", "gpt-4o", None)
    ]
    _, sizes = measured([request()], asked)
    names = ["cl100k_base", "o200k_base", "o200k_base"]
    assert [size.prompt for size in sizes] == [
        prompt(one, name=name) for one, name in zip(asked, names, strict=True)
    ]
    assert [size.model for size in sizes] == ["gpt-4", "gpt-4o", ""]


def test_the_first_batch_is_estimated_and_rather_too_high():
    """It waits for no encoding; the same requests are counted when they come again."""
    asked = [request(number, "a very ordinary question " * number) for number in range(1, 9)]
    guessed, counted = measured(asked, asked)
    assert [size.prompt for size in counted] == [prompt(one) for one in asked]
    for guess, size in zip(guessed, counted, strict=True):
        assert size.prompt <= guess.prompt <= 3 * size.prompt


def test_the_first_batch_is_measured_at_once_and_an_encoding_is_built_after_a_head_start():
    """0.1 s, so that the first requests are on the wire before."""

    async def scenario():
        now = asyncio.get_running_loop().time
        counts, times = counter(), []
        for _ in range(3):
            await counts.measure([request()])
            times.append(now())
        await counts.close()
        return times

    assert run(scenario()) == pytest.approx([0.0, 0.1, 0.1])


def test_what_was_counted_before_is_not_counted_again():
    """Roles and system prompts are the same on every line."""
    asked = [request(1, "the same"), request(2, "the same"), request(3, "another")]
    seen = []

    def count(name, texts):
        seen.extend(texts)
        return [1] * len(texts)

    _, first, second = measured([request()], asked, asked, count=count)
    assert sorted(seen) == ["another", "the same", "user"]
    assert first == second


def test_P7_texts_are_forgotten():
    """About a million characters are remembered, however long the file is."""
    held = []

    def count(name, texts):
        held.extend(map(weakref.ref, texts))
        return [1] * len(texts)

    class Text(str):
        """One that can be watched."""

    async def scenario():
        counts, most = counter(count=count), 0
        for number in range(1, 20):
            content = Text(f"{number % 10}" * 100_000)
            await counts.measure(
                [Request(number, {"prompt": content, "messages": [{"role": content}]}, b"")]
            )
            del content
            most = max(most, sum(one() is not None for one in held))
        await counts.close()
        return most

    assert run(scenario()) <= 11


def test_a_request_is_never_thought_to_take_more_than_a_billion_tokens():
    body = {"model": "m", "messages": [], "max_tokens": 10**30}
    ((size,),) = measured([Request(1, body, json.dumps(body).encode())])
    assert size.ceiling == MOST_TOKENS
