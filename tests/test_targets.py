"""Several places share the work: it goes where there is room, and nothing is counted twice."""

import asyncio
import json
from dataclasses import replace

import pytest
from scripted import URL, Service, answer, error, request
from virtual_time import run

from providers.any_other import AnyOther
from request_engine.address import Address
from request_engine.budget import Budget
from request_engine.records import Failure, Kind, Success
from request_engine.redaction import Redaction
from request_engine.send import LEFT_FOR, Sender
from request_engine.sizes import Size
from request_engine.target import Target
from request_engine.targets import Targets

NOBODY = Failure(Kind.TRANSIENT, "nobody listens there", sent=False)


class Place:
    """A scripted place: what it says, who asked, and when."""

    def __init__(self, name, says=None, *, latency=0.0, budget=None, weight=1.0, **limits):
        self.says = says or (lambda number: answer())
        self.latency = latency
        self.asked = []
        self.budget = budget or Budget(
            **{"requests_per_minute": None, "tokens_per_minute": None, "max_concurrent": 100}
            | limits
        )
        self.target = Target(
            provider=AnyOther(),
            address=Address(AnyOther(), URL, base_allowed=False),
            post=self.post,
            budget=self.budget,
            redaction=Redaction(),
            name=name,
            weight=weight,
        )

    async def post(self, url, wire_body):
        now = asyncio.get_running_loop().time
        self.asked.append((now(), json.loads(wire_body)["messages"][0]["content"]))
        number = len(self.asked)
        await asyncio.sleep(self.latency)
        return self.says(number)

    @property
    def count(self):
        return len(self.asked)


def outcomes(places, count, *, max_attempts=5, **settings):
    """What became of *count* requests, and how long that took."""

    async def scenario():
        service = Service([], max_attempts=max_attempts, **settings)
        targets = Targets([place.target for place in places])
        sender = Sender(
            targets,
            stopping=service.stopping,
            tally=service.tally,
            max_attempts=max_attempts,
        )
        size, tasks = Size(10), []
        for number in range(count):
            reservation = await targets.acquire(size)
            tasks.append(
                asyncio.create_task(sender.send(request(number, str(number)), size, reservation))
            )
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return found, asyncio.get_running_loop().time(), service

    return run(scenario())


def answered(found):
    return sum(isinstance(one, Success) for one in found)


def test_work_goes_to_the_place_with_the_fewest_in_flight():
    places = [Place("a", latency=1.0), Place("b", latency=1.0)]
    found, _, _ = outcomes(places, 100)
    assert answered(found) == 100
    assert [place.count for place in places] == [50, 50]


def test_a_weight_is_how_much_of_the_work_a_place_gets():
    places = [Place("a", latency=1.0, weight=3), Place("b", latency=1.0)]
    outcomes(places, 100)
    assert [place.count for place in places] == [75, 25]


def test_P8_each_place_keeps_its_own_limit_and_together_they_are_used_up():
    """10 a minute and 20 a minute are 30 a minute, whoever was asked."""
    places = [Place("a", requests_per_minute=60.0), Place("b", requests_per_minute=120.0)]
    found, took, _ = outcomes(places, 360)
    assert answered(found) == 360
    for place, limit in zip(places, (60, 120), strict=True):
        times = [at for at, _ in place.asked]
        assert all(sum(start <= at < start + 60 for at in times) <= limit for start in times), (
            place.target
        )
    assert took == pytest.approx(120, rel=0.1)


def test_those_of_one_account_share_its_budget():
    shared = Budget(requests_per_minute=60.0, tokens_per_minute=None, max_concurrent=100)
    places = [Place("a", budget=shared), Place("b", budget=shared)]
    _, took, _ = outcomes(places, 120)
    assert took > 100
    assert abs(places[0].count - places[1].count) <= 1


def test_nothing_is_reserved_twice_and_all_is_settled_where_it_was_reserved():
    places = [Place("a", lambda number: error(500), latency=1.0), Place("b", latency=1.0)]
    outcomes(places, 50)
    assert [place.budget.in_flight for place in places] == [0, 0]


def test_what_waits_goes_to_whoever_has_room_first():
    places = [
        Place("slow", latency=10.0, max_concurrent=1),
        Place("quick", latency=1.0, max_concurrent=1),
    ]
    found, took, _ = outcomes(places, 11)
    assert answered(found) == 11
    assert [place.count for place in places] == [1, 10]
    assert took == pytest.approx(10.0)


def test_a_dead_place_is_left_and_probed_and_costs_no_attempt():
    places = [
        Place("dead", lambda number: NOBODY, max_concurrent=5),
        Place("alive", latency=1.0, max_concurrent=5),
    ]
    found, took, _ = outcomes(places, 500, max_attempts=1)
    assert answered(found) == 500
    assert took == pytest.approx(100, rel=0.05)
    assert 3 < places[0].count < 30


def test_a_place_that_comes_back_is_used_again():
    def says(number):
        return NOBODY if number <= 6 else answer()

    places = [
        Place("back", says, latency=1.0, max_concurrent=5),
        Place("b", latency=1.0, max_concurrent=5),
    ]
    found, took, _ = outcomes(places, 1_000)
    assert answered(found) == 1_000
    assert took < 125  # 100 together, 200 alone


def test_a_refusing_place_pauses_alone():
    def says(number):
        return error(429, "slow down", retry_after="20") if number <= 3 else answer()

    places = [
        Place("a", says, latency=1.0, max_concurrent=5),
        Place("b", latency=1.0, max_concurrent=5),
    ]
    found, took, service = outcomes(places, 400)
    assert answered(found) == 400
    assert service.tally.refusals
    in_the_pause = sum(at < 20 for at, _ in places[1].asked)
    assert in_the_pause == 100  # all that it can do
    assert places[0].count > 3
    assert took <= 80  # what one would take alone


@pytest.mark.parametrize(
    ("status", "words"), [(401, "wrong key"), (402, "insufficient balance"), (404, "no such model")]
)
def test_a_place_that_refuses_whatever_it_is_asked_is_left_and_its_requests_go_elsewhere(
    status, words
):
    """Out of money, a bad key, no such model: no line fails, and no attempt is used."""
    places = [
        Place("out", lambda number: error(status, words), latency=0.1, max_concurrent=5),
        Place("b", latency=1.0, max_concurrent=5),
    ]
    found, took, service = outcomes(places, 700, max_attempts=1)
    assert answered(found) == 700
    assert service.stopping.reason is None
    assert places[0].count <= 10 + took / LEFT_FOR  # a few, and a probe a minute


def test_an_account_that_has_money_again_is_used_again():
    def says(number):
        return error(402, "insufficient balance") if number < 20 else answer()

    places = [
        Place("a", says, latency=1.0, max_concurrent=5),
        Place("b", latency=1.0, max_concurrent=1),
    ]
    found, took, _ = outcomes(places, 3_000)
    assert answered(found) == 3_000
    assert took < 1_800


def test_when_no_place_is_left_the_run_stops_and_says_why():
    places = [
        Place("a", lambda number: error(402, "insufficient balance"), max_concurrent=1),
        Place("b", lambda number: error(401, "wrong key"), max_concurrent=1),
    ]

    async def scenario():
        service = Service([])
        targets = Targets([place.target for place in places])
        sender = Sender(targets, stopping=service.stopping, tally=service.tally, max_attempts=5)
        for number in range(20):
            if service.stopping.reason is not None:
                break
            reservation = await asyncio.wait_for(targets.acquire(Size(1)), 600)
            await asyncio.gather(
                sender.send(request(number), Size(1), reservation), return_exceptions=True
            )
        return service.stopping.reason, asyncio.get_running_loop().time()

    reason, took = run(scenario())
    assert "out of money" in reason or "key was refused" in reason
    assert took < 60


def test_a_line_that_one_place_cannot_do_is_done_by_another():
    """A model that only one of them has: 404 there after it answered others is the line's own."""

    def here(number):
        return error(404, "no such model") if number % 2 else answer()

    places = [Place("a", here), Place("b")]
    found, _, _ = outcomes(places, 40, max_attempts=1)
    assert answered(found) == 40


def test_a_line_that_no_place_can_do_fails_once():
    places = [Place(name, lambda number: error(404, "no such model")) for name in "ab"]
    for place in places:
        place.target.answered = 1
    found, _, _ = outcomes(places, 1)
    assert [(one.kind, one.attempt) for one in found] == [(Kind.MODEL_CONFIG, 1)]
    assert [place.count for place in places] == [1, 1]


def test_a_bad_line_is_not_tried_elsewhere():
    places = [Place(name, lambda number: error(400, "no messages")) for name in "ab"]
    found, _, _ = outcomes(places, 1)
    assert found[0].kind is Kind.BAD_REQUEST
    assert sum(place.count for place in places) == 1


def test_a_wait_that_is_given_up_leaves_no_place_taken():
    async def scenario():
        places = [Place("a", max_concurrent=1), Place("b", max_concurrent=1)]
        targets = Targets([place.target for place in places])
        held = [await targets.acquire(Size(1)) for _ in places]
        waiting = [asyncio.create_task(targets.acquire(Size(1))) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        for one in held:
            one.target.budget.settle(one, None, admitted=True)
        waiting[1].cancel()  # granted, but nobody took it yet
        await asyncio.gather(*waiting, return_exceptions=True)
        return [place.budget.in_flight for place in places], targets.waiting

    assert run(scenario()) == ([0, 1], 0) or run(scenario()) == ([1, 0], 0)


def test_first_goes_before_all_who_wait():
    async def scenario():
        places = [Place("a", max_concurrent=1), Place("b", max_concurrent=1)]
        targets = Targets([place.target for place in places])
        held = [await targets.acquire(Size(1)) for _ in places]
        order = []

        async def take(name, **how):
            await targets.acquire(Size(1), **how)
            order.append(name)

        tasks = [asyncio.create_task(take("late"))]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(take("refused", first=True)))
        await asyncio.sleep(0)
        for one in held:
            one.target.budget.settle(one, None, admitted=True)
        await asyncio.gather(*tasks)
        return order

    assert run(scenario()) == ["refused", "late"]


def test_P12_a_stop_ends_the_wait_for_any_of_them():
    async def scenario():
        places = [Place("a", max_concurrent=1), Place("b", max_concurrent=1)]
        service, targets = Service([]), Targets([place.target for place in places])
        for _ in places:
            await targets.acquire(Size(1))

        async def waits():
            with service.stopping.resting():
                await targets.acquire(Size(1))

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        service.stopping.stop("enough")
        found = await asyncio.gather(waiting, return_exceptions=True)
        return type(found[0]).__name__, targets.waiting

    assert run(scenario()) == ("Abandoned", 0)


def test_a_dead_connection_in_one_place_is_not_held_against_the_others():
    stale = replace(NOBODY, sent=True, stale=True)
    places = [Place("a", lambda number: stale if number == 1 else answer()), Place("b")]
    found, _, _ = outcomes(places, 10, max_attempts=1)
    assert answered(found) == 10
