"""What people see while a run goes and when it ends."""

import asyncio
import io
import logging
import re
from contextlib import redirect_stderr

import pytest
from scripted import Service, answer, error, request
from virtual_time import run

from request_engine import progress
from request_engine.records import Failure, Kind, Success, Usage
from request_engine.requests_file import RequestsFile
from request_engine.sizes import Size
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


async def read(requests):
    """The first batches."""
    stream = requests.batches()
    for _ in range(2):
        await anext(stream)
    await stream.aclose()


def test_the_plain_line_tells_all_and_what_it_waits_for(requests):
    async def scenario():
        service = Service([answer()], requests_per_minute=60, tokens_per_minute=1_000)
        state = progress.State(service.tally, service.targets, service.stopping, requests, service)
        await read(requests)
        for _ in range(10):
            await service.targets.acquire(Size(5))
        service.tally.attempts = 10
        service.tally.succeeded = 6
        service.tally.completion_tokens = 90
        await asyncio.sleep(30)
        waiting = asyncio.create_task(service.targets.acquire(Size(990)))
        await asyncio.sleep(0)
        line = state.line()
        waiting.cancel()
        return line

    assert run(scenario()) == (
        "6 of ~100 done, 0 failed, 10 in flight; 10/60 requests and 50/1,000 tokens in the "
        "last minute; 0 refused (429); waits for its turn among the tokens a minute; ETA 7:50"
    )


async def watched(requests, service, seconds, *meanwhile, terminal=False):
    """Let *seconds* pass under the display while *meanwhile* is awaited."""
    state = progress.State(service.tally, service.targets, service.stopping, requests, service)
    screen = io.StringIO()
    screen.isatty = lambda: terminal
    with redirect_stderr(screen), progress.display(state, on_screen=True):
        tasks = [asyncio.create_task(one) for one in meanwhile]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(100)  # nothing is said after the run
    assert bool(screen.getvalue()) == terminal


@pytest.fixture(params=[False, True], ids=["plain", "panel"])
def terminal(request, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return request.param


async def moving(service):
    """A request every 20 s that is answered at once."""
    while True:
        await service.send(request())
        await asyncio.sleep(20)


def test_a_plain_line_comes_every_30_seconds(requests, caplog):
    caplog.set_level(logging.INFO)

    async def scenario():
        service = Service([answer()])
        await watched(requests, service, 100, moving(service))

    run(scenario())
    assert len(caplog.records) == 3
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_P6_a_hanging_service_is_told_every_30_seconds_and_since_when(requests, caplog, terminal):
    """On either display; it takes the place of the ordinary line."""
    caplog.set_level(logging.INFO)

    async def scenario():
        service = Service([answer()], latency=1e6)

        async def later():
            await asyncio.sleep(15)
            await service.send(request())

        await watched(requests, service, 80, service.send(request()), later(), terminal=terminal)

    run(scenario())
    told = [(record.levelname, record.message) for record in caplog.records]
    if not terminal:
        assert told.pop(0)[0] == "INFO"
    assert told == [
        (
            "WARNING",
            "nothing has moved for 30 s: 2 in flight, the oldest for 45 s; waits for the service",
        ),
        (
            "WARNING",
            "nothing has moved for 60 s: 2 in flight, the oldest for 75 s; waits for the service",
        ),
    ]


def test_P6_a_long_pause_is_told_with_what_is_left_and_the_services_words(requests, caplog):
    async def scenario():
        service = Service([error(429, "slow down", retry_after="70")])
        await watched(requests, service, 40, service.send(request()))

    run(scenario())
    [record] = caplog.records
    assert record.message == (
        "nothing has moved for 30 s: waits for a pause of 40 s to end: "
        "refused for speed (slow down)"
    )


def test_rows_without_any_sending_are_movement(requests, caplog):
    """As when a pipe brings what earlier runs have answered."""

    async def scenario():
        service = Service([answer()])

        async def found():
            while True:
                await asyncio.sleep(20)
                service.tally.answered_before += 1

        await watched(requests, service, 100, found())

    run(scenario())
    assert [one for one in caplog.records if one.levelname == "WARNING"] == []


def test_a_process_that_was_stopped_itself_accuses_nobody_when_it_goes_on(requests, caplog):
    """After SIGCONT the clock has jumped, and what came meanwhile is not read yet."""

    async def scenario():
        service = Service([answer()])
        loop = asyncio.get_running_loop()
        loop.call_later(21, lambda: setattr(loop._clock, "now", 500.0))
        await watched(requests, service, 505, moving(service))

    run(scenario())
    assert [one for one in caplog.records if one.levelname == "WARNING"] == []


def test_P12_while_a_run_drains_the_count_and_the_time_left_are_said(requests, caplog, terminal):
    """Every five seconds on plain lines; the panel shows them itself."""
    caplog.set_level(logging.INFO)

    async def scenario():
        service = Service([answer()], latency=12)
        asyncio.get_running_loop().call_later(
            1, lambda: service.stopping.stop("interrupted", interrupted=True)
        )
        sent = (service.send(request()) for _ in range(3))
        await watched(requests, service, 11, *sent, terminal=terminal)

    run(scenario())
    said = [
        "waiting for 3 answers in flight, at most 4:56 more; again to quit now",
        "waiting for 3 answers in flight, at most 4:51 more; again to quit now",
    ]
    assert [record.message for record in caplog.records] == ([] if terminal else said)


@pytest.mark.parametrize(
    ("slots", "happens", "words"),
    [
        (2, lambda service, held: service.budget.pause(held, 41), "a pause of 41 s"),
        (1, lambda service, held: service.stopping.stop("enough"), "1 answers in flight, at m"),
        (1, lambda service, held: service.targets.hold("a full disk"), "room on the disk: a full"),
        (1, lambda service, held: None, "an answer, as no more"),
    ],
    ids=["pause", "stop", "disk", "concurrency"],
)
def test_P6_it_says_what_it_waits_for(requests, slots, happens, words):
    async def scenario():
        service = Service([answer()], max_concurrent=slots)
        happens(service, await service.targets.acquire(Size(0)))
        waiting = asyncio.create_task(service.targets.acquire(Size(0)))
        await asyncio.sleep(0)
        state = progress.State(service.tally, service.targets, service.stopping, requests, service)
        said = state.waits_for()
        waiting.cancel()
        return said

    assert run(scenario()).startswith(words)


def test_P6_backing_off_is_not_called_waiting_for_the_file(requests):
    async def scenario():
        service = Service([error(500)])
        state = progress.State(service.tally, service.targets, service.stopping, requests, service)
        before = state.waits_for()
        task = asyncio.create_task(service.send(request()))
        await asyncio.sleep(0.01)
        during = state.waits_for()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return before, during, state.waits_for()

    assert run(scenario()) == ("the file", "the next attempt of what failed", "the file")


def test_the_panel_shows_the_same_on_a_terminal(requests):
    from rich.console import Console

    async def scenario():
        service = Service([answer()], requests_per_minute=600)
        state = progress.State(service.tally, service.targets, service.stopping, requests, service)
        await read(requests)
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


def test_P3_what_was_given_up_in_flight_is_said_and_counted():
    tally = Tally(attempts=12, succeeded=9, maybe_billed=1, maybe_billed_tokens=40)
    for _ in range(2):
        tally.abandon(30)

    assert Summary(tally, 1.0, "o", stopped="interrupted by SIGINT", interrupted=True).lines() == [
        "2 requests in flight were given up and may have been billed; they are tried again "
        "next time",
        "3 attempts in all may have been billed without a usable answer, up to 100 tokens",
        "Stopped early: interrupted by SIGINT",
        "9 answered, 0 failed; 0 refusals for speed (429) in 12 attempts; 1.0 s. Results: o",
        "Run the same command again to go on from here.",
    ]


def test_failures_that_an_earlier_run_left_and_this_one_kept_are_failures():
    summary = Summary(Tally(succeeded=1, answered_before=2, failures_kept=3), 1.0, "o")

    assert summary.lines()[-1].startswith("1 answered, 0 failed, 2 answered before, 3 failed befo")
    assert (summary.rows, summary.exit_code(), summary.exit_code(strict=True)) == (6, 0, 1)


def test_causes_are_bounded():
    """A service that never says the same twice does not fill the memory."""
    tally = Tally()
    for number in range(1_000):
        fail(tally, "x" * (number % 100) + chr(97 + number % 26) * number, 1)

    assert len(tally.causes) <= 51
    assert sum(cause.count for cause in tally.causes.values()) == 1_000
