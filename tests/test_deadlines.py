"""Every attempt ends in time, by one timer for all, and its failure says what was waited for."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from virtual_time import VirtualTimeLoop, run

from request_engine.deadlines import Attempt, Deadlines, says_something
from request_engine.records import Failure
from request_engine.timers import repeated

LIMITS = {"connect": 10.0, "first_byte": 600.0, "progress": 120.0, "total": 1_800.0}

Making = Callable[[Deadlines, Attempt], Awaitable[None]]


async def attempted(make: Making, deadlines: Deadlines) -> tuple[Failure | None, float]:
    """How an attempt ended, None when it was not cut off, and how long it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with repeated(deadlines.every, deadlines.end_overdue):
        with deadlines.attempt() as attempt:
            await make(deadlines, attempt)
        return attempt.overdue, loop.time() - begun


def outcome(make: Making, **limits: float) -> tuple[Failure | None, float]:
    return run(attempted(make, Deadlines(**LIMITS | limits)))


async def connecting(deadlines: Deadlines, attempt: Attempt) -> None:
    await asyncio.sleep(10_000)


async def silent(deadlines: Deadlines, attempt: Attempt) -> None:
    await asyncio.sleep(1)
    deadlines.connected(reused=False)
    await asyncio.sleep(10_000)


async def only_a_head(deadlines: Deadlines, attempt: Attempt) -> None:
    deadlines.connected(reused=False)
    attempt.answering = True
    await asyncio.sleep(10_000)


async def only_blank_lines(deadlines: Deadlines, attempt: Attempt) -> None:
    deadlines.connected(reused=False)
    while True:
        attempt.received(1, meaningful=False)
        await asyncio.sleep(10)


async def stopping(deadlines: Deadlines, attempt: Attempt) -> None:
    """The answer stops, though blank lines go on."""
    deadlines.connected(reused=False)
    attempt.received(4_096, meaningful=True)
    while True:
        await asyncio.sleep(10)
        attempt.received(0, meaningful=False)


async def going_on(deadlines: Deadlines, attempt: Attempt) -> None:
    deadlines.connected(reused=False)
    while True:
        attempt.received(1, meaningful=True)
        await asyncio.sleep(100)


WAITS = [
    (connecting, {}, "no connection within 10 s", 10),
    (connecting, {"total": 4.0}, "no connection within 4 s", 4),
    (silent, {}, "no answer within 600 s of sending (nothing came)", 601),
    (silent, {"total": 60.0}, "no complete answer in 60 s (nothing came)", 60),
    (only_a_head, {}, "no answer within 600 s of sending (only its head came)", 600),
    (
        only_blank_lines,
        {},
        "no answer within 600 s of sending (only blank or keep-alive lines came)",
        600,
    ),
    (stopping, {}, "the answer stopped for 120 s after 4,096 bytes", 120),
    (going_on, {}, "no complete answer in 1,800 s (only 19 bytes came)", 1_800),
]


@pytest.mark.parametrize(("make", "limits", "message", "seconds"), WAITS)
def test_P6_every_wait_ends_in_time_and_says_what_was_waited_for(make, limits, message, seconds):
    failure, took = outcome(make, **limits)
    assert failure is not None
    assert failure.message == message
    assert seconds <= took <= seconds + 2
    sent = make is not connecting
    assert (failure.sent, failure.timed_out, failure.maybe_billed) == (sent, sent, sent)


def test_blank_lines_for_ten_minutes_and_then_an_answer_are_an_answer():
    """DeepSeek, for one, sends them while a request is in its queue."""

    async def queued(deadlines: Deadlines, attempt: Attempt) -> None:
        deadlines.connected(reused=False)
        for _ in range(59):
            await asyncio.sleep(10)
            attempt.received(1, meaningful=False)
        attempt.received(100, meaningful=True)

    assert outcome(queued) == (None, 590)


def test_an_attempt_that_ends_in_time_leaves_nothing_behind():
    async def main() -> None:
        deadlines = Deadlines(**LIMITS)
        assert deadlines.waiting_since() is None
        with deadlines.attempt():
            deadlines.connected(reused=False)
        deadlines.connected(reused=False)  # another's connection: nobody's attempt
        assert (deadlines.in_flight, deadlines.waiting_since()) == ({}, None)

    run(main())


def test_who_was_cut_off_goes_on_and_can_be_cut_off_again():
    """No cancellation is left behind in the task."""

    async def main() -> None:
        deadlines = Deadlines(**LIMITS)
        for _ in range(3):
            failure, _ = await attempted(connecting, deadlines)
            assert failure is not None
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            await asyncio.sleep(1)

    run(main())


@pytest.mark.parametrize("seconds", [5.0, 10.5, 11.0])
def test_a_cancellation_that_is_not_ours_passes(seconds):
    """Also when it comes just as the attempt is overdue."""

    async def main() -> None:
        task = asyncio.create_task(
            attempted(
                connecting,
                Deadlines(
                    **LIMITS,
                ),
            )
        )
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_P6_a_deadline_holds_for_a_task_that_has_swallowed_a_cancellation():
    async def main() -> None:
        async def stubborn() -> Failure | None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                failure, _ = await attempted(connecting, Deadlines(**LIMITS))
                return failure

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(1)
        task.cancel()
        failure = await task
        assert failure is not None

    run(main())


def test_an_attempt_that_takes_its_time_to_end_is_cut_off_once():
    async def tidying(deadlines: Deadlines, attempt: Attempt) -> None:
        try:
            await connecting(deadlines, attempt)
        finally:
            await asyncio.sleep(5)

    failure, took = outcome(tidying)
    assert failure is not None
    assert 15 <= took <= 17


def test_a_bug_met_while_an_attempt_is_cut_off_is_not_swallowed():
    async def broken(deadlines: Deadlines, attempt: Attempt) -> None:
        try:
            await connecting(deadlines, attempt)
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outcome(broken)


def test_a_thousand_attempts_share_one_timer():
    class Counting(VirtualTimeLoop):
        timers = 0

        def call_at(self, *arguments, **context):
            self.timers += 1
            return super().call_at(*arguments, **context)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(**LIMITS)

        async def one() -> Failure | None:
            with deadlines.attempt() as attempt:
                await loop.create_future()
            return attempt.overdue

        with repeated(deadlines.every, deadlines.end_overdue):
            failures = await asyncio.gather(*(one() for _ in range(1_000)))
        assert None not in failures
        return loop.timers

    with asyncio.Runner(loop_factory=Counting) as runner:
        assert runner.run(main()) <= 13


def test_what_moves_and_who_waits_is_known():
    async def main() -> None:
        deadlines = Deadlines(**LIMITS)

        async def one(until: float) -> None:
            with deadlines.attempt() as attempt:
                await asyncio.sleep(1)
                deadlines.connected(reused=False)
                await asyncio.sleep(until)
                attempt.received(1, meaningful=until > 5)

        first = asyncio.create_task(one(10))
        await asyncio.sleep(2)
        second = asyncio.create_task(one(3))
        assert (deadlines.moved_at, deadlines.waiting_since()) == (1, 1)
        await second
        assert (deadlines.moved_at, deadlines.waiting_since()) == (3, 1)
        await first
        assert (deadlines.moved_at, deadlines.waiting_since()) == (11, None)

    run(main())


def test_P6_time_in_which_nobody_looked_is_given_back_and_no_more():
    """Also to an attempt begun after that time, which lost nothing."""

    async def main() -> None:
        deadlines = Deadlines(**LIMITS)

        async def shifted() -> None:
            await asyncio.sleep(595)
            deadlines.shift(100)

        task = asyncio.create_task(shifted())
        failure, took = await attempted(silent, deadlines)
        assert failure is not None
        assert 701 <= took <= 702
        with deadlines.attempt() as attempt:
            deadlines.connected(reused=False)
            attempt.received(1, meaningful=True)
            deadlines.shift(100)
            now = asyncio.get_running_loop().time()
            assert attempt.begun_at == attempt.sent_at == attempt.moved_at == now
        await task

    run(main())


@pytest.mark.parametrize(
    ("limits", "every"),
    [
        ({}, 1.0),
        ({"progress": 2.0}, 0.5),
        ({"connect": 1e-6}, 0.01),
        ({"total": math.inf}, 1.0),
    ],
)
def test_looks_are_often_enough_for_the_shortest_deadline(limits, every):
    assert Deadlines(**LIMITS | limits).every == every


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\r\n\r\n", b" \t\n", b": keep-alive\n\n", b":\n", b"\n: a\n\n: b\n\n", b" : a"],
)
def test_blank_lines_and_comments_say_nothing(data):
    assert not says_something(data)


@pytest.mark.parametrize(
    "data", [b"{", b"\n\n{}", b'data: {"a": 1}\n\n', b": a\n\ndata: b\n\n", b"\x00", b"event: ping"]
)
def test_anything_else_says_something(data):
    assert says_something(data)
