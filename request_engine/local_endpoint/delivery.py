"""Puts a reply on the wire: whole, event by event, or damaged in one of the ways of `faults`."""

import asyncio
import socket
import struct
import sys
from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from .manners import HTML, Outgoing, Plain

_BLANK_LINES = 10
_PAGE = b"<!doctype html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n"
EVENTS = "text/event-stream"


def whole(outgoing: Outgoing) -> web.StreamResponse:
    headers = outgoing.headers | {"Content-Type": outgoing.content_type}
    return web.Response(status=outgoing.status, body=outgoing.content, headers=headers)


async def by_events(
    request: web.Request, events: Iterable[bytes], headers: dict[str, str], pause: float
) -> web.StreamResponse:
    """The events one after the other, *pause* seconds after each."""
    response = web.StreamResponse(headers=headers | {"Content-Type": EVENTS})
    await response.prepare(request)
    for event in events:
        await response.write(event)
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def damaged(
    request: web.Request, fault: str, outgoing: Outgoing, seconds: float
) -> web.StreamResponse:
    """A reply that was paid for, as *fault* leaves it."""
    match fault:
        case "reset_after":
            return reset(request)
        case "cut":
            return await _cut(request, outgoing)
        case "truncated":
            half = outgoing.content[: len(outgoing.content) // 2]
            return whole(replace(outgoing, content=half))
        case "html":
            return whole(page(200, b"Welcome"))
        case "blank":
            return await _after_blank_lines(request, outgoing, seconds)
        case "slow":
            await asyncio.sleep(seconds)
    return whole(outgoing)


def refused(fault: str, manner: Plain, coin: bool) -> Outgoing:
    """The reply to a request that *fault* stops before it is executed."""
    match fault:
        case "502":
            return page(502, b"502 Bad Gateway")
        case "redirect":
            return Outgoing(307, b"", HTML, {"Location": "/redirected"})
        case "empty":
            return Outgoing(200, b"")
        case "gateway" if coin:
            return Outgoing(200, b'"upstream did not answer"', HTML)
    status, error = _ERRORS[fault]
    return manner.error(status, error, {})


def page(status: int, title: bytes) -> Outgoing:
    return Outgoing(status, _PAGE % (title, title), HTML)


def reset(request: web.Request) -> web.StreamResponse:
    """Close the connection the rude way: the client sees a reset, not an end."""
    if (transport := request.transport) is not None:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET,
            socket.SO_LINGER,
            struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0),
        )
        transport.abort()
    return web.Response()


async def never() -> None:
    """Ends only when the client goes away or the server stops."""
    await asyncio.get_running_loop().create_future()


async def _cut(request: web.Request, outgoing: Outgoing) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": outgoing.content_type})
    response.content_length = len(outgoing.content)
    await response.prepare(request)
    await response.write(outgoing.content[: len(outgoing.content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _after_blank_lines(
    request: web.Request, outgoing: Outgoing, seconds: float
) -> web.StreamResponse:
    """What a service does that queues a request and fears idle connections."""
    headers = outgoing.headers | {"Content-Type": outgoing.content_type}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    blank = b": keep-alive\n\n" if outgoing.content_type == EVENTS else b"\n"
    for _ in range(_BLANK_LINES):
        await response.write(blank)
        await asyncio.sleep(seconds / _BLANK_LINES)
    await response.write(outgoing.content)
    await response.write_eof()
    return response


def _error(message: str, name: str, code: str | None = None) -> dict[str, str | None]:
    return {"message": message, "type": name, "param": None, "code": code}


_OVERLOADED = "The engine is currently overloaded, please try again later."
_NO_MONEY = (
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    "insufficient_quota",
)
_FILTERED = (
    "The response was filtered due to the prompt triggering the content management policy. "
    "Please modify your prompt and retry."
)
_WRONG_KEY = "Incorrect API key provided."
FAILED = "The server had an error while processing your request. Sorry about that!"
_ERRORS = {
    "500": (500, _error(FAILED, "server_error")),
    "503": (503, _error(_OVERLOADED, "server_error", "server_is_overloaded")),
    "529": (529, _error("Overloaded", "overloaded_error")),
    "quota": (429, _error(*_NO_MONEY)),
    "auth": (401, _error(_WRONG_KEY, "invalid_request_error", "invalid_api_key")),
    "filter": (400, _error(_FILTERED, "invalid_request_error", "content_filter")),
    "error200": (200, _error(FAILED, "server_error")),
    "gateway": (200, _error("The upstream service did not answer.", "gateway_error")),
}
