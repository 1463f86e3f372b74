"""What run.sh asks about the providers, one a line: NAME BASE_URL LIMITS KEY_VARIABLE.

ask_providers.py         those whose key is set, in order of choice
ask_providers.py NAME    the one called so, by any of its names; nothing if there is none

LIMITS is `none` where only requests in flight are limited; `-` stands for what there is not. Of a
key nothing is told but where it is.
"""

import os
import sys
from collections.abc import Iterator

from providers import PROVIDERS
from request_engine import preflight
from request_engine.errors import BadInput
from request_engine.own_provider import joined
from request_engine.provider import Provider
from request_engine.records import Limit


def called(name: str) -> Iterator[str]:
    try:
        found = preflight.provider(PROVIDERS, name)
    except BadInput:  # the door will say so
        return
    yield line(found, found.base_url, "-")


def with_a_key() -> Iterator[str]:
    """A server that may be anywhere is not asked just because a key for it is there."""
    for one in joined(PROVIDERS):
        variable = next((name for name in one.key_variables if os.environ.get(name)), None)
        if variable is not None:
            yield line(one, one.base_url if one.hosts else None, variable)


def line(one: Provider, url: str | None, variable: str) -> str:
    limits = "none" if one.only_limit is Limit.CONCURRENCY else "-"
    return f"{one.name} {url or '-'} {limits} {variable}\n"


told = called(sys.argv[1]) if sys.argv[1:] else with_a_key()
sys.stdout.buffer.write("".join(told).encode())  # no carriage returns, for sh on Windows
