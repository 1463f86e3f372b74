"""Vectors of texts in memory: packed into few requests, in the order of the texts.

embedded = await client.embed(texts, model="text-embedding-3-small")
embedded.vectors      all of them: a NumPy array of float32, or a list of array('f')
embedded[17]          that of one text
embedded.failures     why texts have none: {index: Failure}
"""

from array import array
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any

from request_engine import encodings, packing, preflight
from request_engine.batch import Terms
from request_engine.errors import BadInput
from request_engine.packing import Packing
from request_engine.records import Failure, Kind, Outcome, Request, Usage, used
from request_engine.result import RequestFailed
from request_engine.session import Session
from request_engine.token_counts import TokenCounts
from request_engine.vectors import vector_of

_AT_ONCE = 64
"""Texts that are taken before packs are made of them."""

Texts = Iterable[str] | AsyncIterable[str]
Vectors = dict[int, "array[float]"]


class Embeddings:
    """What came of texts: a vector or a failure each. Nothing stands in for a missing vector."""

    def __init__(self, vectors: Vectors, failures: Mapping[int, Failure], usage: Usage) -> None:
        self.answered = sorted(vectors)
        """The indices of the texts that have a vector."""
        self.failures = dict(sorted(failures.items()))
        """Why the others have none, by their index."""
        self.usage = usage
        """Tokens that the service counted."""
        self._rows = {index: row for row, index in enumerate(self.answered)}
        self._vectors = [vectors.pop(index) for index in self.answered]

    def __repr__(self) -> str:
        return f"<Embeddings of {len(self)} texts, {len(self.failures)} failed>"

    def __len__(self) -> int:
        """How many texts there were."""
        return len(self.answered) + len(self.failures)

    def __getitem__(self, index: int) -> Any:
        """The vector of one text. RequestFailed where it has none."""
        at = range(len(self))[index]
        if at in self.failures:
            raise RequestFailed(self.failures[at])
        return self.answered_vectors[self._rows[at]]

    @property
    def ok(self) -> bool:
        """Whether every text has a vector."""
        return not self.failures

    @property
    def vectors(self) -> Any:
        """All vectors, in the order of the texts. RequestFailed where one is missing.

        NumPy's two-dimensional array of float32 where NumPy is there, else a list of array('f').
        """
        for failure in self.failures.values():
            raise RequestFailed(failure)
        return self.answered_vectors

    @cached_property
    def answered_vectors(self) -> Any:
        """As `vectors`, of the texts in `answered` alone."""
        if not find_spec("numpy"):
            return self._vectors
        numpy = import_module("numpy")
        size = len(self._vectors[0]) if self._vectors else 0
        rows = numpy.empty((len(self._vectors), size), dtype=numpy.float32)
        for row in range(len(self._vectors)):
            rows[row] = self._vectors[row]
        self._vectors = []
        return rows


class Embedding:
    """One use of a client: texts in, packs out, and what comes of each text."""

    def __init__(
        self,
        session: Session,
        texts: Texts,
        model: str | None,
        dimensions: int | None,
        inputs_per_request: int | None,
        tokens_per_request: int | None,
    ) -> None:
        """See `client.AsyncClient.embed`."""
        _check(texts)
        self._texts = texts
        targets = session.targets
        self._beside: dict[str, Any] = {} if model is None else {"model": model}
        if dimensions is not None:
            self._beside["dimensions"] = preflight.count(dimensions, "dimensions")
        if all(one.provider.profile.base64_vectors for one in targets.all):
            self._beside["encoding_format"] = "base64"
        self.packing = Packing(
            packing.caps(
                targets,
                packing.own_cap(inputs_per_request, "inputs_per_request"),
                packing.own_cap(tokens_per_request, "tokens_per_request"),
            ),
            self._keep,
            refuse=self._refuse,
            address=targets.all[0].address,
            amendment=targets.all[0].amendment,
            encoding_name=session.settings.token_encoding_name,
        )
        self._tally = session.tally
        self._taken = 0
        self._told = set[int]()
        self._outcomes: dict[int, Outcome] = {}
        """Those that have not been looked at; the background puts them here."""
        self._vectors: Vectors = {}
        self._size: int | None = None
        self._failures: dict[int, Failure] = {}
        self._prompt = self._completion = 0

    def terms(self, terms: Terms) -> Terms:
        """*terms* for packs."""
        return replace(terms, packing=self.packing)

    def packs(self) -> Iterator[Any]:
        """The packs, each in the place of a body, of texts that need not be awaited."""
        if isinstance(self._texts, AsyncIterable):
            raise BadInput("texts is an async iterable: use AsyncClient, or make it a list first")
        texts = iter(self._texts)
        while some := list(islice(texts, _AT_ONCE)):
            requests, counts = self._requests(some), dict[str, int]()
            for name, long in self.packing.to_count(requests).items():
                counts.update(zip(long, encodings.token_counts(name, long), strict=True))
            yield from self.packing.add(requests, counts)
        yield from self.packing.rest()

    async def packs_async(self) -> AsyncIterator[Any]:
        """The same of any texts, without keeping the event loop waiting while much is counted."""
        counting = TokenCounts()
        async for some in _chunks(self._texts):
            for pack in await self.packing.packed(self._requests(some), counting):
                yield pack
        for pack in self.packing.rest():
            yield pack

    def collect(self) -> None:
        """Read the vectors that have come."""
        while self._outcomes:
            index, outcome = self._outcomes.popitem()
            usage = used(outcome)
            if usage is not None:
                self._prompt += usage.prompt
                self._completion += usage.completion
            wrong = outcome if isinstance(outcome, Failure) else self._read(index, outcome.response)
            if wrong is not None:
                self._failures[index] = wrong

    def embeddings(self) -> Embeddings:
        """What came of all texts."""
        self.collect()
        return Embeddings(self._vectors, self._failures, Usage(self._prompt, self._completion))

    def _read(self, index: int, response: bytes) -> Failure | None:
        try:
            vector = vector_of(response)
            self._size = self._size or len(vector)
            if len(vector) != self._size:
                raise ValueError(f"a vector of {len(vector)} numbers, others have {self._size}")
        except ValueError as error:
            raw = response[:2_000].decode(errors="replace")
            return Failure(Kind.BAD_ANSWER, str(error), 200, raw=raw)
        self._vectors[index] = vector
        return None

    def _requests(self, texts: Sequence[object]) -> list[Request]:
        first, self._taken = self._taken, self._taken + len(texts)
        requests = []
        for index, text in enumerate(texts, first):
            body = self._beside | {"input": text}
            if isinstance(text, str):
                requests.append(Request(index, body, b""))
            else:
                why = f"text {index} is no text but {type(text).__name__}"
                self._outcomes[index] = Failure(Kind.BAD_REQUEST, why, sent=False)
        return requests

    def _refuse(self, part: Request, outcome: Outcome) -> None:
        self._outcomes[part.number] = outcome

    def _keep(self, part: Request, outcome: Outcome) -> None:
        """The first outcome of a text is the one that counts."""
        if part.number not in self._told:
            self._told.add(part.number)
            self._tally.finish(part, outcome)
            self._outcomes[part.number] = outcome


def _check(texts: object) -> None:
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable | AsyncIterable):
        seen = type(texts).__name__
        raise BadInput(f"texts is no list of texts but {seen}: write [text] for one")


async def _chunks(texts: Texts) -> AsyncIterator[list[str]]:
    if not isinstance(texts, AsyncIterable):
        given = iter(texts)
        while some := list(islice(given, _AT_ONCE)):
            yield some
        return
    some = []
    async for text in texts:
        some.append(text)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some
