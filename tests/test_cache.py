"""What was kept is found again by whoever asks, and whatever goes wrong costs no answer."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import loopback
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import run

from api_request_parallel_processor import AsyncClient
from request_engine.cache import Cache, MemoryCache, cache_of, size_of
from request_engine.errors import BadInput
from request_engine.sqlite_cache import SqliteCache

ROOT = Path(__file__).resolve().parent.parent
KEY = bytes(32)


def key(number):
    return number.to_bytes(32, "big")


async def found(cache, *numbers):
    return await cache.find(list(map(key, numbers)))


class opened:  # noqa: N801
    """*cache*, open."""

    def __init__(self, cache):
        self.cache = cache if isinstance(cache, Cache) else SqliteCache(cache)

    async def __aenter__(self):
        await self.cache.open()
        return self.cache

    async def __aexit__(self, *_):
        await self.cache.close()


# --- as a client uses it


async def test_a_second_client_asks_nothing_that_the_first_had_an_answer_to(tmp_path):
    path = tmp_path / "a.sqlite"
    key, body = "sk-0123456789abcdefghij", {"model": "m", "input": "a secret text"}
    reply = b'{"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}'
    results, tallies = [], []
    async with loopback.serving(loopback.answering(reply)) as server:
        for _ in range(2):
            asked = {"request_url": f"{server.url}/embeddings", "api_key": key, "cache": path}
            async with AsyncClient(**asked) as client:
                results.append(await client.ask(body))
                tallies.append(client.tally)
        assert len(server.seen) == 1
    assert [one.cached for one in results] == [False, True]
    assert [one.usage.total for one in results] == [4, 0]
    assert results[0].response == results[1].response
    assert [(one.succeeded, one.cached, one.tokens) for one in tallies] == [(1, 0, 4), (1, 1, 0)]
    kept = path.read_bytes()
    assert key.encode() not in kept
    assert b"secret" not in kept


async def test_a_client_whose_cache_cannot_be_used_does_not_open(tmp_path):
    (tmp_path / "a.sqlite").write_text("no database at all, " * 100)
    with pytest.raises(BadInput, match="is damaged, or is none"):
        async with AsyncClient(
            request_url="http://localhost/v1", api_key="x", cache=tmp_path / "a.sqlite"
        ):
            pass
    assert not [one for one in threading.enumerate() if "request cache" in one.name]


# --- in memory


@given(
    st.integers(1, 3_000),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1_000), st.booleans()), max_size=60),
)
def test_P7_memory_holds_those_used_last_and_never_more_than_its_bytes(most, uses):
    """As a list of them does that is cut at its end."""
    cache, known = MemoryCache(most), []
    for number, size, keeps in uses:
        held = dict(known)
        if keeps and number not in held:
            answer = bytes(size)
            cache.keep(key(number), answer)
            if size_of(key(number), answer) <= most:
                known.append((number, answer))
        elif number in held:
            if keeps:
                cache.keep(key(number), b"another")
            assert cache.at_hand(key(number)) == held[number]
            known = [one for one in known if one[0] != number] + [(number, held[number])]
        while sum(size_of(key(n), answer) for n, answer in known) > most:
            known.pop(0)
        assert cache.bytes == sum(size_of(key(n), answer) for n, answer in known) <= most
        assert len(cache) == len(known)
    assert run(found(cache, *(n for n, _ in known))) == [answer for _, answer in known]


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "much", None])
def test_a_bound_that_makes_no_sense_is_refused(most):
    with pytest.raises(BadInput, match="most_bytes"):
        MemoryCache(most)


def test_what_the_user_may_give(tmp_path):
    own = MemoryCache(1_000)
    assert cache_of(None) is None
    assert cache_of(own) is own
    assert isinstance(cache_of("memory"), MemoryCache)
    assert cache_of("answers.sqlite").path == "answers.sqlite"
    assert cache_of(tmp_path / "a").path == str(tmp_path / "a")


# --- in a file


async def test_what_was_kept_is_found_at_once_and_after_it_was_closed(tmp_path):
    async with opened(tmp_path / "a.sqlite") as cache:
        cache.keep(key(1), b"one")
        cache.keep(key(1), b"another")
        cache.keep(key(2), b"")
        assert await found(cache, 1, 2, 3) == [b"one", b"", None]
        assert cache.at_hand(key(1)) == b"one"
    async with opened(tmp_path / "a.sqlite") as cache:
        assert cache.at_hand(key(1)) is None
        assert await found(cache, 1, 2, 3, 1) == [b"one", b"", None, b"one"]


async def test_many_answers_are_all_written(tmp_path):
    async with opened(tmp_path / "a.sqlite") as cache:
        for number in range(2_000):
            cache.keep(key(number), b"%d" % number)
            if not number % 100:
                await asyncio.sleep(0)
    async with opened(tmp_path / "a.sqlite") as cache:
        assert await found(cache, *range(2_000)) == [b"%d" % n for n in range(2_000)]


async def test_several_clients_may_have_the_same_open(tmp_path):
    cache = SqliteCache(tmp_path / "a.sqlite")
    await cache.open()
    async with opened(cache):
        cache.keep(key(1), b"one")
    assert await found(cache, 1) == [b"one"]
    await cache.close()
    assert not [one for one in threading.enumerate() if "request cache" in one.name]


async def test_the_file_is_open_for_others_beside_us(tmp_path):
    path = tmp_path / "a.sqlite"
    async with opened(path) as one, opened(path) as other:
        one.keep(key(1), b"one")
        await asyncio.sleep(0)
        await found(one, 2)  # behind what is being written
        assert await found(other, 1) == [b"one"]


WRITER = """
import asyncio, sys
sys.path.insert(0, {root!r})
from request_engine.sqlite_cache import SqliteCache

async def main(path, start, count):
    cache = SqliteCache(path)
    await cache.open()
    print("open", flush=True)
    for number in range(start, start + count):
        cache.keep(number.to_bytes(32, "big"), b"%d" % number)
        if number % 100 == 0:
            await asyncio.sleep(0)
            await cache.find([b"not there"])  # behind what is being written
            print(number, flush=True)
    await cache.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def writing(path, start, count, **more):
    """A process that keeps so many answers."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER.format(root=str(ROOT)), path, str(start), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_several_processes_may_begin_and_use_one_file_at_once(tmp_path):
    path = tmp_path / "a.sqlite"
    writers = [writing(path, start, 1_000) for start in (0, 500, 5_000)]
    for one in writers:
        _, errors = one.communicate(timeout=60)
        assert (one.returncode, errors) == (0, "")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone() == (2_500,)


async def test_P1_what_is_in_the_file_survives_kill_9(tmp_path):
    path = tmp_path / "a.sqlite"
    writer = writing(path, 0, 10**9)
    for line in writer.stdout:
        if line == "1000\n":
            break
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=60)
    async with opened(path) as cache:
        assert await found(cache, *range(400)) == [b"%d" % number for number in range(400)]
        cache.keep(key(10**9), b"more")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def damaged(path):
    path.write_bytes(b"this is no database, but a text that is long enough" * 100)


def cut_off(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE answers (key, answer)")
    path.write_bytes(path.read_bytes()[:1_000])


def of_another_kind(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (url)")


def of_a_later_version(path):
    asyncio.run(_made(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


async def _made(path):
    async with opened(path):
        pass


def a_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (damaged, "is damaged, or is none .*: move it away, or give another path"),
        (cut_off, "is damaged, or is none"),
        (of_another_kind, "is an SQLite file of another kind: give another path"),
        (of_a_later_version, "is of version 99, and here it is 1: give another path"),
        (a_folder, "cannot be opened: unable to open database file"),
    ],
)
def test_P11_a_file_that_is_no_cache_is_told_in_one_line_and_left_as_it_is(tmp_path, made, told):
    path = tmp_path / "a.sqlite"
    made(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(BadInput, match=told) as refused:
        asyncio.run(_made(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert before == (path.read_bytes() if path.is_file() else None)
    assert not [one for one in threading.enumerate() if "request cache" in one.name]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadInput, match="unable to open"):
        asyncio.run(_made(tmp_path / "nowhere" / "a.sqlite"))


async def test_a_page_that_is_damaged_later_costs_no_answer_and_one_warning(tmp_path, caplog):
    path = tmp_path / "a.sqlite"
    async with opened(path) as cache:
        for number in range(2_000):
            cache.keep(key(number), bytes(1_000))
    content = path.read_bytes()
    path.write_bytes(content[:4_096] + os.urandom(len(content) - 4_096))
    async with opened(path) as cache:
        assert await found(cache, *range(2_000)) == [None] * 2_000
        cache.keep(key(1), b"new")
        assert await found(cache, 1) == [b"new"]
    assert len(caplog.records) == 1
    assert f"going on without the cache {path}: database disk image is malformed" in caplog.text


FULL = """
import asyncio, logging, resource, sys
sys.path.insert(0, {root!r})
logging.basicConfig(format="%(message)s")
from request_engine.sqlite_cache import SqliteCache

async def main(path):
    cache = SqliteCache(path)
    await cache.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    for number in range(1_000):
        cache.keep(number.to_bytes(32, "big"), bytes(2_000))
        await cache.find([b"x" * 32])
    assert await cache.find([(999).to_bytes(32, "big")]) == [bytes(2_000)]
    await cache.close()

asyncio.run(main(sys.argv[1]))
"""


def test_P12_a_full_disk_costs_no_answer_and_one_warning(tmp_path):
    path = tmp_path / "a.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", FULL.format(root=str(ROOT)), path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert f"going on without the cache {path}: " in done.stderr
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone()[0] > 10
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_P6_another_process_that_writes_for_long_keeps_nobody_waiting(tmp_path, caplog):
    """Neither the loop nor a reader; what is kept meanwhile is written afterwards."""
    path = tmp_path / "a.sqlite"
    async with opened(path) as cache:
        cache.keep(key(1), b"one")
    async with opened(path) as cache:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            cache.keep(key(2), b"two")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(0)
            assert loop.time() - began < 0.1
            assert await found(cache, 1, 2) == [b"one", b"two"]
            assert loop.time() - began < 2
            other.execute("COMMIT")
        cache.keep(key(3), b"three")
    async with opened(path) as cache:
        assert await found(cache, 2, 3) == [b"two", b"three"]
    assert not caplog.records


async def test_P7_what_cannot_be_written_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "a.sqlite"
    async with opened(path) as cache:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(20):
                cache.keep(key(number), bytes(10 * 1024 * 1024))
            await found(cache, 999)
    async with opened(path) as cache:
        kept = await found(cache, *range(20))
    assert kept == [bytes(10 * 1024 * 1024)] * 7 + [None] * 13


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_the_file_anew(tmp_path):
    """With the object of the other one, whose thread stayed behind."""
    script = f"""
import asyncio, os, sys
sys.path.insert(0, {str(ROOT)!r})
from request_engine.sqlite_cache import SqliteCache

async def use(cache, keep):
    await cache.open()
    print((await cache.find([bytes(32)])), flush=True)
    cache.keep(bytes(32), keep)
    await cache.close()

async def main():
    cache = SqliteCache(sys.argv[1])
    await cache.open()
    child = os.fork()
    if not child:
        asyncio.events._set_running_loop(None)
        asyncio.run(use(cache, b"of the child"))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    await use(cache, b"of the parent")
    await cache.close()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.sqlite"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["[None]", "[b'of the child']", ""]
