"""The routes: bytes in, the right call made of them, bytes out.

bytes -> envelope? -> key -> JSON -> Service.call
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from aiohttp import web

from ..errors import BadInput
from . import calls, complaints, delivery, gateway
from .complaints import Complaint
from .ledger import Ledger
from .manners import Gateway, Messages, Plain
from .service import Service, Visit
from .settings import Settings

MOST_BYTES = 256 * 1024 * 1024
"""Of one request body: more than any service takes."""

_ENDPOINTS = ("chat/completions", "completions", "embeddings", "responses", "messages")
_PATHS = {f"{prefix}/{name}": name for prefix in ("", "/v1") for name in _ENDPOINTS}
_GATEWAY_PATHS = ("/gpt", "/claude")


class Routes:
    """What is served where."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self._settings = settings
        self._numbers = itertools.count(1)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MOST_BYTES)
        for path in (*_PATHS, *_GATEWAY_PATHS):
            app.router.add_post(path, self._post)
        for path in ("/models", "/v1/models"):
            app.router.add_get(path, self._models)
        app.router.add_get("/ledger", self._counts)
        app.router.add_route("*", "/{path:.*}", self._lost)
        return app

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.service.ledger.enter()
        try:
            return await self._answered(request)
        finally:
            self.service.ledger.leave()

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        try:
            content = await request.read()
        except web.HTTPRequestEntityTooLarge:
            visit = self._visit(request, b"", Plain())
            return self.service.complained(visit, complaints.body_too_large(MOST_BYTES), None)
        if request.path in _GATEWAY_PATHS:
            return await self._through_gateway(request, content)
        endpoint = _PATHS[request.path]
        visit = self._visit(request, content, Messages() if endpoint == "messages" else Plain())
        complaint = self._wrong_key(_key_of(request))
        body = complaint or calls.parsed(content)
        if isinstance(body, Complaint):
            return self.service.complained(visit, body, None)
        return await self.service.call(visit, endpoint, body, visit.digest)

    async def _through_gateway(self, request: web.Request, content: bytes) -> web.StreamResponse:
        envelope = gateway.opened(content)
        if isinstance(envelope, Complaint):
            return self.service.complained(self._visit(request, content, Plain()), envelope, None)
        upstream = Messages() if request.path == "/claude" else Plain()
        visit = self._visit(request, content, Gateway(upstream, envelope))
        body = self._wrong_key(envelope.username) or calls.parsed(envelope.request)
        if isinstance(body, Complaint):
            return self.service.complained(visit, body, None)
        endpoint = "messages" if request.path == "/claude" else gateway.endpoint_of(body)
        inner = envelope.request.encode("utf-8", "surrogatepass")
        return await self.service.call(visit, endpoint, body, sha256(inner).digest())

    def _visit(self, request: web.Request, content: bytes, manner: Plain) -> Visit:
        now = asyncio.get_running_loop().time()
        return Visit(request, sha256(content).digest(), next(self._numbers), manner, now)

    def _wrong_key(self, key: str | None) -> Complaint | None:
        if self._settings.key is None or key == self._settings.key:
            return None
        return complaints.wrong_key(key) if key else complaints.no_key()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if (complaint := self._wrong_key(_key_of(request))) is not None:
            return delivery.whole(Plain().complaint(complaint))
        names = self._settings.models or ("canned",)
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "canned"} for name in names
        ]
        return web.json_response({"object": "list", "data": models})

    async def _counts(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.service.ledger.counts())

    async def _lost(self, request: web.Request) -> web.StreamResponse:
        visit = self._visit(request, b"", Plain())
        return self.service.complained(
            visit, complaints.no_such_path(request.method, request.path), None
        )


def _key_of(request: web.Request) -> str | None:
    """From the header of any of the usual ways."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("api-key") or request.headers.get("x-api-key")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[str, Ledger]]:
    """Serve until the block ends; gives the base URL, without a path, and the ledger."""
    calls.warm_encoders(settings.models)
    routes = Routes(settings)
    runner = web.AppRunner(
        routes.application(),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=0.2,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            raise BadInput(_cannot_listen(settings, error)) from None
        yield _url(settings.host, runner.addresses[0][1]), routes.service.ledger
    finally:
        await runner.cleanup()
        routes.service.ledger.close()


def _cannot_listen(settings: Settings, error: OSError) -> str:
    where = f"{settings.host} port {settings.port}"
    return f"cannot listen on {where}: {error.strerror}; --port 0 takes any free port"


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
