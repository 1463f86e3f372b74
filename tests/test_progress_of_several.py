"""What people see of several endpoints: each by name, what it did, and why it is not asked."""

import asyncio
import io
import logging
import re

import pytest
from rich.console import Console
from scripted import Service, answer, error, request
from test_targets import NOBODY, Place
from virtual_time import run

from request_engine import progress
from request_engine.requests_file import RequestsFile
from request_engine.send import Sender
from request_engine.sizes import Size
from request_engine.summary import Summary
from request_engine.targets import Targets


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"model": "m", "messages": []}\n' * 100, encoding="utf-8")
    file = RequestsFile(str(path))
    yield file
    file.close()


def places():
    """One that works, one out of money, one that refuses for speed, and one that is not there."""

    def speed(number):
        return error(429, "slow down", retry_after="90") if number == 2 else answer()

    return [
        Place("lab-1", latency=1.0, max_concurrent=2),
        Place("deepseek", lambda n: error(402, "insufficient balance"), max_concurrent=3),
        Place("lab-2", speed, latency=1.0, max_concurrent=1),
        Place("lab-3", lambda number: NOBODY, max_concurrent=1),
    ]


def watched(places, requests, seconds, look):
    """What *look* sees of a run over *places* after so many seconds."""

    async def scenario():
        service, targets = Service([]), Targets([place.target for place in places])
        sender = Sender(targets, stopping=service.stopping, tally=service.tally, max_attempts=5)
        state = progress.State(service.tally, targets, service.stopping, requests, service)

        async def send(number):
            size = Size(1)
            await sender.send(request(number), size, await targets.acquire(size))

        tasks = [asyncio.create_task(send(number)) for number in range(100)]
        await asyncio.sleep(seconds)
        seen = await look(state)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return seen

    return run(scenario())


def test_the_panel_has_a_line_for_each(requests):
    async def look(state):
        screen = io.StringIO()
        Console(file=screen, width=100, force_terminal=True).print(progress._panel(state))
        return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()

    lines = watched(places(), requests, 10.5, look)
    assert len(lines) == 8
    assert lines[4] == "lab-1: 20 answered, 2 in flight, open"
    assert re.fullmatch(
        r"deepseek: 0 answered, 0 in flight, left for 5\d s \(the account is out of money.*…",
        lines[5],
    )
    assert re.fullmatch(
        r"lab-2: 1 answered, 0 in flight, paused for 8\d s \(refused for speed: slow down\)",
        lines[6],
    )
    assert re.fullmatch(
        r"lab-3: 0 answered, 0 in flight, paused for \d s \(nobody listens there\)", lines[7]
    )


def test_plain_lines_are_followed_by_a_line_for_each(requests, caplog):
    caplog.set_level(logging.INFO)

    async def look(state):
        with progress.display(state, on_screen=False):
            await asyncio.sleep(31)

    watched(places(), requests, 0.5, look)
    lines = [record.message for record in caplog.records]
    assert "waits for an answer, as no more may be in flight" in lines[0]
    assert [line.split(":")[0] for line in lines[1:]] == [
        "  lab-1",
        "  deepseek",
        "  lab-2",
        "  lab-3",
    ]
    assert lines[1] == "  lab-1: 60 answered, 2 in flight, open"


def test_one_endpoint_is_told_as_ever(requests, caplog):
    caplog.set_level(logging.INFO)

    async def look(state):
        with progress.display(state, on_screen=False):
            await asyncio.sleep(31)
        return state.budget.told(), state.budget.told_at_the_end()

    assert watched(places()[:1], requests, 0.5, look) == ([], [])
    assert len(caplog.records) == 1


def test_while_all_are_kept_out_the_first_that_may_be_asked_is_waited_for(requests):
    """That is what the pause is told to be."""

    def refuses(seconds):
        return lambda number: error(429, "slow down", retry_after=str(seconds))

    async def look(state):
        return state.waits_for()

    several = [Place("a", refuses(50)), Place("b", refuses(500))]
    assert watched(several, requests, 9, look) == (
        "a pause of 41 s to end: refused for speed (slow down)"
    )


def test_the_closing_lines_say_what_each_did(requests):
    async def look(state):
        told = state.budget.told_at_the_end()
        return Summary(state.tally, 10.0, "out.jsonl", endpoints=told).lines()

    lines = watched(places(), requests, 10.5, look)
    assert lines[:4] == [
        "  lab-1: 20 answered in 22 attempts",
        "  deepseek: 0 answered in 5 attempts; at the end left "
        "(the account is out of money or quota (402): insufficient balance)",
        "  lab-2: 1 answered in 2 attempts; at the end paused (refused for speed: slow down)",
        "  lab-3: 0 answered in 5 attempts; at the end paused (nobody listens there)",
    ]
