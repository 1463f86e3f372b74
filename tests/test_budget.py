"""The budget keeps the user's limits exactly, in order, and never waits longer than it must."""

import asyncio
import itertools
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import run

from request_engine.allowance import WINDOW
from request_engine.budget import Budget
from request_engine.limit_headers import Announced
from request_engine.records import Usage
from request_engine.shares import Binding
from request_engine.sizes import UNCOUNTED, Size

MINUTE = 60.0


def budget(rpm=None, tpm=None, concurrent=10**6, spacing=0.0, burst=10.0):
    return Budget(
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        max_concurrent=concurrent,
        seconds_between_sends=spacing,
        burst_seconds=burst,
    )


async def admissions(limits, sizes):
    """When each of *sizes*, all asked for at once, was admitted."""
    loop = asyncio.get_running_loop()
    admitted = []

    async def one(number, tokens):
        await limits.acquire(Size(tokens))
        admitted.append((loop.time(), number, tokens))

    await asyncio.gather(*(one(number, tokens) for number, tokens in enumerate(sizes)))
    return admitted


def most_in_any_window(admitted):
    """The largest sums of requests and of tokens in any 60 s, the window's end excluded."""
    window, requests, tokens, total = deque(), 0, 0, 0
    for time, _, size in admitted:
        while window and window[0][0] <= time - MINUTE:
            total -= window.popleft()[1]
        window.append((time, size))
        total += size
        requests, tokens = max(requests, len(window)), max(tokens, total)
    return requests, tokens


@settings(max_examples=60, deadline=None)
@given(
    rpm=st.integers(1, 3_000),
    tpm=st.integers(100, 200_000),
    burst=st.sampled_from([0.0, 1.0, 10.0]),
    sizes=st.lists(st.integers(0, 100), min_size=1, max_size=300),
)
def test_P8_no_minute_ever_exceeds_the_limits_and_the_order_is_kept(rpm, tpm, burst, sizes):
    """Promise P8, the first minute included, for any mix of sizes that fit the limit."""
    admitted = run(admissions(budget(rpm, tpm, burst=burst), sizes))

    requests, tokens = most_in_any_window(admitted)
    assert requests <= rpm
    assert tokens <= tpm
    assert [number for _, number, _ in admitted] == list(range(len(sizes)))


@settings(max_examples=60, deadline=None)
@given(
    rpm=st.integers(1, 3_000),
    tpm=st.integers(1_000, 200_000),
    sizes=st.lists(st.integers(1, 2_000), min_size=1, max_size=300),
)
def test_no_wait_is_longer_than_the_arithmetic_says(rpm, tpm, sizes):
    """Each comes at the latest when what went before it alone has aged out of the window."""
    admitted = run(admissions(budget(rpm, tpm), sizes))

    for (before, _, size), (after, _, _) in itertools.pairwise(admitted):
        assert after - before <= WINDOW * max(1.0, size / tpm) + 0.01


@settings(max_examples=60, deadline=None)
@given(
    tpm=st.integers(10_000, 200_000),
    shares=st.lists(st.floats(0.0, 0.05), min_size=1, max_size=400),
)
def test_small_requests_take_no_longer_than_their_sum_over_the_limit(tpm, shares):
    """Up to what the window's end cuts off: none is larger than a twentieth of the limit."""
    sizes = [round(share * tpm) for share in shares]
    admitted = run(admissions(budget(tpm=tpm), sizes))

    assert admitted[-1][0] <= WINDOW * sum(sizes[:-1]) / (0.95 * tpm) + 0.01


@pytest.mark.parametrize(("rpm", "count"), [(60, 300), (600, 3_000), (50, 250)])
def test_a_long_job_takes_the_time_its_limit_dictates(rpm, count):
    """No gap pays the brisk start back: five minutes' worth is admitted within five minutes."""
    admitted = run(admissions(budget(rpm), [0] * count))

    assert admitted[-1][0] <= WINDOW * count / rpm
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(admitted)]
    assert max(gaps) <= 1.3 * WINDOW / rpm


def test_a_small_job_starts_briskly():
    """Ten requests at 50 a minute are out within 3 s."""
    assert run(admissions(budget(50), [0] * 10))[-1][0] <= 3.0


def test_a_service_that_limits_by_the_second_gets_no_burst():
    """With no burst the second request comes a 60th of a minute's share later."""
    times = [time for time, _, _ in run(admissions(budget(60, burst=0.0), [0] * 5))]

    assert times == pytest.approx([0.0, 1.02, 2.05, 3.07, 4.1], abs=0.01)


def test_after_an_idle_spell_a_batch_starts_briskly_again():
    async def two_batches():
        limits = budget(60)
        await admissions(limits, [0] * 60)
        await asyncio.sleep(120)
        start = asyncio.get_running_loop().time()
        return start, await admissions(limits, [0] * 10)

    start, second = run(two_batches())
    assert second[-1][0] - start <= 0.01


def test_a_request_larger_than_the_whole_budget_waits_for_a_full_one_and_overdraws_it():
    """Nothing hangs, and what follows waits until the overdraft is worked off."""

    async def scenario():
        limits = budget(tpm=100)
        return await admissions(limits, [50, 250, 50])

    admitted = run(scenario())
    assert [time for time, _, _ in admitted] == pytest.approx([0.0, WINDOW, WINDOW * 3.5])


def test_spacing_is_the_least_time_between_two_sends():
    times = [time for time, _, _ in run(admissions(budget(spacing=0.5), [0] * 4))]

    assert times == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_settling_gives_back_what_was_not_used():
    """Two requests of 100 tokens fit a budget of 100 when the first used only 10."""

    async def scenario():
        limits = budget(tpm=100)
        first = await limits.acquire(Size(100))
        limits.settle(first, Usage(10), admitted=True)
        await limits.acquire(Size(90))
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 0.0


def test_settling_charges_what_was_used_beyond_the_reservation():
    async def scenario():
        limits = budget(tpm=100)
        first = await limits.acquire(Size(10))
        limits.settle(first, Usage(100), admitted=True)
        await limits.acquire(Size(50))
        return asyncio.get_running_loop().time()

    assert run(scenario()) == pytest.approx(WINDOW)


def test_an_oversize_request_of_unknown_fate_costs_one_minute_at_most():
    """A billion tokens in max_tokens and a connection reset do not freeze the queue for years."""

    async def scenario():
        limits = budget(tpm=1_000)
        first = await limits.acquire(Size(10**9))
        limits.settle(first, None, admitted=True)
        await limits.acquire(Size(1_000))
        return asyncio.get_running_loop().time()

    assert run(scenario()) <= WINDOW + 0.01


def test_settling_twice_counts_once():
    async def scenario():
        limits = budget(tpm=100, concurrent=1)
        reservation = await limits.acquire(Size(50))
        limits.settle(reservation, Usage(20), admitted=True)
        limits.settle(reservation, Usage(0), admitted=True)
        return limits.in_flight, limits.tokens.allowance.used

    assert run(scenario()) == (0, 20)


def test_concurrency_is_bounded_and_first_come_first_served():
    async def scenario():
        limits = budget(concurrent=2)
        held = [await limits.acquire(Size(0)) for _ in range(2)]
        order = []

        async def third(name):
            reservation = await limits.acquire(Size(0))
            order.append(name)
            limits.settle(reservation, None, admitted=True)

        tasks = [asyncio.create_task(third(name)) for name in "abc"]
        await asyncio.sleep(1)
        assert order == []
        assert limits.binding is Binding.CONCURRENCY
        limits.settle(held[0], None, admitted=True)
        await asyncio.gather(*tasks)
        return order

    assert run(scenario()) == ["a", "b", "c"]


@pytest.mark.parametrize("hint", [0.2, 1.0, 30.0])
def test_a_refusal_pauses_everybody_for_what_the_service_asks_then_one_probe_goes_first(hint):
    """A hint of a second costs about a second; while the probe is out nobody follows it."""

    async def scenario():
        loop = asyncio.get_running_loop()
        limits = budget()
        refused = await limits.acquire(Size(0))
        limits.settle(refused, Usage(0), admitted=False)
        limits.pause(refused, hint)
        probe = await limits.acquire(Size(0))
        probed_at = loop.time()
        others = [asyncio.create_task(limits.acquire(Size(0))) for _ in range(3)]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in others)
        limits.settle(probe, None, admitted=True)
        await asyncio.gather(*others)
        return probed_at, loop.time()

    probed_at, rest_at = run(scenario())
    assert hint <= probed_at <= hint + 0.1
    assert rest_at == pytest.approx(probed_at + 0.5)


def test_a_probe_that_is_not_refused_at_once_has_been_let_in():
    """An answer may take minutes, a refusal does not: the others wait 2 s at most."""

    async def scenario():
        limits = budget()
        refused = await limits.acquire(Size(0))
        limits.settle(refused, Usage(0), admitted=False)
        limits.pause(refused, 1.0)
        await limits.acquire(Size(0))
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*(limits.acquire(Size(0)) for _ in range(5)))
        return asyncio.get_running_loop().time() - before

    assert run(scenario()) == pytest.approx(2.0)


def test_a_storm_of_refusals_is_one_decision():
    """A hundred refusals of what was sent before the pause do not double it a hundred times."""

    async def scenario():
        limits = budget()
        sent = [await limits.acquire(Size(0)) for _ in range(100)]
        for reservation in sent:
            limits.settle(reservation, Usage(0), admitted=False)
            limits.pause(reservation, None)
        await limits.acquire(Size(0))
        return asyncio.get_running_loop().time()

    assert run(scenario()) <= 0.5


def test_a_late_short_hint_does_not_shorten_a_long_pause():
    async def scenario():
        limits = budget()
        first, second = await limits.acquire(Size(0)), await limits.acquire(Size(0))
        limits.pause(first, 20.0)
        limits.pause(second, 1.0)
        await limits.acquire(Size(0))
        return asyncio.get_running_loop().time()

    assert run(scenario()) >= 20.0


def test_endless_refusals_back_off_but_never_freeze():
    """Without a hint the pauses double to a minute, and there is always another probe."""

    async def scenario():
        limits = budget()
        times = []
        for _ in range(12):
            reservation = await limits.acquire(Size(0))
            times.append(asyncio.get_running_loop().time())
            limits.settle(reservation, Usage(0), admitted=False)
            limits.pause(reservation, None)
        return times

    times = run(scenario())
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert max(pauses) <= 60.0
    assert pauses[-1] >= 45.0


def test_one_who_gives_up_waiting_leaves_no_hole():
    async def scenario():
        limits = budget(concurrent=1)
        held = await limits.acquire(Size(0))
        gone, stays = (asyncio.create_task(limits.acquire(Size(0))) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        limits.settle(held, None, admitted=True)
        await asyncio.wait_for(stays, 1)
        return limits.in_flight, limits.waiting

    assert run(scenario()) == (1, 0)


def test_one_cancelled_in_the_moment_of_its_grant_gives_it_back():
    async def scenario():
        limits = budget(concurrent=1)
        held = await limits.acquire(Size(0))
        task = asyncio.create_task(limits.acquire(Size(0)))
        await asyncio.sleep(0)
        limits.settle(held, None, admitted=True)  # grants the waiter
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return limits.in_flight

    assert run(scenario()) == 0


def test_its_repr_shows_levels_and_what_binds():
    async def scenario():
        limits = budget(rpm=60, tpm=1_000, concurrent=5)
        await limits.acquire(Size(100))
        return repr(limits)

    assert run(scenario()) == (
        "<Budget requests 1/60, tokens 100/1,000, in flight 1/5, waits for the file>"
    )


def test_the_cost_of_an_admission_does_not_grow_with_the_job():
    """200,000 admissions at 1,000,000 a minute keep at most a minute's 6,000 parts."""

    async def scenario():
        limits = budget(rpm=1_000_000)
        chance = random.Random(1)
        for _ in range(20_000):
            await limits.acquire(Size(0))
            await asyncio.sleep(chance.random() / 1000)
        return len(limits.requests.allowance._window)

    assert run(scenario()) <= 6_001


def test_input_and_output_have_limits_of_their_own_where_they_are_given():
    """Ten prompts of 100 tokens and ceilings of 10 pass 500 input tokens a minute five by five."""

    async def scenario():
        limits = Budget(
            requests_per_minute=None,
            tokens_per_minute=None,
            input_tokens_per_minute=500,
            output_tokens_per_minute=10_000,
            max_concurrent=100,
        )
        loop, times = asyncio.get_running_loop(), []
        for _ in range(10):
            reservation = await limits.acquire(Size(100, 10))
            times.append(loop.time())
            limits.settle(reservation, Usage(100, 5), admitted=True)
        return times, limits.shares.binding

    times, _ = run(scenario())
    within = [sum(1 for one in times if start <= one < start + MINUTE) for start in times]
    assert max(within) <= 5
    assert times[-1] <= 2 * WINDOW


def test_two_replies_that_announce_the_same_are_believed_and_one_is_not():
    """A header is a hint: it sets the pace until more is tried, and never above a limit given."""

    async def scenario(*announced, **limits):
        one = Budget(tokens_per_minute=None, max_concurrent=10, **limits)
        one.settle(await one.acquire(UNCOUNTED), None, admitted=True)
        for limit in announced:
            one.announced(Announced(requests=limit))
        return one.requests.per_minute, one.listens

    assert run(scenario(600.0, requests_per_minute=None)) == (None, True)
    assert run(scenario(600.0, 700.0, requests_per_minute=None)) == (None, True)
    assert run(scenario(600.0, 600.0, requests_per_minute=None)) == (pytest.approx(600), False)
    assert run(scenario(600.0, 600.0, requests_per_minute=50.0)) == (50.0, False)
    assert run(scenario(None, None, requests_per_minute=None)) == (None, False)


def test_a_limit_is_far_off_while_little_of_it_is_in_use():
    """15 % of it, what is asked about included; a limit that nobody knows is not there."""

    async def scenario():
        limits = budget(tpm=1_000)
        told = [limits.is_far(150), limits.is_far(151)]
        reservation = await limits.acquire(Size(100))
        told += [limits.is_far(50), limits.is_far(51)]
        limits.settle(reservation, Usage(20), admitted=True)
        return [*told, limits.is_far(130), limits.is_far(131), budget(rpm=1.0).is_far(10**9)]

    assert run(scenario()) == [True, False, True, False, True, False, True]


def test_a_limit_that_the_service_showed_is_near():
    """Whether it announced one, or refused at less than the user's."""

    async def scenario(limits, told):
        limits.settle(await limits.acquire(Size(1)), None, admitted=True)
        for _ in range(2):
            limits.announced(told)
        return limits.is_far(0)

    assert run(scenario(budget(), Announced(requests=None, tokens=None)))
    assert not run(scenario(budget(), Announced(requests=None, tokens=1_000_000.0)))
    refused = budget(tpm=1_000_000)
    assert refused.is_far(0)
    refused.tokens.pace.rate = 10_000.0  # a second, which is less than the user's
    assert not refused.is_far(0)


@pytest.mark.parametrize("split", ["input_tokens_per_minute", "output_tokens_per_minute"])
def test_limits_apart_are_near_as_well(split):
    limits = Budget(
        requests_per_minute=None, tokens_per_minute=None, max_concurrent=9, **{split: 1_000}
    )
    assert (limits.is_far(150), limits.is_far(151)) == (True, False)
