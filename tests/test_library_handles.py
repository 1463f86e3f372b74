"""Handed over now, collected later: requests go on while nobody looks, and end when they should."""

import asyncio
import gc
import pickle
import time

import pytest
from threaded import body, service

from api_request_parallel_processor import AsyncClient, Client
from request_engine.asking import AHEAD
from request_engine.errors import BadInput


@pytest.fixture
def served():
    with service() as one:
        yield one


@pytest.fixture
def client(served):
    with Client(**served.asks) as one:
        yield one


def test_requests_are_asked_without_any_further_call(client, served):
    """What a training step needs: it submits, and does something else."""
    served.hold()
    started = time.monotonic()
    handle = client.submit([body(n) for n in range(20)])
    assert time.monotonic() - started < 1
    assert (handle.done, handle.finished, len(handle)) == (False, 0, 20)
    served.let()
    served.wait(lambda it: len(it.asked) == 20 and not it.pending)

    results = handle.results()
    assert handle.done
    assert [one.text for one in results] == [str(n) for n in range(20)]
    assert handle.results() == results


def test_poll_tells_every_result_once_and_does_not_wait(client, served):
    served.hold()
    handle = client.submit([body(n) for n in range(5)])
    assert handle.poll() == []
    served.let(2)
    polled = []
    while len(polled) < 2:
        polled += handle.poll()
    assert handle.finished == 2
    served.let()
    handle.results()
    polled += handle.poll()
    assert sorted(one.index for one in polled) == [0, 1, 2, 3, 4]
    assert handle.poll() == []


def test_at_the_deadline_what_is_not_answered_fails_and_is_given_up(client, served):
    served.hold()
    served.let(3)
    handle = client.submit([body(n) for n in range(10)])
    started = time.monotonic()
    results = handle.results(0.3)

    assert 0.3 <= time.monotonic() - started < 3
    assert handle.done
    assert sum(one.ok for one in results) == 3
    late = [one.failure.message for one in results if not one.ok]
    assert late == ["no answer within the deadline of 0.3 s"] * 7
    served.wait(lambda it: it.given_up == 7)


def test_a_deadline_of_nothing_takes_what_is_there(client, served):
    served.hold()
    assert not any(one.ok for one in client.submit([body()] * 3).results(0))


def test_a_later_deadline_does_not_wait_when_all_is_there(client):
    assert all(one.ok for one in client.submit([body()] * 3).results(1_000_000))


def test_a_cancelled_handle_has_a_failure_for_what_was_not_answered(client, served):
    served.hold()
    served.let(1)
    handle = client.submit([body(n) for n in range(6)])
    served.wait(lambda it: len(it.asked) == 6)
    while not handle.finished:
        time.sleep(0.001)
    handle.cancel()
    results = handle.results()

    assert sum(one.ok for one in results) == 1
    assert {one.failure.message for one in results if not one.ok} == {
        "given up before there was an answer"
    }
    handle.cancel()
    assert handle.results() == results


def test_the_deadlines_of_each_and_of_all_and_the_concurrency_are_kept(client, served):
    served.hold()
    one = client.submit([body()], deadline=0.1).results()
    assert "deadline of 0.1 s" in one[0].failure.message
    every = client.submit([body(n) for n in range(9)], batch_deadline=0.1, concurrency=2).results()
    assert all("batch's deadline of 0.1 s" in one.failure.message for one in every)
    assert sum(one.failure.sent for one in every) == 2


def test_P7_no_more_bodies_are_made_ready_than_can_be_of_use(client, served):
    """And all of them are asked in the end."""
    many = 2 * AHEAD + 10
    served.hold()
    handle = client.submit([body(n) for n in range(many)])
    while handle._taken < AHEAD:
        time.sleep(0.001)
    time.sleep(0.05)
    assert handle._taken <= AHEAD + 64
    served.let()
    assert sum(one.ok for one in handle.results()) == many


def test_a_cancelled_handle_of_very_many_is_done_at_once(client, served):
    served.hold()
    handle = client.submit([body(n) for n in range(3 * AHEAD)])
    served.wait(lambda it: it.pending)
    handle.cancel()
    assert not any(one.ok for one in handle.results())


def test_closing_the_client_leaves_every_request_of_a_handle_its_outcome(served):
    served.hold()
    with Client(**served.asks) as client:
        handle = client.submit([body(n) for n in range(2 * AHEAD)])
        served.wait(lambda it: it.pending)
    assert handle.done
    assert len(handle.results()) == 2 * AHEAD
    handle.cancel()


def test_nothing_submitted_is_done(client):
    handle = client.submit([])
    assert handle.done
    assert handle.results() == handle.poll() == []


def test_what_is_no_request_costs_itself_alone(client):
    assert [one.ok for one in client.submit([body(), 7, body()]).results()] == [True, False, True]


@pytest.mark.parametrize("bodies", [body(), (body() for _ in range(2)), 7])
def test_what_is_no_list_is_told(client, bodies):
    with pytest.raises(BadInput, match="list"):
        client.submit(bodies)


@pytest.mark.parametrize("deadline", [-1, "soon", float("nan")])
def test_a_deadline_that_makes_no_sense_is_told(client, deadline):
    with pytest.raises(BadInput, match="deadline"):
        client.submit([body()]).results(deadline)


def test_its_repr_tells_how_far_it_is(client):
    handle = client.submit([body()])
    handle.results()
    assert repr(handle) == "<BlockingHandle 1 of 1 finished>"


def test_a_handle_that_is_dropped_harms_nobody(client, served):
    client.submit([body(n) for n in range(10)])
    gc.collect()
    served.wait(lambda it: len(it.asked) == 10)
    assert client.ask(body(11)).ok


def test_results_can_be_sent_to_another_process(client):
    """Workers of a data loader get them so."""
    results = client.submit([body(), 7]).results()
    assert pickle.loads(pickle.dumps(results)) == results


async def test_a_running_loop_goes_on_while_results_are_awaited(served):
    served.hold()
    async with AsyncClient(**served.asks) as client:
        handle = client.submit([body(n) for n in range(4)])
        collecting = asyncio.create_task(handle.results())
        await asyncio.to_thread(served.wait, lambda it: len(it.pending) == 4)
        assert not collecting.done()
        served.let()
        assert [one.text for one in await collecting] == ["0", "1", "2", "3"]
        assert [one.index for one in sorted(handle.poll(), key=lambda one: one.index)] == [
            0,
            1,
            2,
            3,
        ]


async def test_who_stops_waiting_for_a_handle_leaves_it_running(served):
    served.hold()
    async with AsyncClient(**served.asks) as client:
        handle = client.submit([body()])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await handle.results()
        served.let()
        assert [one.ok for one in await handle.results()] == [True]
