"""The simulated services enforce what they say, and the figures of a run are what they claim.

`python benchmarks/limits.py` runs the engine against all of them.
"""

import asyncio
import itertools
from array import array
from bisect import bisect_left
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks.simulator import checks, floor, gates, greedy, measures, profiles, virtual_time
from benchmarks.simulator.play import KNOWN, UNKNOWN, Run, play
from benchmarks.simulator.profiles import REQUESTS, SCENARIOS, TOKENS
from benchmarks.simulator.queueing import SLOTS, Queue
from benchmarks.simulator.service import Call, Closing, Seen
from benchmarks.simulator.trace import Trace
from benchmarks.simulator.voices import Voice
from benchmarks.simulator.workload import Shape, Workload
from request_engine.local_endpoint.limiters import Refusal
from request_engine.provider import Profile

LIMITED = [name for name, one in SCENARIOS.items() if one.requests]
IDEAL = 1_200.0


def started(name, shape=None, count=3_000, seed=1, ideal=IDEAL):
    """A service with one client, the requests of which are *shape*."""
    scenario = SCENARIOS[name]
    work = Workload(count, shape or scenario.shape, seed)
    service, least = scenario.build(seed, ideal)
    service.serve(work)
    return service, work, least


def hammered(service, seconds, each_second, start=0.0, first=1):
    """What came of requests at an even rate that are never answered: a status a request."""
    statuses = []
    for step in range(round(seconds * each_second)):
        reply = service.arrive(Call(first + step, 0), start + step / each_second)
        statuses.append(200 if reply is None else reply.status)
    return statuses


def most_in(moments, seconds):
    """The most of *moments* within any *seconds*."""
    return max(bisect_left(moments, at + seconds) - index for index, at in enumerate(moments))


TINY = Shape(max_tokens=1)


@pytest.mark.parametrize(
    ("name", "seconds", "most"),
    [
        ("A", 1.0, 40),
        ("A", 60.0, 1_220),
        ("A60", 60.0, 2_400),
        ("S", 60.0, 1_200),
        ("D", 1.0, 20),
        ("D", 60.0, 1_200),
        ("F", 180.0, 200),
        ("G", 60.0, 1_220),
    ],
)
def test_a_service_lets_in_no_more_than_it_says_however_hard_it_is_pressed(name, seconds, most):
    service, _, _ = started(name, TINY, 6_000)
    hammered(service, 120.0, 50)

    assert most_in(list(service.seen.admitted_at), seconds) <= most
    assert len(service.seen.refused_at) + len(service.seen.admitted_at) == 6_000


def test_a_bucket_lets_in_what_it_says_and_no_less():
    service, _, _ = started("A", TINY, 6_000)
    hammered(service, 120.0, 50)
    assert len(service.seen.admitted_at) == pytest.approx(120 * 20 + 20, abs=2)


def test_fixed_windows_begin_again_at_their_own_moments():
    service, _, _ = started("C", TINY, 8_000)
    hammered(service, 200.0, 40)

    counts = measures.by_second(service.seen.admitted_at)
    begins = [second for second, count in enumerate(counts) if count and not counts[second - 1]]
    assert all(later - sooner == 60 for sooner, later in itertools.pairwise(begins[1:]))
    assert most_in(list(service.seen.admitted_at), 60.0) <= 2 * REQUESTS


def test_tokens_counted_afterwards_keep_nobody_out_until_they_are_there():
    service, work, _ = started("C", Shape(max_tokens=32_768))
    calls = [Call(number, 0) for number in range(1, 1_001)]
    assert all(service.arrive(call, 1.0) is None for call in calls)
    work.outputs = [TOKENS] * len(work.outputs)
    service.leave(calls[0], 1.0)
    assert service.arrive(Call(1_001, 0), 1.1).status == 429


@pytest.mark.parametrize(("name", "again"), [("A", True), ("B", False)])
def test_what_an_answer_did_not_take_is_given_back_or_not(name, again):
    service, _, _ = started(name)
    calls = [Call(number, 0) for number in range(1, 21)]
    replies = [service.arrive(call, 0.0) for call in calls]
    let_in = replies.index(next(filter(None, replies)))
    assert 5 < let_in < 20  # 25,000 tokens at once, in parts of some 2,900
    for call in calls[:let_in]:
        service.leave(call, 0.001)
    assert (service.arrive(calls[let_in], 0.002) is None) is again


def test_a_rate_that_grows_too_fast_is_refused_in_words_that_say_so():
    service, _, _ = started("D")
    assert set(hammered(service, 12.0, 4)) == {200}
    assert 429 in hammered(service, 2.0, 19, start=12.0, first=100)
    assert service.seen.refused_for == {"growth": len(service.seen.refused_at)}
    reply = service.arrive(Call(200, 0), 13.96)
    assert b"increased too quickly" in reply.content


def test_only_so_many_at_once():
    service, _, _ = started("E")
    calls = [Call(number, 0) for number in range(1, 202)]
    replies = [service.arrive(call, 0.0) for call in calls]
    assert replies[:200] == [None] * 200
    assert b"concurrent" in replies[200].content
    service.leave(calls[0], 5.0)
    assert service.arrive(calls[200], 5.0) is None


@pytest.mark.parametrize(("name", "told"), [("F", False), ("Fh", True)])
def test_one_refusal_locks_everybody_out_for_three_minutes(name, told):
    service, _, _ = started(name, TINY)
    hammered(service, 10.0, 100)
    locked = service.seen.refused_at[0]
    reply = service.arrive(Call(2_000, 0), locked + 179.0)
    assert reply.status == 429
    assert (b"try again in" in reply.content) is told
    assert service.arrive(Call(2_001, 0), locked + 180.1) is None


@pytest.mark.parametrize(
    ("name", "before", "after"), [("Half", 1_200, 600), ("Double", 1_200, 2_400)]
)
def test_a_limit_changes_at_half_time_and_says_so(name, before, after):
    service, _, _ = started(name, TINY, 20_000, ideal=200.0)
    hammered(service, 200.0, 50)
    admitted = list(service.seen.admitted_at)
    assert sum(30 <= at < 90 for at in admitted) == pytest.approx(before, rel=0.02)
    assert sum(130 <= at < 190 for at in admitted) == pytest.approx(after, rel=0.02)
    assert f"Limit {after}".encode() in service.arrive(Call(19_000, 0), 200.0).content


def test_others_take_between_nothing_and_two_thirds_and_change_their_mind():
    shares = [share for _, share in profiles.shared(3, 3_600.0)]
    assert min(shares) >= 0.35
    assert max(shares) <= 1.0
    assert len(set(shares)) > 400


def test_outages_fail_half_of_what_comes_for_ten_seconds():
    service, _, _ = started("5xx", TINY, 10_000)
    statuses = [service.arrive(Call(1 + step, 0), step / 10) for step in range(3_600)]
    failed = [step / 10 for step, reply in enumerate(statuses) if reply and reply.status >= 500]
    assert 60 < len(failed) < 140
    assert all(at % 180 >= 170 for at in failed)


def test_a_daily_cap_asks_for_hours():
    service, _ = profiles.daily(1, 20.0)  # half of 400 requests
    service.serve(Workload(400, TINY, 1))
    hammered(service, 40.0, 10)
    assert len(service.seen.admitted_at) == 200
    reply = service.arrive(Call(399, 0), 60.0)
    assert float(reply.headers["retry-after"]) > 20 * 3_600
    assert b"requests per day" in reply.content


def test_a_closed_service_lets_nobody_in():
    refusal = Refusal("requests", "requests per min (RPM)", 1, 1, 1, 20.0)
    service, work, _ = started("A", TINY)
    closed = Closing(service.limits, Voice("openai"), 5.0, refusal)
    closed.serve(work)
    assert hammered(closed, 10.0, 2) == [200] * 10 + [429] * 10


def test_a_queue_refuses_nobody_and_shares_its_speed():
    """Twice as many at once go less than twice as fast together, and past its places none does."""

    async def together(count):
        service, work = Queue(Voice("bare")), Workload(count, Shape(), 1)
        work.prompts, work.outputs = [1] * count, [600] * count
        work.first_tokens = [0.0] * count
        service.serve(work)
        loop = asyncio.get_running_loop()
        left, done = [], asyncio.Event()

        def leave(call):
            left.append(loop.time())
            service.leave(call, loop.time())
            if len(left) == count:
                done.set()

        for number in range(1, count + 1):
            call = Call(number, 0)
            assert service.arrive(call, 0.0) is None
            service.begin(call, leave)
        await done.wait()
        return max(left)

    one, some, full, over = (
        virtual_time.run(together(count)) for count in (1, SLOTS // 2, SLOTS, 2 * SLOTS)
    )
    assert one == pytest.approx(10.0, rel=0.01)
    assert some < full < 2 * some
    assert over == pytest.approx(2 * full, rel=0.01)


@pytest.mark.parametrize("name", [*LIMITED, "E"])
@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_who_knows_everything_is_faster_than_the_floor(name, seed):
    """The longest answers first, and never refused."""
    scenario, work = SCENARIOS[name], Workload(1_000, SCENARIOS[name].shape, seed)
    service, least = scenario.build(seed, 60.0)
    order = sorted(range(1, work.count + 1), key=work.seconds, reverse=True)
    ended = greedy.makespan(scenario, service, work, order)
    assert 0.5 * ended < least(work) <= ended + 0.1


def test_the_users_limits_bind_like_windows():
    work = Workload(2_400, TINY, 1)
    assert floor.given(work, 1_200.0, None) == 60.0
    assert floor.given(work, 1_201.0, None) == 60.0
    assert floor.given(work, 1_199.0, None) == 120.0
    assert floor.given(work, None, work.all_used / 3) == 120.0
    assert floor.changing(2_400, 1_200.0, 1.0, [(0.0, 1.0), (60.0, 0.5)]) == 178.0


def test_a_run_is_the_same_for_the_same_seed():
    def moments(seed):
        run = play(SCENARIOS["A"], UNKNOWN, seed, 0.5)
        return run.clients[0].offered_at, list(run.service.seen.admitted), run.makespan

    assert moments(1) == moments(1)
    assert moments(1) != moments(2)


def test_P8_known_limits_are_kept_and_used():
    tight = replace(SCENARIOS["S"], shape=Shape(max_tokens=512))
    run = play(tight, KNOWN, 1, 2.0)

    assert run.clients[0].answered == 2_400
    assert measures.failed(run) == measures.wasted(run) == 0
    assert max(measures.excess(run)) <= 0
    assert run.least < run.makespan < 180.0


def test_P8_a_limit_of_tokens_is_kept_while_nobody_knows_how_long_answers_get():
    """Of five seeds the one in which three spreads of those in flight were not room enough."""
    run = play(SCENARIOS["T"], KNOWN, 3, 24.0)

    assert measures.failed(run) == 0
    assert max(measures.excess(run)) <= 0


def test_two_jobs_share_one_service_in_one_loop():
    run = play(SCENARIOS["A"], KNOWN, 1, 1.0, count=200, delays=(0.0, 5.0))

    assert [one.answered for one in run.clients] == [200, 200]
    assert min(run.clients[1].offered_at) >= 5.0
    assert 0.5 <= measures.fairness(run) <= 1.0


def test_a_trace_has_every_attempt_and_what_the_budget_knows():
    trace = Trace()
    run = play(SCENARIOS["E"], UNKNOWN, 1, 0.5, watch=trace)

    assert [row["second"] for row in trace.rows] == [*range(1, len(trace.rows) + 1)]
    sent = sum(at < len(trace.rows) for at in run.clients[0].offered_at)
    assert sum(row["offered"] for row in trace.rows) == sent
    assert "budget.in_flight" in trace.rows[0]


def told(admitted=(), offered=(), refused=(), ended=100.0, limits=(None, None), **clients):
    """A run in which just that happened."""
    seen = Seen()
    seen.admitted_at.extend(admitted)
    seen.admitted = array("l", range(1, len(admitted) + 1))
    seen.clients = array("b", [0] * len(admitted))
    seen.refused_at.extend(refused)
    carrier = SimpleNamespace(offered_at=list(offered))
    work = Workload(max(1, len(admitted)), TINY, 1)
    client = SimpleNamespace(
        work=work, carrier=carrier, offered_at=list(offered), started=0.0, ended=ended
    )
    return Run(SimpleNamespace(seen=seen), [client], limits, 1.0, 0.0)


def test_excess_is_what_went_beyond_the_limit_in_the_worst_minute():
    even = [step * 0.5 for step in range(400)]
    more = sorted([*even, 70.1, 70.2, 70.3])
    assert measures.excess(told(even, limits=(120.0, None)))[0] <= 0.0
    assert measures.excess(told(more, limits=(120.0, None)))[0] == pytest.approx(3 / 120)


def test_a_change_is_used_or_obeyed_when_the_rate_says_so():
    slow = [step * 0.1 for step in range(500)]
    fast = [50 + step * 0.05 for step in range(1_000)]
    assert measures.used_after(told([*slow, *fast]), 50.0, 1_200.0) == pytest.approx(12.0, abs=0.2)
    assert measures.used_after(told([*slow, *slow]), 50.0, 1_200.0) == float("inf")
    obeyed = told(
        offered=[*(step * 0.05 for step in range(1_000)), *(50 + s * 0.1 for s in range(500))]
    )
    assert measures.obeyed_after(obeyed, 50.0, 600.0) == pytest.approx(8.9, abs=0.2)


def test_gaps_and_lockouts_are_counted_to_the_end():
    run = told(offered=[0, 10, 20, 70], refused=[5, 6, 300], ended=400.0)
    assert measures.longest_gap(run.clients[0], 15.0) == 330.0
    assert measures.locked_out(run, 180.0) == 180.0 + 100.0


@pytest.mark.parametrize(
    ("ratio", "refused", "missed"), [(1.05, 0.005, False), (1.06, 0.0, True), (1.0, 0.006, True)]
)
def test_a_cell_is_missed_when_its_mean_is_beyond_its_bound(ratio, refused, missed):
    figures = gates.figures("S", KNOWN, 1, 0.05)
    figures.ratio, figures.refused = ratio, refused
    cell = gates.Cell([figures])
    assert cell.missed is missed
    assert cell.faults() == []
    figures.failed, figures.over_tokens = 2, 0.01
    assert cell.faults() == ["known: 2 failed rows", "known: 1.00% above the tokens given"]


def test_a_check_knows_on_which_side_its_bound_is():
    by_name = {one.name: one for one in checks.CHECKS}
    assert by_name["jain"].holds(0.9)
    assert not by_name["jain"].holds(0.89)
    assert by_name["half"].holds(20.0)
    assert not by_name["half"].holds(20.1)


def test_a_small_job_is_brisk():
    assert checks.small_job(1, 1.0) <= 3.0


def test_virtual_time_tells_when_nothing_can_come_of_it():
    async def waits():
        await asyncio.get_running_loop().create_future()

    async def sleeps():
        await asyncio.sleep(1_000.0)

    async def spins():
        loop = asyncio.get_running_loop()

        def again():
            loop.call_soon(again)

        again()
        await loop.create_future()

    for one in (waits, sleeps, spins):
        with pytest.raises(virtual_time.Stuck):
            virtual_time.run(one(), until=100.0)


def test_the_engine_is_told_how_the_service_limits_only_where_its_profile_does():
    assert SCENARIOS["A"].profile == Profile()
    assert SCENARIOS["D"].profile.burst_seconds == 0.0
