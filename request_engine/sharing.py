"""One call for all who ask the same: an answer that was paid for is not bought again.

A call belongs to nobody: who gives up leaves it to the others, and it ends with the last of them.
What it brings is kept in the cache, if there is one.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from request_engine.cache import Cache, cache_of
from request_engine.errors import BadInput
from request_engine.extraction import Extraction
from request_engine.records import Outcome, Request, Success, Usage
from request_engine.sameness import Place

log = logging.getLogger(__name__)

_NOTHING = Usage()
"""What is used by being told what was bought before."""


class Rule(NamedTuple):
    """What is done about equal requests."""

    shares: bool
    """Those in flight have one call."""
    caches: bool
    """An answer is kept for later ones."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """What the user wants of it."""

    cache: Cache | None
    sampled: Rule
    """For requests that may be answered differently each time."""
    others: Rule

    @property
    def any(self) -> bool:
        return True in self.sampled + self.others


def reuse(cache: object, cache_sampled: bool, share: object) -> Reuse:
    """What the parameters of a client mean; BadInput where they mean nothing."""
    if share != "auto" and not isinstance(share, bool):
        raise BadInput(f'share is {share!r}, but it must be "auto", True or False')
    kept = cache_of(cache)
    if cache_sampled and kept is None:
        raise BadInput('cache_sampled is of no use without a cache: give cache="memory" or a path')
    others = Rule(shares=share is not False, caches=kept is not None)
    sampled = others if cache_sampled else Rule(shares=share is True, caches=False)
    return Reuse(kept, sampled, others)


class Wanted(NamedTuple):
    """What is asked, and what is done about equal ones."""

    key: bytes
    rule: Rule
    extraction: Extraction | None
    """What reads the answer; None if it is taken as it is."""
    shared_by: Hashable
    """Equal for those who may share a call: what is read is for who asked for it so."""


class Call:
    """What is in flight for one or several requests."""

    __slots__ = ("shared_by", "task", "waiting")

    def __init__(self, shared_by: Hashable) -> None:
        self.shared_by = shared_by
        self.task: asyncio.Task[None]
        self.waiting: dict[Callable[[Outcome], None], None] = {}
        """What tells each of those who wait for it."""


class Sharing:
    """The calls of one client that equal requests may share, and its cache."""

    def __init__(self, places: Sequence[Place], reuse: Reuse) -> None:
        """*places* are those that its requests may go to."""
        self._places = places
        self._reuse = reuse
        self._cache = reuse.cache
        self._calls: dict[Hashable, Call] = {}
        self._tasks = dict[asyncio.Task[None], Callable[[], None]]()

    def wanted(self, request: Request, extraction: Extraction | None = None) -> Wanted | None:
        """What is asked; None where the request has a call of its own.

        *extraction* is the shape that the answer must have.
        """
        try:
            rule = self._reuse.others
            if True in [one.is_sampled(request) for one in self._places]:
                rule = self._reuse.sampled
            if True not in rule:
                return None
            keys = {one.key(request, extraction) for one in self._places}
        except Exception:  # noqa: BLE001  what is wrong with it is told when it is sent
            return None
        key = keys.pop() if len(keys) == 1 else sha256(b"".join(sorted(keys))).digest()
        return Wanted(key, rule, extraction, key if extraction is None else (key, extraction))

    async def kept(self, wanted: Sequence[Wanted | None]) -> list[Success | None]:
        """What the cache has of each."""
        if self._cache is None:
            return [None] * len(wanted)
        keys = list({one.key for one in wanted if one is not None and one.rule.caches})
        if not keys:
            return [None] * len(wanted)
        try:
            answers = dict(zip(keys, await self._cache.find(keys), strict=True))
        except Exception as fault:  # noqa: BLE001  somebody's own cache
            self._do_without(fault)
            return [None] * len(wanted)
        return [one and _read(answers.get(one.key), one.extraction) for one in wanted]

    def at_hand(self, wanted: Wanted) -> Success | None:
        """What was kept since, by another call."""
        if self._cache is None or not wanted.rule.caches:
            return None
        return _read(self._cache.at_hand(wanted.key), wanted.extraction)

    def in_flight(self, wanted: Wanted) -> Call | None:
        """The call of an equal request."""
        return self._calls.get(wanted.shared_by)

    def begin(
        self,
        wanted: Wanted,
        ask: Callable[[], Coroutine[Any, Any, Outcome]],
        ended: Callable[[], None],
    ) -> Call:
        """A call for all that are equal from now on, who are to wait for it.

        *ended* is called when it is over, even if it never began.
        """
        call = Call(wanted.shared_by)
        call.task = asyncio.get_running_loop().create_task(self._carry(call, wanted, ask))
        self._tasks[call.task] = ended
        call.task.add_done_callback(self._ended)
        if wanted.rule.shares:
            self._calls[wanted.shared_by] = call
        return call

    def leave(self, call: Call, waiter: Callable[[Outcome], None]) -> None:
        """*waiter* is told nothing; with the last of them the call ends."""
        del call.waiting[waiter]
        if not call.waiting:
            self._forget(call)
            call.task.cancel()

    async def close(self) -> None:
        """Give up what nobody waits for any more, and see it ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(
        self, call: Call, wanted: Wanted, ask: Callable[[], Coroutine[Any, Any, Outcome]]
    ) -> None:
        outcome = await ask()
        if isinstance(outcome, Success):
            self._keep(wanted, outcome.response)
        self._forget(call)
        told = False
        while call.waiting:
            tell = next(iter(call.waiting))
            del call.waiting[tell]
            tell(again(outcome) if told else outcome)
            told = True

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task)()

    def _keep(self, wanted: Wanted, answer: bytes) -> None:
        if self._cache is None or not wanted.rule.caches:
            return
        try:
            self._cache.keep(wanted.key, answer)
        except Exception as fault:  # noqa: BLE001  somebody's own cache
            self._do_without(fault)

    def _forget(self, call: Call) -> None:
        if self._calls.get(call.shared_by) is call:
            del self._calls[call.shared_by]

    def _do_without(self, fault: Exception) -> None:
        log.warning("going on without %r: %r", self._cache, fault)
        self._cache = None


def again(outcome: Outcome) -> Outcome:
    """*outcome* for one more who asked: what it took is counted already."""
    earlier = tuple(replace(one, usage=None) for one in outcome.earlier)
    return replace(outcome, usage=_NOTHING, earlier=earlier)


def _read(answer: bytes | None, extraction: Extraction | None) -> Success | None:
    """A kept *answer*; None if there is none, or it has not the shape that is wanted now."""
    if answer is None:
        return None
    found = Success(answer, _NOTHING, cached=True)
    if extraction is None:
        return found
    read = extraction.judged(found)
    return replace(read, cached=True) if isinstance(read, Success) else None
