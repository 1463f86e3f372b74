"""A rate that nobody told is found from refusals, and tried again at a bounded cost."""

import random

import pytest

from request_engine.pace import Pace


class Service:
    """A bucket of *burst* seconds' worth that asks to wait for exactly as long as it takes."""

    def __init__(self, rate, burst=1.0):
        self.rate = rate
        self.level = self.full = rate * burst
        self.at = 0.0

    def refuses(self, now):
        self.level = min(self.full, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return (1 - self.level) / self.rate
        self.level -= 1
        return None


def drive(pace, service, start, seconds, offered=200.0):
    """Send as fast as *pace* allows and at most *offered* a second: times let in, and refused."""
    now, let_in, refused = start, [], []
    while now < start + seconds:
        wait = pace.wait(now, 1)
        if wait > 1e-6:  # less is the rounding of a clock, as for the budget
            now += wait
            continue
        pace.spend(now, 1)
        asked = service.refuses(now)
        if asked is None:
            let_in.append(now)
        else:
            refused.append(now)
            pace.refused(1)
            began, now = now, now + asked + 0.05
            pace.resumed(now, began, blamed=True)
        now += 1 / offered
    return let_in, refused


def pace(together=0.25, ceiling=None):
    return Pace(together, ceiling)


def test_without_a_refusal_there_is_no_rate_and_no_wait():
    one = pace()
    one.spend(0.0, 1)
    assert one.rate is None
    assert one.wait(0.0, 1) == 0.0


@pytest.mark.parametrize("rate", [2.0, 20.0, 100.0])
def test_a_bucket_s_rate_is_found_and_kept_with_few_refusals(rate):
    """From the second minute on nearly all of it is used, and hardly anything is refused."""
    one, service = pace(), Service(rate)
    drive(one, service, 0.0, 60.0)
    let_in, refused = drive(one, service, 60.0, 600.0)

    assert len(let_in) >= 0.93 * rate * 600
    assert len(refused) <= 0.03 * len(let_in) + 60


def test_a_window_is_counted_whole_with_the_pause_at_its_end():
    """600 let in within 20 s and then nothing for 40 s is 600 a minute, not 1,800."""
    one = pace()
    for count in range(600):
        one.spend(count / 30, 1)
    one.resumed(60.0, 20.0, blamed=True)

    assert one.rate == pytest.approx(0.97 * 10.0)


def test_a_lockout_is_no_time_in_which_anything_was_counted():
    """400 let in within 40 s and then nothing for three minutes is 10 a second."""
    one = pace()
    for count in range(400):
        one.spend(count / 10, 1)
    one.resumed(220.0, 40.0, blamed=True)

    assert one.rate == pytest.approx(0.97 * 10.0, rel=0.01)


def test_after_a_lockout_nothing_more_is_tried_for_three_quarters_of_an_hour():
    one = pace()
    for count in range(400):
        one.spend(count / 10, 1)
    one.resumed(220.0, 40.0, blamed=True)
    found, now = one.rate, 220.0
    while now < 220.0 + 14 * 180:
        now += max(one.wait(now, 1), 0.0)
        one.spend(now, 1)
        assert one.rate == found


def test_a_lone_refusal_after_a_long_time_changes_the_rate_by_less_than_a_hundredth():
    """It is the unevenness of what arrives; to measure then would only drive the rate down."""
    one = pace(ceiling=10.0)
    one.begin(0.0)
    now = 0.0
    while now < 30.0:
        now += max(one.wait(now, 1), 0.0)
        one.spend(now, 1)
    one.resumed(now + 0.1, now, blamed=True)

    assert one.rate == pytest.approx(10.0, rel=0.01)


def test_refusals_one_after_another_bring_a_wrong_rate_down_within_seconds():
    """A limit that halves is obeyed within 20 s."""
    one, service = pace(ceiling=20.0), Service(20.0)
    one.begin(0.0)
    drive(one, service, 0.0, 120.0)
    service.rate, service.full = 10.0, 10.0
    drive(one, service, 120.0, 10.0)
    let_in, refused = drive(one, service, 130.0, 10.0)

    assert (len(let_in) + len(refused)) / 10.0 <= 11.0


def test_a_limit_that_doubles_is_used_within_a_minute_and_a_half():
    one, service = pace(), Service(20.0)
    drive(one, service, 0.0, 180.0)
    service.rate, service.full = 40.0, 40.0
    drive(one, service, 180.0, 75.0)
    let_in, _ = drive(one, service, 255.0, 15.0)

    assert len(let_in) / 15.0 >= 0.9 * 40.0


def test_a_known_rate_is_never_raised_above():
    one, service = pace(ceiling=10.0), Service(50.0)
    one.begin(0.0)
    drive(one, service, 0.0, 300.0)

    assert one.rate <= 10.0


def test_a_rate_that_is_not_used_is_not_raised():
    """Else a quiet spell would end in a storm."""
    one, service = pace(), Service(20.0)
    drive(one, service, 0.0, 120.0)
    found = one.rate
    drive(one, service, 120.0, 600.0, offered=2.0)

    assert one.rate <= found * 1.21


def test_what_a_service_announces_is_kept_for_half_a_minute_and_then_tried():
    """Azure tells a sixth of the limit: within two minutes the whole is found all the same."""
    one, service = pace(), Service(60.0)
    one.spend(0.0, 1)
    one.believe(0.0, 10.0)
    first, _ = drive(one, service, 0.0, 29.0)
    drive(one, service, 29.0, 91.0)
    later, _ = drive(one, service, 120.0, 15.0)

    assert len(first) <= 10.0 * 29 + 5
    assert len(later) / 15.0 >= 50.0


def test_a_rate_that_rose_too_quickly_is_raised_a_twentieth_a_second():
    one = pace()
    for count in range(100):
        one.spend(count / 20, 1)
    one.resumed(5.6, 5.0, blamed=True, growth=True)
    before, now = one.rate, 5.6
    while now < 15.6:
        now += max(one.wait(now, 1), 0.0)
        one.spend(now, 1)

    assert before * 1.3 <= one.rate <= before * 1.7


def test_one_blamed_for_nothing_keeps_its_rate():
    one = pace()
    for count in range(100):
        one.spend(count / 20, 1)
    one.resumed(6.0, 5.0, blamed=False)

    assert one.rate is None


def test_a_refund_makes_room_at_once_but_no_credit():
    """What an answer did not take may go at once; what nobody asked for is not saved up."""
    one = pace(together=0.5, ceiling=10.0)
    one.begin(0.0)
    one.spend(0.0, 100)
    assert one.wait(0.0, 1) == pytest.approx(9.6)
    one.correct(1.0, -4)
    assert one.wait(1.0, 1) == pytest.approx(8.2)
    one.correct(20.0, -4)
    one.spend(20.0, 10)
    assert one.wait(20.0, 1) == pytest.approx(0.6)


def test_refunds_of_large_requests_are_kept_as_a_bucket_of_their_size_keeps_them():
    """Else a max_tokens of 32,000 that is reserved and given back costs six times the time."""
    one = pace(together=0.5, ceiling=10.0)
    one.begin(0.0)
    one.spend(0.0, 100)
    one.correct(12.0, -60)
    one.spend(12.0, 60)
    assert one.wait(12.0, 1) <= 0.0


def test_whatever_happens_the_rate_stays_a_positive_number():
    """No order of refusals, refunds and idle spells makes it 0, negative or infinite."""
    chance = random.Random(3)
    for _ in range(200):
        one, now = pace(ceiling=chance.choice([None, 5.0])), 0.0
        for _ in range(200):
            now += chance.choice([0.0, 0.01, 1.0, 100.0])
            match chance.randrange(5):
                case 0 | 1:
                    one.wait(now, 1)
                    one.spend(now, chance.choice([1, 100]))
                case 2:
                    one.correct(now, chance.choice([-50, 50]))
                case 3:
                    one.refused(1)
                case _:
                    pause = chance.choice([0.1, 30.0, 300.0])
                    one.resumed(now + pause, now, blamed=True, growth=chance.random() < 0.2)
                    now += pause
            assert one.rate is None or 0 < one.rate < float("inf")
