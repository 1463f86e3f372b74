"""Which proxy the environment asks for."""

from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from request_engine.errors import BadInput


def proxy_for(target: SplitResult) -> str | None:
    """The URL of the proxy that requests to *target* go through, None when they go straight.

    BadInput for one that does not speak HTTP: it would be spoken to in the wrong language. And
    for one that cannot be read, without repeating it: a password with a slash looks like that.
    """
    proxy = getproxies().get(target.scheme)
    if not proxy or proxy_bypass(target.hostname or ""):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not _readable(proxy):
        raise BadInput(
            f"the environment's proxy for {target.scheme} cannot be read: write http://HOST:PORT, "
            "and in its password %40 for @, %2F for / and %23 for #"
        )
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise BadInput(
            f"the environment's proxy for {target.scheme} is {without_credentials(proxy)}, but "
            f"only http:// proxies can be used: give its http port, or put {target.hostname} into "
            "NO_PROXY"
        )
    return proxy


def without_credentials(url: str) -> str:
    """*url* as it may be shown: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _readable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.path + parts.query + parts.fragment
