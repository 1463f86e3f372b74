"""Requests come in a batch ahead, and nothing waits for more of them than there are."""

import asyncio

import pytest
from scripted import request
from virtual_time import run

from request_engine.errors import Stopped
from request_engine.intake import Intake, uncounted
from request_engine.journal import Journal
from request_engine.records import Unusable
from request_engine.rows import array_row
from request_engine.sizes import UNCOUNTED, Size
from request_engine.tally import Tally


def many(first, last):
    return [request(number, f"text {number}") for number in range(first, last + 1)]


def numbers(batch):
    return [item.number for item, _ in batch]


class Source:
    """Batches that are *seconds* apart, and what was read of them so far."""

    def __init__(self, *batches, seconds=0.0):
        self.read = 0
        self.closed = False
        self._batches, self._seconds = batches, seconds

    async def batches(self):
        try:
            for batch in self._batches:
                await asyncio.sleep(self._seconds)
                if isinstance(batch, Exception):
                    raise batch
                self.read += 1
                yield batch
        finally:
            self.closed = True


@pytest.fixture
def intake_of(tmp_path):
    def intake(source, measure=uncounted, tally=None):
        journal = Journal(str(tmp_path / "r.jsonl"), None, array_row)
        return Intake(source.batches(), measure, journal, tally or Tally())

    return intake


def test_each_request_comes_once_with_its_size_and_in_order(intake_of):
    unusable = Unusable(3, b'"oops"', "line 3: not JSON")

    async def measure(requests):
        return [Size(10 * one.number) for one in requests]

    async def scenario():
        intake = intake_of(Source([*many(1, 2), unusable, *many(4, 4)], many(5, 5)), measure)
        batches = [await intake.next() for _ in range(3)]
        await intake.close()
        return batches

    first, second, end = run(scenario())
    assert numbers(first) == [1, 2, 3, 4]
    assert [size for _, size in first] == [Size(10), Size(20), UNCOUNTED, Size(40)]
    assert numbers(second) == [5]
    assert end is None


def test_P7_one_batch_is_made_ready_ahead_and_no_more(intake_of):
    async def scenario():
        source = Source(*([one] for one in many(1, 9)))
        intake, seen = intake_of(source), []
        for _ in range(3):
            await intake.next()
            await asyncio.sleep(10)
            seen.append(source.read)
        await intake.close()
        return seen

    assert run(scenario()) == [2, 3, 4]


def test_the_next_batch_is_measured_while_the_one_before_is_sent(intake_of):
    """A second for each: three batches take four, not six."""

    async def slowly(requests):
        await asyncio.sleep(1)
        return [UNCOUNTED] * len(requests)

    async def scenario():
        intake = intake_of(Source(*([one] for one in many(1, 3))), slowly)
        for _ in range(3):
            await intake.next()
            await asyncio.sleep(1)
        assert await intake.next() is None
        return asyncio.get_running_loop().time()

    assert run(scenario()) == pytest.approx(4.0)


def test_what_a_slow_pipe_has_given_does_not_wait_for_more(intake_of):
    async def scenario():
        intake, times = intake_of(Source(many(1, 1), many(2, 2), seconds=60.0)), []
        while await intake.next() is not None:
            times.append(asyncio.get_running_loop().time())
            assert intake.waits
        return times

    assert run(scenario()) == pytest.approx([60.0, 120.0])


def test_what_was_read_before_a_fault_is_given_first(intake_of):
    async def scenario():
        intake = intake_of(Source(many(1, 2), Stopped("cannot be read")))
        first = await intake.next()
        with pytest.raises(Stopped, match="cannot be read"):
            await intake.next()
        await intake.close()
        return numbers(first)

    assert run(scenario()) == [1, 2]


@pytest.mark.parametrize("batches", [(many(1, 1),), (many(1, 1), Stopped("cannot be read"))])
@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_closed_early_it_leaves_nothing_behind(intake_of, batches, seconds):
    """No task, no open file, and no complaint about an error that nobody came for."""
    loop_said = []

    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda *said: loop_said.append(said))
        source = Source(*batches, seconds=seconds)
        intake = intake_of(source)
        await intake.next()
        await asyncio.sleep(30)
        await intake.close()
        return source.closed, len(asyncio.all_tasks())

    assert run(scenario()) == (True, 1)
    assert loop_said == []


def test_requests_that_have_their_row_are_left_out_and_not_measured(tmp_path):
    path = tmp_path / "r.jsonl"
    done = request(2, "text 2")
    path.write_bytes(b"[" + done.raw_body + b', {"id": 1}]\n')
    measured = []

    async def measure(requests):
        measured.extend(one.number for one in requests)
        return [UNCOUNTED] * len(requests)

    async def scenario():
        journal, tally = Journal(str(path), None, array_row), Tally()
        await journal.recover()
        intake = Intake(Source(many(1, 3), [done]).batches(), measure, journal, tally)
        batches = [numbers(await intake.next()) for _ in range(2)]
        await intake.close()
        journal.close()
        return batches, tally.answered_before

    # The row serves one of the two that are equal.
    assert run(scenario()) == ([[1, 3], [2]], 1)
    assert measured == [1, 3, 2]
