"""How many may be in flight is found out: by what is refused, and by what is no faster."""

import heapq
import itertools
import random

import pytest

from request_engine.window import Window

WORK = 200
"""Tokens of an answer on average."""


class Queue:
    """A server of so many *slots* that never refuses: who finds none free waits for one."""

    def __init__(self, slots, seconds=1.0, seed=4):
        self.now = 0.0
        self.free_at = [0.0] * slots
        self.seconds = seconds
        self.draw = random.Random(seed)

    def takes(self, now):
        """When a request that comes now is answered, and with how many tokens."""
        work = self.draw.uniform(0.5, 1.5) * WORK
        begins = max(now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, begins + self.seconds * work / WORK)
        return begins + self.seconds * work / WORK, work


def drive(window, service, answers, offered=10**9):
    """As many in flight as the window and what is *offered* allow; the sizes after each answer."""
    now, flying, sizes = service.now, [], []
    for _ in range(answers):
        while len(flying) < min(window.size, offered):
            ends, work = service.takes(now)
            heapq.heappush(flying, (ends, now, work))
        now, sent, work = flying[0]
        window.answered(now, len(flying), work, now - sent)
        heapq.heappop(flying)
        sizes.append(window.size)
    service.now = now
    return sizes


def answered(window, now, times=1, in_flight=None):
    for _ in range(times):
        window.answered(now, window.size if in_flight is None else in_flight, WORK, 1.0)


def test_it_starts_at_16_and_doubles_with_every_round_trip():
    window = Window(1_000, learned=True)
    sizes = [window.size]
    for trip in range(4):
        answered(window, trip + 1.0, times=window.size)
        sizes.append(window.size)

    assert sizes == [16, 32, 64, 128, 256]


def test_a_window_that_is_not_used_does_not_grow():
    window = Window(1_000, learned=True)
    answered(window, 1.0, times=500, in_flight=12)
    assert window.size == 16


@pytest.mark.parametrize("most", [1, 7, 16, 40])
def test_what_the_user_or_the_service_allows_is_never_exceeded(most):
    window = Window(most, learned=True)
    assert window.size == min(16, most)
    assert max(drive(window, Queue(200), 2_000)) == most


@pytest.mark.parametrize("most", [3, 400])
def test_a_number_that_the_user_gave_is_where_it_begins_and_stays(most):
    """Whatever the throughput and the timeouts say: only the service's refusal changes it."""
    window = Window(most, learned=False)
    sizes = drive(window, Queue(2), 5_000)
    window.timed_out(9_999.0, sent=9_000.0)

    assert {*sizes, window.size} == {most}


@pytest.mark.parametrize("learned", [False, True])
def test_refused_it_goes_just_below_what_was_let_in(learned):
    window = Window(100, learned=learned)
    window.refused(10.0, let_in=40, pause=0.5)
    assert window.size == 38


def test_it_is_never_less_than_one():
    window = Window(100, learned=True)
    window.refused(10.0, let_in=0, pause=0.5)
    assert window.size == 1
    window.timed_out(20.0, sent=19.0)
    assert window.size == 1


@pytest.mark.parametrize(("pause", "seconds"), [(0.1, 10.0), (20.0, 600.0)])
def test_after_a_refusal_more_is_tried_the_later_the_dearer_the_pause_was(pause, seconds):
    window = Window(100, learned=True)
    window.refused(10.0, let_in=40, pause=pause)

    answered(window, 10.0 + seconds - 0.1, times=100)
    assert window.size == 38
    answered(window, 10.0 + seconds)
    assert window.size == 39
    answered(window, 10.0 + seconds + 0.1, times=100)
    assert window.size == 39


def test_after_a_refusal_it_comes_back_a_little_at_a_time():
    """A limit that was lifted is found again, and nothing is tried while less is in use."""
    window = Window(100, learned=True)
    window.refused(0.0, let_in=40, pause=0.5)
    sizes = [window.size]
    for second in range(1, 301):
        answered(window, float(second), times=5, in_flight=20)
    assert window.size == 38
    for second in range(301, 601):
        answered(window, float(second))
        sizes.append(window.size)

    steps = [after / before for before, after in itertools.pairwise(sizes)]
    assert max(steps) <= 1.06
    assert sizes[-1] == 100


def test_each_refusal_makes_the_next_trial_smaller():
    window, steps = Window(1_000, learned=True), []
    for _ in range(4):
        window.refused(0.0, let_in=400, pause=0.1)
        steps.append(400 - window.size)
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < steps[0]


@pytest.mark.parametrize("slots", [20, 60, 150])
def test_where_answers_only_queue_it_stops_growing_and_steps_back_to_near_the_slots(slots):
    """Before each slot has answered 8 times, some rounds of 50 answers or a window of them."""
    window = Window(10_000, learned=True)
    found = drive(window, Queue(slots), 30 * slots + 500)
    most, later = max(found), found[8 * slots :]

    assert most < 8 * slots
    assert found.index(most) < 8 * slots
    assert 0.8 * slots <= min(later)
    assert max(later) <= 2 * slots


def test_while_the_throughput_rises_with_it_the_window_grows_to_the_most():
    window = Window(500, learned=True)
    assert drive(window, Queue(2_000), 5_000)[-1] == 500


def test_a_file_that_does_not_fill_the_window_teaches_nothing():
    window = Window(1_000, learned=True)
    assert set(drive(window, Queue(5), 2_000, offered=10)) == {16}


def test_a_timeout_halves_once_for_all_that_were_sent_before_it():
    """A hundred that were sent together and time out together are one piece of news."""
    window = Window(1_000, learned=True)
    answered(window, 1.0, times=48)
    assert window.size == 64
    for at in (60.0, 60.1, 60.2):
        window.timed_out(at, sent=1.0)
    assert window.size == 32

    window.timed_out(120.0, sent=60.0)  # no later than the news
    assert window.size == 32
    window.timed_out(130.0, sent=61.0)
    assert window.size == 16


def test_after_a_timeout_it_does_not_double_again():
    window = Window(1_000, learned=True)
    answered(window, 1.0, times=16)
    window.timed_out(2.0, sent=1.0)
    answered(window, 3.0, times=16)
    assert window.size == 16


def test_more_is_tried_again_from_time_to_time_where_a_server_has_grown():
    """Slots that are added in the middle of a run come into use."""
    window = Window(1_000, learned=True)
    queue = Queue(20)
    before = drive(window, queue, 2_000)[-1]
    queue.free_at += [queue.now] * 180
    after = drive(window, queue, 20_000)[-1]

    assert before < 40
    assert after >= 180
