"""Requests in memory: ask one, or many as fast as the limits allow. `blocking.py` is the same
without `await`.

    async with AsyncClient(request_url="https://...") as client:
        one = await client.ask({"model": "gpt-4o-mini", "messages": [...]})
        async for result in client.as_completed(bodies):
            print(result.text if result.ok else result.failure.message)
"""

import asyncio
import os
import warnings
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from request_engine import background, preflight, sharing
from request_engine.asking import AsyncAsking
from request_engine.background import Background
from request_engine.batch import Terms
from request_engine.bodies import Bodies, Body
from request_engine.cache import Cache
from request_engine.destination import Asked, Given, Timeouts
from request_engine.embeddings import Embedding, Embeddings, Texts
from request_engine.extraction import Extraction
from request_engine.extracts import AsyncExtracts
from request_engine.handle import AsyncHandle
from request_engine.provider import Provider
from request_engine.result import Result
from request_engine.session import Opening, Session, Settings
from request_engine.tally import Tally


class BaseClient:
    """How a client was asked for, and what it is while it is open: common to both faces."""

    providers: ClassVar[Sequence[Provider]] = ()
    """The services there are; the door has them."""
    _background: Background | None = None
    _session: Session | None = None

    def __init__(
        self,
        *,
        provider: str | None = None,
        request_url: str | None = None,
        api_key: str | None = None,
        api_key_command: str | None = None,
        endpoints: str | None = None,
        max_requests_per_minute: float | str | None = "learn",
        max_tokens_per_minute: float | str | None = "learn",
        max_input_tokens_per_minute: float | str | None = None,
        max_output_tokens_per_minute: float | str | None = None,
        max_concurrent_requests: int | None = None,
        seconds_to_sleep_each_loop: float = 0.0,
        token_encoding_name: str | None = None,
        max_attempts: int = 5,
        max_wait: float = 3_600.0,
        max_same_refusals: int | str | None = 10,
        connect_timeout: float = 30.0,
        first_byte_timeout: float = 600.0,
        progress_timeout: float = 120.0,
        total_timeout: float = 1_800.0,
        models: Given = None,
        body: Mapping[str, Any] | None = None,
        headers: Given = None,
        stream: bool = False,
        cache: Cache | str | os.PathLike[str] | None = None,
        cache_sampled: bool = False,
        share: Literal["auto"] | bool = "auto",
    ) -> None:
        """The parameters are those of `process_api_requests_from_file`, and three more.

        *cache* keeps answers for the next time that the same is asked: "memory" for as long as
        there is this client, a path for good, in an SQLite file. *cache_sampled*: also those to
        requests that may be answered differently each time: all but embeddings and those with a
        temperature of 0 or a seed. *share*: identical requests in flight have one call; "auto"
        means those whose answers a cache would keep.

        BadInput (a ValueError) where they make no sense; that there is a key is seen when it opens.
        """
        most = None
        if not preflight.is_none(max_same_refusals):
            most = preflight.count(max_same_refusals, "max_same_refusals")
        settings = Settings(
            asked=Asked(
                provider=provider,
                request_url=request_url,
                api_key=api_key,
                api_key_command=api_key_command,
                max_requests_per_minute=max_requests_per_minute,
                max_tokens_per_minute=max_tokens_per_minute,
                max_input_tokens_per_minute=max_input_tokens_per_minute,
                max_output_tokens_per_minute=max_output_tokens_per_minute,
                max_concurrent_requests=max_concurrent_requests,
                seconds_to_sleep_each_loop=seconds_to_sleep_each_loop,
                models=models,
                body=body,
                headers=headers,
                stream=stream,
            ),
            endpoints=endpoints,
            timeouts=Timeouts(
                connect_timeout=preflight.seconds(connect_timeout, "connect_timeout"),
                first_byte_timeout=preflight.seconds(first_byte_timeout, "first_byte_timeout"),
                progress_timeout=preflight.seconds(progress_timeout, "progress_timeout"),
                total_timeout=preflight.seconds(total_timeout, "total_timeout"),
            ),
            token_encoding_name=token_encoding_name,
            max_attempts=preflight.count(max_attempts, "max_attempts"),
            max_wait=preflight.seconds(max_wait, "max_wait"),
            max_same_refusals=most,
            reuse=sharing.reuse(cache, cache_sampled, share),
        )
        self._opening = Opening(settings, self.providers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'open' if self._session else 'not open'}>"

    def __del__(self) -> None:
        held = self._background
        if held is not None and held.here:
            self._left(held)
            warnings.warn(f"a {type(self).__name__} was never closed", ResourceWarning, 2, self)

    @property
    def tally(self) -> Tally:
        """What was asked, answered and used so far, of all calls."""
        return self._opened()[1].tally

    def _terms(
        self,
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
        extraction: Extraction | None = None,
    ) -> Terms:
        """BadInput where they make no sense."""
        return Terms(
            concurrency=None
            if concurrency is None
            else preflight.count(concurrency, "concurrency"),
            deadline=None if deadline is None else preflight.seconds(deadline, "deadline"),
            batch_deadline=None
            if batch_deadline is None
            else preflight.seconds(batch_deadline, "batch_deadline"),
            extraction=extraction,
        )

    def _left(self, held: Background) -> "Future[None]":
        """Give up what is in flight, and end; done when all that has ended."""
        self._background = self._session = None
        return background.release(held, self._opening.close)

    def _opened(self) -> tuple[Background, Session]:
        if self._background is None or self._session is None:
            raise RuntimeError("the client is not open: use `async with`, or open() it first")
        self._background.must_be_here()
        return self._background, self._session


class AsyncClient(BaseClient, AsyncExtracts):
    """A service, or several, as requests in memory reach them.

    Open it once and use it as often as you like: all calls, and all other clients of this process
    that talk to the same account, share its limits.
    """

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Begin. BadInput where there is no key, or the account is in use with other limits."""
        if self._session is not None:
            return
        held = background.hold()
        try:
            opening = held.submit(self._opening.open(held))
            self._session = await asyncio.wrap_future(opening)
        except BaseException:
            background.release(held, self._opening.close)
            raise
        self._background = held

    async def close(self) -> None:
        """Give up what is in flight, and end. A second call does nothing."""
        held = self._background
        if held is not None:
            await asyncio.wrap_future(self._left(held))
            held.join()

    async def ask(self, body: Mapping[str, Any], *, deadline: float | None = None) -> Result:
        """The result of one request, which may take *deadline* seconds."""
        [result] = await self.gather([body], deadline=deadline)
        return result

    async def gather(
        self,
        bodies: Bodies,
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> list[Result]:
        """The results of *bodies*, in their order; see `as_completed`."""
        asked = self._asking(bodies, concurrency, deadline, batch_deadline)
        found: dict[int, Result] = {}
        async for _ in asked.results(partial(asked.collect, found)):
            pass
        return [found[index] for index in range(len(found))]

    def in_order(
        self,
        bodies: Bodies,
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncGenerator[Result, None]:
        """The results of *bodies* in their order, each as soon as those before it are there.

        The next are taken from *bodies* only as results are, so that memory is bounded.
        """
        asked = self._asking(bodies, concurrency, deadline, batch_deadline)
        return asked.results(asked.next_in_order)

    def as_completed(
        self,
        bodies: Bodies,
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncGenerator[Result, None]:
        """The results of *bodies* as they come, one for each, whatever happens.

        *concurrency*: how many may be under way at once, None for as many as are of use.
        *deadline*: seconds that one of them may take from its turn on. *batch_deadline*: seconds
        that all may take; what is not answered by then has a failure for its outcome.
        """
        asked = self._asking(bodies, concurrency, deadline, batch_deadline)
        return asked.results(asked.next_completed)

    async def embed(
        self,
        texts: Texts,
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

        *dimensions*: numbers of a vector, where the model lets one choose. *inputs_per_request*
        and *tokens_per_request*: most of one request, None for what is known of the service.
        *concurrency* and *deadline* are of requests, see `as_completed`.
        """
        terms = self._terms(concurrency, deadline, batch_deadline)
        held, session = self._opened()
        caps = inputs_per_request, tokens_per_request
        embedding = Embedding(session, texts, model, dimensions, *caps)
        asked = AsyncAsking(held, session, embedding.packs_async(), embedding.terms(terms))
        async for _ in asked.results(asked.next_completed):
            embedding.collect()
        return embedding.embeddings()

    def submit(
        self,
        bodies: Collection[Body],
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncHandle:
        """Ask all *bodies* in the background and return at once; the handle has the results.

        They must not be changed until they are answered.
        """
        held, session = self._opened()
        return AsyncHandle(
            held, session, bodies, self._terms(concurrency, deadline, batch_deadline)
        )

    def _asking(
        self,
        bodies: Bodies,
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
        extraction: Extraction | None = None,
    ) -> AsyncAsking:
        terms = self._terms(concurrency, deadline, batch_deadline, extraction)
        return AsyncAsking(*self._opened(), bodies, terms)
