"""The library works wherever Python does: and leaves no thread, loop or socket behind."""

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from threaded import LONG, body, service

from api_request_parallel_processor import AsyncClient, Client

ROOT = Path(__file__).resolve().parent.parent
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
posix = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """No thread, loop or socket is there after a test that was not there before."""
    if os.name == "posix":
        resource_tracker.ensure_running()  # Python's own, which stays once there were workers
    before = threads_and_descriptors()
    yield
    end = time.monotonic() + 5
    while threads_and_descriptors() != before and time.monotonic() < end:
        time.sleep(0.02)  # a thread that nobody waits for may be about to end
    assert threads_and_descriptors() == before


def threads_and_descriptors():
    """The threads, and how many descriptors are open where the system tells."""
    gc.collect()
    told = Path("/proc/self/fd")
    return set(threading.enumerate()), len(list(told.iterdir())) if told.exists() else 0


@pytest.fixture
def served():
    with service() as one:
        yield one


def all_answered(results, count):
    assert [one.text for one in results] == [str(n) for n in range(count)]


def bodies(count=20):
    return [body(n) for n in range(count)]


def test_in_a_script(served):
    with Client(**served.asks) as client:
        all_answered(client.gather(bodies()), 20)
        assert client.ask(body(7)).text == "7"
    client.close()
    with client:
        assert client.ask(body(8)).text == "8"


async def test_in_a_running_loop(served):
    """Both faces: the blocking one holds the loop up while it waits, and that is all."""
    with Client(**served.asks) as client:
        all_answered(client.gather(bodies()), 20)
        async with AsyncClient(**served.asks) as other:
            all_answered(await other.gather(bodies()), 20)
        all_answered(client.gather(bodies()), 20)


def test_in_one_loop_after_the_other(served):
    async def one():
        async with AsyncClient(**served.asks) as client:
            return await client.gather(bodies())

    all_answered(asyncio.run(one()), 20)
    all_answered(asyncio.run(one()), 20)


def test_a_client_opened_in_one_loop_is_of_use_in_the_next(served):
    client = AsyncClient(**served.asks)
    asyncio.run(client.open())
    all_answered(asyncio.run(client.gather(bodies())), 20)
    asyncio.run(client.close())


def test_in_four_threads_at_once(served):
    """With a client for all, and with one for each."""

    def with_one_of_its_own(number):
        with Client(**served.asks) as own:
            return own.gather(bodies(30 + number))

    with Client(**served.asks) as client, ThreadPoolExecutor(4) as threads:
        shared = threads.map(lambda number: client.gather(bodies(30 + number)), range(4))
        for number, results in enumerate(shared):
            all_answered(results, 30 + number)
        for number, results in enumerate(threads.map(with_one_of_its_own, range(4))):
            all_answered(results, 30 + number)


def test_a_loop_in_each_of_four_threads(served):
    async def one():
        async with AsyncClient(**served.asks) as client:
            return await client.gather(bodies())

    with ThreadPoolExecutor(4) as threads:
        for results in threads.map(lambda _: asyncio.run(one()), range(4)):
            all_answered(results, 20)


def in_a_child(work):
    """What *work* says in a process that is forked off."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 and later warn of forks beside threads, which this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            os.write(writing, work().encode())
        except BaseException as error:  # noqa: BLE001  told to the parent
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said:
        words = said.read().decode()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return words


@forks
def test_a_client_opened_before_a_fork_says_so_in_the_child_and_goes_on_in_the_parent(served):
    def work():
        errors = []
        for use in (
            lambda: client.ask(body()),
            lambda: client.gather([body()]),
            lambda: client.submit([body()]),
            lambda: next(begun),
            lambda: handle.results(),
            lambda: client.tally,
        ):
            try:
                use()
            except RuntimeError as error:
                errors.append(str(error))
        client.close()
        gc.collect()
        return "\n".join(errors)

    with Client(**served.asks) as client:
        served.hold()
        served.let(1)
        begun = client.as_completed(bodies())
        next(begun)
        handle = client.submit(bodies())
        told = in_a_child(work).splitlines()
        served.let()
        assert len(list(begun)) == 19
        all_answered(handle.results(), 20)
        all_answered(client.gather(bodies()), 20)
    assert len(told) == 6, told
    assert all("forked" in one for one in told)


@forks
def test_a_client_opened_in_a_forked_worker_works(served):
    def work():
        with Client(**served.asks) as own:
            return ",".join(one.text for one in own.gather(bodies(5)))

    with Client(**served.asks) as client:
        client.ask(body())
        assert in_a_child(work) == "0,1,2,3,4"
        assert client.ask(body(3)).text == "3"
    assert in_a_child(work) == "0,1,2,3,4"


def in_a_worker(asks):
    with Client(**asks) as own:
        return [one.text for one in own.gather(bodies(5))]


@pytest.mark.parametrize(
    "way", [pytest.param("fork", marks=forks), pytest.param("spawn", marks=posix)]
)
def test_workers_of_multiprocessing_ask_with_clients_of_their_own(served, way):
    with Client(**served.asks) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.ask(body())
        context = multiprocessing.get_context(way)
        with context.Pool(2) as pool:
            found = pool.map(in_a_worker, [served.asks] * 2)
            pool.close()
            pool.join()
        assert found == [["0", "1", "2", "3", "4"]] * 2
        assert client.ask(body(3)).text == "3"


@contextmanager
def interrupted_once(served, until):
    """Ctrl-C, once that is so of the service."""

    def press():
        served.wait(until)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pressed(press):
        yield


@contextmanager
def pressed(press):
    """What *press* does meanwhile, in a thread."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # What is raised in one of them is lost, a Ctrl-C as well; hypothesis has one that takes time.
    callbacks, gc.callbacks[:] = gc.callbacks[:], []
    over, failed = threading.Event(), []

    def pressing():
        try:
            press()
            assert over.wait(LONG), "nothing came of it"
        except AssertionError as error:
            failed.append(error)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # or it never ends

    thread = threading.Thread(target=pressing)
    try:
        thread.start()
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
        gc.callbacks[:] = callbacks
    assert not failed


@posix
def test_ctrl_c_returns_what_is_done(served):
    served.hold()
    served.let(5)
    with Client(**served.asks) as client:
        with interrupted_once(served, lambda it: len(it.asked) == 13 and len(it.pending) == 8):
            results = client.gather(bodies(5_000), concurrency=8)
        assert [one.index for one in results] == list(range(5_000))
        assert [one.body["n"] for one in results] == list(range(5_000))
        assert sum(one.ok for one in results) == 5
        failures = [one.failure for one in results if not one.ok]
        assert all("interrupted" in one.message for one in failures)
        assert sum(one.sent for one in failures) == 8
        served.wait(lambda it: it.given_up == 8)
        served.let()
        all_answered(client.gather(bodies()), 20)


@posix
def test_ctrl_c_leaves_alone_what_a_generator_would_have_brought(served):
    served.hold()
    with Client(**served.asks, max_concurrent_requests=4) as client:
        with interrupted_once(served, lambda it: len(it.pending) == 4):
            results = client.gather(body(n) for n in range(10_000))
        assert 4 <= len(results) < 10_000
        assert not any(one.ok for one in results)


@posix
@pytest.mark.parametrize("way", ["as_completed", "in_order"])
def test_ctrl_c_ends_an_iteration(served, way):
    served.hold()
    with Client(**served.asks) as client:
        with interrupted_once(served, lambda it: it.pending), pytest.raises(KeyboardInterrupt):
            list(getattr(client, way)(bodies()))
        served.wait(lambda it: it.given_up)


@posix
def test_ctrl_c_ends_a_loop_that_asks(served):
    async def ask():
        async with AsyncClient(**served.asks) as client:
            await client.gather(bodies())

    served.hold()
    with interrupted_once(served, lambda it: it.pending), pytest.raises(KeyboardInterrupt):
        asyncio.run(ask())
    served.wait(lambda it: it.given_up)


@posix
def test_ctrl_c_ends_only_the_waiting_for_a_handle(served):
    served.hold()
    with Client(**served.asks) as client:
        handle = client.submit(bodies())
        with pytest.raises(KeyboardInterrupt), interrupted_once(served, lambda it: it.pending):
            handle.results(LONG)  # or before, since what is pending was asked before
        served.let()
        all_answered(handle.results(), 20)


@posix
def test_a_second_ctrl_c_raises(served):
    """Where the first one is not answered at once, since something holds the background up."""
    held_up = threading.Event()

    def hold_up():
        held_up.set()
        time.sleep(1)

    def press():
        served.wait(lambda it: it.pending)
        client._background.post(hold_up)
        held_up.wait(LONG)
        for _ in range(2):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.2)

    served.hold()
    with Client(**served.asks) as client:
        with pressed(press), pytest.raises(KeyboardInterrupt):
            client.gather(bodies())
        served.let()
        all_answered(client.gather(bodies()), 20)


def run(script, served, *flags):
    """A script in an interpreter of its own, with the service's URL; what it wrote to both."""
    prelude = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from api_request_parallel_processor import AsyncClient, Client\n"
        "from threaded import body\n"
        f"asks = {served.asks!r}\n"
    )
    command = [sys.executable, *flags, "-c", prelude + script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3 * LONG, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


OPEN_AT_THE_END = """
client = Client(**asks)
client.open()
print(client.ask(body(1)).text)
"""
BUSY_AT_THE_END = """
client = Client(**asks)
client.open()
results = client.as_completed(body(n) for n in range(3000))
print(next(results).text)
handle = client.submit([body(n) for n in range(3000)])
"""


@pytest.mark.parametrize("script", [OPEN_AT_THE_END, BUSY_AT_THE_END])
@pytest.mark.parametrize("flags", [(), ("-X", "dev")])
def test_an_interpreter_that_ends_with_an_open_client_just_ends(served, script, flags):
    if script is BUSY_AT_THE_END:
        served.hold()
        served.let(1)
    said, errors = run(script, served, *flags)
    assert said.strip().isdigit()
    slow = "Executing <"  # what asyncio's debug mode says of this machine
    told = [line for line in errors.splitlines() if not line.startswith(slow)]
    assert told in ([], ["sys:1: ResourceWarning: a Client was never closed"])


def test_what_is_open_when_the_interpreter_ends_is_closed(served):
    """As the user's own cache is, which may have something to write."""
    script = """
from request_engine.cache import MemoryCache
class Mine(MemoryCache):
    async def close(self):
        print("closed")
asks["cache"] = Mine()
"""
    said, _ = run(script + OPEN_AT_THE_END, served)
    assert said.split() == ["1", "closed"]


def test_a_client_that_is_never_closed_is_told_once_where_warnings_are_shown(served):
    script = OPEN_AT_THE_END + "del client\nimport gc; gc.collect()\n"
    _, errors = run(script, served, "-W", "always::ResourceWarning")
    assert errors.count("ResourceWarning: a Client was never closed") == 1
    assert errors.count("unclosed") == errors.count("Unclosed") == 0


def test_a_client_that_is_never_closed_leaves_nothing_behind(served):
    client = Client(**served.asks)
    client.open()
    all_answered(client.gather(bodies()), 20)
    with pytest.warns(ResourceWarning, match="a Client was never closed"):
        del client
    deadline = time.monotonic() + LONG
    while any(one.name == "request engine" for one in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_loop_that_ends_with_an_open_client_just_ends(served):
    script = """
import asyncio
async def main():
    client = AsyncClient(**asks)
    await client.open()
    async for result in client.as_completed([body(n) for n in range(30)]):
        print(result.text)
        break
asyncio.run(main())
"""
    said, errors = run(script, served)
    assert said.strip().isdigit()
    assert errors == ""


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"request_url": "no url"}, {"provider": "nobody"}]
)
def test_a_client_that_could_not_be_made_leaves_nothing_behind(served, wrong):
    with pytest.raises(ValueError, match=r"."):
        Client(**(served.asks | wrong))


@pytest.mark.no_key
def test_a_client_that_could_not_be_opened_leaves_nothing_behind():
    with pytest.raises(ValueError, match="key"), Client(provider="openai"):
        pass
