"""Requests in memory, for code that blocks: in scripts, threads, notebooks and running loops.

with Client(request_url="https://...") as client:
    one = client.ask({"model": "gpt-4o-mini", "messages": [...]})
    for result in client.as_completed(bodies):
        print(result.text if result.ok else result.failure.message)
"""

from collections.abc import AsyncIterable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from request_engine import background
from request_engine.asking import Asking, Next
from request_engine.background import LOOK, Background, waited
from request_engine.batch import Terms
from request_engine.bodies import Body, checked
from request_engine.client import BaseClient
from request_engine.embeddings import Embedding, Embeddings
from request_engine.errors import BadInput
from request_engine.extraction import Extraction
from request_engine.extracts import BlockingExtracts
from request_engine.handle import BlockingHandle
from request_engine.records import Failure, Kind
from request_engine.result import Result
from request_engine.session import Session

INTERRUPTED = Failure(Kind.TRANSIENT, "interrupted before there was an answer")
_UNASKED = replace(INTERRUPTED, sent=False)


class Client(BaseClient, BlockingExtracts):
    """As `AsyncClient`, without `await`: the same names, and plain iterators.

    Any thread may use it. Its work is done in a thread of its own; bodies are taken in the one
    that asks.
    """

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Begin. BadInput where there is no key, or the account is in use with other limits."""
        if self._session is not None:
            return
        held = background.hold()
        try:
            self._session = waited(held.submit(self._opening.open(held)))
        except BaseException:
            background.release(held, self._opening.close)
            raise
        self._background = held

    def close(self) -> None:
        """Give up what is in flight, and end. A second call does nothing."""
        held = self._background
        if held is not None:
            waited(self._left(held))
            held.join()

    def ask(self, body: Mapping[str, Any], *, deadline: float | None = None) -> Result:
        """The result of one request, which may take *deadline* seconds."""
        asked = self._asking([body], None, deadline, None)
        [result] = asked.results(asked.next_completed)
        return result

    def gather(
        self,
        bodies: Iterable[Body],
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> list[Result]:
        """The results of *bodies*, in their order; see `as_completed`.

        Ctrl-C gives up what is left, whose outcome is a failure, and returns all; a second one
        raises KeyboardInterrupt.
        """
        return self._asking(bodies, concurrency, deadline, batch_deadline).gathered()

    def in_order(
        self,
        bodies: Iterable[Body],
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> Iterator[Result]:
        """The results of *bodies* in their order, each as soon as those before it are there.

        The next are taken from *bodies* only as results are, so that memory is bounded.
        """
        asked = self._asking(bodies, concurrency, deadline, batch_deadline)
        return asked.results(asked.next_in_order)

    def as_completed(
        self,
        bodies: Iterable[Body],
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> Iterator[Result]:
        """The results of *bodies* as they come, one for each, whatever happens.

        *concurrency*: how many may be under way at once, None for as many as are of use.
        *deadline*: seconds that one of them may take from its turn on. *batch_deadline*: seconds
        that all may take; what is not answered by then has a failure for its outcome.
        """
        asked = self._asking(bodies, concurrency, deadline, batch_deadline)
        return asked.results(asked.next_completed)

    def embed(
        self,
        texts: Iterable[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        inputs_per_request: int | None = None,
        tokens_per_request: int | None = None,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> Embeddings:
        """The vectors of *texts*, which are packed into as few requests as the service takes.

        See `AsyncClient.embed`.
        """
        terms = self._terms(concurrency, deadline, batch_deadline)
        held, session = self._opened()
        caps = inputs_per_request, tokens_per_request
        embedding = Embedding(session, texts, model, dimensions, *caps)
        asked = BlockingAsking(held, session, embedding.packs(), embedding.terms(terms))
        for _ in asked.results(asked.next_completed):
            embedding.collect()
        return embedding.embeddings()

    def submit(
        self,
        bodies: Collection[Body],
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> BlockingHandle:
        """Ask all *bodies* in the background and return at once; the handle has the results.

        They must not be changed until they are answered.
        """
        terms = self._terms(concurrency, deadline, batch_deadline)
        return BlockingHandle(*self._opened(), bodies, terms)

    def _asking(
        self,
        bodies: Iterable[Body],
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
        extraction: Extraction | None = None,
    ) -> "BlockingAsking":
        terms = self._terms(concurrency, deadline, batch_deadline, extraction)
        return BlockingAsking(*self._opened(), bodies, terms)


class BlockingAsking(Asking):
    """For the thread that waits. Its results are to be iterated over once."""

    def __init__(
        self, held: Background, session: Session, bodies: Iterable[Body], terms: Terms
    ) -> None:
        """BadInput where *bodies* are none."""
        super().__init__(held, session, terms)
        checked(bodies)
        if isinstance(bodies, AsyncIterable):
            raise BadInput("bodies is an async iterable: use AsyncClient, or make it a list first")
        self._given = bodies
        self._bell = SimpleQueue[None]()

    def results(self, following: Next) -> Iterator[Result]:
        """What *following* gives, until every body has its result."""
        self._begin()
        try:
            self._bodies = iter(self._given)
            yield from self._rest(following)
        finally:
            ending = self._end()
            if ending is not None:
                waited(ending)

    def gathered(self) -> list[Result]:
        """All results, in the order of the bodies; those there are if this is interrupted."""
        found: dict[int, Result] = {}
        collect = partial(self.collect, found)
        self._begin()
        try:
            try:
                self._bodies = iter(self._given)
                for _ in self._rest(collect):
                    pass
            except KeyboardInterrupt:
                self._exhausted = True
                waited(self._background.submit(self._give_up()))
                collect()
                self._add_unasked(found)
        finally:
            ending = self._end()
            if ending is not None:
                waited(ending)
        return [found[index] for index in sorted(found)]

    def _rest(self, following: Next) -> Iterator[Result]:
        while True:
            self._feed()
            result = following()
            if result is not None:
                yield result
            elif self._all_told():
                return
            elif not self._hungry():
                self._wait()

    def _wait(self) -> None:
        """Wait for news, unless it is there by now."""
        self._background.must_be_here()
        self._asleep = True
        while not self._arrived:
            with suppress(Empty):
                self._bell.get(timeout=LOOK)

    def _ring(self) -> None:
        self._bell.put(None)

    async def _give_up(self) -> None:
        assert self._batch is not None
        self._pass_on()
        self._batch.give_up(INTERRUPTED)

    def _add_unasked(self, found: dict[int, Result]) -> None:
        """Failures for those that were not asked before the interruption, if they are known."""
        known = self._given if isinstance(self._given, Sequence) else ()
        for index, body in (*self._open.items(), *enumerate(known)):
            if index not in found:
                found[index] = Result(index, body, _UNASKED)
        self._open.clear()
