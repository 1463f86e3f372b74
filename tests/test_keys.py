"""A key that expires in mid-run is renewed: once for all, in time, and it is told nowhere."""

import asyncio
import json
import os
import shlex
import sys
from urllib.parse import urlsplit

import pytest
from loopback import ANSWER, answering, read_request, serving, transport_to
from scripted import URL, Service, answer, error, request
from virtual_time import run

import api_request_parallel_processor as door
from providers.any_other import AnyOther
from request_engine import keys
from request_engine.address import Address
from request_engine.errors import BadInput, Stopped
from request_engine.keys import AGAIN, RENEWED, KeyCommand, RenewableKey
from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Success
from request_engine.redaction import Redaction
from request_engine.send import Sender
from request_engine.sizes import Size
from request_engine.target import Target
from request_engine.targets import Targets
from request_engine.transport import LARGE_BODY

posix = pytest.mark.skipif(os.name == "nt", reason="the words of a POSIX shell")
BROKEN = BadInput("--api_key_command failed with exit code 1")


class Mint:
    """Gives key-1, key-2, ... or what it is told to; each takes a second."""

    def __init__(self, *given):
        self.asked = 0
        self.taken = []
        self._given = list(given)

    async def fetch(self):
        self.asked += 1
        await asyncio.sleep(1.0)
        given = self._given.pop(0) if self._given else f"key-{self.asked}"
        if isinstance(given, BadInput):
            raise given
        return given

    def key(self, first="key-0"):
        return RenewableKey(first, self.fetch, self.taken.append)


def test_a_young_key_is_not_renewed_and_an_old_one_is_in_the_background():
    """Requests go on with the old key meanwhile, which still lives for a quarter of an hour."""

    async def scenario():
        mint = Mint()
        key = mint.key()
        await asyncio.sleep(RENEWED - 1)
        young = key.current(), mint.asked
        await asyncio.sleep(1)
        meanwhile = [key.current() for _ in range(20)]
        await asyncio.sleep(1.5)
        return young, meanwhile, key.current(), mint

    young, meanwhile, renewed, mint = run(scenario())
    assert young == ("key-0", 0)
    assert meanwhile == ["key-0"] * 20
    assert renewed == "key-1"
    assert (mint.asked, mint.taken) == (1, ["key-1"])


def test_nothing_is_asked_while_nobody_sends():
    async def scenario():
        mint = Mint()
        mint.key()
        await asyncio.sleep(100 * RENEWED)
        return mint.asked

    assert run(scenario()) == 0


@pytest.mark.parametrize("given", [BROKEN, "key-0"], ids=["failed", "the same"])
def test_a_renewal_without_a_new_key_is_tried_again_a_while_later(given):
    """A tool may keep its key until shortly before it expires; the run goes on with it."""

    async def scenario():
        mint = Mint(given)
        key = mint.key()
        seen = []
        for seconds in (RENEWED, 2, AGAIN - 2, 2, 2):
            await asyncio.sleep(seconds)
            current = key.current()
            await asyncio.sleep(0)
            seen.append((current, mint.asked))
        return seen

    assert run(scenario()) == [("key-0", 1)] * 3 + [("key-0", 2), ("key-2", 2)]


def test_twenty_that_are_refused_at_once_share_one_renewal():
    async def scenario():
        mint = Mint()
        key = mint.key()
        refused = await asyncio.gather(*(key.replaced("key-0") for _ in range(20)))
        late = await key.replaced("key-0")
        return refused, late, mint

    refused, late, mint = run(scenario())
    assert refused == [True] * 20
    assert late
    assert (mint.asked, mint.taken) == (1, ["key-1"])


def test_one_who_gives_up_takes_the_renewal_from_nobody():
    async def scenario():
        mint = Mint()
        key = mint.key()
        first, second = (asyncio.create_task(key.replaced("key-0")) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        return await second, mint.asked

    assert run(scenario()) == (True, 1)


@pytest.mark.parametrize("given", [BROKEN, "key-0"], ids=["failed", "the same"])
def test_a_refused_key_that_has_no_successor_stays_refused(given, caplog):
    async def scenario():
        mint = Mint(given)
        key = mint.key()
        return await key.replaced("key-0"), key.current()

    assert run(scenario()) == (False, "key-0")
    assert ("could not be renewed" in caplog.text) is (given is BROKEN)


def test_a_renewal_under_way_ends_with_the_run():
    async def scenario():
        mint = Mint()
        key = mint.key()
        waiting = asyncio.create_task(key.replaced("key-0"))
        await asyncio.sleep(0.5)
        key.close()
        await asyncio.wait([waiting])
        return mint.taken, asyncio.get_running_loop().time(), repr(key)

    assert run(scenario()) == ([], 0.5, "<RenewableKey>")


# One request.


class Keyed(AnyOther):
    """Sends its key and nothing else."""

    def wire_body(self, request, api_key, endpoint=None):
        return json.dumps(api_key).encode()


def sender_with(mint, replies, *, max_attempts=5, provider=None, **settings):
    """A scripted service, a sender to it whose key is renewable, and what that reserves from."""
    service, speaks = Service(replies, **settings), provider or AnyOther()
    target = Target(
        provider=speaks,
        address=Address(speaks, URL, base_allowed=False),
        post=service.post,
        budget=service.budget,
        redaction=Redaction(),
        renewable=mint.key(),
    )
    targets = Targets([target])
    sender = Sender(
        targets, stopping=service.stopping, tally=service.tally, max_attempts=max_attempts
    )
    return service, sender, targets


def sent(replies, mint, **settings):
    """The outcome of one request, and the service."""

    async def scenario():
        service, sender, targets = sender_with(mint, replies, **settings)
        size = Size(10)
        outcome = await sender.send(request(), size, await targets.acquire(size))
        return outcome, service

    return run(scenario())


def test_a_request_whose_key_expired_is_sent_again_and_uses_no_attempt():
    mint = Mint()
    outcome, service = sent([error(401), answer()], mint, max_attempts=1)
    assert isinstance(outcome, Success)
    assert (len(service.sent), mint.asked) == (2, 1)


def test_a_key_that_is_refused_when_it_is_new_is_refused_for_good():
    mint = Mint()
    outcome, service = sent([error(401, "expired")], mint)
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.message, outcome.earlier) == (Kind.AUTH, "expired", ())
    assert (len(service.sent), mint.asked) == (2, 1)


@pytest.mark.parametrize("reply", [error(403), error(402)])
def test_what_is_no_expired_key_asks_for_no_new_one(reply):
    mint = Mint()
    outcome, service = sent([reply], mint)
    assert isinstance(outcome, Failure)
    assert (len(service.sent), mint.asked) == (1, 0)


def test_a_request_may_meet_two_expired_keys_with_something_else_in_between():
    mint = Mint()
    replies = [error(401), error(500), error(401), answer()]
    outcome, _ = sent(replies, mint, max_attempts=2)
    assert isinstance(outcome, Success)
    assert mint.asked == 2


def test_the_key_in_an_envelope_is_the_renewed_one():
    """Where it travels in the body and not in the headers."""
    mint = Mint()
    _, service = sent([error(401), answer()], mint, provider=Keyed())
    assert service.sent == [b'"key-0"', b'"key-1"']


def test_while_a_refused_key_is_being_renewed_nothing_is_sent_with_it():
    """Five were in flight when it expired; the others wait for the second that the command takes,
    and give their place in the budget back."""

    async def scenario():
        mint = Mint()
        sent_with = []

        def reply(wire_body):
            sent_with.append(json.loads(wire_body))
            return error(401) if sent_with[-1] == "key-0" else answer()

        settings = {"latency": 0.1, "max_concurrent": 5, "provider": Keyed()}
        _, sender, targets = sender_with(mint, reply, **settings)
        size = Size(10)

        async def one(number):
            return await sender.send(request(number), size, await targets.acquire(size))

        outcomes = await asyncio.gather(*map(one, range(50)))
        return outcomes, sent_with, mint.asked

    outcomes, sent_with, asked = run(scenario())
    assert all(isinstance(one, Success) for one in outcomes)
    assert sent_with == ["key-0"] * 5 + ["key-1"] * 50
    assert asked == 1


# Which command.


class Known(Provider):
    name = "known"
    hosts = ("api.known.example",)
    key_variables = ("KNOWN_TOKEN",)
    key_command = "known-tool print-token"


HOME, AWAY = (urlsplit(f"https://{host}/v1") for host in ("api.known.example", "else.example"))


def command_for(url=HOME, given=None, api_key=None, environ=None, **more):
    return keys.command_for(given, api_key, Known(), url, environ or {}, **more)


def test_a_services_own_tool_is_asked_where_there_is_no_key():
    command = command_for()
    assert (command.text, command.name) == (Known.key_command, f"`{Known.key_command}`")
    assert command_for(api_key="given") is None
    assert command_for(environ={"KNOWN_TOKEN": "set"}) is None
    assert command_for(needed=False) is None


def test_P9_the_key_of_a_services_own_tool_is_for_its_own_hosts():
    assert command_for(AWAY) is None


def test_a_command_of_the_users_comes_first_and_serves_any_host():
    environ = {"KNOWN_TOKEN": "set"}
    assert command_for(AWAY, given="mine", environ=environ).text == "mine"
    with pytest.raises(BadInput, match="are both given: give one of them"):
        command_for(given="mine", api_key="given")


# A real command.


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


async def printed_by(text: str, **more: str) -> str:
    return await keys.printed_by(KeyCommand(text, "--api_key_command", **more))


@posix
async def test_a_key_is_what_a_command_prints_without_its_line_break():
    assert await printed_by(python("print('ya29.a-key')")) == "ya29.a-key"
    assert await printed_by("printf one | tr o O") == "One"


FAULTS = {
    "missing": ("no-such-tool-here print", "failed with exit code 127: "),
    "failing": (python("import sys; sys.exit('please  log in')"), "exit code 1: please log in"),
    "failing in silence": (python("exit(3)"), "failed with exit code 3"),
    "nothing": (python(""), "printed nothing, but it must print the key"),
    "blanks": (python("print('  ')"), "printed nothing, but it must print the key"),
    "lines": (python("print('a'); print('b')"), "printed 2 lines, but it must print the key alone"),
    "words": (python("print('a b')"), "has a space in it"),
    "a NUL": ("\0", "cannot be started: "),
}


@posix
@pytest.mark.parametrize(("text", "told"), FAULTS.values(), ids=FAULTS)
async def test_a_command_that_prints_no_key_is_told_in_one_line(text, told):
    with pytest.raises(BadInput) as wrong:
        await printed_by(text, advice="; log in")
    assert told in str(wrong.value)
    assert str(wrong.value).startswith(("--api_key_command", "the key from --api_key_command"))
    assert len(str(wrong.value).splitlines()) == 1
    assert str(wrong.value).endswith("; log in")


@posix
async def test_a_command_that_never_ends_is_ended_with_all_that_it_started():
    """Its pipe stays open for as long as anything holds it, and so it would be waited for."""
    command = KeyCommand("sleep 30; echo late", "--api_key_command")
    started = asyncio.get_running_loop().time()
    with pytest.raises(BadInput, match="printed no key within"):
        await keys.printed_by(command, slowest=0.2)
    assert asyncio.get_running_loop().time() - started < 5


# What is sent.


@pytest.mark.parametrize("size", [10, LARGE_BODY], ids=["small", "large"])
async def test_new_headers_take_the_place_of_the_old_ones(size):
    """Also where a body is so large that it goes another way."""
    body = b'{"x": "' + b"x" * size + b'"}'
    async with serving(answering()) as server, transport_to(key="old") as transport:
        await transport.post(server.url, body)
        transport.identify({"authorization": "Bearer new"})
        await transport.post(server.url, body)
    heads = [data.partition(b"\r\n\r\n")[0].lower() for data in server.seen]
    assert [b"bearer old" in head for head in heads] == [True, False]
    assert heads[1].count(b"authorization: bearer new") == 1


# A whole run.

SECRETS = [f"ya29.canary-{number}-0123456789abcdef" for number in range(40)]
MINT = """
import pathlib, sys
place = pathlib.Path(sys.argv[1])
number = len(place.read_text()) if place.exists() else 0
with place.open("a") as file: file.write("x")
print(f"ya29.canary-{min(number, int(sys.argv[2]))}-0123456789abcdef")
"""


class Expiring:
    """A service that takes each key for so many requests, and then only the next one."""

    def __init__(self, uses: int) -> None:
        self.answered: list[str] = []
        self.refused = 0
        self._uses = uses
        self._number = self._used = 0

    async def serve(self, reader, writer):
        try:
            while True:
                self._answer(await read_request(reader), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, data, writer):
        head, _, body = data.partition(b"\r\n\r\n")
        if self._used >= self._uses:
            self._number, self._used = self._number + 1, 0
        good = f"Bearer {SECRETS[min(self._number, len(SECRETS) - 1)]}".encode()
        if good in head:
            self._used += 1
            self.answered.append(json.loads(body)["messages"][0]["content"])
            status, said = "200 OK", ANSWER
        else:
            self.refused += 1
            key = next(line for line in head.split(b"\r\n") if b"uthorization" in line).decode()
            status = "401 Unauthorized"
            said = json.dumps({"error": {"message": f"expired: {key}", "code": 401}}).encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said)


async def whole_run(tmp_path, service, command, lines=500, **more):
    requests, results = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    bodies = [
        {"model": "m", "messages": [{"role": "user", "content": f"{n}"}]} for n in range(lines)
    ]
    requests.write_text("".join(f"{json.dumps(body)}\n" for body in bodies), encoding="utf-8")
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await door.process_api_requests_from_file(
            requests_filepath=str(requests),
            save_filepath=str(results),
            request_url=f"http://127.0.0.1:{port}/v1/chat/completions",
            api_key_command=command,
            max_requests_per_minute=None,
            max_tokens_per_minute=None,
            **more,
        )
    finally:
        server.close()


def mint(tmp_path, most=99):
    place = shlex.quote(str(tmp_path / "minted"))
    return f"{python(MINT)} {place} {most}"


@posix
@pytest.mark.parametrize("in_flight", [1, 20])
async def test_a_job_whose_keys_expire_again_and_again_loses_no_row(tmp_path, caplog, in_flight):
    """One command for each key, however many were in flight; and no key is told anywhere (P9)."""
    service = Expiring(uses=120)
    summary = await whole_run(
        tmp_path, service, mint(tmp_path), max_concurrent_requests=in_flight, logging_level="DEBUG"
    )

    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(int(row[0]["messages"][0]["content"]) for row in rows) == list(range(500))
    assert all(isinstance(row[1], dict) for row in rows)
    assert sorted(map(int, service.answered)) == list(range(500))  # and none was paid for twice
    assert summary.tally.succeeded == 500
    assert len((tmp_path / "minted").read_text()) == 5
    assert service.refused <= 4 * in_flight
    assert caplog.text.count("the key was renewed") == 4
    told = caplog.text + (tmp_path / "out.jsonl").read_text()
    assert [one for one in SECRETS if one[:16] in told] == []


@posix
async def test_a_key_without_a_successor_stops_the_run_and_the_rest_is_done_later(tmp_path, caplog):
    """The second key is all there is; what the service echoes of it is in no row."""
    with pytest.raises(Stopped, match="the key was refused \\(401\\)") as stopped:
        await whole_run(tmp_path, Expiring(uses=20), mint(tmp_path, most=1), lines=100)
    tally = stopped.value.summary.tally
    assert tally.succeeded == 40
    text = (tmp_path / "out.jsonl").read_text()
    assert "[key]" in text
    assert SECRETS[1][:16] not in text + caplog.text

    again = await whole_run(tmp_path, Expiring(uses=1_000), python(f"print({SECRETS[0]!r})"), 100)
    assert again.tally.answers_found == 40
    assert again.tally.succeeded == 60


async def test_a_broken_command_costs_nothing(tmp_path):
    service = Expiring(uses=1)
    with pytest.raises(BadInput, match="--api_key_command failed with exit code 2"):
        await whole_run(tmp_path, service, "exit 2")
    assert (service.answered, service.refused) == ([], 0)
    assert not (tmp_path / "out.jsonl").exists()
