"""Services count tokens in three ways before an answer is there; each shows by its refusals."""

import pytest

from request_engine.charges import Charges
from request_engine.gate import Gate
from request_engine.records import Usage
from request_engine.reservation import Reservation
from request_engine.shares import Binding
from request_engine.sizes import Size, Sizes

LIMIT = 60_000
"""Tokens a minute."""
WIDE = Size(prompt=100, ceiling=1_900, model="m")
"""Answers may take nearly ten times what they do."""
USED = Usage(100, 100)
CEILING = 2_000


class Account:
    """The budget's part of it: a gate of tokens, what was learned of sizes, and the charges."""

    def __init__(self, limit=LIMIT, burst=10.0):
        self.sizes = Sizes()
        for _ in range(5):
            self.sizes.learn(WIDE, USED)
        self.tokens = Gate(Binding.TOKENS, limit, burst, 0.5)
        self.charges = Charges(self.sizes, self.tokens, burst)

    def at_first(self, now, size=WIDE):
        return self.charges.at_first(now, size, self.sizes.expected(size))

    def refused(self, now, requested):
        self.charges.refused(now, WIDE, self.sizes.expected(WIDE), requested)

    def shows_that_it_reserves(self):
        self.at_first(0.0)
        self.refused(0.0, CEILING)
        self.refused(0.0, CEILING)

    def minute(self, now, answers, used=USED):
        """So many answers, and then a refusal for tokens at *now*."""
        for _ in range(answers):
            self.charges.answered(WIDE, used)
        self.charges.paused(now)


def test_at_the_start_a_service_of_a_known_limit_is_thought_to_reserve_the_ceiling():
    """Or else the start would be what it refuses; after 60 s only what is expected counts."""
    account = Account()
    assert account.at_first(10.0) == CEILING
    assert account.at_first(69.9) == CEILING
    assert account.at_first(70.0) == USED.total


def test_without_a_known_limit_or_a_ceiling_what_is_expected_counts_from_the_start():
    assert Account(limit=None).at_first(0.0) == USED.total
    assert Account().at_first(0.0, Size(100, 0, "m")) == 100


def test_what_counts_at_first_keeps_the_pace_of_the_limit_while_that_is_presumed():
    account = Account(burst=0.0)
    paced = account.at_first(0.0)
    account.tokens.spend(0.0, USED.total, paced)
    assert account.tokens.wait(0.0, USED.total, paced) == pytest.approx(
        60 * CEILING / LIMIT, rel=0.05
    )


def test_a_limit_that_the_service_announces_is_presumed_to_be_of_ceilings_for_a_minute():
    account = Account(limit=None)
    account.charges.presume(100.0)
    assert account.at_first(159.0) == CEILING
    assert account.at_first(160.0) == USED.total


def test_a_service_that_requests_the_ceiling_twice_reserves_it():
    """OpenAI: "Requested 600", where some 200 were expected."""
    account, size = Account(), Size(100, 500, "m")
    for _ in range(5):
        account.sizes.learn(size, USED)
    held = account.sizes.expected(size)
    account.charges.refused(100.0, size, held, 600)
    assert account.at_first(1_000.0, size) == 600  # the first minute, which begins with this
    assert account.at_first(1_060.0, size) == USED.total
    account.charges.refused(1_070.0, size, held, 600)
    assert account.at_first(1_070.0, size) == 600
    assert account.at_first(10**6, size) == 600
    assert not account.sizes.charges_ceiling  # it gives back what was not used


def test_a_request_far_above_what_is_expected_is_said_once():
    account = Account()
    account.at_first(0.0)
    assert account.at_first(1_000.0) == USED.total
    account.refused(1_000.0, CEILING)
    assert account.at_first(10**6) == CEILING


def test_what_was_sent_before_that_was_known_is_given_back_as_what_it_counted_for():
    """Else the service would have room again, and nobody would know."""
    account = Account()

    def sent(at, paced):
        return Reservation(WIDE, USED, paced, 0, at)

    assert account.charges.counted(sent(50.0, USED.total)) == USED.total
    account.refused(100.0, CEILING)
    assert account.charges.counted(sent(50.0, USED.total)) == CEILING
    assert account.charges.counted(sent(100.0, CEILING)) == CEILING


@pytest.mark.parametrize("requested", [None, 200, 1_600, 0])
def test_other_words_do_not_say_that_it_reserves(requested):
    """What was expected, less than the ceiling, or nothing at all."""
    account = Account()
    for _ in range(10):
        account.refused(100.0, requested)
    account.at_first(0.0)
    assert account.at_first(1_000.0) == USED.total


def test_where_the_ceiling_is_expected_anyway_its_number_tells_nothing():
    """Then reserving and settling look the same."""
    account = Account()
    tight = Size(100, 50, "m")
    for _ in range(10):
        account.charges.refused(0.0, tight, account.sizes.expected(tight), 150)
    account.at_first(0.0)
    assert account.at_first(1_000.0) == USED.total


def reserving(limit=LIMIT):
    account = Account(limit)
    account.shows_that_it_reserves()
    return account


def test_a_minute_whose_ceilings_come_to_the_limit_shows_that_they_are_charged():
    """Moonshot: 28 answers of 200 tokens each came to nothing like 60,000, their ceilings did."""
    account = reserving()
    account.minute(60.0, answers=28)

    assert account.sizes.charges_ceiling
    assert account.sizes.expected(WIDE) == Usage(100, 1_900)


def test_that_is_believed_for_ten_minutes_and_then_has_to_show_again():
    """What others take of a shared limit may look like it."""
    account = reserving()
    account.minute(60.0, answers=28)
    account.at_first(659.0)
    assert account.sizes.charges_ceiling
    account.at_first(660.0)
    assert not account.sizes.charges_ceiling

    account.minute(719.0, answers=28)
    assert not account.sizes.charges_ceiling
    account.minute(720.0, answers=0)
    assert account.sizes.charges_ceiling


def test_what_the_provider_says_it_charges_is_believed_for_ever():
    account = reserving()
    account.sizes.charges_ceiling = True
    account.minute(60.0, answers=300)
    account.at_first(10**6)
    assert account.sizes.charges_ceiling


def test_longer_than_a_minute_is_judged_by_the_limit_of_that_time():
    account = reserving()
    account.minute(300.0, answers=5 * 28)
    assert account.sizes.charges_ceiling


@pytest.mark.parametrize(
    ("answers", "used", "why"),
    [
        (300, USED, "it used up the limit, and ceilings would be ten times it"),
        (28, Usage(100, 1_800), "what was used comes to the limit as well"),
        (10, USED, "the ceilings are far below the limit"),
        (40, USED, "the ceilings are above it"),
    ],
)
def test_a_service_that_settles_is_not_taken_for_one_that_charges(answers, used, why):
    account = reserving()
    account.minute(60.0, answers, used)
    assert not account.sizes.charges_ceiling, why


def test_nor_is_one_that_never_said_what_was_requested():
    account = Account()
    account.at_first(0.0)
    account.minute(60.0, answers=28)
    assert not account.sizes.charges_ceiling


def test_less_than_a_minute_is_no_evidence_and_goes_on_to_be_gathered():
    account = reserving()
    account.minute(30.0, answers=14)
    assert not account.sizes.charges_ceiling
    account.minute(60.0, answers=14)
    assert account.sizes.charges_ceiling


def test_each_minute_is_judged_by_itself():
    """An hour of answers that settled does not hide that the service now charges, nor imply it."""
    account = reserving()
    account.minute(60.0, answers=300)
    account.minute(120.0, answers=10)
    assert not account.sizes.charges_ceiling
    account.minute(180.0, answers=28)
    assert account.sizes.charges_ceiling


def test_without_a_known_limit_nothing_is_compared():
    account = reserving(limit=None)
    account.minute(60.0, answers=28)
    assert not account.sizes.charges_ceiling


def test_a_pause_for_tokens_presumes_once_more_for_a_minute():
    account = Account()
    account.at_first(0.0)
    assert account.at_first(100.0) == USED.total
    account.charges.paused(100.0)
    assert account.at_first(159.0) == CEILING
    assert account.at_first(160.0) == USED.total
