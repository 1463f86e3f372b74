"""Carry bytes to the service and back, and come back in any case: with a reply or a failure."""

import asyncio
import io
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self

import aiohttp

from request_engine import network_errors, proxies, timers
from request_engine.connections import Connector
from request_engine.deadlines import Attempt, Deadlines, says_something
from request_engine.durations import lasting
from request_engine.event_stream import EVENTS, Assembler
from request_engine.records import Failure, Kind, Reply
from request_engine.suspension import NEVER_STOPS, Clock, Suspension

log = logging.getLogger(__name__)

LARGEST_REPLY = 256 * 1024 * 1024
"""Bytes after decompression. 2,048 embeddings of 3,072 numbers are a quarter of it."""
_LARGE = 1024 * 1024
"""Bytes of a body."""
_LINGERING = 1.0
"""Seconds that the end of a connection may take after a complete answer."""


class Transport:
    """One HTTP session for a whole run."""

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        connect_timeout: float,
        first_byte_timeout: float,
        progress_timeout: float,
        total_timeout: float,
        proxy: str | None = None,
        assembler: Callable[[], Assembler] | None = None,
        always: Clock = NEVER_STOPS,
    ) -> None:
        """*headers* go with every request. Timeouts are seconds of one attempt.

        *proxy* is a URL, perhaps with credentials. The environment is not asked for one here: that
        would also read passwords for the service from ~/.netrc. *assembler* makes what reads one
        streamed reply; without it events come back as they are. *always* is a clock that runs while
        the machine sleeps.
        """
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"api-request-parallel-processor/{_version()}",
            **headers,
        }
        self._deadlines = Deadlines(
            connect=connect_timeout,
            first_byte=first_byte_timeout,
            progress=progress_timeout,
            total=total_timeout,
        )
        self._proxy = proxy
        self._proxy_shown = None if proxy is None else proxies.without_credentials(proxy)
        self._assembler = assembler
        self._always = always
        self._session: aiohttp.ClientSession | None = None
        self._watch = ExitStack()

    async def __aenter__(self) -> Self:
        every = self._deadlines.every
        suspension = Suspension(every, asyncio.get_running_loop().time, self._always)
        connector = Connector(self._deadlines.connected)
        self._session = aiohttp.ClientSession(
            connector=connector,
            # The deadlines are ours: a total of aiohttp's is one timer more for each request.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._deadlines.connect),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._deadlines.moves()
        self._watch.enter_context(timers.repeated(every, lambda: self._look(suspension, connector)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.close()
        if self._session is not None:
            await self._session.close()

    @property
    def moved_at(self) -> float:
        """The loop's time when a request was last sent or a reply last said something."""
        return self._deadlines.moved_at

    def waiting_since(self) -> float | None:
        """The loop's time when the oldest attempt in flight was sent; None when none is."""
        return self._deadlines.waiting_since()

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        """Send *wire_body* to *url* once. Redirects are not followed: the key is for one origin."""
        with self._deadlines.attempt() as attempt:
            try:
                return await self._post(url, wire_body, attempt)
            except aiohttp.ConnectionTimeoutError:
                return self._deadlines.unconnected()
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return network_errors.failure_of(
                    error,
                    sent=attempt.sent_at is not None,
                    unanswered_again=attempt.reused and not attempt.answering,
                    proxy=self._proxy_shown,
                )
        assert attempt.overdue is not None
        return attempt.overdue

    async def _post(self, url: str, wire_body: bytes, attempt: Attempt) -> Reply | Failure:
        assert self._session is not None, "the transport is used inside `async with`"
        # A large body goes out in parts: at once it would be copied, and hold everybody up.
        data = wire_body if len(wire_body) < _LARGE else io.BytesIO(wire_body)
        async with self._session.post(
            url, data=data, allow_redirects=False, proxy=self._proxy
        ) as response:
            attempt.answering = True
            content = await self._content(response, attempt)
            if isinstance(content, Failure):
                return content
            return Reply(response.status, response.headers, content)

    async def _content(self, response: aiohttp.ClientResponse, attempt: Attempt) -> bytes | Failure:
        """The reply's body as it is, or as it would be unstreamed.

        A connection that was not read to the end of the reply is closed.
        """
        assembler = None
        if self._assembler is not None and _is_stream_of_answer(response):
            assembler = self._assembler()
        said = says_something if assembler is None else assembler.feed
        parts: list[bytes] = []
        try:
            async for part in response.content.iter_any():
                attempt.received(len(part), meaningful=said(part))
                if attempt.size > LARGEST_REPLY:
                    return _too_large(response.status)
                if assembler is None:
                    parts.append(part)
                elif assembler.cut is not None:
                    break
                elif assembler.ended:
                    attempt.whole()
                    await _end(response)
                    break
        except (aiohttp.ClientError, OSError):
            # A stream may have said all but its last word.
            content = None if assembler is None else assembler.finish()
            if not isinstance(content, bytes):
                raise
            return content
        if assembler is not None:
            return assembler.finish()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _look(self, suspension: Suspension, connector: Connector) -> None:
        """End what takes too long; but time in which nobody could read an answer does not count."""
        gap = suspension.look()
        if gap.unserved:
            self._deadlines.shift(gap.unserved)
        if gap.asleep:
            connector.renew()
            log.info(
                "this machine or process was asleep for %s; connections are made anew",
                lasting(gap.asleep),
            )
        self._deadlines.end_overdue()


def _is_stream_of_answer(response: aiohttp.ClientResponse) -> bool:
    kind = response.headers.get("Content-Type", "")
    return response.status // 100 == 2 and kind.lower().startswith(EVENTS)


async def _end(response: aiohttp.ClientResponse) -> None:
    """Read what follows a complete answer, so that its connection can be used again.

    Nothing that happens now takes the answer away, the end of the run included.
    """
    with suppress(aiohttp.ClientError, OSError, asyncio.CancelledError):
        async with asyncio.timeout(_LINGERING):
            async for _ in response.content.iter_any():
                pass


def _too_large(status: int) -> Failure:
    most = LARGEST_REPLY // (1024 * 1024)
    return Failure(Kind.BAD_ANSWER, f"the answer is larger than {most} MiB", status)


def _version() -> str:
    try:
        return version("api-request-parallel-processor")
    except PackageNotFoundError:
        return "checkout"
