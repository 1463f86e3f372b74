"""What people see while a run goes and when it ends."""

import asyncio
import io
import logging
import re

import pytest
from scripted import Service, answer, request
from virtual_time import run

from request_engine import progress
from request_engine.records import Failure, Kind, Success, Usage
from request_engine.requests_file import RequestsFile
from request_engine.summary import Summary
from request_engine.tally import Tally


def fail(tally, message, count, kind=Kind.BAD_REQUEST, status=400):
    for number in range(count):
        tally.finish(request(number + 1), Failure(kind, message.format(number), status))


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"model": "m", "messages": []}\n' * 100, encoding="utf-8")
    file = RequestsFile(str(path))
    yield file
    file.close()


async def read(requests, count):
    stream = requests.requests()
    for _ in range(count):
        await anext(stream)
    await stream.aclose()


def test_the_plain_line_tells_all_and_what_it_waits_for(requests):
    async def scenario():
        service = Service([answer()], requests_per_minute=60, tokens_per_minute=1_000)
        state = progress.State(service.tally, service.budget, service.stopping, requests)
        await read(requests, 25)
        for _ in range(10):
            await service.budget.acquire(5)
        service.tally.attempts = 10
        service.tally.succeeded = 6
        service.tally.completion_tokens = 90
        await asyncio.sleep(30)
        waiting = asyncio.create_task(service.budget.acquire(990))
        await asyncio.sleep(0)
        line = state.line()
        waiting.cancel()
        return line

    assert run(scenario()) == (
        "6 of ~100 done, 0 failed, 10 in flight; 10/60 requests and 50/1,000 tokens in the "
        "last minute; 0 refused (429); waits for its turn among the tokens a minute; ETA 7:50"
    )


def test_a_plain_line_comes_every_30_seconds(requests, caplog):
    caplog.set_level(logging.INFO)

    async def scenario():
        service = Service([answer()])
        state = progress.State(service.tally, service.budget, service.stopping, requests)
        with progress.display(state, on_screen=True):  # no terminal in a test
            await asyncio.sleep(100)
        await asyncio.sleep(100)

    run(scenario())
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    ("slots", "happens", "words"),
    [
        (2, lambda service, held: service.budget.pause(held, 41), "a pause of 41 s"),
        (1, lambda service, held: service.stopping.stop("enough"), "1 answers, then it stops"),
        (1, lambda service, held: None, "an answer, as no more"),
    ],
    ids=["pause", "stop", "concurrency"],
)
def test_P6_it_says_what_it_waits_for(requests, slots, happens, words):
    async def scenario():
        service = Service([answer()], max_concurrent=slots)
        happens(service, await service.budget.acquire(0))
        waiting = asyncio.create_task(service.budget.acquire(0))
        await asyncio.sleep(0)
        state = progress.State(service.tally, service.budget, service.stopping, requests)
        said = state.waits_for()
        waiting.cancel()
        return said

    assert run(scenario()).startswith(words)


def test_the_panel_shows_the_same_on_a_terminal(requests):
    from rich.console import Console

    async def scenario():
        service = Service([answer()], requests_per_minute=600)
        state = progress.State(service.tally, service.budget, service.stopping, requests)
        await read(requests, 50)
        service.tally.succeeded, service.tally.refusals = 40, 7
        fail(service.tally, "no", 2)
        await asyncio.sleep(60)
        screen = io.StringIO()
        Console(file=screen, width=100, force_terminal=True).print(progress._panel(state))
        return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()

    lines = run(scenario())
    assert lines[1] == "42 of ~100 done   2 failed   0 in flight   1:00 so far, ETA 1:23"
    assert lines[2] == "0/600 requests, 0 tokens in the last minute   7 refused (429)"
    assert lines[3] == "waits for the file"


def test_the_summary_groups_failures_by_cause_with_one_example():
    tally = Tally(answered_before=5)
    tally.attempts = 120
    tally.attempted(Success(b"{}", Usage(300, 900)), 10)
    tally.attempted(Failure(Kind.TRANSIENT, "silence", timed_out=True), 700)
    for number in range(100):
        tally.finish(request(number), Success(b"{}"))
    fail(tally, "This model has {} tokens too few", 12)
    fail(tally, "cannot connect", 3, Kind.TRANSIENT, None)

    summary = Summary(tally, 75.0, "out.jsonl", "errors.jsonl")
    assert summary.lines() == [
        "15 requests failed:",
        "  12 x bad_request 400, such as line 1: This model has 0 tokens too few",
        "  3 x transient, such as line 1: cannot connect",
        "1 attempts may have been billed without a usable answer, up to 700 tokens",
        "100 answered, 15 failed, 5 answered before; 300 + 900 tokens; 0 refusals for speed (429) "
        "in 120 attempts; 1 min 15 s. Results: out.jsonl, failures: errors.jsonl",
    ]
    assert (summary.rows, summary.exit_code(), summary.exit_code(strict=True)) == (120, 0, 1)


def test_a_stopped_run_says_why_and_how_to_go_on():
    summary = Summary(Tally(), 1.0, "out.jsonl", stopped="the key was refused (401): no")

    assert summary.lines()[0] == "Stopped early: the key was refused (401): no"
    assert summary.lines()[-1] == "Mend that, then run the same command again to go on from here."
    assert summary.exit_code() == 3
    assert Summary(Tally(), 1.0, "o", stopped="SIGINT", interrupted=True).exit_code() == 130


def test_causes_are_bounded():
    """A service that never says the same twice does not fill the memory."""
    tally = Tally()
    for number in range(1_000):
        fail(tally, "x" * (number % 100) + chr(97 + number % 26) * number, 1)

    assert len(tally.causes) <= 51
    assert sum(cause.count for cause in tally.causes.values()) == 1_000
