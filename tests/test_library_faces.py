"""One outcome for every request in memory, in the order that is wanted, whoever waits for it."""

import asyncio
import itertools
import time
from contextlib import aclosing

import pytest
from threaded import LONG, body, service

from api_request_parallel_processor import AsyncClient, Client
from request_engine.asking import AHEAD
from request_engine.bodies import request_of
from request_engine.errors import BadInput
from request_engine.records import Kind


class Blocking:
    """A client that blocks, used from a thread."""

    def __init__(self, **asks):
        self.client = Client(**asks)

    def __enter__(self):
        self.client.open()
        return self

    def __exit__(self, *error):
        self.client.close()

    def gather(self, *given, **more):
        return self.client.gather(*given, **more)

    def in_order(self, *given, **more):
        return list(self.client.in_order(*given, **more))

    def as_completed(self, *given, **more):
        return list(self.client.as_completed(*given, **more))

    def some(self, count, *given, **more):
        """Take *count* results and no more."""
        results = self.client.as_completed(*given, **more)
        taken = list(itertools.islice(results, count))
        results.close()
        return taken


class Looping:
    """An async client, on a loop that runs only while it is used."""

    def __init__(self, **asks):
        self.client = AsyncClient(**asks)
        self.runner = asyncio.Runner()

    def __enter__(self):
        self.runner.run(self.client.open())
        return self

    def __exit__(self, *error):
        self.runner.run(self.client.close())
        self.runner.close()

    def gather(self, *given, **more):
        return self.runner.run(self.client.gather(*given, **more))

    def in_order(self, *given, **more):
        return self.runner.run(listed(self.client.in_order(*given, **more), None))

    def as_completed(self, *given, **more):
        return self.runner.run(listed(self.client.as_completed(*given, **more), None))

    def some(self, count, *given, **more):
        return self.runner.run(listed(self.client.as_completed(*given, **more), count))


async def listed(results, count):
    taken = []
    async with aclosing(results):
        async for result in results:
            taken.append(result)
            if len(taken) == count:
                break
    return taken


def number(result):
    """What the service answered."""
    return int(result.text)


@pytest.fixture
def served():
    with service() as one:
        yield one


@pytest.fixture(params=[Blocking, Looping])
def face(request, served):
    with request.param(**served.asks) as one:
        yield one


@pytest.mark.parametrize("way", ["gather", "in_order", "as_completed"])
def test_every_request_has_one_outcome(face, served, way):
    bodies = [body(n) for n in range(300)]
    results = getattr(face, way)(bodies)

    assert [one.index for one in sorted(results, key=lambda one: one.index)] == list(range(300))
    assert all(one.ok and number(one) == one.index == one.body["n"] for one in results)
    if way != "as_completed":
        assert [one.index for one in results] == list(range(300))
    assert sorted(served.asked) == list(range(300))
    assert face.client.tally.succeeded == 300


def test_what_is_no_request_costs_itself_alone(face):
    bad = {"model": object()}
    results = face.gather([body(0), bad, 7, body(3), {"n": float("nan")}])

    assert [one.ok for one in results] == [True, False, False, True, False]
    assert {one.failure.kind for one in results if not one.ok} == {Kind.BAD_REQUEST}
    assert results[1].body is bad
    assert not any(one.failure.sent for one in results if not one.ok)


def test_metadata_is_not_sent_and_stays_with_the_result(face):
    """As in files: the bytes that go out do not have it."""
    asked = body(3) | {"metadata": {"id": "a"}}
    (result,) = face.gather([asked])
    assert result.body["metadata"] == {"id": "a"}
    assert request_of(0, asked).raw_body == request_of(0, body(3)).raw_body


def test_a_provider_that_cannot_measure_costs_no_outcome(served, tmp_path):
    """One of the user's own may be at fault: every request has its outcome all the same."""
    own = tmp_path / "own.py"
    own.write_text(
        "from api_request_parallel_processor import OpenAICompatible\n"
        "class Faulty(OpenAICompatible):\n"
        "    name = 'faulty'\n"
        "    def prompt_tokens(self, body, endpoint, encode):\n"
        "        raise ZeroDivisionError('measuring')\n"
    )
    asks = served.asks | {"provider": f"{own}:Faulty", "max_tokens_per_minute": 100}
    with Client(**asks) as client:
        results = client.gather([body(n) for n in range(3)])
    assert ["measuring" in one.failure.message for one in results] == [True] * 3


def test_of_nothing_there_are_no_results(face):
    assert face.gather([]) == face.in_order([]) == face.as_completed(iter(())) == []


def test_what_the_bodies_raise_comes_after_the_results_of_those_before(face, served):
    def bodies():
        yield from (body(n) for n in range(3))
        raise ZeroDivisionError("in the user's generator")

    with pytest.raises(ZeroDivisionError, match="in the user's"):
        face.as_completed(bodies())
    assert sorted(served.asked) == [0, 1, 2]


def test_P7_bodies_are_taken_a_bounded_number_ahead_of_slow_consumers(face):
    taken = itertools.count()
    some = face.some(5, (body(next(taken)) for _ in itertools.count()))

    assert len(some) == 5
    assert 5 <= next(taken) <= AHEAD + 5


def test_leaving_early_gives_up_what_is_in_flight_and_its_place_in_the_budget(face, served):
    served.hold()
    served.let(1)
    [first] = face.some(1, (body(n) for n in range(8)))
    assert first.ok
    served.wait(lambda it: it.given_up == len(it.asked) - 1)
    served.let()
    assert all(one.ok for one in face.gather([body(9)] * 30))
    [budget] = face.client._session.targets.budgets
    assert (budget.in_flight, budget.waiting) == (0, 0)


def test_no_more_are_under_way_than_the_concurrency_allows(face, served):
    face.gather([body(n) for n in range(40)], concurrency=3)
    assert served.most_in_flight <= 3
    assert len(served.asked) == 40


def test_the_deadline_of_each_runs_from_its_turn_on(face, served):
    """One that is not answered costs its own deadline, and the next one has all of its own."""
    served.hold()
    started = time.monotonic()
    results = face.gather([body(n) for n in range(3)], concurrency=1, deadline=0.1)

    assert 0.3 <= time.monotonic() - started < 3
    assert all("deadline of 0.1 s" in one.failure.message for one in results)
    assert all(one.failure.timed_out and one.failure.sent for one in results)


def test_at_the_batch_deadline_every_request_has_its_outcome(face, served):
    served.hold()
    served.let(2)
    results = face.gather([body(n) for n in range(30)], batch_deadline=0.3, concurrency=4)

    assert [one.index for one in results] == list(range(30))
    assert sum(one.ok for one in results) == 2
    late = [one.failure for one in results if not one.ok]
    assert all("batch's deadline of 0.3 s" in one.message for one in late)
    assert sum(one.sent for one in late) == 4


@pytest.mark.parametrize("one", [body(), "text", b"bytes"])
def test_one_request_in_the_place_of_many_is_told(face, one):
    with pytest.raises(BadInput, match="one request"):
        face.gather(one)


@pytest.mark.parametrize("terms", [{"concurrency": 0}, {"deadline": -1}, {"batch_deadline": "x"}])
def test_terms_that_make_no_sense_are_told_at_once(face, terms):
    with pytest.raises(BadInput, match=next(iter(terms))):
        face.gather([body()], **terms)


def test_an_async_iterable_is_taken_as_it_comes(served):
    async def bodies():
        for n in range(200):
            yield body(n)
            if n == 50:
                await asyncio.sleep(0.01)

    with Looping(**served.asks) as face:
        assert [number(one) for one in face.in_order(bodies())] == list(range(200))


async def test_what_is_no_request_is_told_while_an_async_iterable_has_no_more(served):
    async def bodies():
        yield {"n": object()}
        await asyncio.Event().wait()

    async with AsyncClient(**served.asks) as client:
        results = client.as_completed(bodies())
        async with asyncio.timeout(LONG):
            assert not (await anext(results)).ok
        await results.aclose()


def test_what_an_async_iterable_raises_comes_after_the_results_of_those_before(served):
    async def bodies():
        yield body(1)
        raise ZeroDivisionError

    with Looping(**served.asks) as face, pytest.raises(ZeroDivisionError):
        face.gather(bodies())
    assert served.asked == [1]


def test_an_async_iterable_is_not_for_the_blocking_face(served):
    async def bodies():
        yield body()

    given = bodies()
    with Client(**served.asks) as client, pytest.raises(BadInput, match="use AsyncClient"):
        client.gather(given)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_client_that_is_not_open_says_so(make, served):
    with pytest.raises(RuntimeError, match="not open"):
        make(**served.asks).as_completed([body()])


def test_what_is_left_when_the_client_is_closed_fails_and_nobody_hangs(served):
    served.hold()
    with Client(**served.asks) as client:
        results = client.as_completed(body(n) for n in itertools.count())
        served.let(1)
        assert next(results).ok
    with pytest.raises(RuntimeError, match="closed"):
        list(itertools.islice(results, 2 * AHEAD))


async def test_cancelling_a_task_that_asks_gives_up_its_request(served):
    served.hold()
    async with AsyncClient(**served.asks) as client:
        asking = asyncio.create_task(client.ask(body()))
        await asyncio.to_thread(served.wait, lambda it: it.pending)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.to_thread(served.wait, lambda it: it.given_up == 1)
        [budget] = client._session.targets.budgets
        assert budget.in_flight == 0
        assert client.tally.abandoned == 1


async def test_an_exception_in_the_body_of_async_with_passes_and_all_is_closed(served):
    served.hold()
    client = AsyncClient(**served.asks)
    results = client_used = None

    async def use():
        nonlocal results, client_used
        async with client as client_used:
            results = client.as_completed([body(n) for n in range(4)])
            served.let(1)
            await anext(results)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use()
    assert client_used is client
    assert repr(client) == "<AsyncClient not open>"
    served.wait(lambda it: it.given_up == len(it.asked) - 1)
    await results.aclose()


async def test_breaking_out_of_async_for_leaves_nothing_behind(served):
    served.hold()
    served.let(1)
    async with AsyncClient(**served.asks) as client:
        async for result in client.as_completed(body(n) for n in range(16)):
            assert result.ok
            break
        await asyncio.to_thread(served.wait, lambda it: it.given_up == len(it.asked) - 1)
