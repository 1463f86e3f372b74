"""What all tests share: the checkout on the path, a clean environment, and one shim."""

import inspect
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def _let_aioresponses_build_responses() -> None:
    """aiohttp 3.14 wants a `stream_writer` that aioresponses 0.7.9 does not pass."""
    build = aiohttp.ClientResponse.__init__
    if "stream_writer" in inspect.signature(build).parameters:

        def built(self, *args, **kwargs):
            kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
            build(self, *args, **kwargs)

        aiohttp.ClientResponse.__init__ = built


_let_aioresponses_build_responses()


@pytest.fixture(autouse=True)
def _no_keys_or_proxies_from_outside(monkeypatch):
    """A test neither sends a key of the person who runs it nor goes through their proxy."""
    for name in os.environ:
        if name.upper().endswith(("_API_KEY", "_TOKEN", "_PROXY")):
            monkeypatch.delenv(name)
