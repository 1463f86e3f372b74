"""Carry bytes to the service and back; here, and only here, network errors become failures."""

import os
import ssl
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self

import aiohttp

from request_engine.records import Failure, Kind, Reply

LARGEST_REPLY = 256 * 1024 * 1024
"""Bytes after decompression. 2,048 embeddings of 3,072 numbers are a quarter of it."""
KEPT_ALIVE = 4.0
"""Seconds an idle connection is kept: less than servers keep theirs, many of them 5. One that the
server closes just as it is used again costs an attempt."""


class Transport:
    """One HTTP session for a whole run."""

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        connect_timeout: float,
        total_timeout: float,
        proxy: str | None = None,
    ) -> None:
        """*headers* go with every request. Timeouts are seconds of one attempt.

        *proxy* is a URL, perhaps with credentials. The environment is not asked for one here: that
        would also read passwords for the service from ~/.netrc.
        """
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"api-request-parallel-processor/{_version()}",
            **headers,
        }
        self._timeout = aiohttp.ClientTimeout(total=total_timeout, sock_connect=connect_timeout)
        self._total = total_timeout
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # The budget bounds what is in flight; a pool limit would queue a second time, unseen.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        """Send *wire_body* to *url* once. Redirects are not followed: the key is for one origin."""
        assert self._session is not None, "the transport is used inside `async with`"
        try:
            async with self._session.post(
                url, data=wire_body, allow_redirects=False, proxy=self._proxy
            ) as response:
                content = await _whole(response)
                if content is None:
                    return _too_large(response.status)
                return Reply(response.status, response.headers, content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return self._failure(error)

    def _failure(self, error: BaseException) -> Failure:
        match error:
            case aiohttp.InvalidURL():
                unsendable = "the URL is not one that can be sent to"
                return Failure(Kind.MODEL_CONFIG, unsendable, sent=False)
            case aiohttp.ConnectionTimeoutError():
                return _unsent("no connection in time")
            case TimeoutError():
                return Failure(
                    Kind.TRANSIENT,
                    f"no complete answer in {self._total:g} s",
                    timed_out=True,
                )
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
                why = getattr(error, "certificate_error", error)
                return _unsent(f"the service's certificate is not trusted: {why}")
            case aiohttp.ClientProxyConnectionError():
                return _unsent(f"the proxy cannot be reached: {_reason(error.os_error)}")
            case aiohttp.ClientHttpProxyError():
                return _unsent(f"the proxy answered {error.status} {error.message}")
            case aiohttp.ClientResponseError():  # its own text tells the whole URL
                return Failure(Kind.TRANSIENT, f"the answer is not HTTP: {_reason(error)}")
            case aiohttp.ClientConnectorError():
                return _unsent(
                    f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}"
                )
            case aiohttp.ClientOSError():
                return Failure(Kind.TRANSIENT, f"the connection broke: {_reason(error)}")
            case aiohttp.ServerDisconnectedError():
                return Failure(Kind.TRANSIENT, "the connection was closed before the answer")
            case aiohttp.ClientPayloadError():
                return Failure(Kind.TRANSIENT, "the connection was closed within the answer")
            case ValueError():
                return _unsent(f"it cannot be sent: {_reason(error)}")
        return Failure(Kind.TRANSIENT, f"{type(error).__name__}: {_reason(error)}")


async def _whole(response: aiohttp.ClientResponse) -> bytes | None:
    """The reply's body, None when it is larger than any answer should be."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_REPLY:
            response.close()
            return None
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(status: int) -> Failure:
    most = LARGEST_REPLY // (1024 * 1024)
    return Failure(Kind.BAD_ANSWER, f"the answer is larger than {most} MiB", status)


def _unsent(message: str) -> Failure:
    return Failure(Kind.TRANSIENT, message, sent=False)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        # The numbers of TLS and of name resolution are not the system's.
        if error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
            return os.strerror(error.errno)
        if error.strerror:
            return error.strerror
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return " ".join(text.split()) or "no reason given"


def _version() -> str:
    try:
        return version("api-request-parallel-processor")
    except PackageNotFoundError:
        return "checkout"
