"""Where a request goes: the run's URL as it is, or a base URL with the body's own endpoint."""

from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit

from request_engine.provider import Provider
from request_engine.records import Request


class Address:
    """Turns the URL that the user gave into the URL of each request."""

    def __init__(self, provider: Provider, url: str, *, base_allowed: bool) -> None:
        """*base_allowed*: whether a *url* of no known endpoint is a base URL to be completed."""
        self._provider = provider
        self._url = url
        self._parts = urlsplit(url)
        self._endpoint = provider.endpoint_of_path(self._parts.path)
        self._complete = self._endpoint is not None or not base_allowed

    def url(self, request: Request) -> str:
        """The URL to send *request* to, always on the run's own host."""
        if self._complete and request.url is None:
            return self._url
        return _joined(self._parts, self._path(request))

    def endpoint(self, request: Request) -> str:
        """The endpoint of *request*: named by its own path, by the run's, or by its body."""
        if request.url is not None:
            named = self._provider.endpoint_of_path(request.url)
        else:
            named = self._endpoint
        return named or self._provider.endpoint_of_body(request.body)

    def _path(self, request: Request) -> str:
        provider, own = self._provider, request.url
        if own is not None and self._complete and self._endpoint is None:
            return quote(own, errors="replace")  # the run's own path is not one we know either
        if own is not None and provider.other_paths and provider.endpoint_of_path(own) is None:
            return self._base() + quote(own.removeprefix("/v1"), errors="replace")
        return provider.path(self._base(), self.endpoint(request), request.body)

    def _base(self) -> str:
        path = self._parts.path.rstrip("/")
        return path.removesuffix("/" + self._endpoint) if self._endpoint else path


@lru_cache(maxsize=1024)
def _joined(parts: SplitResult, path: str) -> str:
    return parts._replace(path=path).geturl()
