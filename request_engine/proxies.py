"""Which proxy the environment asks for, named without its credentials."""

from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from request_engine.errors import BadInput


def shown(target: SplitResult) -> str | None:
    """The proxy that requests to *target* go through, None when they go straight.

    BadInput for one that does not speak HTTP: it would be spoken to in the wrong language.
    """
    proxy = getproxies().get(target.scheme)
    if not proxy or proxy_bypass(target.hostname or ""):
        return None
    parts = urlsplit(proxy)
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.scheme not in ("http", "https"):
        raise BadInput(
            f"the environment's proxy for {target.scheme} is {name}, but only http:// proxies can "
            f"be used: give its http port, or put {target.hostname} into NO_PROXY"
        )
    return name
