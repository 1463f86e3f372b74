"""Requests of a batch that need no call of their own, taken out before they stand in line.

arrived -> what is asked? -> in the cache                       told at once
                          -> asked in this batch already        told with the first one
                          -> any other                          in line
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice

from request_engine.extraction import Extraction
from request_engine.records import Outcome, Request
from request_engine.sharing import Sharing, Wanted

_AT_ONCE = 64


class Repeats:
    """What a batch knows of equal requests. Every method runs on the background."""

    def __init__(
        self,
        sharing: Sharing,
        extraction: Extraction | None,
        *,
        line_up: Callable[[Sequence[Request]], None],
        tell_again: Callable[[Request, Outcome], None],
    ) -> None:
        self._sharing = sharing
        self._extraction = extraction
        self._line_up = line_up
        self._tell_again = tell_again
        self._arrived = deque[Request]()
        self._sorting: asyncio.Task[None] | None = None
        self._wanted: dict[int, Wanted] = {}
        """What those in line or under way ask that are not for themselves alone."""
        self._first: dict[Hashable, list[Request]] = {}
        """The requests that wait for the first of their like, which is not among them."""

    def add(self, requests: Iterable[Request]) -> None:
        """Have a look at these as well."""
        self._arrived.extend(requests)
        if self._sorting is None and self._arrived:
            self._sorting = asyncio.get_running_loop().create_task(self._sort_all())

    def wanted(self, request: Request) -> Wanted | None:
        """What is asked by one in line; None if it has a call of its own."""
        return self._wanted.get(request.number)

    def give_up(self) -> list[Request]:
        """Those that nobody has had a look at yet: nobody will."""
        if self._sorting is not None:
            self._sorting.cancel()
        left = list(self._arrived)
        self._arrived.clear()
        return left

    def told(self, request: Request, outcome: Outcome) -> None:
        """Tell those of this batch that are equal to *request* the same."""
        wanted = self._wanted.pop(request.number, None)
        if wanted is not None and wanted.rule.shares:
            for other in self._first.pop(wanted.shared_by, ()):
                self._tell_again(other, outcome)

    async def _sort_all(self) -> None:
        try:
            while self._arrived:
                requests = list(islice(self._arrived, _AT_ONCE))
                wanted = [self._sharing.wanted(one, self._extraction) for one in requests]
                kept = await self._sharing.kept(wanted)
                in_line = []
                for request, asks, answer in zip(requests, wanted, kept, strict=True):
                    self._arrived.popleft()
                    if answer is not None:
                        self._tell_again(request, answer)
                    elif asks is None or self._is_first(request, asks):
                        in_line.append(request)
                self._line_up(in_line)
                await asyncio.sleep(0)
        finally:
            self._sorting = None

    def _is_first(self, request: Request, wanted: Wanted) -> bool:
        if wanted.rule.shares:
            if wanted.shared_by in self._first:
                self._first[wanted.shared_by].append(request)
                return False
            self._first[wanted.shared_by] = []
        self._wanted[request.number] = wanted
        return True
