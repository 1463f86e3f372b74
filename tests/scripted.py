"""A service that answers from a script, through the engine's own seam."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from providers.any_other import AnyOther
from request_engine.address import Address
from request_engine.budget import Budget
from request_engine.extraction import Extraction
from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Reply, Request
from request_engine.redaction import Redaction
from request_engine.send import Sender
from request_engine.sizes import Size
from request_engine.stopping import Stopping
from request_engine.tally import Tally
from request_engine.target import Target
from request_engine.targets import Targets

URL = "http://localhost/v1/chat/completions"


def answer(text: str = "yes", **usage: int) -> Reply:
    """A chat answer."""
    payload = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    if usage:
        payload["usage"] = usage
    return Reply(200, {}, json.dumps(payload).encode())


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI-compatible services spell it."""
    body = {"error": {"message": message, "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, json.dumps(body).encode())


def reset() -> Failure:
    """What the transport makes of a connection that was closed."""
    return Failure(Kind.TRANSIENT, "the connection was closed before the answer")


def stale() -> Failure:
    """What it makes of a kept connection that turns out to be dead."""
    return replace(reset(), stale=True)


def timeout() -> Failure:
    """What the transport makes of an answer that does not come."""
    return Failure(Kind.TRANSIENT, "no complete answer in 600 s", timed_out=True)


def request(number: int = 1, text: str = "hi", metadata: Any = None) -> Request:
    """A chat request as it is read from line *number*."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    raw = None if metadata is None else json.dumps(metadata).encode()
    return Request(number, body, json.dumps(body).encode(), metadata, raw)


class Service:
    """Everything a request is sent with, what was sent, and how that moves.

    Replies come in order, the last one again and again, or are made from what was sent. Being
    refused alike stops no run here unless *max_same_refusals* says so: most tests are about others.
    """

    def __init__(
        self,
        replies: list[Reply | Failure] | Callable[[bytes], Reply | Failure],
        *,
        max_attempts: int = 5,
        max_wait: float = 3_600.0,
        drain_timeout: float = 300.0,
        max_same_refusals: int | None = None,
        api_key: str | None = None,
        latency: float = 0.0,
        provider: Provider | None = None,
        extraction: Extraction | None = None,
        **limits: Any,
    ) -> None:
        provider = provider or AnyOther()
        self.sent: list[bytes] = []
        self.moved_at = 0.0
        self._sent_at: dict[int, float] = {}
        self._replies = replies
        self._latency = latency
        self.budget = Budget(
            **{"requests_per_minute": None, "tokens_per_minute": None, "max_concurrent": 100}
            | limits
        )
        self.stopping = Stopping(
            max_wait, drain_timeout=drain_timeout, max_same_refusals=max_same_refusals
        )
        self.tally = Tally()
        self.target = Target(
            provider=provider,
            post=self.post,
            address=Address(provider, URL, base_allowed=False),
            api_key=api_key,
            redaction=Redaction(api_key or ""),
            budget=self.budget,
        )
        self.targets = Targets([self.target])
        self.sender = Sender(
            self.targets,
            stopping=self.stopping,
            tally=self.tally,
            max_attempts=max_attempts,
            extraction=extraction,
        )

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        self.sent.append(wire_body)
        number = len(self.sent)
        now = asyncio.get_running_loop().time
        self.moved_at = self._sent_at[number] = now()
        try:
            await asyncio.sleep(self._latency)
            self.moved_at = now()
        finally:
            del self._sent_at[number]
        if callable(self._replies):
            return self._replies(wire_body)
        return self._replies[min(number, len(self._replies)) - 1]

    def waiting_since(self) -> float | None:
        """When the oldest of what is in flight was sent."""
        return min(self._sent_at.values(), default=None)

    async def send(self, asked: Request, tokens: int = 10) -> Any:
        """The outcome of *asked*."""
        size = Size(tokens)
        return await self.sender.send(asked, size, await self.targets.acquire(size))
