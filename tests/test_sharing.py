"""Identical requests have one call, one price and an outcome each; what is kept costs nothing."""

import asyncio
import json
from dataclasses import replace

import pytest
from scripted import Service, answer, error, request
from virtual_time import run

from request_engine.batch import Batch, Terms
from request_engine.cache import MemoryCache
from request_engine.destination import Asked, Timeouts
from request_engine.errors import BadInput
from request_engine.extraction import Fitting
from request_engine.records import Failure, Kind, Success
from request_engine.sameness import Place
from request_engine.session import Session, Settings
from request_engine.sharing import Sharing, reuse

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


def same(number, text="hi", **settings):
    """A request that is not sampled."""
    one = request(number, text)
    body = one.body | ({"temperature": 0} | settings)
    return replace(one, body=body, raw_body=json.dumps(body).encode())


def sampled(number, text="hi"):
    return same(number, text, temperature=1)


class Client:
    """A session with a scripted service, and the outcomes of its batches."""

    def __init__(self, replies=None, *, cache=None, cache_sampled=False, share="auto", **service):
        self.service = Service(replies or [answer(**USAGE)], **{"latency": 10.0} | service)
        settings = Settings(
            asked=Asked(),
            endpoints=None,
            timeouts=Timeouts(
                connect_timeout=1, first_byte_timeout=1, progress_timeout=1, total_timeout=1
            ),
            token_encoding_name=None,
            max_attempts=2,
            max_wait=60.0,
            max_same_refusals=3,
        )
        places = [Place(one, {}) for one in self.service.targets.all]
        sharing = Sharing(places, reuse(cache, cache_sampled, share))
        self.session = Session(settings, self.service.targets, None, sharing)
        self.tally = self.session.tally

    @property
    def sent(self):
        return len(self.service.sent)

    def ask(self, *requests, **terms):
        """A batch of *requests*."""
        return Asked_(self, requests, Terms(**terms))

    async def outcomes(self, *requests, **terms):
        return await self.ask(*requests, **terms).outcomes()


class Asked_:  # noqa: N801
    def __init__(self, client, requests, terms):
        self.told = {}
        self.at = {}
        self._all = asyncio.Event()
        self._count = len(requests)
        self.batch = Batch(client.session, self._deliver, terms)
        self.batch.add(requests)

    def _deliver(self, number, outcome):
        assert number not in self.told
        self.told[number] = outcome
        self.at[number] = asyncio.get_running_loop().time()
        if len(self.told) == self._count:
            self._all.set()

    async def outcomes(self):
        """In the order of their numbers."""
        await self._all.wait()
        await self.batch.close()
        return [self.told[number] for number in sorted(self.told)]


def used(outcomes):
    return sum(one.usage.total for one in outcomes if one.usage)


def test_those_of_a_batch_that_are_equal_have_one_call():
    async def scenario():
        client = Client()
        found = await client.outcomes(*(same(number, str(number % 3)) for number in range(30)))
        assert len(found) == 30
        assert all(isinstance(one, Success) for one in found)
        assert client.sent == 3
        assert (client.tally.succeeded, client.tally.shared, client.tally.attempts) == (30, 27, 3)
        assert used(found) == client.tally.tokens == 30

    run(scenario())


def test_those_of_several_batches_that_are_equal_have_one_call():
    async def scenario():
        client = Client()
        found = await asyncio.gather(*(client.outcomes(same(number)) for number in range(10)))
        assert client.sent == 1
        assert used(one for (one,) in found) == client.tally.tokens == 10
        assert client.tally.shared == 9
        assert client.service.budget.in_flight == 0

    run(scenario())


def test_one_that_comes_while_the_call_is_under_way_waits_for_the_rest_of_it():
    async def scenario():
        client = Client()
        first = client.ask(same(1))
        await asyncio.sleep(9)
        late = client.ask(same(2))
        await asyncio.gather(first.outcomes(), late.outcomes())
        assert (client.sent, late.at[2]) == (1, 10.0)

    run(scenario())


def test_one_that_comes_later_has_a_call_of_its_own_where_nothing_is_cached():
    async def scenario():
        client = Client()
        await client.outcomes(same(1))
        await client.outcomes(same(1))
        assert client.sent == 2

    run(scenario())


@pytest.mark.parametrize(
    ("share", "asked", "calls"),
    [
        ("auto", same, 1),
        ("auto", sampled, 5),
        (True, same, 1),
        (True, sampled, 1),
        (False, same, 5),
        (False, sampled, 5),
    ],
)
def test_what_is_shared(share, asked, calls):
    """Sampled requests are to differ, unless the user says otherwise."""

    async def scenario():
        client = Client(share=share)
        await asyncio.gather(
            client.outcomes(asked(1), asked(2)), *(client.outcomes(asked(n)) for n in (3, 4, 5))
        )
        assert client.sent == calls

    run(scenario())


def test_sampled_ones_that_are_cached_are_shared_as_well():
    """Otherwise there would be several answers the first time, and one ever after."""

    async def scenario():
        client = Client(cache="memory", cache_sampled=True)
        await client.outcomes(*map(sampled, range(5)))
        assert client.sent == 1

    run(scenario())


def test_P3_who_gives_up_leaves_the_call_to_the_others():
    async def scenario():
        client = Client()
        hasty = client.ask(same(1), deadline=2)
        patient = client.ask(same(2), deadline=60)
        (gone,), (there,) = await asyncio.gather(hasty.outcomes(), patient.outcomes())
        assert isinstance(gone, Failure)
        assert "deadline of 2 s" in gone.message
        assert isinstance(there, Success)
        assert (hasty.at[1], patient.at[2]) == (2.0, 10.0)
        assert (client.sent, client.tally.abandoned) == (1, 0)
        assert there.usage.total == client.tally.tokens == 10  # counted for who is left

    run(scenario())


def test_each_deadline_counts_from_its_own_turn():
    async def scenario():
        client = Client()
        first = client.ask(same(1), deadline=60)
        await asyncio.sleep(5)
        late = client.ask(same(2), deadline=3)
        await asyncio.gather(first.outcomes(), late.outcomes())
        assert (first.at[1], late.at[2]) == (10.0, 8.0)

    run(scenario())


def test_the_call_ends_when_the_last_has_given_up():
    async def scenario():
        client = Client()
        both = client.ask(same(1), deadline=2), client.ask(same(2), deadline=3)
        await asyncio.gather(*(one.outcomes() for one in both))
        await asyncio.sleep(0)
        assert client.tally.abandoned == 1
        assert client.service.budget.in_flight == 0
        assert client.service.waiting_since() is None

    run(scenario())


def test_nobody_joins_a_call_that_is_being_given_up():
    async def scenario():
        client = Client()
        first = client.ask(same(1))
        await asyncio.sleep(5)
        first.batch.give_up()
        (found,) = await client.outcomes(same(2))
        assert isinstance(found, Success)
        assert client.sent == 2

    run(scenario())


def test_P2_a_batch_that_is_given_up_gives_each_its_outcome_once():
    async def scenario():
        client = Client()
        asked = client.ask(*(same(number, str(number % 3)) for number in range(30)))
        await asyncio.sleep(5)
        asked.batch.give_up()
        assert len(asked.told) == 30
        await asked.batch.close()
        early = client.ask(*map(same, range(30)))
        early.batch.give_up()  # before anybody had a look at them
        assert len(early.told) == 30

    run(scenario())


def test_a_failure_is_shared_and_is_one_refusal():
    """Ten equal bad requests do not stop a batch that three different ones would."""

    async def scenario():
        client = Client([error(400, "no such field"), answer()])
        found = await client.outcomes(*map(same, range(10)), same(10, "other"), concurrency=1)
        assert [one.kind for one in found[:10]] == [Kind.BAD_REQUEST] * 10
        assert isinstance(found[10], Success)
        assert (client.sent, client.tally.failed) == (2, 10)

    run(scenario())


def test_a_refused_key_that_several_batches_share_is_one_refusal():
    async def scenario():
        client = Client([error(401, "wrong key")])
        found = await asyncio.gather(*(client.outcomes(same(number)) for number in range(10)))
        assert [one.kind for (one,) in found] == [Kind.AUTH] * 10
        assert client.sent == 1

    run(scenario())


def test_what_a_failure_used_is_counted_once():
    async def scenario():
        bad = answer("", **USAGE)
        bad = replace(bad, content=bad.content.replace(b'"stop"', b'"error"'))
        client = Client([bad])
        found = await client.outcomes(*map(same, range(4)))
        assert {one.kind for one in found} == {Kind.BAD_ANSWER}
        spent = sum(u.usage.total for one in found for u in (*one.earlier, one) if u.usage)
        assert spent == client.tally.tokens == 20

    run(scenario())


def test_a_line_of_few_places_is_kept_by_equal_requests_as_well():
    """`concurrency` is of calls under way; equal ones of a batch take no place at all."""

    async def scenario():
        client = Client()
        asked = client.ask(*(same(n, str(n // 5)) for n in range(20)), concurrency=2)
        await asked.outcomes()
        assert client.sent == 4
        assert max(asked.at.values()) == 20.0

    run(scenario())


def test_a_deadline_runs_from_a_requests_turn_whether_it_is_shared_or_not():
    async def scenario():
        client = Client()
        asked = client.ask(*(same(n, str(n)) for n in range(6)), concurrency=1, deadline=15)
        assert all(isinstance(one, Success) for one in await asked.outcomes())
        assert asked.at[5] == 60.0

    run(scenario())


def test_those_that_wait_for_room_find_the_call_that_got_it():
    """While there is none, equal ones of several batches wait; the first to get in asks for all."""

    async def scenario():
        client = Client(max_concurrent=1)
        other = client.ask(same(0, "other"))
        asked = [client.ask(same(number)) for number in range(1, 5)]
        await asyncio.gather(other.outcomes(), *(one.outcomes() for one in asked))
        assert client.sent == 2
        assert [one.at[n] for n, one in enumerate(asked, 1)] == [20.0] * 4
        assert client.service.budget.in_flight == 0

    run(scenario())


def test_one_that_is_late_before_it_was_let_in_was_not_sent_and_leaves_its_place_to_the_others():
    async def scenario():
        client = Client(max_concurrent=1)
        other = client.ask(same(0, "other"))
        hasty, patient = client.ask(same(1), deadline=2), client.ask(same(2), deadline=60)
        (gone,), (there,) = await asyncio.gather(hasty.outcomes(), patient.outcomes())
        assert (gone.sent, gone.timed_out) == (False, False)
        assert isinstance(there, Success)
        assert (hasty.at[1], patient.at[2]) == (2.0, 20.0)
        await other.outcomes()
        assert client.sent == 2

    run(scenario())


def test_P6_behind_one_that_was_not_let_in_by_its_deadline_nobody_waits_as_long_again():
    async def scenario():
        client = Client(max_concurrent=1, latency=100)
        other = client.ask(same(0, "other"))
        late = client.ask(*(same(number, str(number)) for number in range(1, 9)), deadline=2)
        assert {one.sent for one in await late.outcomes()} == {False}
        assert set(late.at.values()) == {2.0}
        await other.outcomes()
        assert client.sent == 1

    run(scenario())


def test_what_is_given_up_before_it_was_let_in_was_not_sent():
    async def scenario():
        client = Client(max_concurrent=1)
        client.ask(same(0, "other"))
        asked = client.ask(same(1), same(2), same(3, "third"))
        await asyncio.sleep(5)
        asked.batch.give_up()
        assert {number: one.sent for number, one in asked.told.items()} == dict.fromkeys(
            (1, 2, 3), False
        )
        await client.session.close()
        assert client.sent == 1

    run(scenario())


def test_an_answer_in_the_cache_is_no_request():
    async def scenario():
        client = Client(cache="memory")
        (bought,) = await client.outcomes(same(1))
        asked = client.ask(same(2))
        (found,) = await asked.outcomes()
        assert found.response == bought.response
        assert (bought.cached, found.cached) == (False, True)
        assert found.usage.total == 0
        assert asked.at[2] == 10.0  # at once
        tally = client.tally
        assert (tally.succeeded, tally.cached, tally.attempts, tally.tokens) == (2, 1, 1, 10)

    run(scenario())


def test_hits_need_no_room_and_wait_for_nobody():
    async def scenario():
        client = Client(cache="memory", max_concurrent=1)
        await client.outcomes(same(1))
        asked = client.ask(same(2, "new"), same(3, "newer"), *map(same, range(4, 10)))
        await asyncio.sleep(0.1)
        assert sorted(asked.told) == [4, 5, 6, 7, 8, 9]
        await asked.outcomes()

    run(scenario())


def test_P5_a_failure_is_not_kept():
    async def scenario():
        client = Client([error(400, "no"), answer()], cache="memory")
        found = [*await client.outcomes(same(1)), *await client.outcomes(same(1))]
        assert [type(one) for one in found] == [Failure, Success]

    run(scenario())


def test_P3_an_answer_that_came_while_a_request_stood_in_line_is_used():
    """It was not in the cache when the request was looked at."""

    async def scenario():
        client = Client(cache="memory", max_concurrent=1)
        asked = client.ask(same(1), same(2, "other"))
        slow = client.ask(same(3, "third"), same(4, "other"), concurrency=1)
        await asyncio.gather(asked.outcomes(), slow.outcomes())
        assert client.sent == 3

    run(scenario())


def test_share_false_leaves_the_cache_on():
    async def scenario():
        client = Client(cache="memory", share=False)
        await client.outcomes(same(1), same(2))
        (found,) = await client.outcomes(same(3))
        assert (client.sent, found.cached) == (2, True)

    run(scenario())


@pytest.mark.parametrize(("cache_sampled", "calls"), [(False, 2), (True, 1)])
def test_sampled_answers_are_kept_only_if_that_is_asked_for(cache_sampled, calls):
    async def scenario():
        client = Client(cache="memory", cache_sampled=cache_sampled)
        await client.outcomes(sampled(1))
        await client.outcomes(sampled(2))
        assert client.sent == calls

    run(scenario())


class Shaped:
    """Answers that have to say what is wanted."""

    def __init__(self, wanted):
        self.wanted = wanted

    def asking(self, request, provider, endpoint, wrong=None):
        return request

    def first(self, request, place):
        return request

    def judged(self, answer):
        if self.wanted.encode() in answer.response:
            return Fitting(answer.response, answer.usage, value=self.wanted)
        return Failure(Kind.BAD_ANSWER, "it has another shape", 200, final=True)


def test_a_kept_answer_is_read_again_and_of_no_use_where_it_has_another_shape():
    async def scenario():
        client = Client([answer("yes"), answer("no")], cache="memory")
        found = [
            *await client.outcomes(same(1), extraction=Shaped("yes")),
            *await client.outcomes(same(1), extraction=Shaped("yes")),
            *await client.outcomes(same(1), extraction=Shaped("no")),
        ]
        assert [(one.value, one.cached) for one in found] == [
            ("yes", False),
            ("yes", True),
            ("no", False),
        ]

    run(scenario())


def test_a_call_is_shared_by_those_who_read_its_answer_alike():
    async def scenario():
        client, shape = Client([answer("yes, not no")]), Shaped("yes")
        found = await asyncio.gather(
            client.outcomes(same(1), same(2), extraction=shape),
            client.outcomes(same(3), extraction=Shaped("no")),
            client.outcomes(same(4)),
        )
        assert client.sent == 3
        assert [one.value for one in found[0] + found[1]] == ["yes", "yes", "no"]

    run(scenario())


class Broken(MemoryCache):
    async def find(self, keys):
        raise OSError("gone")


class Full(MemoryCache):
    def keep(self, key, answer):
        raise OSError("full")


@pytest.mark.parametrize("cache", [Broken(), Full()])
def test_somebodys_own_cache_that_fails_costs_no_answer_and_one_warning(cache, caplog):
    async def scenario():
        client = Client(cache=cache)
        found = await client.outcomes(*(same(number, str(number)) for number in range(5)))
        assert all(isinstance(one, Success) for one in found)

    run(scenario())
    assert len(caplog.records) == 1


def test_a_session_that_closes_leaves_nothing_in_flight():
    async def scenario():
        client = Client()
        asked = client.ask(same(1)), client.ask(same(2))
        await asyncio.sleep(5)
        await client.session.close()
        assert [len(one.told) for one in asked] == [1, 1]
        assert client.service.waiting_since() is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(scenario())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((None, False, "yes"), "share is 'yes'"),
        ((None, False, None), "share is None"),
        ((None, True, "auto"), "cache_sampled is of no use"),
        ((5, False, "auto"), "cache is 5"),
        (("", False, "auto"), "cache is ''"),
        ((True, False, "auto"), "cache is True"),
    ],
)
def test_what_makes_no_sense_is_refused(given, told):
    with pytest.raises(BadInput, match=told):
        reuse(*given)
