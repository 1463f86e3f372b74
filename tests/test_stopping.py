"""When a run ends early: what every line would meet, refusals without end, and the drain."""

import asyncio

import pytest
from scripted import Service, answer, error, request
from virtual_time import run

from request_engine.records import Failure, Kind, Success
from request_engine.stopping import Stopping
from request_engine.tally import Tally

REFUSED = Failure(Kind.BAD_REQUEST, "Unknown parameter: 'max_token'", 400)
FILTERED = Failure(Kind.CONTENT_FILTER, "refused for content", 400)


def judged(*outcomes, tally=None, **settings):
    """Why a run stops that meets *outcomes* in this order, and after how many of them."""

    async def scenario():
        stopping, counted = Stopping(600.0, **settings), tally or Tally()
        for number, outcome in enumerate(outcomes, 1):
            counted.finish(request(number), outcome)
            stopping.judge(outcome, counted)
            if stopping.reason is not None:
                return stopping.reason, number
        return None, len(outcomes)

    return run(scenario())


def numbered(count, words="line {} has 7 messages too many", kind=Kind.BAD_REQUEST, status=400):
    return [Failure(kind, words.format(number), status) for number in range(count)]


def test_a_run_whose_lines_are_all_refused_alike_stops_with_the_services_words():
    """Ten of a million, numbers in the words apart; the reason says how to insist."""
    reason, after = judged(*numbered(50))

    assert after == 10
    assert reason == (
        "10 requests in a row were all refused alike (400): line 9 has 7 messages too many; "
        "if these lines alone are bad, give --max_same_refusals none"
    )


def test_answers_that_are_all_unusable_alike_stop_it_as_well():
    reason, after = judged(*numbered(50, "the answer is not JSON", Kind.BAD_ANSWER, 200))

    assert after == 10
    assert "refused alike (200): the answer is not JSON" in reason


@pytest.mark.parametrize(
    "outcomes",
    [
        [Success(b"{}"), *[REFUSED] * 50],
        [REFUSED, Failure(Kind.BAD_REQUEST, "too long", 400)] * 25,
        [FILTERED] * 50,
        [Failure(Kind.TRANSIENT, "busy", 503)] * 50,
        [Failure(Kind.RATE_LIMIT, "slow down", 429)] * 50,
        [REFUSED] * 9,
    ],
    ids=["one answered", "in other words", "filtered", "transient", "for speed", "nine"],
)
def test_what_may_be_the_lines_own_fault_stops_nothing(outcomes):
    assert judged(*outcomes)[0] is None


def test_what_says_nothing_about_the_lines_is_passed_over():
    """Failures that may pass, and refusals of content, neither add to the count nor end it."""
    between = [Failure(Kind.TRANSIENT, "busy", 503), FILTERED, REFUSED]

    assert judged(REFUSED, *between * 20)[1] == 1 + 3 * 9


def test_a_bad_start_does_not_hide_what_follows():
    assert judged(Failure(Kind.BAD_REQUEST, "too long", 400), *numbered(50))[1] == 11


def test_answers_of_an_earlier_run_are_answers():
    assert judged(*numbered(50), tally=Tally(answers_found=1))[0] is None


@pytest.mark.parametrize(("most", "after"), [(None, 50), (3, 3)])
def test_how_many_are_refused_alike_is_the_users_choice(most, after):
    assert judged(*numbered(50), max_same_refusals=most)[1] == after


def refused_by(cursed, **settings):
    """A service that refuses whatever has *cursed* in it, for speed and for ever."""
    return Service(lambda body: error(429) if cursed in body else answer(), **settings)


@pytest.mark.parametrize("others_until", [300.0, 3_000.0])
def test_requests_that_are_always_refused_have_their_rows_where_others_are_answered(others_until):
    """Two that the service does not want neither stop the run nor are tried for ever."""

    async def scenario():
        service = refused_by(b"cursed", max_wait=600)
        cursed = [asyncio.create_task(service.send(request(one, "cursed"))) for one in (1, 2)]
        time = asyncio.get_running_loop().time
        while time() < others_until and not all(one.done() for one in cursed):
            await service.send(request(3, "fine"))
            await asyncio.sleep(20)
        return await asyncio.gather(*cursed), service.stopping.reason, time()

    outcomes, reason, took = run(scenario())
    assert {outcome.kind for outcome in outcomes} == {Kind.RATE_LIMIT}
    assert reason is None
    assert 600 <= took <= 800


def test_P6_the_last_request_of_all_has_its_row_when_it_is_refused_for_ever():
    """The others were answered before, so it is this one that the service does not want."""

    async def scenario():
        refused_once = []

        def reply(body):
            if b"cursed" in body or not refused_once:
                refused_once.append(body)
                return error(429)
            return answer()

        service = Service(reply, max_wait=600)
        await service.send(request(1, "fine"))
        outcome = await service.send(request(2, "cursed"))
        return outcome, service.stopping.reason, asyncio.get_running_loop().time()

    outcome, reason, took = run(scenario())
    assert outcome.kind is Kind.RATE_LIMIT
    assert reason is None
    assert 600 <= took <= 700


def test_P6_a_service_that_refuses_everything_after_a_while_stops_the_run():
    """Two requests that are both kept out are the service's doing, not theirs."""

    async def scenario():
        service = refused_by(b"late", max_wait=600)
        await service.send(request(1, "fine"))
        late = (service.send(request(number, "late")) for number in (2, 3))
        outcomes = await asyncio.gather(*late, return_exceptions=True)
        return outcomes, service.stopping.reason, asyncio.get_running_loop().time()

    outcomes, reason, took = run(scenario())
    assert not any(isinstance(outcome, Success | Failure) for outcome in outcomes)
    assert "the service has let nothing in for" in reason
    assert 600 <= took <= 700


def test_a_request_that_got_in_meanwhile_was_not_refused_all_the_time():
    """Refused for 400 s, let in and failed, and refused for 400 s: neither is 600."""

    async def scenario():
        loop, failed = asyncio.get_running_loop(), []

        def reply(body):
            if b"fine" in body or loop.time() > 800:
                return answer()
            if loop.time() > 400 and not failed:
                failed.append(body)
                return error(500)
            return error(429)

        service = Service(reply, max_wait=600)
        await service.send(request(1, "fine"))
        return await service.send(request(2)), service.stopping.reason

    outcome, reason = run(scenario())
    assert isinstance(outcome, Success)
    assert reason is None


def told_when(happens, drain_timeout=300.0, until=1_000.0):
    """When a run that *happens* to is told to give up what is in flight."""

    async def scenario():
        loop, told = asyncio.get_running_loop(), []
        stopping = Stopping(600.0, drain_timeout=drain_timeout)
        stopping.on_give_up(lambda: told.append(loop.time()))
        await happens(stopping)
        await asyncio.sleep(until)
        return told

    return run(scenario())


def test_P12_a_stopped_run_waits_for_its_answers_only_so_long():
    async def happens(stopping):
        await asyncio.sleep(10)
        stopping.stop("enough")
        assert stopping.time_left() == 300

    assert told_when(happens) == [310]


def test_P12_another_reason_to_stop_does_not_lengthen_the_wait():
    async def happens(stopping):
        stopping.stop("enough")
        await asyncio.sleep(50)
        stopping.stop("and more", interrupted=True)
        assert stopping.time_left() == 10
        assert (stopping.reason, stopping.interrupted) == ("enough", False)

    assert told_when(happens, drain_timeout=60) == [60]


def test_P12_giving_up_happens_once():
    async def happens(stopping):
        stopping.stop("enough")
        await asyncio.sleep(50)
        stopping.give_up()
        stopping.give_up()

    assert told_when(happens) == [50]


def test_a_run_that_is_over_is_given_up_no_more():
    async def happens(stopping):
        stopping.stop("enough")
        stopping.close()
        stopping.give_up()

    async def stopped_after_the_end(stopping):
        stopping.close()
        stopping.stop("the key was refused")

    assert told_when(happens) == []
    assert told_when(stopped_after_the_end) == []
