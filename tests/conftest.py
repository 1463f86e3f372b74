"""What all tests share: the checkout on the path, a planted key, nobody else asked, one shim."""

import inspect
import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import canary  # noqa: E402  found by the path above
import own_exam  # noqa: E402

import providers  # noqa: E402

OWN = pytest.StashKey[own_exam.OwnExam]()


def _let_aioresponses_build_responses() -> None:
    """aiohttp 3.14 wants a `stream_writer` that aioresponses 0.7.9 does not pass."""
    build = aiohttp.ClientResponse.__init__
    if "stream_writer" in inspect.signature(build).parameters:

        def built(self, *args, **kwargs):
            kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
            build(self, *args, **kwargs)

        aiohttp.ClientResponse.__init__ = built


_let_aioresponses_build_responses()


def pytest_addoption(parser):
    told = "examine a provider of your own: only the tests that are about it"
    parser.addoption("--provider", metavar="FILE.py:CLASS", help=told)


def pytest_configure(config):
    config.addinivalue_line("markers", "no_key: no key is in the environment of this test")
    if told := config.getoption("--provider"):
        config.stash[OWN] = own_exam.OwnExam(told)


def pytest_collection_modifyitems(config, items):
    if OWN in config.stash:
        others = [one for one in items if not config.stash[OWN].asks(one)]
        config.hook.pytest_deselected(items=others)
        items[:] = [one for one in items if one not in others]


@pytest.fixture(autouse=True)
def _planted_keys_and_no_proxies(request, monkeypatch):
    """P9: every service has a key that must turn up nowhere, and none of whoever runs the tests."""
    for name in os.environ:
        if name.upper().endswith(("_API_KEY", "_TOKEN", "_PROXY")):
            monkeypatch.delenv(name)
    if "no_key" not in request.keywords:
        for name in {name for one in providers.PROVIDERS for name in one.key_variables}:
            monkeypatch.setenv(name, canary.KEY)


@pytest.fixture(autouse=True, scope="session")
def _nothing_leaves_this_machine():
    """A planted key would make a test that forgets its URL ask a real service."""
    connect = socket.socket.connect

    def connected(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert ip_address(address[0]).is_loopback, f"a test asks {address[0]}"
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connected)
        canary.listen_to_commands(patch)
        yield


def pytest_sessionstart():
    canary.watch.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail the test in which the planted key turned up, and say where."""
    report = yield
    if report.when == "call":
        places = canary.watch.places(report.sections, item.funcargs.get("tmp_path"))
        if places:
            report.outcome = "failed"
            report.longrepr = f"{report.longrepr or ''}\nthe planted key is in " + ", ".join(places)
    return report


def pytest_sessionfinish(session):
    for place in canary.watch.end():
        sys.stderr.write(f"the planted key is in {place}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
