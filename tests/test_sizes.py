"""What an attempt holds of the limits follows what answers really take."""

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_engine.records import Usage
from request_engine.sizes import NO_TOKENS, UNCOUNTED, Size, Sizes

WIDE = Size(prompt=100, ceiling=32_768, model="m")


def learned(sizes, completions, size=WIDE, prompt=100):
    """*sizes*, after answers of so many tokens each to attempts of *size*."""
    for completion in completions:
        sizes.learn(size, Usage(prompt, completion))
    return sizes


def held(sizes, size=WIDE):
    return sizes.expected(size).completion


def test_until_five_answers_are_there_the_ceiling_is_held():
    sizes = Sizes()
    assert sizes.expected(WIDE) == Usage(100, 32_768)
    assert held(learned(sizes, [250] * 4)) == 32_768
    assert held(learned(sizes, [250])) == 250


def test_then_what_nine_in_ten_of_the_latest_answers_took():
    lengths = list(range(1, 101))
    random.Random(4).shuffle(lengths)
    sizes = learned(Sizes(), [5_000] * 205 + lengths + [1_000] * 5)

    assert held(sizes) == 91  # looked at after every tenth answer: the five are not in yet
    assert held(learned(sizes, [1_000] * 5)) > 91


@given(st.lists(st.integers(0, 2_000), min_size=105, max_size=300))
def test_about_one_in_ten_takes_more_than_is_held(lengths):
    lengths = lengths[: (len(lengths) - 5) // 10 * 10 + 5]  # they are looked at in tens
    told = held(learned(Sizes(), lengths))
    latest = lengths[-100:]

    assert sum(length > told for length in latest) <= 10
    assert told in latest


def test_a_file_sorted_by_length_is_followed():
    """At most a hundred answers behind, whatever the job had before."""
    sizes = Sizes()
    for length in range(0, 5_000, 5):
        learned(sizes, [length])
        if length >= 1_000:
            assert length - 100 * 5 <= held(sizes) <= length
    for length in range(5_000, 0, -5):
        learned(sizes, [length])
    assert held(sizes) <= 500


def test_models_and_orders_of_max_tokens_are_told_apart():
    sizes = learned(Sizes(), [250] * 5)
    assert held(sizes, Size(100, 32_768, "other")) == 32_768
    assert held(sizes, Size(100, 1_000, "m")) == 1_000
    assert held(sizes, Size(100, 40_000, "m")) == 250


def test_what_a_service_counts_of_a_prompt_is_learned_for_each_model():
    """The half more that another tokenizer finds is held for the next prompt as well."""
    sizes = learned(Sizes(), [10], Size(100, 50, "a"), prompt=150)
    learned(sizes, [10] * 20, Size(400, 50, "b"), prompt=300)

    assert sizes.expected(Size(1_000, 50, "a")).prompt == 1_500
    assert sizes.expected(Size(1_000, 50, "b")).prompt == 750
    assert sizes.expected(Size(1_000, 50, "c")).prompt == 1_000
    assert sizes.at_most(Size(1_000, 50, "a")) == 1_550


def test_a_prompt_ratio_is_of_tokens_and_not_of_answers_and_follows_a_change():
    """A thousand tokens weigh as much as a thousand; after a few hundred answers the old is out."""
    sizes = learned(Sizes(), [10], Size(1_000, 50, "a"), prompt=2_000)
    learned(sizes, [10], Size(10, 50, "a"), prompt=10)
    assert 1_950 <= sizes.expected(Size(1_000, 50, "a")).prompt < 2_000

    learned(sizes, [10] * 300, Size(1_000, 50, "a"), prompt=2_000)
    learned(sizes, [10] * 300, Size(1_000, 50, "a"), prompt=1_100)
    assert sizes.expected(Size(1_000, 50, "a")).prompt == pytest.approx(1_100, abs=5)


@pytest.mark.parametrize(("told", "most"), [(10**9, 5_000), (1, 200)])
def test_what_a_service_counts_of_a_prompt_is_believed_within_bounds(told, most):
    """One usage that makes no sense must not stop a job, nor let it take the limit for more."""
    sizes = learned(Sizes(), [10], Size(1_000, 50, "a"), prompt=told)
    assert sizes.expected(Size(1_000, 50, "a")).prompt == most


def test_an_answer_that_states_no_prompt_teaches_nothing_of_prompts():
    sizes = learned(Sizes(), [10] * 5, prompt=0)
    assert sizes.expected(WIDE) == Usage(100, 10)


def test_where_the_ceiling_is_charged_it_is_held_whatever_answers_take():
    sizes = learned(Sizes(charges_ceiling=True), [10] * 50, prompt=150)
    assert sizes.expected(WIDE) == Usage(150, 32_768)


def test_that_the_ceiling_is_charged_can_turn_out_later():
    sizes = learned(Sizes(), [10] * 50)
    sizes.charges_ceiling = True
    assert held(sizes) == 32_768


def test_an_embedding_holds_its_prompt():
    sizes = learned(Sizes(), [0] * 50, Size(100, 0, "e"))
    assert sizes.expected(Size(100, 0, "e")) == Usage(100, 0)


def test_what_is_not_counted_holds_nothing_and_is_not_looked_up():
    """Where no tokens are limited, an attempt costs no Usage of its own."""
    assert Sizes().expected(UNCOUNTED) is NO_TOKENS
    assert Sizes(charges_ceiling=True).expected(UNCOUNTED) is NO_TOKENS


@pytest.mark.parametrize(
    "size_of",
    [
        lambda line: Size(100, 1_000, f"model-{line}"),
        lambda line: Size(100, 2**14 + line, "m"),
        lambda line: Size(100, 2**line, "m"),
    ],
    ids=["models", "ceilings", "orders"],
)
def test_P7_a_model_or_a_max_tokens_of_its_own_on_every_line_takes_no_more_memory(size_of):
    """What is kept after 10,000 lines is what was kept after 2,000."""
    sizes = Sizes()
    kept = []
    for line in range(10_000):
        learned(sizes, [10], size_of(line))
        if line in (1_999, 9_999):
            kept.append(_kept(sizes))

    assert kept[0] == kept[1]


def _kept(thing, seen=None):
    """Bytes of *thing* and of all that it holds, but for numbers and text."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, int | float | str | bytes | type | None):
        return 0
    seen.add(id(thing))
    inside = list(getattr(thing, "__dict__", {}).values())
    inside += [getattr(thing, name) for name in getattr(thing, "__slots__", ())]
    if isinstance(thing, dict):
        inside += thing.values()
    return sys.getsizeof(thing) + sum(_kept(one, seen) for one in inside)


def test_nothing_is_learned_from_a_guess_and_a_guess_is_not_corrected():
    """Bytes tell another ratio than tokens do."""
    guess = Size(prompt=100, ceiling=500, model="m", guessed=True)
    sizes = learned(Sizes(), [50] * 5, size=guess, prompt=70)
    assert sizes.expected(Size(100, 500, "m")) == Usage(100, 50)
    learned(sizes, [50], size=Size(100, 500, "m"), prompt=200)
    assert sizes.expected(Size(100, 500, "m")) == Usage(200, 50)
    assert (sizes.expected(guess), sizes.at_most(guess)) == (Usage(100, 50), 600)
