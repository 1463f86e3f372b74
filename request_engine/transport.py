"""Carry bytes to the service and back, and come back in any case: with a reply or a failure."""

import asyncio
import io
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self

import aiohttp

from request_engine import extra_headers, network_errors, proxies, timers
from request_engine.connections import Connector
from request_engine.deadlines import Attempt, Deadlines, says_something
from request_engine.durations import lasting
from request_engine.event_stream import EVENTS, Assembler
from request_engine.ready_post import ReadyPost, ready_post
from request_engine.records import Failure, Kind, Reply
from request_engine.suspension import NEVER_STOPS, Clock, Suspension

log = logging.getLogger(__name__)

LARGEST_REPLY = 256 * 1024 * 1024
"""Bytes after decompression. 2,048 embeddings of 3,072 numbers are a quarter of it."""
LARGE_BODY = 1024 * 1024
"""Bytes from which on a body goes out in parts: at once it would be copied, and hold all up."""
_URLS = 1_024
"""Different ones that are kept ready; batch lines may each name their own path."""
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
        stream_types: tuple[str, ...] = (EVENTS,),
        always: Clock = NEVER_STOPS,
    ) -> None:
        """*headers* go with every request. Timeouts are seconds of one attempt.

        *proxy* is a URL, perhaps with credentials. The environment is not asked for one here: that
        would also read passwords for the service from ~/.netrc. *assembler* makes what reads one
        reply of the content types *stream_types*; without it they come back as they are. *always*
        is a clock that runs while the machine sleeps.
        """
        ours = {
            "Content-Type": "application/json",
            "User-Agent": f"api-request-parallel-processor/{_version()}",
        }
        self._headers = extra_headers.merged(ours, headers)
        self._deadlines = Deadlines(
            connect=connect_timeout,
            first_byte=first_byte_timeout,
            progress=progress_timeout,
            total=total_timeout,
        )
        self._proxy = proxy
        self._proxy_shown = None if proxy is None else proxies.without_credentials(proxy)
        self._assembler = assembler
        self._stream_types = stream_types
        self._always = always
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._session: aiohttp.ClientSession
        self._connector: Connector
        self._ready: Callable[[str], ReadyPost | None]
        self._watch = ExitStack()

    async def __aenter__(self) -> Self:
        every = self._deadlines.every
        suspension = Suspension(every, asyncio.get_running_loop().time, self._always)
        self._connector = Connector(self._deadlines.connected)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            # The deadlines are ours: a total of aiohttp's is one timer more for each request.
            timeout=self._timeout,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._prepare()
        self._deadlines.moves()
        self._watch.enter_context(timers.repeated(every, lambda: self._look(suspension)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.close()
        await self._session.close()

    def identify(self, headers: Mapping[str, str]) -> None:
        """From now on send these *headers* instead of those of the same names."""
        self._headers = extra_headers.merged(self._headers, headers)
        self._session.headers.update(headers)
        self._prepare()

    def _prepare(self) -> None:
        self._ready = lru_cache(_URLS)(partial(ready_post, self._session, self._headers))

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
        ready = None
        if self._proxy is None and len(wire_body) < LARGE_BODY:
            ready = self._ready(url)
        if ready is None:
            return await self._post_by_session(url, wire_body, attempt)
        connection = await self._connector.connect(ready.place, [], self._timeout)
        protocol = connection.protocol
        assert protocol is not None
        try:
            message, content = await ready.ask(protocol, wire_body)
            reply = await self._read(message.code, message.headers, content, attempt)
            if not protocol.writing_paused:
                connection.release()  # to be used again, if the reply was read to its end
            return reply
        finally:
            connection.close()

    async def _post_by_session(
        self, url: str, wire_body: bytes, attempt: Attempt
    ) -> Reply | Failure:
        """The general way, three times as long: for proxies, large bodies and odd URLs."""
        data = wire_body if len(wire_body) < LARGE_BODY else io.BytesIO(wire_body)
        async with self._session.post(
            url, data=data, allow_redirects=False, proxy=self._proxy
        ) as response:
            return await self._read(response.status, response.headers, response.content, attempt)

    async def _read(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        attempt: Attempt,
    ) -> Reply | Failure:
        """The reply with its body as it is, or as it would be unstreamed.

        A connection that was not read to the end of the reply is closed.
        """
        attempt.answering = True
        first_token = None
        if self._assembler is not None and self._is_stream_of_answer(status, headers):
            whole, first_token = await _assembled(self._assembler(), status, content, attempt)
        else:
            whole = await _as_it_is(status, content, attempt)
        return whole if isinstance(whole, Failure) else Reply(status, headers, whole, first_token)

    def _is_stream_of_answer(self, status: int, headers: Mapping[str, str]) -> bool:
        told = headers.get("Content-Type", "").lower()
        return status // 100 == 2 and told.startswith(self._stream_types)

    def _look(self, suspension: Suspension) -> None:
        """End what takes too long; but time in which nobody could read an answer does not count."""
        gap = suspension.look()
        if gap.unserved:
            self._deadlines.shift(gap.unserved)
        if gap.asleep:
            self._connector.renew()
            log.info(
                "this machine or process was asleep for %s; connections are made anew",
                lasting(gap.asleep),
            )
        self._deadlines.end_overdue()


async def _as_it_is(
    status: int, content: aiohttp.StreamReader, attempt: Attempt
) -> bytes | Failure:
    parts: list[bytes] = []
    while not content.at_eof():
        part = await content.readany()
        attempt.received(len(part), meaningful=says_something(part))
        if attempt.size > LARGEST_REPLY:
            return _too_large(status)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _assembled(
    assembler: Assembler, status: int, content: aiohttp.StreamReader, attempt: Attempt
) -> tuple[bytes | Failure, float | None]:
    """The answer, and the seconds from sending to its first word."""
    first_token = None
    try:
        async for part in content.iter_any():
            attempt.received(len(part), meaningful=assembler.feed(part))
            if first_token is None and assembler.speaking:
                first_token = _since_sent(attempt)
            if attempt.size > LARGEST_REPLY:
                return _too_large(status), None
            if assembler.cut is not None:
                break
            if assembler.ended:
                attempt.whole()
                await _end(content)
                break
    except (aiohttp.ClientError, OSError):
        # A stream may have said all but its last word.
        answer = assembler.finish()
        if not isinstance(answer, bytes):
            raise
        return answer, first_token
    return assembler.finish(), first_token


def _since_sent(attempt: Attempt) -> float | None:
    """Seconds until its reply last said something."""
    if attempt.sent_at is None or attempt.moved_at is None:
        return None
    return attempt.moved_at - attempt.sent_at


async def _end(content: aiohttp.StreamReader) -> None:
    """Read what follows a complete answer, so that its connection can be used again.

    Nothing that happens now takes the answer away, the end of the run included.
    """
    with suppress(aiohttp.ClientError, OSError, asyncio.CancelledError):
        async with asyncio.timeout(_LINGERING):
            async for _ in content.iter_any():
                pass


def _too_large(status: int) -> Failure:
    most = LARGEST_REPLY // (1024 * 1024)
    return Failure(Kind.BAD_ANSWER, f"the answer is larger than {most} MiB", status)


def _version() -> str:
    try:
        return version("api-request-parallel-processor")
    except PackageNotFoundError:
        return "checkout"
