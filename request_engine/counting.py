"""Measure what requests ask for, a batch at a time, while the batch before is being sent.

    limits far off   guessed, by the body's bytes
    limits near      guessed, by its texts' bytes, until an encoding is built: half a second
                     then counted

A guess by the whole body takes 2 us. What a body is made of is found in 5 us, and its texts are
counted for a whole batch at once, some 100 us for each 200 tokens: a third of what a request costs.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from request_engine import encodings
from request_engine.address import Address
from request_engine.amend import Amendment
from request_engine.provider import Provider
from request_engine.records import Request
from request_engine.sizes import Size
from request_engine.token_counts import TokenCounts

MOST_TOKENS = 10**9
"""Tokens one request can be thought to take, whatever number it writes into max_tokens."""
PATIENCE = 5.0
"""Seconds for which guesses stand at most. A guess may be a third of the truth, so with the 10 s'
worth that may go at once it is never more than 45 s' worth of a limit that is admitted by them."""
_REMEMBERED = 1_000_000
"""Characters of texts whose counts are kept, since roles and system prompts come again and again;
then they are forgotten."""


class _Noted(NamedTuple):
    """What there is to be counted of one request."""

    request: Request
    texts: list[str]
    others: int
    """Tokens of the prompt beside those of its texts."""

    def guess(self) -> int:
        """Its tokens, by the bytes of its texts."""
        return self.others + sum(map(encodings.estimate, self.texts))


class Counter:
    """Counts the tokens of one run's requests."""

    def __init__(
        self,
        provider: Provider,
        address: Address,
        encoding_name: str | None,
        counts: TokenCounts,
        amendment: Amendment | None = None,
        is_far: Callable[[int], bool] | None = None,
    ) -> None:
        """*encoding_name* None chooses by each request's model; one that is named always counts.

        What is counted is what is sent: *amendment* is what the run changes about its requests.
        *is_far*: whether so many tokens more come nowhere near any limit, so that a guess will do:
        no body has more than three times as many tokens as are guessed, one for each byte.
        """
        self._is_far = is_far if encoding_name is None else None
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
        self._building: asyncio.Task[list[int]] | None = None
        """Counts a batch, which takes the time until there is an encoding."""
        self._guess_until = 0.0
        """The loop's time from which on that is waited for."""

    async def close(self) -> None:
        """Nothing more is measured."""
        if self._building is not None:
            self._building.cancel()
            await asyncio.gather(self._building, return_exceptions=True)
        await self._counts.close()

    async def measure(self, requests: Sequence[Request]) -> list[Size]:
        """What one attempt of each may take; the first do not wait for an encoding to be built."""
        if self._amendment is not None:
            requests = list(map(self._amendment.amended, requests))
        if self._is_far is not None:
            guesses = list(map(self._guess, requests))
            if self._is_far(sum(guesses)):
                return list(map(self._guessed, requests, guesses))
        noted = list(map(self._noted, requests))
        if await self._is_ready(noted):
            return list(map(self._size, requests, await self._counted(noted)))
        return [self._guessed(one.request, one.guess()) for one in noted]

    async def _is_ready(self, noted: Sequence[_Noted]) -> bool:
        """Whether an encoding is built, which a second batch begins: many jobs have one alone.

        It is waited for once it takes long.
        """
        now = asyncio.get_running_loop().time()
        if not self._begun:
            self._begun = True
            self._counts.begin()
            return False
        if self._building is None:
            self._building = asyncio.create_task(self._counted(noted))
            self._guess_until = now + PATIENCE
        if now >= self._guess_until:
            await asyncio.wait([self._building])
        return self._building.done()

    def _guess(self, request: Request) -> int:
        """A third of its bytes, unless it has something that counts for more."""
        for word in self._provider.beyond_bytes:
            if word in request.raw_body:
                return self._noted(request).guess()
        return -(-len(request.raw_body) // 3)

    def _guessed(self, request: Request, guess: int) -> Size:
        return self._size(request, guess, guessed=True)

    def _size(self, request: Request, prompt: int, *, guessed: bool = False) -> Size:
        """Its size, where its prompt has so many tokens, or is *guessed* to have."""
        body = request.body
        completion = self._provider.completion_tokens(body, self._address.endpoint(request))
        model = body.get("model")
        return Size(
            min(prompt, MOST_TOKENS),
            min(completion, MOST_TOKENS),
            model if isinstance(model, str) else "",
            guessed,
        )

    def _noted(self, request: Request) -> _Noted:
        """The texts that *request* is made of, and the tokens of all else: counts only add up."""
        texts: list[str] = []

        def note(text: str) -> Sequence[int]:
            texts.append(text)
            return ()

        endpoint = self._address.endpoint(request)
        return _Noted(request, texts, self._provider.prompt_tokens(request.body, endpoint, note))

    async def _counted(self, noted: Sequence[_Noted]) -> list[int]:
        """The tokens of each."""
        models = (one.request.body.get("model") for one in noted)
        names = [self._name or encodings.encoding_name(model) for model in models]
        texts: dict[str, set[str]] = {name: set() for name in names}
        for name, one in zip(names, noted, strict=True):
            texts[name].update(one.texts)
        for name, needed in texts.items():
            await self._learn(name, needed)
        counts = [
            one.others + sum(map(self._known[name].__getitem__, one.texts))
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
