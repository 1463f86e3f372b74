"""One pause for everybody, as long as the service asks for, and one probe when it is over."""

import pytest

from request_engine.pause import Pause
from request_engine.records import Limit
from request_engine.reservation import Reservation
from request_engine.shares import Binding
from request_engine.sizes import NO_TOKENS, UNCOUNTED

LONGEST = 60.0
"""Seconds of the longest backoff."""


def sent(pause, at):
    """An attempt that is sent now."""
    reservation = Reservation(UNCOUNTED, NO_TOKENS, 0, pause.episode, at)
    pause.granted(at, reservation)
    return reservation


def refuse(pause, now, reservation, hint=None, limit=None, in_flight=1, *, refused=True):
    pause.begin(now, reservation, hint, limit, in_flight, refused=refused)
    pause.settled(reservation, admitted=False)


def refuse_probes(pause, times, hint, limit=None):
    """Refuse the first and each probe after it; how long each pause was."""
    now, lengths = 100.0, []
    for _ in range(times):
        refuse(pause, now, sent(pause, now), hint, limit)
        lengths.append(pause.until - now)
        now = pause.until
    return lengths


def test_without_a_refusal_nobody_waits():
    pause = Pause()
    assert pause.wait(10.0)[0] < 0
    reservation = sent(pause, 10.0)
    assert not pause.settled(reservation, admitted=True)
    assert pause.began is None


def test_refusals_of_what_was_sent_together_are_one_decision():
    """A hundred of them pause once, and the next backoff is the second and not the hundredth."""
    pause = Pause()
    together = [sent(pause, 1.0) for _ in range(100)]
    for number, reservation in enumerate(together):
        refuse(pause, 2.0 + number / 1_000, reservation, in_flight=100 - number)

    assert (pause.in_a_row, pause.episode) == (1, 1)
    assert pause.began == 2.0
    assert pause.until <= 2.0 + 0.5


def test_a_later_refusal_of_the_same_episode_can_only_make_the_pause_longer():
    pause = Pause()
    first, second, third = (sent(pause, 1.0) for _ in range(3))
    refuse(pause, 2.0, first, hint=5.0)
    until = pause.until
    refuse(pause, 2.1, second, hint=0.5)
    assert pause.until == until
    refuse(pause, 2.2, third, hint=20.0)
    assert pause.until == 22.2
    assert pause.in_a_row == 1


def test_a_hint_is_waited_for_to_the_millisecond_and_never_less():
    for _ in range(100):
        pause = Pause()
        refuse(pause, 1.0, sent(pause, 1.0), hint=7.25)
        assert 8.25 + 0.01 <= pause.until <= 8.25 + 0.06
        assert pause.wait(2.0) == (pause.until - 2.0, Binding.PAUSE)


def test_hints_are_believed_four_times_in_a_row_then_they_are_only_the_least():
    """A service that says "in 1 s" for an hour is asked less and less often."""
    lengths = refuse_probes(Pause(), 12, hint=1.0)

    assert all(1.01 <= length <= 1.06 for length in lengths[:4])
    assert all(length >= 0.75 * 0.5 * 2**number for number, length in enumerate(lengths[4:7], 4))
    assert 0.75 * LONGEST <= lengths[-1] <= LONGEST


def test_after_that_a_longer_hint_still_counts():
    assert refuse_probes(Pause(), 12, hint=300.0)[-1] == 300.0


def test_without_a_hint_the_pauses_double_to_a_minute_from_a_short_one_on():
    """Most refusals came only a little too soon; one after another did not."""
    first, *later = refuse_probes(Pause(), 12, hint=None)
    assert 0.1 <= first <= 0.5
    for number, length in enumerate(later, 1):
        longest = min(LONGEST, 0.5 * 2**number)
        assert 0.75 * longest <= length <= longest + 1e-9


def test_one_that_was_let_in_makes_the_next_backoff_the_first_again():
    pause = Pause()
    refuse_probes(pause, 5, hint=None)
    probe = sent(pause, 1_000.0)
    assert pause.settled(probe, admitted=True)
    pause.end()

    refuse(pause, 2_000.0, sent(pause, 2_000.0))
    assert pause.until <= 2_000.5


def test_an_answer_to_what_was_sent_before_the_pause_does_not_end_it():
    """It was let in when there was room; only the probe tells of now."""
    pause = Pause()
    early, refused = sent(pause, 1.0), sent(pause, 1.0)
    refuse(pause, 2.0, refused, in_flight=2)
    assert not pause.settled(early, admitted=True)
    assert pause.began == 2.0
    assert pause.in_a_row == 1


def test_it_is_over_when_the_probe_is_let_in_and_was_since_the_first_refusal():
    pause = Pause()
    refuse(pause, 2.0, sent(pause, 1.0), hint=3.0)
    refuse(pause, 5.2, sent(pause, 5.1), hint=3.0)
    probe = sent(pause, 8.3)

    assert pause.settled(probe, admitted=True)
    assert pause.end() == 2.0
    assert pause.began is None
    assert pause.wait(8.4)[0] <= 0


def test_too_many_in_flight_need_no_pause_while_others_are():
    """The next answer makes room; the window is what keeps the next request back."""
    pause = Pause()
    reservations = [sent(pause, 1.0) for _ in range(3)]
    refuse(pause, 2.0, reservations[0], limit=Limit.CONCURRENCY, in_flight=3)
    assert pause.until == 2.0
    assert pause.let_in == 2


def test_too_many_in_flight_need_no_minute_where_the_refusal_names_one():
    """LiteLLM tells the length of its window, 60 s, whatever the limit was."""
    pause = Pause()
    reservations = [sent(pause, 1.0) for _ in range(4)]
    for number, reservation in enumerate(reservations[:2]):
        refuse(pause, 2.0, reservation, 60.0, Limit.CONCURRENCY, in_flight=4 - number)
    assert pause.until == 2.0

    refuse(pause, 2.1, sent(pause, 2.1), 60.0, Limit.CONCURRENCY, in_flight=3)
    assert pause.until <= 2.1 + 1.0
    refuse(pause, 4.0, sent(pause, 4.0), 0.2, Limit.CONCURRENCY, in_flight=3)
    assert pause.until == pytest.approx(4.2)


def test_too_many_in_flight_with_nothing_in_flight_is_a_pause():
    """Others hold the places, and nothing of ours will make room."""
    pause = Pause()
    refuse(pause, 2.0, sent(pause, 1.0), limit=Limit.CONCURRENCY, in_flight=1)
    assert pause.until >= 2.1
    refuse(pause, 3.0, sent(pause, 3.0), 9.0, Limit.CONCURRENCY, in_flight=1)
    assert pause.until >= 12.0


def test_too_many_in_flight_again_and_again_is_a_pause():
    pause = Pause()
    refuse(pause, 2.0, sent(pause, 1.0), limit=Limit.CONCURRENCY, in_flight=5)
    refuse(pause, 2.1, sent(pause, 2.05), limit=Limit.CONCURRENCY, in_flight=5)
    assert pause.until >= 2.1 + 0.75 * 1.0


def test_what_was_let_in_are_those_in_flight_that_are_not_refused():
    pause = Pause()
    together = [sent(pause, 1.0) for _ in range(10)]
    for number in range(4):
        refuse(pause, 2.0 + number / 10, together[number], in_flight=10 - number)
    assert pause.let_in == 6


def patience(took):
    """Seconds for which a probe is waited for, where refusals came back after *took*."""
    pause = Pause()
    for seconds in took:
        refuse(pause, 1.0 + seconds, sent(pause, 1.0), hint=0.1)
    start = max(pause.until, 100.0)
    sent(pause, start)
    wait, binding = pause.wait(start)
    assert binding is Binding.PROBE
    return wait


@pytest.mark.parametrize(
    ("took", "expected"),
    [(0.001, 0.2), (0.05, 0.2), (0.1, 0.4), (0.3, 1.2), (0.5, 2.0), (30.0, 2.0), (0.0, 2.0)],
)
def test_a_probe_is_waited_for_four_times_as_long_as_a_refusal_takes(took, expected):
    """From 0.2 to 2 s; 2 s as well where nothing is known of it."""
    assert patience([took]) == pytest.approx(expected)


def test_the_slowest_refusals_count_and_fade():
    assert patience([0.3, 0.1]) == pytest.approx(4 * 0.9 * 0.3)
    assert patience([0.3] + [0.1] * 20) == pytest.approx(0.4)


def test_a_probe_that_is_not_refused_for_so_long_was_let_in():
    """Its answer may take minutes: the next is sent, and with it the pause is over."""
    pause = Pause()
    refuse(pause, 1.1, sent(pause, 1.0), hint=1.0)
    start = pause.until
    sent(pause, start)
    wait, _ = pause.wait(start)
    following = Reservation(UNCOUNTED, NO_TOKENS, 0, pause.episode, start + wait)

    assert pause.wait(start + wait)[0] <= 0
    assert pause.granted(start + wait, following)


def test_after_such_a_probe_too_the_next_backoff_is_the_first_again():
    pause = Pause()
    refuse_probes(pause, 5, hint=None)
    sent(pause, 1_000.0)
    sent(pause, 1_000.0 + pause.wait(1_000.0)[0])
    assert pause.end() == 100.0

    refuse(pause, 2_000.0, sent(pause, 2_000.0))
    assert pause.until <= 2_000.5


def test_while_the_probe_is_out_nobody_else_is_let_through():
    pause = Pause()
    refuse(pause, 1.1, sent(pause, 1.0), hint=1.0)
    start = pause.until
    sent(pause, start)
    assert pause.wait(start + 0.1)[0] > 0


def test_what_it_was_for_is_known_until_it_is_over():
    pause = Pause()
    first, second = sent(pause, 1.0), sent(pause, 1.0)
    refuse(pause, 2.0, first, limit=Limit.TOKENS, in_flight=2)
    refuse(pause, 2.1, second)  # which names nothing
    assert (pause.limit, pause.refused) == (Limit.TOKENS, True)


def test_where_nobody_was_there_nothing_was_refused():
    """A pause all the same, that must not teach anybody a rate."""
    pause = Pause()
    refuse(pause, 2.0, sent(pause, 1.0), in_flight=3, refused=False)
    assert pause.until > 2.0
    assert not pause.refused
    assert pause.let_in == 3


def test_the_next_pause_knows_nothing_of_the_last():
    pause = Pause()
    refuse(pause, 2.0, sent(pause, 1.0), limit=Limit.TOKENS)
    pause.settled(sent(pause, 5.0), admitted=True)
    pause.end()
    refuse(pause, 10.0, sent(pause, 9.0), refused=False)
    assert (pause.limit, pause.refused, pause.began) == (None, False, 10.0)
