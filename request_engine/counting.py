"""Measure what requests ask for, a batch at a time, while the batch before is being sent.

    limits far off   guessed, a third of the bytes
    the next batch   guessed as well, while an encoding is being built
    limits near      counted

What a body is made of is found first (8 us); its texts are counted for a whole batch at once (some
100 us for each 200 tokens, a third of what a request costs).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from request_engine import encodings
from request_engine.address import Address
from request_engine.amend import Amendment
from request_engine.provider import Provider
from request_engine.records import Request
from request_engine.sizes import Size
from request_engine.token_counts import TokenCounts

MOST_TOKENS = 10**9
"""Tokens one request can be thought to take, whatever number it writes into max_tokens."""
_REMEMBERED = 1_000_000
"""Characters of texts whose counts are kept, since roles and system prompts come again and again;
then they are forgotten."""


class _Noted(NamedTuple):
    """What there is to be counted of one request."""

    model: Any
    texts: list[str]
    others: int
    """Tokens of the prompt beside those of its texts."""
    completion: int

    def size(self, counted: int, *, guessed: bool = False) -> Size:
        """Its size, where its texts have *counted* tokens, or are *guessed* to have."""
        return Size(
            min(self.others + counted, MOST_TOKENS),
            min(self.completion, MOST_TOKENS),
            self.model if isinstance(self.model, str) else "",
            guessed,
        )


def _never(tokens: int) -> bool:
    return False


class Counter:
    """Counts the tokens of one run's requests."""

    def __init__(
        self,
        provider: Provider,
        address: Address,
        encoding_name: str | None,
        counts: TokenCounts,
        amendment: Amendment | None = None,
        is_far: Callable[[int], bool] = _never,
    ) -> None:
        """*encoding_name* None chooses by each request's model; one that is named always counts.

        What is counted is what is sent: *amendment* is what the run changes about its requests.
        *is_far*: whether so many tokens more come nowhere near any limit, so that a guess will do:
        no text has more than three times as many tokens as are guessed, one for each byte.
        """
        self._is_far = _never if encoding_name is not None else is_far
        self._amendment = amendment
        self._provider = provider
        self._address = address
        self._name = encoding_name
        self._counts = counts
        self._known: dict[str, dict[str, int]] = {}
        """Tokens of texts met lately, by encoding."""
        self._remembered = 0
        """Characters of those."""
        self._begun = False

    async def close(self) -> None:
        """Nothing more is measured."""
        await self._counts.close()

    async def measure(self, requests: Sequence[Request]) -> list[Size]:
        """What one attempt of each may take.

        The first are guessed in any case: they need not wait for an encoding to be built.
        """
        noted = [self._noted(request) for request in requests]
        guesses = [sum(map(encodings.estimate, one.texts)) for one in noted]
        near = not self._is_far(sum(guesses))
        if near and self._begun:
            counts = await self._counted(noted)
            return [one.size(count) for one, count in zip(noted, counts, strict=True)]
        if near:
            self._begun = True
            self._counts.begin()
        return [one.size(guess, guessed=True) for one, guess in zip(noted, guesses, strict=True)]

    def _noted(self, request: Request) -> _Noted:
        """The texts that *request* is made of, and the tokens of all else: counts only add up."""
        texts: list[str] = []

        def note(text: str) -> Sequence[int]:
            texts.append(text)
            return ()

        if self._amendment is not None:
            request = self._amendment.amended(request)
        body, endpoint = request.body, self._address.endpoint(request)
        others = self._provider.prompt_tokens(body, endpoint, note)
        completion = self._provider.completion_tokens(body, endpoint)
        return _Noted(body.get("model"), texts, others, completion)

    async def _counted(self, noted: Sequence[_Noted]) -> list[int]:
        """The tokens of the texts of each."""
        names = [self._name or encodings.encoding_name(one.model) for one in noted]
        texts: dict[str, set[str]] = {name: set() for name in names}
        for name, one in zip(names, noted, strict=True):
            texts[name].update(one.texts)
        for name, needed in texts.items():
            await self._learn(name, needed)
        counts = [
            sum(map(self._known[name].__getitem__, one.texts))
            for name, one in zip(names, noted, strict=True)
        ]
        if self._remembered > _REMEMBERED:
            self._remembered = 0
            for known in self._known.values():
                known.clear()
        return counts

    async def _learn(self, name: str, texts: set[str]) -> None:
        """Make known how many tokens of the encoding *name* each text has."""
        known = self._known.setdefault(name, {})
        if new := list(texts.difference(known)):
            known.update(zip(new, await self._counts.of(name, new), strict=True))
            self._remembered += sum(map(len, new))
