"""Requests in memory: ask one, or many as fast as the limits allow. `blocking.py` is the same
without `await`.

    async with AsyncClient(provider="openai") as client:
        one = await client.ask({"model": "gpt-4o-mini", "messages": [...]})
        async for result in client.as_completed(bodies):
            print(result.text if result.ok else result.failure.message)
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from request_engine import background, preflight
from request_engine.asking import Asking, Bodies
from request_engine.background import Background
from request_engine.destination import Asked, Given, Timeouts
from request_engine.provider import Provider
from request_engine.result import Result
from request_engine.session import Opening, Session, Settings
from request_engine.tally import Tally


class AsyncClient:
    """A service, or several, as requests in memory reach them.

    Open it once and use it from one event loop as often as you like: all calls, and all other
    clients of this process that talk to the same account, share its limits.
    """

    providers: ClassVar[Sequence[Provider]] = ()
    """The services there are; the door has them."""

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
    ) -> None:
        """The parameters are those of `process_api_requests_from_file`.

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
        )
        self._opening = Opening(settings, self.providers)
        self._background: Background | None = None
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'open' if self._session else 'not open'}>"

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

    @property
    def tally(self) -> Tally:
        """What was asked, answered and used so far, of all calls that have ended."""
        return self._opened()[1].tally

    async def open(self) -> None:
        """Begin. BadInput where there is no key, or the account is in use with other limits."""
        if self._session is not None:
            return
        held = background.hold()
        try:
            opening = held.submit(self._opening.open(held))
            self._session = await asyncio.wrap_future(opening)
        except BaseException:
            background.release(held)
            raise
        self._background = held

    async def close(self) -> None:
        """Give up what is in flight, and end. A second call does nothing."""
        held, self._background, self._session = self._background, None, None
        if held is None:
            return
        if background.is_current(held):
            await asyncio.wrap_future(held.submit(self._opening.close()))
        await asyncio.to_thread(background.release, held)

    async def ask(self, body: Mapping[str, Any], *, deadline: float | None = None) -> Result:
        """The result of one request, which may take *deadline* seconds."""
        async for result in self.as_completed([body], deadline=deadline):
            return result
        raise AssertionError("every request has a result")

    async def gather(
        self,
        bodies: Bodies,
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> list[Result]:
        """The results of *bodies*, in their order; see `as_completed`."""
        asked = self.in_order(
            bodies, concurrency=concurrency, deadline=deadline, batch_deadline=batch_deadline
        )
        return [result async for result in asked]

    async def in_order(
        self,
        bodies: Bodies,
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncIterator[Result]:
        """The results of *bodies* in their order, each as soon as those before it are there.

        The next are taken from *bodies* only as results are, so that memory is bounded.
        """
        held: dict[int, Result] = {}
        due = 0
        async with self._asking(bodies, concurrency, deadline, batch_deadline) as asked:
            async for result in asked:
                held[result.index] = result
                while due in held:
                    asked.hand()
                    due += 1
                    yield held.pop(due - 1)

    async def as_completed(
        self,
        bodies: Bodies,
        *,
        concurrency: int | None = None,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncIterator[Result]:
        """The results of *bodies* as they come, one for each, whatever happens.

        *concurrency*: how many may be under way at once, None for as many as are of use.
        *deadline*: seconds that one of them may take from its turn on. *batch_deadline*: seconds
        that all may take; what is not answered by then has a failure for its outcome.
        """
        async with self._asking(bodies, concurrency, deadline, batch_deadline) as asked:
            async for result in asked:
                asked.hand()
                yield result

    def _asking(
        self,
        bodies: Bodies,
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
    ) -> Asking:
        held, session = self._opened()
        if concurrency is not None:
            concurrency = preflight.count(concurrency, "concurrency")
        return Asking(
            held,
            session,
            bodies,
            concurrency=concurrency,
            deadline=None if deadline is None else preflight.seconds(deadline, "deadline"),
            batch_deadline=None
            if batch_deadline is None
            else preflight.seconds(batch_deadline, "batch_deadline"),
        )

    def _opened(self) -> tuple[Background, Session]:
        if self._background is None or self._session is None:
            raise RuntimeError("the client is not open: use `async with`, or open() it first")
        if not background.is_current(self._background):
            raise RuntimeError(
                "the client was opened before this process was forked off: open one in here"
            )
        return self._background, self._session
