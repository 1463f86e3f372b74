"""A machine that slept or a process that was stopped goes on: answers are read, sockets are new."""

import asyncio
import socket
import sys
import threading
import time

import pytest
from loopback import ANSWER, BODY, answering, serving, then, transport_to

from request_engine.durations import lasting
from request_engine.suspension import NEVER_STOPS, Gap, Suspension


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("awake", "always", "gap"),
    [
        (1.0, 1.0, Gap(0, 0)),
        (1.5, 1.5, Gap(0, 0)),
        (21.0, 21.0, Gap(20, 0)),
        (31.0, 31.0, Gap(30, 0)),
        (3_601.0, 3_601.0, Gap(3_600, 3_600)),
        (1.0, 3_601.0, Gap(0, 3_600)),
        (1.0, 29.0, Gap(0, 0)),
        (101.0, 3_601.0, Gap(100, 3_600)),
        (1.0, -3_600.0, Gap(0, 0)),
    ],
    ids=[
        "in time",
        "a little late",
        "busy",
        "just not long",
        "stopped",
        "slept",
        "adjusted",
        "both",
        "set back",
    ],
)
def test_a_gap_is_told_from_a_busy_moment(awake, always, gap):
    """A row is what passed on the two clocks between two looks that are 1 s apart."""
    loop_clock, other = Hand(), Hand()
    suspension = Suspension(1.0, loop_clock, other)
    loop_clock.now += awake
    other.now += always
    assert suspension.look() == gap
    loop_clock.now += 1
    other.now += 1
    assert suspension.look() == Gap(0, 0)


@pytest.mark.skipif(
    sys.platform not in ("linux", "darwin"),
    reason="the time of day is all there is",
)
def test_a_wall_clock_that_jumps_changes_nothing():
    """It is not asked: what is asked counts from the start of the machine, and nobody sets it."""
    assert NEVER_STOPS() < time.time() / 2


def test_the_clock_that_never_stops_goes_on():
    before = NEVER_STOPS()
    time.sleep(0.01)
    assert 0.009 < NEVER_STOPS() - before < 10


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(31, "31 s"), (754, "12 min 34 s"), (3_721, "1 h 2 min"), (1e7, "2,777 h 46 min")],
)
def test_a_length_of_time_is_said_as_people_do(seconds, words):
    assert lasting(seconds) == words


async def test_after_sleep_connections_are_made_anew_and_what_is_in_flight_goes_on(
    caplog, monkeypatch
):
    """An idle one that looks as good as new would break as it is used; and the network may be
    another, where the service has another address."""
    caplog.set_level("INFO")
    look_up, looked_up = socket.getaddrinfo, []

    def noted(host, *arguments, **options):
        looked_up.append(host)
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    always, slept = Hand(), asyncio.Event()

    async def late(request: bytes, writer: asyncio.StreamWriter) -> None:
        if b'"late"' in request:
            await slept.wait()

    settings = {"progress": 0.04, "always": always}  # so that it looks every 10 ms
    async with serving(then(late, answering())) as server, transport_to(**settings) as transport:
        url = f"http://service.invalid:{server.port}/v1"
        attempt = asyncio.create_task(transport.post(url, b'"late"'))
        await transport.post(url, BODY)
        await transport.post(url, BODY)
        assert (len(server.connections), len(looked_up)) == (2, 1)
        always.now += 3_720
        await asyncio.sleep(0.05)
        slept.set()
        assert (await attempt).content == ANSWER
        for _ in range(3):
            assert (await transport.post(url, BODY)).content == ANSWER
    assert (len(server.connections), len(looked_up)) == (3, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "this machine or process was asleep for 1 h 2 min; connections are made anew"
    ]


def test_P3_an_answer_that_came_while_the_process_was_stopped_is_read(caplog):
    """It waits in the socket and is paid for; a deadline that passed meanwhile does not count."""
    caplog.set_level("INFO")
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            time.sleep(0.3)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def main() -> None:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        async with transport_to(first_byte=1.0) as transport:
            attempt = asyncio.create_task(transport.post(url, BODY))
            await asyncio.sleep(0.1)
            stop()
            assert (await attempt).content == b"{}"

    def stop() -> None:
        time.sleep(1.5)  # nothing of the loop runs, as in a process that is stopped

    service = threading.Thread(target=serve)
    service.start()
    with listening:
        asyncio.run(main())
        service.join(5)
    assert caplog.records == []
