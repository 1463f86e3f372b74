"""One request: which failures are tried again, how often, and what is kept of them."""

import asyncio
from dataclasses import replace

import pytest
from scripted import Service, answer, error, request, reset, stale, timeout
from virtual_time import run

from request_engine.records import Failure, Kind, Reply, Success
from request_engine.stopping import Abandoned

HTML = Reply(502, {}, b"<html><title>Bad Gateway</title></html>")
CUT = Reply(200, {}, b'{"choices": [{"mess')
EMPTY = Reply(200, {}, b"  \n ")


def outcome_of(replies, **settings):
    """The outcome, what was sent, and how long it took."""

    async def scenario():
        service = Service(replies, **settings)
        outcome = await service.send(request())
        return outcome, service, asyncio.get_running_loop().time()

    return run(scenario())


@pytest.mark.parametrize(
    ("trouble", "first_rest"),
    [
        (error(500), 0.5),
        (error(503), 0.5),
        (error(408), 0.5),
        (error(529), 0.5),
        (CUT, 0.5),
        (EMPTY, 0.5),
        (reset(), 2.0),
        (HTML, 2.0),
    ],
    ids=["500", "503", "408", "529", "cut", "empty", "reset", "html"],
)
def test_what_may_pass_is_tried_again_until_it_does(trouble, first_rest):
    """After twice as long a rest each time; what may have been billed has few attempts and more."""
    outcome, service, took = outcome_of([trouble, trouble, answer()])

    assert isinstance(outcome, Success)
    assert len(service.sent) == 3
    assert 0.75 * 3 * first_rest <= took <= 3 * first_rest


def test_attempts_are_bounded_and_each_is_kept():
    outcome, service, _ = outcome_of([error(500, "boom")], max_attempts=4)

    assert len(service.sent) == 4
    assert [failure.attempt for failure in (*outcome.earlier, outcome)] == [1, 2, 3, 4]
    assert {failure.message for failure in (*outcome.earlier, outcome)} == {"boom"}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(400), Kind.BAD_REQUEST),
        (error(422), Kind.BAD_REQUEST),
        (error(400, code="content_filter"), Kind.CONTENT_FILTER),
        (error(401), Kind.AUTH),
        (error(402), Kind.QUOTA),
        (error(429, code="insufficient_quota"), Kind.QUOTA),
        (error(404, code="model_not_found"), Kind.MODEL_CONFIG),
    ],
)
def test_what_can_never_succeed_is_sent_once(reply, kind):
    outcome, service, took = outcome_of([reply, answer()])

    assert outcome.kind is kind
    assert len(service.sent) == 1
    assert took == 0.0


def test_a_refusal_for_speed_uses_no_attempt():
    """Ten refusals and one attempt to spend: it is answered all the same."""
    refusals = [error(429, "slow down", retry_after="1")] * 4

    outcome, service, took = outcome_of([*refusals, answer()], max_attempts=1)

    assert isinstance(outcome, Success)
    assert service.tally.refusals == 4
    assert 4.0 <= took <= 4.5


def test_a_refusal_lets_nobody_slip_into_its_slot():
    """Five in flight are refused at once: none of the fifteen who wait is sent into the pause."""

    async def scenario():
        service = Service([error(429, retry_after="10")], max_concurrent=5, latency=0.1)
        tasks = [asyncio.create_task(service.send(request(number))) for number in range(20)]
        await asyncio.sleep(9)
        sent = len(service.sent)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sent

    assert run(scenario()) == 5


def test_an_unusable_answer_that_was_paid_for_is_tried_a_few_times_only():
    outcome, service, _ = outcome_of([CUT], max_attempts=9)

    assert outcome.kind is Kind.BAD_ANSWER
    assert len(service.sent) == 3
    assert outcome.raw == '{"choices": [{"mess'


@pytest.mark.parametrize("trouble", [timeout(), reset(), HTML, error(504)])
def test_P3_what_may_have_been_executed_is_tried_few_times_and_counted(trouble):
    """Nobody says what became of it: three attempts, however many are allowed."""
    outcome, service, _ = outcome_of([trouble], max_attempts=9)

    assert outcome.kind is Kind.TRANSIENT
    assert len(service.sent) == 3
    assert (service.tally.maybe_billed, service.tally.maybe_billed_tokens) == (3, 30)


@pytest.mark.parametrize(
    "trouble",
    [error(500), error(503), error(200, code="server_error")],
    ids=["500", "503", "error inside a 200"],
)
def test_a_service_that_says_itself_that_it_failed_is_given_every_attempt(trouble):
    outcome, service, _ = outcome_of([trouble], max_attempts=9)

    assert outcome.kind is Kind.TRANSIENT
    assert len(service.sent) == 9


def test_P3_a_dead_kept_connection_costs_no_attempt_and_no_time_and_is_counted():
    outcome, service, took = outcome_of([stale(), answer()], max_attempts=1)

    assert isinstance(outcome, Success)
    assert took == 0.0
    assert service.tally.maybe_billed == 1


def test_a_second_dead_connection_is_a_failure_like_any_other():
    outcome, service, _ = outcome_of([stale()], max_attempts=2)

    assert outcome.kind is Kind.TRANSIENT
    assert len(service.sent) == 3
    assert outcome.attempt == 2


@pytest.mark.parametrize(
    ("trouble", "count"),
    [
        (reset(), 1),
        (CUT, 1),
        (error(504), 1),
        (error(500), 0),
        (error(429), 0),
        (replace(reset(), sent=False), 0),
    ],
    ids=["reset", "cut", "504", "500", "429", "not sent"],
)
def test_P3_what_may_have_been_billed_without_an_answer_is_counted(trouble, count):
    _, service, _ = outcome_of([trouble, answer()])

    assert service.tally.maybe_billed == count


def test_waiting_for_another_attempt_holds_no_slot():
    """With one slot, a second request is answered while the first backs off."""

    async def scenario():
        service = Service(
            lambda body: answer() if b"second" in body else error(500), max_concurrent=1
        )
        first = asyncio.create_task(service.send(request(text="first")))
        await asyncio.sleep(0.01)
        second = await service.send(request(text="second"))
        during = asyncio.get_running_loop().time(), first.done()
        await first
        return second, during

    second, (time, first_done) = run(scenario())
    assert isinstance(second, Success)
    assert time < 0.1
    assert not first_done


def test_reservations_are_settled_by_usage():
    async def scenario():
        service = Service([answer(prompt_tokens=3, completion_tokens=4)], tokens_per_minute=1_000)
        await service.send(request(), tokens=500)
        return service.budget.tokens.allowance.used, service.tally.tokens, service.budget.in_flight

    assert run(scenario()) == (7, 7, 0)


@pytest.mark.parametrize(
    ("reply", "used"),
    [(error(400), 0), (error(429), 0), (timeout(), 500), (reset(), 500), (answer(), 500)],
    ids=["refused", "too fast", "timed out", "maybe executed", "no usage told"],
)
def test_what_was_not_executed_gives_its_tokens_back(reply, used):
    async def scenario():
        service = Service([reply], max_attempts=1, tokens_per_minute=1_000)
        task = asyncio.create_task(service.send(request(), tokens=500))
        await asyncio.sleep(0.01)
        used = service.budget.tokens.allowance.used
        task.cancel()
        return used

    assert run(scenario()) == used


def test_P9_the_key_is_in_no_outcome_even_if_the_service_echoes_it():
    key = "sk-canary-0123456789"
    refused = error(400, f"bad request with key {key}")
    echoed = answer(f"your key is {key}")

    failure, _, _ = outcome_of([refused], api_key=key)
    success, _, _ = outcome_of([echoed], api_key=key)
    cut = replace(echoed, content=echoed.content[:-5])
    bad, _, _ = outcome_of([cut], api_key=key)

    assert key not in repr(failure)
    assert key not in repr(success)
    assert key not in repr(bad)
    assert failure.message == "bad request with key [key]"


def test_a_short_user_name_is_hidden_in_errors_but_is_a_word_in_answers():
    failure, _, _ = outcome_of([error(400, "user bob has lost his bobsled")], api_key="bob")
    success, _, _ = outcome_of([answer("bob")], api_key="bob")

    assert failure.message == "user [key] has lost his bobsled"
    assert b'"bob"' in success.response


def test_a_stop_wakes_who_only_waits_and_lets_answers_come_home():
    async def scenario():
        service = Service(lambda body: error(500) if b"waits" in body else answer())
        waits = asyncio.create_task(service.send(request(text="waits")))
        await asyncio.sleep(0.01)
        service.stopping.stop("enough")
        with pytest.raises(Abandoned):
            await waits
        return asyncio.get_running_loop().time()

    assert run(scenario()) < 0.1


def test_P6_a_wait_longer_than_max_wait_stops_the_run_with_the_services_words():
    async def scenario():
        service = Service([error(429, "Try again in 86400 seconds")], max_wait=600)
        with pytest.raises(Abandoned):
            await service.send(request())
        return service.stopping.reason

    reason = run(scenario())
    assert "asks to wait 86,400 s" in reason
    assert "Try again in 86400 seconds" in reason


def test_P6_refusals_without_end_stop_the_run_after_max_wait():
    async def scenario():
        service = Service([error(429, "no")], max_wait=600)
        with pytest.raises(Abandoned):
            await service.send(request())
        return asyncio.get_running_loop().time(), len(service.sent)

    took, sent = run(scenario())
    assert 540 <= took <= 700
    assert sent >= 10


def test_an_outage_pauses_everybody_and_burns_no_file():
    """The network is away for five minutes: two hundred requests lose an attempt or two each."""
    down_until = 300.0

    async def scenario():
        loop = asyncio.get_running_loop()

        def reply(body):
            away = 10 < loop.time() < down_until
            return replace(reset(), sent=False, message="cannot connect") if away else answer()

        service = Service(reply, max_concurrent=20, requests_per_minute=600)
        outcomes = await asyncio.gather(*(service.send(request(number)) for number in range(200)))
        return outcomes, service

    outcomes, service = run(scenario())
    assert all(isinstance(outcome, Success) for outcome in outcomes)
    assert len(service.sent) <= 200 + 20 + 25


def test_a_service_that_was_never_there_is_given_up_soon():
    nobody = replace(reset(), sent=False, message="cannot connect to localhost:80")

    async def scenario():
        service = Service([nobody], max_attempts=50)
        with pytest.raises(Abandoned):
            await service.send(request())
        return service.stopping.reason, asyncio.get_running_loop().time()

    reason, took = run(scenario())
    assert reason == "the service cannot be reached: cannot connect to localhost:80"
    assert took < 40


def test_P3_an_attempt_given_up_in_flight_frees_its_slot_and_is_counted():
    """One that only waits for its turn was not sent, and is not counted."""

    async def scenario():
        service = Service([answer()], latency=1e6, max_concurrent=1)
        tasks = [asyncio.create_task(service.send(request(number), 50)) for number in range(3)]
        await asyncio.sleep(1)
        assert service.budget.in_flight == 1
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return service

    service = run(scenario())
    tally = service.tally
    assert service.budget.in_flight == 0
    assert (tally.abandoned, tally.maybe_billed, tally.maybe_billed_tokens) == (1, 1, 50)


def test_the_failures_of_one_request_read_as_they_happened():
    outcome, _, _ = outcome_of([reset(), error(503, "busy"), error(400, "too long")])

    assert isinstance(outcome, Failure)
    assert [(one.kind, one.status) for one in (*outcome.earlier, outcome)] == [
        (Kind.TRANSIENT, None),
        (Kind.TRANSIENT, 503),
        (Kind.BAD_REQUEST, 400),
    ]
