"""Garbage is looked for less often during a run, and as before after it."""

import gc

import pytest

from request_engine import garbage


@pytest.fixture(autouse=True)
def as_before():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def state():
    return gc.get_threshold(), gc.get_freeze_count() > 0


def test_it_is_as_it_was_when_the_run_ends_whatever_ends_it():
    gc.set_threshold(700, 10, 10)
    during = []

    def fails():
        with garbage.rarely_looked_for():
            during.append(state())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    ((threshold, frozen),) = during
    assert threshold > (700, 10, 10)
    assert frozen
    assert state() == ((700, 10, 10), False)


def test_two_runs_in_one_process_leave_it_as_it_was():
    gc.set_threshold(700, 10, 10)
    with garbage.rarely_looked_for():
        with garbage.rarely_looked_for():
            pass
        assert gc.get_threshold()[0] > 700
    assert state() == ((700, 10, 10), False)


@pytest.mark.parametrize("threshold", [0, 1_000_000])
def test_a_program_that_has_set_it_otherwise_is_left_alone(threshold):
    """0 is never."""
    gc.set_threshold(threshold, 10, 10)
    with garbage.rarely_looked_for():
        assert state() == ((threshold, 10, 10), False)
    assert state() == ((threshold, 10, 10), False)


def test_in_somebody_elses_program_it_is_as_before_when_the_last_one_is_done():
    gc.set_threshold(700, 10, 10)
    seldom = garbage.Seldom()
    seldom.begin()
    seldom.begin()
    seldom.end()
    assert state() == ((20_000, 10, 10), False)
    seldom.end()
    assert state() == ((700, 10, 10), False)


def test_two_in_one_program_leave_it_as_it_was_in_whatever_order_they_end():
    gc.set_threshold(700, 10, 10)
    one, other = garbage.Seldom(), garbage.Seldom()
    one.begin()
    other.begin()
    one.end()
    other.end()
    assert state() == ((700, 10, 10), False)


@pytest.mark.parametrize("threshold", [0, 1_000_000])
def test_what_a_program_has_set_meanwhile_stays(threshold):
    gc.set_threshold(700, 10, 10)
    seldom = garbage.Seldom()
    seldom.begin()
    gc.set_threshold(threshold, 10, 10)
    seldom.begin()
    seldom.end()
    seldom.end()
    assert gc.get_threshold()[0] == threshold
