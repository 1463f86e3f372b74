"""One place to send to, as the user asks for it: checked first, and then opened as a target."""

import logging
import os
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypedDict

from request_engine import amend, extra_headers, keys, logs, preflight, progress, proxies
from request_engine.budget import Budget
from request_engine.keys import KeyCommand, RenewableKey
from request_engine.provider import Provider
from request_engine.records import Failure, Reply
from request_engine.redaction import Redaction, secrets_in, secrets_in_headers
from request_engine.target import Target
from request_engine.transport import Transport

log = logging.getLogger(__name__)

CONCURRENT = 1_000
"""Requests in flight where neither the user nor the service says how many."""

Given = Mapping[str, str] | str | Iterable[str] | None


class Timeouts(TypedDict):
    """Seconds of one attempt."""

    connect_timeout: float
    first_byte_timeout: float
    progress_timeout: float
    total_timeout: float


class Carrier(progress.Moving, Protocol):
    """What carries requests to the service and back: the transport, entered for a whole run."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    async def post(self, url: str, wire_body: bytes) -> Reply | Failure:
        """Send *wire_body* to *url* once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user says about one place, in flags or in a file of endpoints."""

    provider: str | None = None
    request_url: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    api_key_command: str | None = field(default=None, repr=False)
    max_requests_per_minute: float | str | None = "learn"
    max_tokens_per_minute: float | str | None = "learn"
    max_input_tokens_per_minute: float | str | None = None
    max_output_tokens_per_minute: float | str | None = None
    max_concurrent_requests: int | None = None
    seconds_to_sleep_each_loop: float = 0.0
    models: Given = None
    body: Mapping[str, Any] | str | Iterable[str] | None = None
    headers: Given = field(default=None, repr=False)
    stream: bool = False
    name: str = ""
    weight: float = 1.0
    account: str | None = None
    """Those with the same one share a budget."""
    told: str = ""
    """What complaints call it, where there are several."""


class Destination:
    """A place whose settings make sense. BadInput where they do not."""

    def __init__(self, asked: Asked, providers: Sequence[Provider]) -> None:
        self.asked = asked
        self.service = preflight.service(providers, asked.provider, asked.request_url)
        self._proxy = proxies.proxy_for(self.service.parts)
        self._headers = extra_headers.read(asked.headers)
        url = self.service.parts.geturl()
        self._given = [*secrets_in(url), *secrets_in_headers(self._headers)]
        self._key: str | None = None
        self.amendment = amend.amendment(
            self.service.provider,
            self.service.address,
            fields=amend.read_fields(asked.body),
            models=amend.read_models(asked.models),
            stream=asked.stream,
        )
        self.max_concurrent = preflight.count(
            asked.max_concurrent_requests
            if asked.max_concurrent_requests is not None
            else self.service.provider.profile.max_concurrent or CONCURRENT,
            "--max_concurrent_requests",
        )
        self._limits = {
            name: preflight.limit(getattr(asked, f"max_{name}"), f"--max_{name}")
            for name in (
                "requests_per_minute",
                "tokens_per_minute",
                "input_tokens_per_minute",
                "output_tokens_per_minute",
            )
        }
        self._spacing = preflight.seconds(
            asked.seconds_to_sleep_each_loop, "--seconds_to_sleep_each_loop", zero=True
        )

    def __repr__(self) -> str:
        return f"<Destination {self.service.shown}>"

    @property
    def shown(self) -> str:
        """Where it is, and what is spoken there."""
        name = f"{self.asked.name}: " if self.asked.name else ""
        return f"{name}{self.service.shown} ({self.service.provider.name})"

    @property
    def counts_tokens(self) -> bool:
        """Whether there is anything for which tokens have to be counted."""
        asked = self.asked
        limits = (
            asked.max_tokens_per_minute,
            asked.max_input_tokens_per_minute,
            asked.max_output_tokens_per_minute,
        )
        return not all(preflight.is_none(one) for one in limits)

    @property
    def tells_tokens(self) -> bool:
        """Whether the user told a limit of tokens."""
        return any(
            limit is not None
            for name, limit in self._limits.items()
            if name != "requests_per_minute"
        )

    @property
    def account(self) -> Hashable:
        """What those who share its limits have in common: the host and the key."""
        if self.asked.account is not None:
            return self.asked.account
        parts, asked = self.service.parts, self.asked
        key = asked.api_key or next(
            (os.environ[one] for one in self.service.provider.key_variables if one in os.environ),
            asked.api_key_command,
        )
        return self.service.provider.name, parts.scheme, parts.netloc, key

    @property
    def limits(self) -> Hashable:
        """All that makes its budget what it is."""
        return tuple(self._limits.values()), self.max_concurrent, self._spacing

    def budget(self, max_concurrent: int) -> Budget:
        """Its limits, with at most *max_concurrent* in flight."""
        profile = self.service.provider.profile
        return Budget(
            **self._limits,
            max_concurrent=max_concurrent,
            learn_concurrency=self.asked.max_concurrent_requests is None,
            seconds_between_sends=self._spacing,
            burst_seconds=profile.burst_seconds,
            charges_ceiling=profile.charges_ceiling,
        )

    async def open(
        self,
        budget: Budget,
        redaction: Redaction,
        carrier: Carrier | None,
        timeouts: Timeouts,
    ) -> tuple[Target, Carrier]:
        """What requests are sent with, and what carries them, which has still to be entered.

        *redaction* learns what must not be shown. *carrier* takes the place of a transport of its
        own, *timeouts* are that one's.
        """
        service, command = self.service, await self._find_key()
        redaction.add(self._key, *self._given, *secrets_in(self._proxy or ""))
        transport = carrier or Transport(
            self._identity(self._key),
            **timeouts,
            proxy=self._proxy,
            assembler=service.provider.assembler,
            stream_types=service.provider.stream_types,
        )

        def take_key(renewed: str) -> None:
            redaction.add(renewed)
            logs.hide(redaction)
            if isinstance(transport, Transport):
                transport.identify(self._identity(renewed))

        renewable = None
        if command is not None and self._key is not None:
            if self.asked.told:  # when it fails in mid-run, that is said of several
                name = command.name.removeprefix("--api_")
                command = replace(command, name=f"{name} of {self.asked.told}")
            renewable = RenewableKey(self._key, partial(keys.printed_by, command), take_key)
        target = Target(
            provider=service.provider,
            address=service.address,
            post=transport.post,
            budget=budget,
            redaction=redaction,
            api_key=self._key,
            renewable=renewable,
            amendment=self.amendment,
            name=self.asked.name,
            weight=self.asked.weight,
        )
        return target, transport

    def announce(self) -> None:
        """Say what is worth a warning about it, once it is opened."""
        service, provider = self.service, self.service.provider
        shown = [one for one in (self.asked.api_key, *self._given) if one]
        if any(one in argument for one in shown for argument in sys.argv):
            log.warning(
                "the key is on the command line, where ps shows it to everybody: set %s instead",
                " or ".join(provider.key_variables) or "a key variable of its class",
            )
        if preflight.travels_openly(service.parts, self._key or next(iter(self._given), None)):
            log.warning(
                "the key travels unencrypted to %s: use https if the service has it",
                service.parts.hostname,
            )
        if self._proxy is not None:
            log.info("through the proxy %s", proxies.without_credentials(self._proxy))

    async def _find_key(self) -> KeyCommand | None:
        """Find the key; what prints the next one if it is renewed."""
        needed = not secrets_in_headers(self._headers)
        given, where = self.asked, (self.service.provider, self.service.parts, os.environ)
        command = keys.command_for(given.api_key_command, given.api_key, *where, needed=needed)
        if command is not None:
            self._key = await keys.printed_by(command)
        else:
            self._key = preflight.key(given.api_key, *where, needed=needed)
        return command

    def _identity(self, key: str | None) -> dict[str, str]:
        """The headers of every request that goes there."""
        provider = self.service.provider
        account = extra_headers.of_account(provider, self.service.parts, os.environ)
        return extra_headers.merged(provider.headers(key) | account, self._headers)
