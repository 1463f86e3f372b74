"""One event loop in a thread of its own, for every client of a process.

So requests can be made from scripts, threads, notebooks and running loops alike, and whoever talks
to the same account shares its limits. It is there while a client is open.
"""

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from request_engine.budget import Budget
from request_engine.errors import BadInput
from request_engine.loops import fastest_loop

Result = TypeVar("Result")
Closing = Callable[[], Coroutine[Any, Any, None]]

_REMEMBERED = 60.0
"""Seconds after its last client in which the limits of an account hold on: they are a minute's."""
LOOK = 0.2
"""Seconds a thread waits at a time. A Ctrl-C that comes after the interpreter last looked for one
and before the wait has begun (another thread is given its turn in between) shows only after it."""
_AT_EXIT = 5.0
"""Seconds that closing may take when the interpreter ends and clients are still open."""


@dataclass(slots=True)
class _Account:
    budget: Budget
    limits: Hashable
    users: int = 0
    left_at: float = 0.0
    """When its last user went."""

    def forgotten(self) -> bool:
        """Whether nothing that was sent counts any more."""
        return not self.users and time.monotonic() - self.left_at > _REMEMBERED


Accounts = dict[Hashable, _Account]


class Background:
    """The loop, and the budgets of the accounts that are talked to on it."""

    def __init__(self, accounts: Accounts) -> None:
        """*accounts* are those of this process, whose limits hold on for a while."""
        self.loop = fastest_loop()()
        self.closings = dict[Closing, None]()
        """What ends the clients that are open, in order of opening."""
        self._accounts = accounts
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._over: Future[None] | None = None
        """What waits for its end, once that has begun."""
        self._thread = threading.Thread(target=self._run, name="request engine", daemon=True)
        self._thread.start()

    def post(self, call: Callable[..., object], *given: object) -> None:
        """Have *call* called there, after all that was posted before."""
        self.must_be_here()
        with self._lock:  # whatever is posted before the end is still called
            self._must_run()
            self.loop.call_soon_threadsafe(call, *given)

    def submit(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Do *work* there; its result is for any thread."""
        try:
            self.must_be_here()
            with self._lock:
                self._must_run()
                return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise

    @property
    def here(self) -> bool:
        """Whether it runs in this process, rather than in the one it was forked from."""
        return self._process == os.getpid()

    def must_be_here(self) -> None:
        """RuntimeError where nothing can be asked of it, in a process that was forked off."""
        if not self.here:
            raise RuntimeError(
                "the client was opened before this process was forked off: open one in here"
            )

    def end(self, ended: "Future[None]") -> None:
        """End the loop and the thread, and then say so. To be called there."""
        with self._lock:
            self._over = ended
        self.loop.stop()

    def join(self) -> None:
        """See the thread ended, if its end has begun."""
        if self._over is not None:
            self._thread.join()

    def budget(self, account: Hashable, limits: Hashable, make: Callable[[], Budget]) -> Budget:
        """The budget of *account*, made if nobody talked to it lately. To be given back.

        BadInput where it is in use with other *limits*.
        """
        for one in [name for name, known in self._accounts.items() if known.forgotten()]:
            del self._accounts[one]
        known = self._accounts.get(account)
        if known is None or (known.limits != limits and not known.users):
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
        known.left_at = time.monotonic()

    def _must_run(self) -> None:
        if self._over is not None:
            raise RuntimeError("the client was closed meanwhile")

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            with suppress(RuntimeError):  # no thread is started any more while Python ends
                self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            if self._over is not None:
                self._over.set_result(None)


class _Shared:
    """The background of this process, and how many clients use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.background: Background | None = None
        self._users = 0
        self._accounts: Accounts = {}
        atexit.register(self._leave_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def hold(self) -> Background:
        with self._lock:
            if self.background is None:
                self.background = Background(self._accounts)
            self._users += 1
            return self.background

    def release(self, background: Background, closing: Closing | None) -> "Future[None]":
        left: Future[None] = Future()
        left.set_running_or_notify_cancel()  # whoever waits for it cannot cancel it
        if background is self.background:
            background.submit(self._leave(background, closing, left))
        else:  # it stayed behind in the process forked from
            left.set_result(None)
        return left

    async def _leave(
        self, background: Background, closing: Closing | None, left: "Future[None]"
    ) -> None:
        try:
            if closing is not None:
                await closing()
        finally:
            with self._lock:
                self._users -= 1
                if last := not self._users:
                    self.background = None
            if last:
                background.end(left)
            else:
                left.set_result(None)

    def _leave_all(self) -> None:
        """The interpreter ends, and there is nobody who would close what is open."""
        background, self.background = self.background, None
        if background is not None:
            ended: Future[None] = Future()
            background.submit(self._leave_at_once(background, ended))
            with suppress(TimeoutError):
                ended.result(2 * _AT_EXIT)

    async def _leave_at_once(self, background: Background, ended: "Future[None]") -> None:
        try:
            async with asyncio.timeout(_AT_EXIT):
                for closing in tuple(background.closings):
                    await closing()
        finally:
            background.end(ended)

    def _forget(self) -> None:
        """A forked process has no thread but its own: the loop runs in the other one."""
        self._lock = threading.Lock()
        self.background, self._users, self._accounts = None, 0, {}


@cache
def _shared() -> _Shared:
    return _Shared()


def hold() -> Background:
    """The background of this process, started if need be. To be released."""
    return _shared().hold()


def release(background: Background, closing: Closing | None = None) -> "Future[None]":
    """It is needed no longer by one who held it, once *closing* is done there.

    Without any it ends, and what is returned is done when it has.
    """
    return _shared().release(background, closing)


def waited(future: "Future[Result]") -> Result:
    """The result of *future*, for a thread that can be interrupted."""
    while not future.done():
        wait((future,), LOOK)
    return future.result()
