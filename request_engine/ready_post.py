"""A POST that is ready but for its body: made once for a URL, sent over any connection.

Connecting, TLS, the pool, parsing and decompression are aiohttp's. Left out is what its session
does anew for every request (headers, cookies, redirects, timers, a task that writes the body):
two thirds of the time of a small one, 100 of 155 us.
"""

import asyncio
import re
from functools import cached_property
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.http_parser import RawResponseMessage

_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
"""Whether a header could end early and begin another."""
TRIED = "3.14."
"""Versions of aiohttp whose parts go together as here. They are no documented interface of it, so
with any other version its session sends: slower, and otherwise the same."""
_KNOWN = aiohttp.__version__.startswith(TRIED)


class _Place(aiohttp.ClientRequest):
    """A request without a body: the URL and all headers. It tells where to connect to."""

    @cached_property
    def connection_key(self) -> "ConnectionKey":  # made anew for each use, it takes 1 us
        return super().connection_key


class ReadyPost:
    """What goes to one URL, whatever the body."""

    __slots__ = ("_head", "place")

    def __init__(self, place: _Place) -> None:
        self.place = place
        lines = [f"POST {place.url.raw_path_qs} HTTP/1.1"]
        lines += [
            f"{name}: {value}"
            for name, value in place.headers.items()
            if name.lower() != "content-length"
        ]
        self._head = "\r\n".join((*lines, "Content-Length: ")).encode()

    async def ask(
        self, protocol: "ResponseHandler", body: bytes
    ) -> "tuple[RawResponseMessage, aiohttp.StreamReader]":
        """Send *body* over a connection; the head of the reply, and its body as it comes."""
        transport = protocol.transport
        # A reply that is there before its request is not the request's: some services say 408 to a
        # connection that was idle for long.
        if transport is None or transport.is_closing() or protocol.should_close:
            raise aiohttp.ClientConnectionResetError("the connection was closed before its use")
        protocol.set_response_params(read_until_eof=True)
        transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                self.place.request_info, (), status=error.code, message=error.message
            ) from error
        return message, content


def ready_post(
    session: aiohttp.ClientSession, headers: "Mapping[str, str]", url: str
) -> ReadyPost | None:
    """A POST to *url*; None where only the *session* knows what it needs, or what is wrong."""
    try:
        target = URL(url)
        odd = target.scheme not in ("http", "https") or not target.raw_host
        if odd or target.raw_user or target.raw_password or not _KNOWN:
            return None
        place = _Place(
            "POST", target, headers=headers, session=session, loop=asyncio.get_running_loop()
        )
    except (ValueError, aiohttp.ClientError):
        return None
    unsafe = any(_control(name) or _control(value) for name, value in place.headers.items())
    return None if unsafe else ReadyPost(place)
