"""What a client sends with: targets, a counter and connections, on the background's loop."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from request_engine import endpoints_file, extra_headers, logs
from request_engine.background import Background, Closing
from request_engine.counting import Counter
from request_engine.destination import Asked, Destination, Timeouts
from request_engine.garbage import Seldom
from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Request
from request_engine.redaction import Redaction
from request_engine.sameness import Place
from request_engine.sharing import Reuse, Sharing
from request_engine.sizes import UNCOUNTED, Size
from request_engine.tally import Tally
from request_engine.target import Target
from request_engine.targets import Targets
from request_engine.token_counts import Estimates, TokenCounts

CANCELLED = Failure(Kind.TRANSIENT, "given up before there was an answer")
"""What becomes of a request whose client or batch is closed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a client sends; see `client.AsyncClient` for what they mean."""

    asked: Asked
    endpoints: str | None
    timeouts: Timeouts
    token_encoding_name: str | None
    max_attempts: int
    max_wait: float
    max_same_refusals: int | None
    reuse: Reuse | None = None


class Session:
    """An open client's side on the background's loop."""

    def __init__(
        self,
        settings: Settings,
        targets: Targets,
        counter: Counter | None,
        sharing: Sharing | None = None,
    ) -> None:
        """*sharing* is None where every request has a call of its own."""
        self.settings = settings
        self.targets = targets
        self.sharing = sharing
        self.tally = Tally()
        self._counter = counter
        self.garbage = Seldom()
        self.closings = dict[Closing, None]()
        """What ends the batches that are under way."""
        self.over: Failure | None = None
        """What becomes of what is asked once it is closed."""

    async def measured(self, requests: Sequence[Request]) -> Sequence[Size]:
        """What an attempt of each may take of the limits."""
        if self._counter is None:
            return [UNCOUNTED] * len(requests)
        return await self._counter.measure(requests)

    async def close(self) -> None:
        """Give up what is in flight; nothing more is sent."""
        self.over = CANCELLED
        for closing in tuple(self.closings):
            await closing()
        if self.sharing is not None:
            await self.sharing.close()
        self.targets.close()
        if self._counter is not None:
            await self._counter.close()


class Opening:
    """A session and all that has to be closed with it. Every method runs on the background."""

    def __init__(self, settings: Settings, providers: Sequence[Provider]) -> None:
        """BadInput where the settings make no sense."""
        self._settings = settings
        if settings.endpoints is None:
            self._destinations = [Destination(settings.asked, providers)]
        else:
            self._destinations = endpoints_file.read(settings.endpoints, settings.asked, providers)
        self._closing = AsyncExitStack()

    @property
    def first(self) -> Destination:
        """The place whose ways bodies are made for."""
        return self._destinations[0]

    async def open(self, background: Background) -> Session:
        """BadInput where there is no key, or the account is in use with other limits."""
        async with AsyncExitStack() as opened:
            session = await self._opened(background, opened)
            self._closing = opened.pop_all()
        return session

    async def close(self) -> None:
        await self._closing.aclose()

    async def _opened(self, background: Background, opened: AsyncExitStack) -> Session:
        redaction, targets, reuse = Redaction(), [], self._settings.reuse
        background.closings[self.close] = None
        opened.callback(background.closings.pop, self.close)
        if reuse is not None and reuse.cache is not None:
            await reuse.cache.open()
            opened.push_async_callback(reuse.cache.close)
        for one in self._destinations:
            make = partial(one.budget, one.max_concurrent)
            budget = background.budget(one.account, one.limits, make)
            opened.callback(background.give_back, one.account)
            with endpoints_file.told_by(one.asked):
                target, transport = await one.open(budget, redaction, None, self._settings.timeouts)
            logs.hide(redaction)
            await opened.enter_async_context(transport)
            targets.append(target)
        together = Targets(targets)
        counter, sharing = self._counter(together), self._sharing(targets)
        session = Session(self._settings, together, counter, sharing)
        opened.push_async_callback(session.close)
        return session

    def _counter(self, targets: Targets) -> Counter | None:
        """What counts tokens, as the first place does; nothing is counted that nothing limits."""
        if not any(one.counts_tokens for one in self._destinations):
            return None
        named, service = self._settings.token_encoding_name, self.first.service
        # Building an encoding would hold up the calls of the first second for half of it.
        exact = named is not None or any(one.tells_tokens for one in self._destinations)
        counts = TokenCounts() if exact else Estimates()
        amendment = self.first.amendment
        return Counter(service.provider, service.address, named, counts, amendment, targets.is_far)

    def _sharing(self, targets: Sequence[Target]) -> Sharing | None:
        reuse = self._settings.reuse
        if reuse is None or not reuse.any:
            return None
        headers = [extra_headers.read(one.asked.headers) for one in self._destinations]
        return Sharing(list(map(Place, targets, headers)), reuse)
