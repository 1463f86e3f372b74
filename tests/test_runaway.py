"""An answer that will not end is told from one that is long."""

import base64
import json
import random
import time

import pytest

from request_engine.runaway import (
    LONGEST_BLANK,
    LONGEST_PATTERN,
    LOOPED,
    MOST_BLANK_EVENTS,
    Runaway,
    Speech,
)

PROSE = " ".join(f"word{number} of the answer" for number in range(500))
BLANKS = "nothing but whitespace for 2,000 characters"
BLANK_EVENTS = "nothing but whitespace for 500 events"


def reason(text: str, *, piece: int = 7, opening: str = PROSE[:1_500]) -> str | None:
    """What is wrong with *opening* and *text*, heard in pieces."""
    runaway = Runaway()
    said = opening + text
    for start in range(0, len(said), piece):
        runaway.hear(said[start : start + piece])
    return runaway.reason


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "  \n", "\r\n", "\u3000", "\n" + " " * 40])
@pytest.mark.parametrize("piece", [5, 100, 5_000])
def test_nothing_but_whitespace_is_noticed(blank, piece):
    flood = (blank * LONGEST_BLANK)[: LONGEST_BLANK + piece]
    assert reason('{"a": "b"' + flood, piece=piece) == BLANKS


def test_whitespace_by_the_character_is_noticed_by_the_number_of_events():
    runaway = Runaway()
    for _ in range(MOST_BLANK_EVENTS - 1):
        runaway.hear("\n")
    assert runaway.reason is None
    runaway.hear("\n")
    assert runaway.reason == BLANK_EVENTS


@pytest.mark.parametrize("piece", [1, 7, 1_000])
def test_whitespace_that_ends_was_layout(piece):
    layout = (" " * 300 + "x\n") * 3 + "\n" * 400 + "x" + " " * (LONGEST_BLANK - 1) + "."
    assert reason(layout, piece=max(piece, 5)) is None
    assert reason("\n" * (MOST_BLANK_EVENTS - 1) + "x", piece=piece, opening="") is None


@pytest.mark.parametrize("pattern", ["!", "ha", "0, ", "I am sorry. ", "a" * 199 + "b", "你好。\n"])
@pytest.mark.parametrize("piece", [1, 4, 50, 3_000])
def test_one_thing_over_and_over_is_noticed(pattern, piece):
    loop = pattern * (1 + (LOOPED + 600 + piece) // len(pattern))
    period = "character" if len(pattern) == 1 else f"{len(pattern)} characters"
    assert reason(loop, piece=piece) == f"the same {period} over and over, 4,000 in all"


def test_a_loop_is_noticed_in_the_same_thousand_characters():
    runaway, heard = Runaway(), 0
    while runaway.reason is None:
        runaway.hear("round and ")
        heard += 10
    assert LOOPED <= heard <= LOOPED + 1_000


TABLE_ROW = "| " + " | ".join(["-" * 20] * 5) + " |\n"
GRID = "[" + ", ".join(["0"] * 30) + "],\n"
LONG_AND_GOOD = {
    "prose": PROSE,
    "a rule of dashes": "-" * 3_000 + "\n" + PROSE,
    "a table of dashes": TABLE_ROW * 30 + PROSE,
    "a grid of zeros, 30 by 30": GRID * 30 + PROSE,
    "base64 of 2,900 zero bytes": base64.b64encode(bytes(2_900)).decode() + PROSE,
    "base64 of noise": base64.b64encode(random.Random(1).randbytes(20_000)).decode(),
    "numbered lines": "".join(f"{number}. the same words again\n" for number in range(2_000)),
    "rows that differ by a digit": "".join(f'{{"id": {n % 7}, "n": {n}}}\n' for n in range(900)),
    "code": "".join(f"    case {number}:\n        return 0;\n" for number in range(500)),
    "indented JSON": json.dumps([{"a": [n, {"b": {"c": n}}]} for n in range(300)], indent=8),
    "a verse, again and again": ("".join(f"verse {n}, " for n in range(30)) + "\n") * 60,
    "the same for a while": "ha " * 1_300,
}


@pytest.mark.parametrize("text", LONG_AND_GOOD.values(), ids=LONG_AND_GOOD)
@pytest.mark.parametrize("piece", [3, 60, 10_000])
def test_a_long_answer_is_left_alone(text, piece):
    assert reason(text, piece=piece) is None


def test_no_pattern_longer_than_two_lines_counts():
    line = "".join(random.Random(2).choices("abcdefgh", k=LONGEST_PATTERN + 1))
    assert reason(line * 100) is None
    assert reason(line[1:] * 100) is not None


def test_listening_costs_little_whatever_is_heard():
    """What almost repeats, in pieces of three characters: a fraction of a second, not a minute."""
    text = (("a" * 150 + "b") * 26 + "c") * 75
    heard = [text[start : start + 3] for start in range(0, len(text), 3)]
    runaway = Runaway()
    started = time.perf_counter()
    for piece in heard:
        runaway.hear(piece)
    assert runaway.reason is None
    assert time.perf_counter() - started < 3.0


class TestSpeech:
    def flood(self, speech: Speech, choice: int) -> None:
        for _ in range(MOST_BLANK_EVENTS):
            speech.hear(choice, "\n")

    def test_an_answer_is_astray_when_every_choice_is_that_still_writes(self):
        speech = Speech(100)
        speech.hear(0, "good")
        speech.hear(1, "good")
        self.flood(speech, 1)
        assert speech.runaway is None
        speech.ended(0)
        self.flood(speech, 1)
        assert speech.runaway == BLANK_EVENTS

    def test_choices_are_heard_apart(self):
        speech = Speech(100)
        for _ in range(MOST_BLANK_EVENTS):
            speech.hear(0, " ")
            speech.hear(1, "x\n")
        assert speech.runaway is None

    def test_the_start_is_kept_and_no_more(self):
        speech = Speech(10)
        for word in ("one ", "two ", "three ", "four "):
            speech.hear(0, word)
        assert speech.start == "one two th"
