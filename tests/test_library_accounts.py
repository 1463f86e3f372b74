"""All clients of a process that talk to one account share its limits."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from threaded import body, endpoint, service

from api_request_parallel_processor import AsyncClient, Client
from request_engine.errors import BadInput


@pytest.fixture
def served():
    with service() as one:
        yield one


def asks(url, **more):
    given = {"request_url": url + "/v1/chat/completions", "api_key": "sk-x"}
    return given | {"max_tokens_per_minute": None} | more


def chat(number):
    message = {"role": "user", "content": f"number {number}"}
    return {"model": "m", "messages": [message], "max_tokens": 5}


def test_P8_several_clients_together_stay_below_a_services_limit_of_what_is_in_flight():
    """It refuses whatever is beyond: nothing is refused, and all the room there is was used."""

    def ask(number):
        with Client(**asks(it.url, max_concurrent_requests=3)) as client:
            return client.gather([chat(n) for n in range(8)])

    with endpoint(max_concurrent=3, latency=0.02) as it, ThreadPoolExecutor(4) as threads:
        with Client(**asks(it.url, max_concurrent_requests=3)):
            found = list(itertools.chain(*threads.map(ask, range(4))))
        counts = it.ledger.counts()
    assert all(one.ok for one in found)
    assert len(found) == 32
    assert counts["billed"] == 32
    assert sum(one.refusal is not None for one in it.ledger.entries) == 0


LIMIT = {"max_requests_per_minute": 600}
"""Of which 100 may come at once."""
A_LITTLE_MORE = {"max_requests_per_minute": 660, "limiter": "token_bucket", "burst": 10}
"""What a service lets in that is not so strict as to count how long a request travelled."""


def test_P8_several_clients_together_stay_below_a_limit_of_requests():
    def ask(client):
        return client.gather([chat(n) for n in range(58)])

    with (
        endpoint(**A_LITTLE_MORE) as it,
        Client(**asks(it.url, **LIMIT)) as one,
        Client(**asks(it.url, **LIMIT)) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        found = list(itertools.chain(*threads.map(ask, (one, other))))
        refused = sum(one.refusal is not None for one in it.ledger.entries)
    assert all(one.ok for one in found)
    assert refused == 0


def test_P8_a_limit_holds_on_when_a_client_is_closed_and_the_next_one_opened():
    with endpoint(**A_LITTLE_MORE) as it:
        for _ in range(2):
            with Client(**asks(it.url, **LIMIT)) as client:
                assert all(one.ok for one in client.gather(chat(n) for n in range(58)))
        assert not any(one.refusal for one in it.ledger.entries)


@pytest.mark.parametrize(
    "other",
    [
        {"max_requests_per_minute": 61},
        {"max_requests_per_minute": None},
        {"max_requests_per_minute": 60, "max_tokens_per_minute": 5},
        {"max_requests_per_minute": 60, "max_concurrent_requests": 7},
    ],
)
def test_another_client_of_the_account_with_other_limits_is_told(served, other):
    with Client(**served.asks | {"max_requests_per_minute": 60}) as client:
        with pytest.raises(BadInput, match="other limits"), Client(**served.asks | other):
            pass
        assert client.ask(body()).ok
    with Client(**served.asks | other) as client:
        assert client.ask(body()).ok


async def test_both_faces_share(served):
    limits = {"max_concurrent_requests": 2}
    with Client(**served.asks, **limits) as client:
        served.hold()
        async with AsyncClient(**served.asks, **limits) as other:
            handles = client.submit([body(n) for n in range(9)]), other.submit([body()] * 9)
            await asyncio.to_thread(served.wait, lambda it: len(it.pending) == 2)
            served.let()
            await handles[1].results()
            handles[0].results()
            assert client._session.targets.budgets == other._session.targets.budgets
    assert served.most_in_flight == 2


def test_another_key_is_another_account(served):
    with (
        Client(**served.asks | {"api_key": "sk-y", "max_requests_per_minute": 60}) as one,
        Client(**served.asks | {"max_requests_per_minute": 61}) as other,
    ):
        assert one.ask(body()).ok
        assert other.ask(body()).ok


def test_requests_of_several_callers_take_turns(served):
    """A small question is not kept waiting until a large batch is through."""
    with Client(**served.asks, max_concurrent_requests=1) as client:
        served.hold()
        handle = client.submit([body(n) for n in range(200)])
        served.wait(lambda it: it.pending)
        small = client.submit([body(1_000)])
        served.let()
        small.results()
        assert served.asked.index(1_000) < 20
        assert all(one.ok for one in handle.results())
