"""Several places share the work: it goes where there is room, and nothing is counted twice."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest
from scripted import URL, Service, answer, error, request
from virtual_time import run

from providers.any_other import AnyOther
from request_engine.address import Address
from request_engine.budget import Budget
from request_engine.keys import RenewableKey
from request_engine.leaving import LEFT_FOR
from request_engine.records import Failure, Kind, Success
from request_engine.redaction import Redaction
from request_engine.send import Sender
from request_engine.shares import Binding
from request_engine.sizes import Size
from request_engine.stopping import Abandoned
from request_engine.target import Target
from request_engine.targets import Targets

NOBODY = Failure(Kind.TRANSIENT, "nobody listens there", sent=False)


class Place:
    """A scripted place: what it says, who asked, and when."""

    def __init__(
        self, name, says=None, *, latency=0.0, budget=None, weight=1.0, renewable=None, **limits
    ):
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
            renewable=renewable,
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
        with suppress(Abandoned), service.stopping.resting():
            for number in range(count):
                reservation = await targets.acquire(size)
                sending = sender.send(request(number, str(number)), size, reservation)
                tasks.append(asyncio.create_task(sending))
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


def reason(places, count=50, **settings):
    """Why the run stopped, and after how many seconds."""
    _, took, service = outcomes(places, count, **settings)
    return service.stopping.reason, took


def test_P6_all_dead_from_the_start_are_given_up_as_soon_as_one_would_be():
    """After some 15 s, with the words of the failure."""
    alone = reason([Place("a", lambda number: NOBODY)])
    several = reason([Place(name, lambda number: NOBODY) for name in "abc"])
    assert alone[0] == several[0] == "the service cannot be reached: nobody listens there"
    assert several[1] == pytest.approx(alone[1], rel=0.5)
    assert several[1] < 25


def test_one_that_refuses_for_speed_is_there_though_the_others_are_not():
    def says(number):
        return error(429, "slow down", retry_after="60") if number == 1 else answer()

    places = [Place("dead", lambda number: NOBODY), Place("slow", says)]
    found, took, service = outcomes(places, 20)
    assert answered(found) == 20
    assert service.stopping.reason is None
    assert 60 < took < 120


def test_P6_all_out_of_money_ends_the_run_at_once_and_each_is_named():
    places = [
        Place("a", lambda number: error(402, "insufficient balance")),
        Place("b", lambda number: error(401, "wrong key")),
    ]
    why, took = reason(places)
    assert why == (
        "no endpoint is left; a: the account is out of money or quota (402): insufficient balance; "
        "b: the key was refused (401): wrong key"
    )
    assert took < 1


@pytest.mark.parametrize("meanwhile", ["open", "paused"])
def test_one_that_asks_for_more_than_max_wait_does_not_stop_the_others(meanwhile):
    """Not even where they are refused for a moment just then."""

    def long(number):
        return error(429, "come back tomorrow", retry_after="80000")

    def short(number):
        refuses = meanwhile == "paused" and number == 1
        return error(429, "slow down", retry_after="1") if refuses else answer()

    places = [
        Place("long", long, latency=0.2, max_concurrent=1),
        Place("b", short, latency=0.1, max_concurrent=1),
    ]
    found, took, service = outcomes(places, 30, max_wait=60)
    assert answered(found) == 30
    assert service.stopping.reason is None
    assert (places[0].count, took < 10) == (1, True)


def test_P6_max_wait_counts_while_all_are_kept_out():
    """One by its limits, one by a host that has gone."""

    def limited(number):
        return answer() if number < 20 else error(429, "slow down", retry_after="30")

    def gone(number):
        return answer() if number < 20 else NOBODY

    places = [Place("limited", limited, max_concurrent=2), Place("gone", gone, max_concurrent=2)]
    why, took = reason(places, 100, max_wait=200, max_attempts=1_000)
    assert "the service has let nothing in for" in why
    assert "--max_wait 200" in why
    assert 200 < took < 330


def test_P6_all_that_ask_for_more_than_max_wait_stop_the_run_at_once():
    places = [
        Place(name, lambda number: error(429, "tomorrow", retry_after="80000")) for name in "ab"
    ]
    why, took = reason(places, max_wait=60)
    assert "the service asks to wait 80,000 s" in why
    assert took < 1


def test_a_dead_one_of_an_account_is_left_alone():
    """Its budget goes on with those that are there, and it is used again when it is back."""
    shared = Budget(requests_per_minute=None, tokens_per_minute=None, max_concurrent=10)
    places = [
        Place("a", lambda number: NOBODY if number < 5 else answer(), latency=1.0, budget=shared),
        Place("b", latency=1.0, budget=shared),
    ]
    found, took, _ = outcomes(places, 1_000, max_attempts=1)
    assert answered(found) == 1_000
    assert took == pytest.approx(100, rel=0.1)
    assert places[0].count > 300


def test_one_of_an_account_that_lacks_the_model_is_left_alone():
    shared = Budget(requests_per_minute=None, tokens_per_minute=None, max_concurrent=10)
    places = [
        Place("a", lambda number: error(404, "no such model"), latency=1.0, budget=shared),
        Place("b", latency=1.0, budget=shared),
    ]
    found, took, _ = outcomes(places, 1_000, max_attempts=1)
    assert answered(found) == 1_000
    assert took == pytest.approx(100, rel=0.1)
    assert places[0].count <= 10 + took / LEFT_FOR


def test_lines_of_an_unknown_model_do_not_end_a_run_that_was_answered_before():
    """They come first when a file is gone on with, as they failed before."""

    def says(number):
        return error(404, "no such model") if number <= 3 else answer()

    places = [Place(name, says, max_concurrent=1) for name in "ab"]

    async def scenario():
        service = Service([])
        service.tally.answers_found = 7
        targets = Targets([place.target for place in places])
        sender = Sender(targets, stopping=service.stopping, tally=service.tally, max_attempts=5)
        found = []
        for number in range(8):
            reservation = await targets.acquire(Size(1))
            found.append(await sender.send(request(number), Size(1), reservation))
        return [one.kind if isinstance(one, Failure) else "yes" for one in found], service

    kinds, service = run(scenario())
    assert kinds == [Kind.MODEL_CONFIG] * 3 + ["yes"] * 5
    assert service.stopping.reason is None


class Renewal:
    """Prints another key after 30 s, and counts how often it was asked."""

    def __init__(self, key="new"):
        self.key = key
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        await asyncio.sleep(30)
        return self.key


@pytest.mark.parametrize("key", ["new", "old"])
def test_while_a_key_is_renewed_the_others_take_what_comes(key):
    """And the place is used again afterwards, or left if its key is no better."""
    renewal = Renewal(key)

    async def scenario():
        renewable = RenewableKey("old", renewal, lambda key: None)

        def says(number):
            expired = renewable.current() == "old"
            return error(401, "the token has expired") if expired else answer()

        places = [
            Place("a", says, latency=0.1, max_concurrent=4, renewable=renewable),
            Place("b", latency=1.0, max_concurrent=4),
        ]
        service, targets = Service([]), Targets([place.target for place in places])
        sender = Sender(targets, stopping=service.stopping, tally=service.tally, max_attempts=1)
        tasks = []
        for number in range(300):
            reservation = await targets.acquire(Size(1))
            sending = sender.send(request(number, str(number)), Size(1), reservation)
            tasks.append(asyncio.create_task(sending))
        found = await asyncio.gather(*tasks)
        return found, places, asyncio.get_running_loop().time(), service

    found, places, took, service = run(scenario())
    assert answered(found) == 300
    assert service.stopping.reason is None
    in_the_renewal = sum(at < 30 for at, _ in places[1].asked)
    assert in_the_renewal == pytest.approx(120, abs=5)  # all that it can do
    if key == "new":
        assert renewal.asked == 1
        assert places[0].count > 120
        assert took < 45
    else:
        assert renewal.asked <= 3
        assert places[0].count <= 8
        assert took < 100


def test_P12_what_is_in_flight_anywhere_comes_home_after_a_stop():
    places = [Place("a", latency=5.0), Place("b", latency=8.0)]

    async def scenario():
        service, targets = Service([]), Targets([place.target for place in places])
        sender = Sender(targets, stopping=service.stopping, tally=service.tally, max_attempts=5)
        tasks = []
        for number in range(6):
            reservation = await targets.acquire(Size(1))
            tasks.append(asyncio.create_task(sender.send(request(number), Size(1), reservation)))
        await asyncio.sleep(1)
        service.stopping.stop("interrupted", interrupted=True)
        return await asyncio.gather(*tasks), targets.in_flight

    assert [type(one) for one in run(scenario())[0]] == [Success] * 6


def test_a_full_disk_holds_all_and_room_lets_all_go_on():
    async def scenario():
        places = [Place("a"), Place("b")]
        targets = Targets([place.target for place in places])
        targets.hold("a full disk")
        waiting = [asyncio.create_task(targets.acquire(Size(1))) for _ in range(4)]
        await asyncio.sleep(100)
        held, why, binding = targets.in_flight, targets.held_by, targets.binding
        targets.release()
        await asyncio.gather(*waiting)
        return held, why, binding, targets.in_flight, targets.held_by

    assert run(scenario()) == (0, "a full disk", Binding.DISK, 4, None)


def test_several_who_share_an_account_are_all_served():
    """As clients in one process do; and who has ended is not served any more."""

    async def scenario():
        shared, other = (
            Budget(requests_per_minute=None, tokens_per_minute=None, max_concurrent=1)
            for _ in range(2)
        )
        clients = [
            Targets([Place("a", budget=shared).target, Place("b", budget=other).target])
            for _ in range(3)
        ]
        held = [await clients[0].acquire(Size(1)) for _ in range(2)]
        waiting = [asyncio.create_task(one.acquire(Size(1))) for one in clients[1:]]
        await asyncio.sleep(0)
        for one in held:
            clients[0].give_back(one)
        await asyncio.wait_for(asyncio.gather(*waiting), 1)
        for one in clients:
            one.close()
        return shared.on_room

    assert run(scenario()) == []


def test_each_place_is_told_with_its_state():
    said = []

    def money(number):
        return error(402, "insufficient balance")

    def speed(number):
        return error(429, "slow down", retry_after="50") if number == 2 else answer()

    places = [
        Place("open", latency=1.0, max_concurrent=2),
        Place("broke", money, latency=0.1, max_concurrent=3),
        Place("slow", speed, latency=1.0, max_concurrent=1),
        Place("gone", lambda number: NOBODY, latency=0.2, max_concurrent=1),
    ]

    async def scenario():
        service, targets = Service([]), Targets([place.target for place in places])
        sender = Sender(targets, stopping=service.stopping, tally=service.tally, max_attempts=5)
        asyncio.get_running_loop().call_at(5.5, lambda: said.extend(targets.told()))
        tasks = []
        for number in range(40):
            reservation = await targets.acquire(Size(1))
            tasks.append(asyncio.create_task(sender.send(request(number), Size(1), reservation)))
        await asyncio.gather(*tasks)
        return targets.told_at_the_end()

    end = run(scenario())
    assert said[0] == "open: 10 answered, 2 in flight, open"
    assert said[1].startswith("broke: 0 answered, 0 in flight, left for 5")
    assert said[1].endswith(" s (the account is out of money or quota (402): insufficient balance)")
    assert said[2].startswith("slow: 1 answered, 0 in flight, paused for 47 s")
    assert said[2].endswith("(refused for speed: slow down)")
    assert said[3].startswith("gone: 0 answered, 0 in flight, paused for ")
    assert said[3].endswith(" s (nobody listens there)")
    assert end[0].endswith(" answered in 39 attempts")
    assert end[1] == (
        "broke: 0 answered in 4 attempts; at the end left "
        "(the account is out of money or quota (402): insufficient balance)"
    )


def test_limits_are_far_off_where_they_are_at_every_place():
    """Nobody knows beforehand which of them a request goes to."""
    wide = Place("wide", tokens_per_minute=1_000_000)
    tight = Place("tight", tokens_per_minute=1_000)
    assert Targets([wide.target]).is_far(1_000)
    assert not Targets([wide.target, tight.target]).is_far(1_000)
    assert Targets([wide.target, tight.target]).is_far(100)
