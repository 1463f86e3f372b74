"""A process of its own counts as we do, and whatever becomes of it, every text is counted."""

import asyncio
import os
import signal
import sys
import time

import pytest
from virtual_time import run

from request_engine import children
from request_engine.encodings import token_counts
from request_engine.token_counts import Estimates, TokenCounts

TEXTS = ["a question", "不以物喜,不以己悲", "<|endoftext|>", "", "\ud83d", "word " * 50_000]
BROKEN_CHILDREN = {
    "ends at once": "import os; os._exit(1)",
    "answers too little and ends": "import sys; sys.stdin.read(1); sys.stdout.write('xxxx')",
    "closes what it reads from": "import sys, os; os.close(0); print('', flush=True); sys.exit()",
}


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


def counted(*, apart, disturb=None, batches=3):
    """The counts of some batches, and in how many processes' stead they were counted here."""
    here = []

    def count(name, texts):
        here.append(name)
        return token_counts(name, texts)

    async def scenario():
        counts = TokenCounts(count, apart=apart)
        counts.begin()
        found = []
        for _ in range(batches):
            found.append(list(await counts.of("cl100k_base", TEXTS)))
            if disturb is not None:
                await disturb(counts)
        await counts.close()
        return found

    return asyncio.run(scenario()), len(here)


def test_apart_it_counts_what_it_counts_here():
    here, times_here = counted(apart=False)
    apart, times_apart = counted(apart=True)
    assert apart == here == [token_counts("cl100k_base", TEXTS)] * 3
    assert (times_here, times_apart) == (3, 0)


@pytest.mark.parametrize("name", BROKEN_CHILDREN)
def test_what_a_broken_process_does_not_count_is_counted_here(monkeypatch, name):
    monkeypatch.setattr(children, "_CHILD", BROKEN_CHILDREN[name])
    found, here = counted(apart=True)
    assert (found, here) == ([token_counts("cl100k_base", TEXTS)] * 3, 3)


def test_where_no_process_can_be_started_it_is_counted_here(monkeypatch):
    for interpreter in ("/no/such/python", None):
        monkeypatch.setattr(sys, "executable", interpreter)
        assert counted(apart=True)[1] == 3


def test_one_processor_is_not_shared_with_a_second_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert counted(apart=True)[1] == 3


def test_a_process_that_is_killed_in_between_costs_no_count():
    async def kill(counts):
        if counts._starting is not None:
            os.kill((await counts._starting).pid, signal.SIGKILL)

    found, here = counted(apart=True, disturb=kill)
    assert (found, here) == ([token_counts("cl100k_base", TEXTS)] * 3, 2)


def test_a_ctrl_c_for_the_whole_group_does_not_end_the_counting():
    async def interrupt(counts):
        os.kill((await counts._starting).pid, signal.SIGINT)

    assert counted(apart=True, disturb=interrupt)[1] == 0


def test_P10_nothing_is_left_of_the_process_when_it_is_closed():
    async def scenario():
        counts = TokenCounts(apart=True)
        counts.begin()
        process = await counts._starting
        counting = asyncio.create_task(counts.of("o200k_base", TEXTS))
        await asyncio.sleep(0.01)
        counting.cancel()  # a run that is stopped while a batch is counted
        await asyncio.gather(counting, return_exceptions=True)
        await counts.close()
        return process.pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(scenario()), 0)


def test_the_process_ends_with_whoever_started_it():
    """A killed run leaves none behind: its end of the pipe is closed by the system."""
    script = (
        "import asyncio, os, sys\n"
        "from request_engine.token_counts import TokenCounts\n"
        "os.sched_getaffinity = lambda pid: {0, 1}\n"
        "async def go():\n"
        "    counts = TokenCounts(apart=True)\n"
        "    counts.begin()\n"
        "    await counts.of('cl100k_base', ['a'])\n"
        "    print((await counts._starting).pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(go())\n"
    )

    async def scenario():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return int(out)

    left = asyncio.run(scenario())
    end = time.monotonic() + 10
    while time.monotonic() < end and _lives(left):
        time.sleep(0.02)
    assert not _lives(left)


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_estimate_takes_no_time_and_is_rather_too_high():
    async def scenario():
        counts = Estimates()
        counts.begin()
        return await counts.of("o200k_base", TEXTS)

    counted_exactly = token_counts("o200k_base", TEXTS[:2])
    guessed = run(scenario())
    assert all(guess >= exact for guess, exact in zip(guessed, counted_exactly, strict=False))
