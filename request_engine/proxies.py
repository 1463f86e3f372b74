"""Which proxy the environment asks for, named without its credentials."""

from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass


def shown(target: SplitResult) -> str | None:
    """The proxy that requests to *target* go through, None when they go straight."""
    proxy = getproxies().get(target.scheme)
    if not proxy or proxy_bypass(target.hostname or ""):
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme else "given"
