"""P9: keys go to the one origin they are for, and turn up in no log, row, traceback or repr."""

import asyncio
import contextlib
import gc
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import aiohttp
import canary
import pytest

import api_request_parallel_processor as door
from request_engine.errors import BadInput, Stopped
from request_engine.local_endpoint import Settings, serving

OURS = ("request_engine.", "providers", "api_request_parallel_processor")
CORE = "Q7vXcanary0123456789"
KEY = f"sk/{CORE}+end=="
"""With the signs that URLs and JSON spell in other ways."""
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


# A service that echoes.


@contextlib.asynccontextmanager
async def echoing(answer: Callable[[], bytes]) -> AsyncIterator[SimpleNamespace]:
    """A server that gives every request the same answer; it knows what it was sent."""
    seen: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            seen.append(head + await reader.readexactly(length))
            writer.write(answer())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}/v1/chat/completions", seen=seen)


def http(status: str, body: str, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


def error(message: str) -> str:
    return json.dumps({"error": {"message": message, "code": message}})


def chat(content: str) -> str:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})


ECHOES = {
    "an error": http("401 No", error(f"Incorrect API key provided: {KEY}. See our pages.")),
    "an error, cut off": http("400 No", error(f"Incorrect API key provided: {KEY[:16]}")),
    "an error, with escaped slashes": http("400 No", error(KEY).replace("/", "\\/")),
    "an error of a URL": http("400 No", error(f"bad request /v1?key={quote(KEY, safe='')}")),
    "an error in a 200": http("200 OK", error(f"Bearer {KEY}")),
    "a header": http("403 No", error("no"), WWW_Authenticate=f'Bearer x="{KEY}"', X_Key=KEY),
    "a redirect": http("307 Go", "", Location=f"http://h.invalid/?key={quote(KEY)}"),
    "a page": http("502 Bad", f"<html><title>{KEY}</title>{KEY}</html>"),
    "words": http("200 OK", f"who is {KEY}?"),
    "a status line": http(f"401 {KEY}", ""),
    "a broken header": f"HTTP/1.1 200 OK\r\nno colon {KEY}\r\n\r\n".encode(),
    "another protocol": f"220 hello {KEY}\r\n".encode(),
    "an answer": http("200 OK", chat(f"your key is {KEY}")),
    "an answer of no use": http("200 OK", json.dumps({"choices": [], "for": KEY})),
}


async def outcome_of(path, url, **settings) -> str:
    """The row, or what the run was stopped with, and everything that was written."""
    (path / "in.jsonl").write_text(json.dumps(BODY), encoding="utf-8")
    given = {"api_key": KEY, "max_attempts": 1}
    try:
        summary = await door.process_api_requests_from_file(
            str(path / "in.jsonl"), str(path / "out.jsonl"), url, **(given | settings)
        )
        told = "\n".join(summary.lines())
    except Stopped as stopped:
        told = f"{stopped!r}"
    return told + (path / "out.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("answer", ECHOES.values(), ids=ECHOES)
async def test_P9_a_key_that_the_service_echoes_is_in_no_row_and_no_log(
    tmp_path, caplog, capfd, answer
):
    caplog.set_level(0)
    async with echoing(lambda: answer) as service:
        told = await outcome_of(tmp_path, service.url)
    told += caplog.text + "".join(capfd.readouterr())

    assert f"Bearer {KEY}".encode() in service.seen[0]
    assert CORE[:8] not in told
    [row] = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(row)[0] == BODY


async def test_P9_a_key_in_the_url_s_query_is_sent_and_shown_nowhere(tmp_path, caplog):
    caplog.set_level(0)
    answer = http("400 No", error(f"no such key: {quote(KEY, safe='')} or {KEY}"))
    async with echoing(lambda: answer) as service:
        url = f"{service.url}?api-version=2024-12-01-preview&key={quote(KEY, safe='')}"
        told = await outcome_of(tmp_path, url, api_key="another-key-0123456789")

    assert CORE.encode() in service.seen[0]
    assert CORE not in told + caplog.text
    assert "no such key: [key] or [key]" in told


@pytest.mark.parametrize("spelled", [str, quote, json.dumps])
async def test_P9_a_gateway_s_user_is_in_no_error_it_echoes(tmp_path, caplog, spelled):
    """The whole envelope comes back as a string in `request`, and elsewhere in its errors."""
    caplog.set_level(0)
    sent = json.dumps({"username": "rose", "request": json.dumps(BODY)})
    echo = {"error": f"no credits, {spelled(sent)}", "request": sent, "username": "rose"}
    async with echoing(lambda: http("200 OK", json.dumps(echo))) as service:
        url = service.url.replace("/v1/chat/completions", "/gpt")
        told = await outcome_of(tmp_path, url, api_key="rose")

    assert b'{"username": "rose"' in service.seen[0]
    assert "no credits" in told
    assert "rose" not in told + caplog.text


async def test_P9_a_proxy_s_password_is_in_no_row_and_no_log(tmp_path, caplog, monkeypatch):
    """Neither as it was written, nor as it is meant, nor as it is sent."""
    caplog.set_level(0)
    basic = b64encode(b"me:hush/hush").decode()
    answer = http("502 No", error(f"me:hush/hush {basic} hush%2Fhush"))
    async with echoing(lambda: answer) as proxy:
        port = urlsplit(proxy.url).port
        monkeypatch.setenv("http_proxy", f"http://me:hush%2Fhush@127.0.0.1:{port}")
        told = await outcome_of(tmp_path, "http://llm.invalid/v1/chat/completions")

    assert f"Proxy-Authorization: Basic {basic}".encode() in proxy.seen[0]
    assert f"through the proxy http://127.0.0.1:{port}" in caplog.text
    assert "me:[key] [key] [key]" in told
    assert "hush" not in told + caplog.text
    warned = "the key travels unencrypted to llm.invalid: use https if the service has it"
    assert caplog.messages.count(warned) == 1


async def test_P9_no_object_of_a_run_has_the_key_in_its_repr(tmp_path):
    """Looked at from within the service, while everything is there."""
    shown: dict[str, str] = {}

    def answer() -> bytes:
        gc.unfreeze()  # what a run leaves alone for as long as it lasts is looked at as well
        for one in [*gc.get_objects(), *asyncio.all_tasks()]:
            kind = type(one)
            if isinstance(one, asyncio.Task) or str(kind.__module__).startswith(OURS):
                shown.setdefault(kind.__name__, "")
                shown[kind.__name__] += repr(one)
        return http("200 OK", chat("yes"))

    async with echoing(answer) as service:
        await outcome_of(tmp_path, f"{service.url}?key={quote(KEY, safe='')}")

    held = {"Job", "Journal", "Redaction", "Sender", "Service", "Transport", "Task"}
    assert held <= shown.keys()
    assert [name for name, text in shown.items() if CORE in text] == []


# One origin.


@pytest.mark.parametrize("name", ["openai", "deepseek", "aliyun", "deepinfra", "azure"])
async def test_P9_the_key_of_a_known_service_is_not_sent_to_another_host(tmp_path, name):
    """Its variable is set, its name is given, and a server in the house still gets none."""
    async with echoing(lambda: http("200 OK", chat("yes"))) as service:
        await outcome_of(tmp_path, service.url, provider=name, api_key=None)
        with pytest.raises(BadInput, match=r"is not sent to llm\.invalid"):
            await outcome_of(tmp_path, "https://llm.invalid/v1", provider=name, api_key=None)

    [sent] = service.seen
    assert canary.KEY.encode() not in sent
    assert b"uthorization" not in sent
    assert b"api-key" not in sent


async def test_P9_a_redirect_takes_no_key_anywhere(tmp_path):
    async with (
        echoing(lambda: http("200 OK", chat("stolen"))) as other,
        echoing(lambda: http("308 Go", "", Location=other.url)) as service,
    ):
        told = await outcome_of(tmp_path, service.url)

    assert other.seen == []
    assert f"the service redirects to {other.url}" in told


async def test_P9_passwords_in_netrc_are_not_read(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("default login me password of-mine\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY")
    async with echoing(lambda: http("200 OK", chat("yes"))) as service:
        await outcome_of(tmp_path, service.url, api_key=None)

    assert b"uthorization" not in service.seen[0]


# A fault.


def test_P9_a_fault_within_a_run_ends_it_with_3_and_tells_no_key(tmp_path, monkeypatch, capsys):
    """The library that sends fails in a way that it never should."""

    async def connect(self, request, traces, timeout):
        raise RuntimeError(f"no way to send {request.headers} to {request.url}")

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", KEY)
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(BODY), encoding="utf-8")
    url = f"http://127.0.0.1:9/v1/chat/completions?key={quote(KEY, safe='')}"
    code = door.main(["--requests_filepath", str(path), "--request_url", url])
    told = capsys.readouterr().err

    assert code == 3
    assert CORE not in told
    assert "'Bearer [key]'" in told
    assert told.endswith("/v1/chat/completions?key=[key]\n")
    assert "this is a fault of the program; run it again to go on" in told


# The planted key.


async def test_the_planted_key_is_what_tests_send(tmp_path):
    """The endpoint lets nobody else in: what is looked for is really there to be found."""
    async with serving(Settings(key=canary.KEY)) as endpoint:
        told = await outcome_of(tmp_path, endpoint.url + "/v1/chat/completions", api_key=None)

    assert "1 answered, 0 failed" in told


LEAKS = """
import logging, os, subprocess, sys
import pytest

KEY = os.environ.get("OPENAI_API_KEY")


@pytest.fixture(autouse=True)
def key(request):
    global KEY
    KEY = os.environ.get("OPENAI_API_KEY")


def test_printed():
    print(KEY)


def test_cut_off():
    print(KEY[:20])


def test_printed_and_taken_out(capsys):
    print(KEY, file=sys.stderr)
    capsys.readouterr()


def test_logged():
    logging.getLogger("any").warning("with %s", KEY)


def test_written(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("x" * 9999 + KEY)


def test_said_by_a_command():
    subprocess.run(["sh", "-c", "echo $OPENAI_API_KEY >&2"], capture_output=True)


def test_on_a_command_line():
    subprocess.run(["sh", "-c", "sleep 0.5", KEY])


def test_kept(tmp_path):
    assert KEY
    (tmp_path / "empty").touch()
    subprocess.run(["true"], capture_output=True)


@pytest.mark.no_key
def test_without_one():
    assert KEY is None
"""
PLACES = {
    "test_printed": "Captured stdout call",
    "test_cut_off": "Captured stdout call",
    "test_printed_and_taken_out": "captured stderr",
    "test_logged": "Captured log call",
    "test_written": "the file ",
    "test_said_by_a_command": "the stderr of a command",
}
if sys.platform == "linux":
    PLACES["test_on_a_command_line"] = "the command line of sh"


def test_a_planted_key_that_turns_up_fails_its_test_and_the_place_is_named(tmp_path):
    """The check that every test here is under, in a session of its own with a key of its own."""
    (tmp_path / "test_leaks.py").write_text(LEAKS, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-rf", "-q"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
    )
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]

    assert {line.split("::")[1].split()[0] for line in failed} == set(PLACES), ended.stdout
    for name, place in PLACES.items():
        assert f"the planted key is in {place}" in ended.stdout, name
    assert f"{len(PLACES)} failed, {9 - len(PLACES)} passed" in ended.stdout
