"""A lab's afternoon: three endpoints, one dies and one lets in less, and the job goes on.

Virtual time, against simulated services, through the door's own job.
"""

import json
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.simulator.several import FOR_EVER, Place, ideal, share
from benchmarks.simulator.workload import Shape, Workload

IDEAL = 720.0
"""Seconds that the job takes at best."""


def three(**facts):
    """One is steady, one dies after a third, one lets in half as many from half time on."""
    steady = Place(name="steady", rpm=240.0, **facts)
    return [
        steady,
        replace(steady, name="killed", dies=IDEAL / 3),
        replace(steady, name="limited", steps=((0.0, 1.0), (IDEAL / 2, 0.5))),
    ]


def answered_lines(shared):
    """How often each line has an answer in the results."""
    rows = [json.loads(row) for row in shared.rows]
    return Counter(row[0]["user"] for row in rows if "choices" in row[1])


@pytest.mark.parametrize(
    ("known", "spelling", "burst", "seed"),
    [
        (True, "openai", 1.0, 1),
        (True, "bare", 1.0, 2),
        (False, "openai", 1.0, 3),
        (False, "bare", 10.0, 4),
    ],
    ids=["known", "known, no hints", "found", "found, no hints"],
)
def test_P2_P3_one_killed_and_one_limited_in_mid_run_costs_at_most_a_tenth_more_time(
    known, spelling, burst, seed
):
    """Than the capacity that remains would take; every line is answered, and exactly once."""
    places = three(known=known, spelling=spelling, burst=burst)
    count = round(sum(one.let_in(IDEAL) for one in places))

    shared = share(places, count, seed)

    assert (shared.answered, shared.failed, shared.stopped) == (count, 0, None)
    assert answered_lines(shared) == {str(line): 1 for line in range(1, count + 1)}
    assert shared.ideal == pytest.approx(IDEAL, rel=0.01)
    assert shared.ratio < 1.1
    assert shared.ways["killed.localhost"].tried_in_vain < 40


def test_a_large_file_begins_with_five_in_flight_wherever_they_are():
    """Until one is answered, which takes 0.3 s at least."""
    places = three()
    shared = share(places, 600, 1)
    offered = sorted(at for way in shared.ways.values() for at in way.offered_at)
    assert [at < 0.3 for at in offered[:6]] == [True] * 5 + [False]
    assert [len(way.offered_at) > 100 for way in shared.ways.values()] == [True] * 3


def test_the_ideal_is_what_the_capacities_let_in():
    """By hand: 4 a second each, one of them until 240 s, one of them half of that from 360 s on."""
    work = Workload(4 * (720 + 240 + 360 + 180), Shape(), 1)
    assert ideal(three(), work) == pytest.approx(720.0, abs=3.0)
    assert three()[1].let_in(FOR_EVER) == 4 * 241
