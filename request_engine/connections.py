"""Connections to the service: which were used before, which are too old, and none silently dead."""

import contextlib
import socket
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

KEPT_ALIVE = 4.0
"""Seconds an idle connection is kept: less than servers keep theirs, many of them 5. One that the
server closes just as it is used again is a failed attempt."""

# Models think for minutes without a byte, and boxes on the way forget a silent connection: after
# some 350 s at AWS and 120 s at GCP (openai/openai-python#3269). The client would wait for ever.
# Probes keep it remembered, and notice within two minutes that the other end is gone.
_PROBES = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPALIVE": 60,  # the same on macOS
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 4,
}
"""Seconds of silence before the first probe and between two, and how many."""


class Connected(Protocol):
    """Told that the running task has its connection, and whether that was *reused*."""

    def __call__(self, *, reused: bool) -> None: ...


class Connector(aiohttp.TCPConnector):
    """Makes connections and keeps them for a moment, in generations."""

    def __init__(self, connected: Connected) -> None:
        # The budget bounds what is in flight; a pool limit would queue a second time, unseen.
        super().__init__(
            limit=0,
            keepalive_timeout=KEPT_ALIVE,
            ttl_dns_cache=300,
            # The system's: others do not know a VPN's or a container's names.
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=_probed_socket,
        )
        self._connected = connected
        self._generation = 0
        self._made: WeakKeyDictionary[ResponseHandler, int] = WeakKeyDictionary()
        """The generation in which each was first used."""

    def renew(self) -> None:
        """Use no connection again that was made before now. What is in flight on one goes on."""
        self._generation += 1
        self.clear_dns_cache()

    async def connect(
        self, req: "ClientRequest", traces: "list[Trace]", timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        while True:
            try:
                connection = await super().connect(req, traces, timeout)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError(f"to {req.host}") from error
            end = connection.protocol
            assert end is not None
            made = self._made.get(end)
            if made is None or made == self._generation:
                break
            connection.close()
        if made is None:
            self._made[end] = self._generation
        self._connected(reused=made is not None)
        return connection


def _probed_socket(address: "AddrInfoType") -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    with contextlib.suppress(OSError):  # it does without where the system refuses
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
