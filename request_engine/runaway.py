"""Tell an answer that will not end from one that is long: blanks for ever, or one thing repeated.

Such an answer is paid for up to max_tokens and never of use. In JSON mode blanks are always
allowed, and a model that has lost its way emits nothing else: jundot/omlx#2990 counted 23 % of
calls that ended at max_tokens so, vllm-project/vllm#38696 and ollama/ollama#18567 tell of the same.
"""

LONGEST_BLANK = 2_000
"""Characters of whitespace in a row. Layout has lines of a few hundred at most; the floods in the
reports above go on for thousands."""
MOST_BLANK_EVENTS = 500
"""Events of nothing but whitespace in a row, for models that emit it in single characters."""
LOOPED = 4_000
"""Characters in a row that are one pattern again and again: about a thousand tokens. Rules of
dashes, rows of a table and grids of zeros as people ask for them are shorter; base64 of more than
3,000 zero bytes is not, and is cut."""
LONGEST_PATTERN = 200
"""Characters: two lines of text. So a pattern comes at least 20 times before it counts."""
_CHECKED_EVERY = 500
"""Characters between two looks for a pattern, each of which costs a few microseconds."""


class Runaway:
    """Listens to one text as it comes."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """What is wrong with the text; None while nothing is."""
        self._blank = 0
        self._blank_events = 0
        self._tail = ""
        self._new: list[str] = []
        self._unchecked = 0

    def hear(self, text: str) -> None:
        """The next piece of the text."""
        self._count_blanks(text)
        self._new.append(text)
        self._unchecked += len(text)
        if self._unchecked >= _CHECKED_EVERY:
            self._look_for_pattern()

    def _count_blanks(self, text: str) -> None:
        if text.isspace():
            self._blank += len(text)
            self._blank_events += 1
        else:
            self._blank = len(text) - len(text.rstrip())
            self._blank_events = 0
        if self._blank >= LONGEST_BLANK:
            self.reason = f"nothing but whitespace for {LONGEST_BLANK:,} characters"
        elif self._blank_events >= MOST_BLANK_EVENTS:
            self.reason = f"nothing but whitespace for {MOST_BLANK_EVENTS:,} events"

    def _look_for_pattern(self) -> None:
        self._tail = (self._tail + "".join(self._new))[-LOOPED:]
        self._new.clear()
        self._unchecked = 0
        period = _period(self._tail) if len(self._tail) == LOOPED else None
        if period is not None and self.reason is None:
            characters = "character" if period == 1 else f"{period} characters"
            self.reason = f"the same {characters} over and over, {LOOPED:,} in all"


def _period(text: str) -> int | None:
    """The length of the pattern that *text* repeats from its first character to its last.

    If there is one, the last LONGEST_PATTERN characters stood there before, one period earlier.
    """
    end = len(text)
    last = text[-LONGEST_PATTERN:]
    before = text.rfind(last, end - 2 * LONGEST_PATTERN, end - 1)
    if before < 0:
        return None
    period = end - LONGEST_PATTERN - before
    return period if text[period:] == text[:-period] else None


class Speech:
    """What an answer says in each of its choices, as far as it must be known before the end."""

    def __init__(self, shown: int) -> None:
        """*shown* characters of its start are kept."""
        self.runaway: str | None = None
        """Why every choice that is still being written has gone astray; None while one has not."""
        self._writing: dict[int, Runaway] = {}
        self._start: list[str] = []
        self._room = shown

    @property
    def start(self) -> str:
        """The first of what was said."""
        return "".join(self._start)

    def hear(self, choice: int, text: str) -> None:
        """The next piece of what *choice* says, of whatever sort: answer, reasoning, arguments."""
        if self._room > 0:
            self._start.append(text[: self._room])
            self._room -= len(text)
        listener = self._writing.get(choice)
        if listener is None:
            listener = self._writing[choice] = Runaway()
        listener.hear(text)
        if listener.reason is not None and all(one.reason for one in self._writing.values()):
            self.runaway = listener.reason

    def ended(self, choice: int) -> None:
        """*choice* says no more."""
        self._writing.pop(choice, None)
