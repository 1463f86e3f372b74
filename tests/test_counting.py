"""Requests are measured as their provider says, by a guess until an encoding is built."""

import asyncio
import json
import random
import weakref
from collections import deque
from pathlib import Path

import pytest
from scripted import URL, request
from virtual_time import run

import api_request_parallel_processor as door
from providers import PROVIDERS
from request_engine import encodings, gate
from request_engine.address import Address
from request_engine.budget import Budget
from request_engine.counting import MOST_TOKENS, PATIENCE, Counter
from request_engine.lines import read_line
from request_engine.local_endpoint import serving
from request_engine.records import Request, Usage
from request_engine.token_counts import TokenCounts

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.jsonl"))
OTHER = PROVIDERS[-1]
BEFORE = [request()], [request()]
"""Batches after which there is an encoding."""


def counter(provider=OTHER, name=None, count=encodings.token_counts, is_far=lambda tokens: False):
    address = Address(provider, URL, base_allowed=False)
    return Counter(provider, address, name, TokenCounts(count), is_far=is_far)


def measured(*batches, **settings):
    """The sizes of each batch, which takes a second to be sent."""

    async def scenario():
        counts, sizes = counter(**settings), []
        for batch in batches:
            sizes.append(await counts.measure(batch))
            await asyncio.sleep(1.0)
        await counts.close()
        return sizes

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
    *_, sizes = measured(*BEFORE, asked, provider=provider, name="cl100k_base")
    assert [size.prompt for size in sizes] == [
        prompt(one, provider, "cl100k_base") for one in asked
    ]


def test_each_model_is_counted_with_its_own_encoding():
    text = "不以物喜,不以己悲"
    asked = [
        Request(1, {"model": model, "messages": [{"role": "user", "content": text}]}, b"")
        for model in ("gpt-4", "gpt-4o", None)
    ]
    *_, sizes = measured(*BEFORE, asked)
    names = ["cl100k_base", "o200k_base", "o200k_base"]
    assert [size.prompt for size in sizes] == [
        prompt(one, name=name) for one, name in zip(asked, names, strict=True)
    ]
    assert [size.model for size in sizes] == ["gpt-4", "gpt-4o", ""]


def test_what_does_not_wait_for_an_encoding_is_estimated_and_rather_too_high():
    """The same requests are counted when they come again."""
    asked = [request(number, "a very ordinary question " * number) for number in range(1, 9)]
    guessed, guessed_again, counted = measured(asked, asked, asked)
    assert guessed == guessed_again
    assert [size.prompt for size in counted] == [prompt(one) for one in asked]
    for guess, size in zip(guessed, counted, strict=True):
        assert size.prompt <= guess.prompt <= 3 * size.prompt


def test_no_batch_waits_for_an_encoding_and_one_batch_alone_does_not_build_it():
    """It is built after a head start of 0.1 s, for the first requests to be on the wire."""
    built = []

    def count(name, texts):
        built.append(asyncio.get_running_loop().time())
        return [1] * len(texts)

    async def scenario():
        now = asyncio.get_running_loop().time
        counts, times, sizes = counter(count=count), [], []
        await asyncio.sleep(5.0)
        for wait in (9.0, 0.05, 0.1, 0.0):
            sizes += await counts.measure([request(text=f"asked at {now()}")])
            times.append(now())
            await asyncio.sleep(wait)
        await counts.close()
        return times, [size.guessed for size in sizes]

    times, guessed = run(scenario())
    assert times == pytest.approx([5.0, 14.0, 14.05, 14.15])
    assert guessed == [True, True, True, False]
    assert built == pytest.approx([14.1, 14.15])


def test_P8_an_encoding_that_takes_long_to_build_is_waited_for():
    """Else guesses, a third of the truth at worst, would stand for more than a limit's minute."""

    class Slow(TokenCounts):
        async def of(self, name, texts):
            await asyncio.sleep(40.0 if self.first else 0.0)
            self.first = False
            return [1] * len(texts)

        first = True

    async def scenario():
        now = asyncio.get_running_loop().time
        counts = Counter(OTHER, Address(OTHER, URL, base_allowed=False), None, Slow())
        seen = []
        for _ in range(9):
            (size,) = await counts.measure([request()])
            seen.append((now(), size.guessed))
            await asyncio.sleep(1.0)
        await counts.close()
        return seen

    seen = run(scenario())
    began = seen[1][0]
    assert max(time for time, guessed in seen if guessed) < began + PATIENCE
    assert min(time for time, guessed in seen if not guessed) == began + 40.0


def test_what_is_being_built_is_not_left_behind():
    async def scenario():
        counts = counter()
        for _ in BEFORE:
            await counts.measure([request()])
        await counts.close()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert run(scenario()) == set()


def test_nothing_is_counted_while_every_limit_is_far_off():
    """Up to 1,000 tokens are far off here; what is guessed says so."""
    counted = []

    def count(name, texts):
        counted.extend(texts)
        return [1] * len(texts)

    def far(tokens):
        return tokens <= 1_000

    few, many = [request(1, "few")], [request(2, "many " * 1_000)]
    sizes = measured(few, few, many, few, many, many, few, count=count, is_far=far)
    guessed = [size.guessed for (size,) in sizes]
    # The first two of many begin the building of an encoding, and do not wait for it.
    assert guessed == [True, True, True, True, True, False, True]
    assert sorted(counted) == ["many " * 1_000, "user"]


def test_far_from_every_limit_the_bytes_of_a_body_are_its_guess():
    batch = [request(1, "何谓潮汐?"), request(2, "What is a tide?")]
    (sizes,) = measured(batch, is_far=lambda tokens: True)
    assert [size.prompt for size in sizes] == [-(-len(one.raw_body) // 3) for one in batch]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_P8_no_body_has_more_than_three_times_as_many_tokens_as_are_guessed(provider):
    """Whatever its shape, by the rules of every provider."""
    asked = list(examples())
    (sizes,) = measured(asked, provider=provider, is_far=lambda tokens: True)
    assert all(size.guessed for size in sizes)
    for one, size in zip(asked, sizes, strict=True):
        assert prompt(one, provider) <= 3 * size.prompt, one.raw_body


def test_what_costs_more_than_its_bytes_is_guessed_by_the_rules():
    """A link to an image is short, and the image is not."""
    image = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": [image]}]}
    asked = Request(1, body, json.dumps(body).encode())
    ((guess,),) = measured([asked], is_far=lambda tokens: True)
    assert guess.guessed
    assert prompt(asked) <= guess.prompt <= prompt(asked) + 1
    assert guess.prompt > 3 * len(asked.raw_body)


def test_an_encoding_that_is_named_always_counts():
    batch = [request(1, "few")]
    *_, (size,) = measured(*BEFORE, batch, name="cl100k_base", is_far=lambda tokens: True)
    assert (size.guessed, size.prompt) == (False, prompt(batch[0], name="cl100k_base"))


@pytest.mark.parametrize("seed", range(5))
def test_P8_a_limit_holds_where_every_byte_is_a_token(seed):
    """The worst that a guess can be is a third of the truth; a batch is measured ahead, as runs do.

    Some batches alone are more than what is far off, and most are not.
    """
    limit, admitted, guessed = 60_000, [], set()
    draw = random.Random(seed)

    async def scenario():
        loop = asyncio.get_running_loop()
        budget = Budget(requests_per_minute=None, tokens_per_minute=limit, max_concurrent=1_000)
        counts = counter(count=lambda name, texts: list(map(len, texts)), is_far=budget.is_far)

        async def batch():
            texts = ["#" * draw.randint(1, 300) for _ in range(draw.choice([2, 8, 64]))]
            sizes = await counts.measure([request(1, text) for text in texts])
            beside = len("user") + 6  # what a message takes beside its text
            return [(size, len(text) + beside) for size, text in zip(sizes, texts, strict=True)]

        async def answered(reservation, tokens):
            await asyncio.sleep(draw.uniform(0.5, 20.0))
            budget.answered(reservation, Usage(tokens))
            budget.settle(reservation, Usage(tokens), admitted=True)

        async with asyncio.TaskGroup() as tasks:
            ahead = await batch()
            for _ in range(200):
                now, ahead = ahead, await batch()
                for size, tokens in now:
                    reservation = await budget.acquire(size)
                    admitted.append((loop.time(), tokens))
                    guessed.add(size.guessed)
                    tasks.create_task(answered(reservation, tokens))
                if draw.random() < 0.1:  # until the limit is far off again
                    await asyncio.sleep(100.0)
        await counts.close()

    run(scenario())
    window, total, most = deque(), 0, 0
    for time, tokens in admitted:
        window.append((time, tokens))
        total += tokens
        while window[0][0] <= time - 60.0:
            total -= window.popleft()[1]
        most = max(most, total)
    assert guessed == {True, False}
    assert 0.5 * limit < most <= limit


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ({}, set()),
        ({"max_tokens_per_minute": 10**9}, set()),
        ({"max_tokens_per_minute": 10**6}, {"o200k_base"}),
        ({"max_tokens_per_minute": 10**9, "token_encoding_name": "r50k_base"}, {"r50k_base"}),
    ],
    ids=["no limit known", "a limit far off", "a limit near", "named"],
)
async def test_a_job_counts_where_a_limit_is_near(tmp_path, monkeypatch, given, counted):
    """300 requests of 21 tokens. A thousandth of a limit is near here, so that nothing waits."""
    monkeypatch.setattr(gate, "_FAR", 0.001)
    names = set()

    async def of(self, name, texts):
        names.add(name)
        return [4] * len(texts)

    monkeypatch.setattr(TokenCounts, "of", of)
    asked = [{"role": "user", "content": "What is a tide?"}]
    body = {"model": "m", "messages": asked, "max_tokens": 10}
    path = tmp_path / "in.jsonl"
    path.write_text(300 * f"{json.dumps(body)}\n", encoding="utf-8")
    async with serving() as endpoint:
        url = f"{endpoint.url}/v1/chat/completions"
        summary = await door.process_api_requests_from_file(str(path), request_url=url, **given)
    assert (summary.tally.succeeded, names) == (300, counted)


def test_what_was_counted_before_is_not_counted_again():
    """Roles and system prompts are the same on every line."""
    asked = [request(1, "the same"), request(2, "the same"), request(3, "another")]
    seen = []

    def count(name, texts):
        seen.extend(texts)
        return [1] * len(texts)

    *_, first, second = measured(*BEFORE, asked, asked, count=count)
    assert sorted(seen) == ["another", "hi", "the same", "user"]
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
