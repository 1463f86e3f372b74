"""How long each reason kept the next request back, as shares of the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_engine.shares import SHORT, Binding, Shares


def test_before_anything_happened_there_is_nothing_to_tell():
    assert Shares().told(5.0) == {}


def test_no_time_has_no_shares():
    """A job of one request that is answered at once divides by nothing."""
    shares = Shares()
    shares.bind(5.0, Binding.FILE)
    shares.bind(5.0, Binding.TOKENS)
    assert shares.told(5.0) == {}


def test_each_reason_has_the_time_from_when_it_bound_until_the_next_did():
    shares = Shares()
    shares.bind(100.0, Binding.FILE)
    shares.bind(101.0, Binding.REQUESTS)
    shares.bind(107.0, Binding.PAUSE)
    shares.bind(109.0, Binding.REQUESTS)

    assert shares.binding is Binding.REQUESTS
    assert shares.told(110.0) == pytest.approx(
        {Binding.REQUESTS: 0.7, Binding.PAUSE: 0.2, Binding.FILE: 0.1}
    )


def test_time_before_the_first_is_nobody_s():
    shares = Shares()
    shares.bind(1_000.0, Binding.FILE)
    assert shares.told(1_001.0) == {Binding.FILE: 1.0}


def test_what_binds_again_goes_on_and_does_not_begin_anew():
    shares = Shares()
    for now in range(10):
        shares.bind(float(now), Binding.TOKENS)
    shares.bind(9.0, Binding.FILE)
    assert shares.told(12.0) == pytest.approx({Binding.TOKENS: 0.75, Binding.FILE: 0.25})


def test_being_asked_does_not_change_what_is_told_later():
    shares = Shares()
    shares.bind(0.0, Binding.TOKENS)
    shares.told(1.0)
    shares.told(2.0)
    shares.bind(3.0, Binding.FILE)
    assert shares.told(4.0) == pytest.approx({Binding.TOKENS: 0.75, Binding.FILE: 0.25})


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(list(Binding))), min_size=1))
def test_shares_add_up_to_one_with_the_largest_first(steps):
    shares, now = Shares(), 0.0
    for milliseconds, binding in steps:
        shares.bind(now, binding)
        now += milliseconds / 1_000
    told = shares.told(now + 1.0)

    assert sum(told.values()) == pytest.approx(1.0)
    assert list(told.values()) == sorted(told.values(), reverse=True)
    assert all(share > 0 for share in told.values())


def test_every_reason_has_a_word_for_the_summary():
    assert set(SHORT) == set(Binding)
