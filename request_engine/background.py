"""One event loop in a thread of its own, for every client of a process.

So requests can be made from scripts, threads, notebooks and running loops alike, and whoever talks
to the same account shares its limits. It is there while a client is open.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from request_engine.budget import Budget
from request_engine.errors import BadInput
from request_engine.loops import fastest_loop

Result = TypeVar("Result")


@dataclass(slots=True)
class _Account:
    budget: Budget
    limits: Hashable
    users: int = 0


class Background:
    """The loop, and the budgets of the accounts that are talked to on it."""

    def __init__(self) -> None:
        self.loop = fastest_loop()()
        self._accounts: dict[Hashable, _Account] = {}
        self._thread = threading.Thread(target=self._run, name="request engine", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Run *coroutine* there; its result is for any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        """End the loop and the thread, once nothing runs there any more."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def budget(self, account: Hashable, limits: Hashable, make: Callable[[], Budget]) -> Budget:
        """The budget of *account*, made if nobody talks to it yet. To be given back.

        BadInput where it is in use with other *limits*.
        """
        known = self._accounts.get(account)
        if known is None:
            known = self._accounts[account] = _Account(make(), limits)
        elif known.limits != limits:
            raise BadInput(
                "another open client of this account has other limits: give both the same, since "
                "they share them"
            )
        known.users += 1
        return known.budget

    def give_back(self, account: Hashable) -> None:
        """One user less of the budget of *account*."""
        known = self._accounts[account]
        known.users -= 1
        if not known.users:
            del self._accounts[account]

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()


class _Shared:
    """The background of this process, and how many clients use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._background: Background | None = None
        self._users = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def hold(self) -> Background:
        with self._lock:
            if self._background is None:
                self._background = Background()
            self._users += 1
            return self._background

    def release(self, background: Background) -> None:
        with self._lock:
            if background is not self._background:  # it stayed behind in the process forked from
                return
            self._users -= 1
            if not self._users:
                self._background = None
                background.close()

    def _forget(self) -> None:
        """A forked process has no thread but its own: the loop runs in the other one."""
        self._lock = threading.Lock()
        self._background, self._users = None, 0


@cache
def _shared() -> _Shared:
    return _Shared()


def hold() -> Background:
    """The background of this process, started if need be. To be released."""
    return _shared().hold()


def release(background: Background) -> None:
    """It is needed no longer by one who held it; without any it ends."""
    _shared().release(background)


def is_current(background: Background) -> bool:
    """Whether *background* runs in this process, rather than in the one it was forked from."""
    return background is _shared()._background
