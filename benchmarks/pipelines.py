"""What the library saves the pipelines around it, beside the code that people have now.

    python benchmarks/pipelines.py                 # all of them, some three minutes
    python benchmarks/pipelines.py extractions     # or by name, see CASES

Each case has a local endpoint of its own, in a process of its own, whose answers take as long as
the case says, so that the ideal is known: rounds times latency. Exits with 1 if a bound is missed.

extractions  seven calls of 0.88 s: one by one, gather, and limited to two with a semaphore, as
             plain aiohttp does it, and as the client does it. (The figures that are told, 6.2, 0.85
             and 3.0 s, are a real service's: at 0.88 s, two at a time take 3.5 s at the least.)
slow         ten calls of 5 to 10 s each, five at a time. How much sooner they can be done depends
             on how the ten fall: of 2,000 draws a quarter allow 4.5 times, --seed 4 allows 4.66.
embeddings   200 texts at 50 ms a request, one by one and packed.
batch        512 rewards beside a step of 2 s on the GPU, once shorter than the step, once longer.
down         the same where nothing listens: back by the deadline, all masked, none of them 0.
"""

import argparse
import asyncio
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from heapq import heapreplace
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import aiohttp  # noqa: E402  found by the path above

from api_request_parallel_processor import AsyncClient, Client  # noqa: E402
from benchmarks.throughput import Bound  # noqa: E402

LATENCY, CALLS = 0.88, 7
LEAST, MOST, SLOW_CALLS, WORKERS = 5.0, 10.0, 10, 5
TEXTS, EMBEDDING = 200, 0.05
REWARDS, GPU = 512, 2.0
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there."""

Way = Callable[[], Awaitable[Any]]


@contextmanager
def endpoint(**flags: float) -> Iterator[str]:
    """The URL of a local endpoint."""
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder, "port")
        command = [sys.executable, "-m", "request_engine.local_endpoint", "--port", "0"]
        command += ["--port_file", str(port), *(f"--{name}={flags[name]}" for name in flags)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            while not port.exists():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port.read_text().strip()}"
        finally:
            process.terminate()
            process.wait()


def chat(number: int) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"Person {number} is {20 + number} years old. Who is it?"}]
    return {"model": "gpt-4o-mini", "messages": asked, "temperature": 0}


async def timed(way: Way) -> float:
    start = time.perf_counter()
    await way()
    return time.perf_counter() - start


def told(name: str, seconds: float, ideal: float | None = None) -> None:
    beside = "" if ideal is None else f"   ideal {ideal:6.2f} s, {seconds / ideal - 1:+.1%}"
    print(f"  {name:<44} {seconds:6.2f} s{beside}")


async def extractions(asked: argparse.Namespace) -> list[Bound]:
    with endpoint(latency=LATENCY) as url:
        await by_hand(url)
        return await by_client(url)


async def by_hand(url: str) -> None:
    """As it is written now: aiohttp, gather and a semaphore."""
    async with aiohttp.ClientSession() as session:

        async def one(number: int) -> Any:
            async with session.post(f"{url}/v1/chat/completions", json=chat(number)) as reply:
                return await reply.json()

        async def in_turn() -> None:
            for number in range(CALLS):
                await one(number)

        async def limited() -> None:
            slots = asyncio.Semaphore(2)

            async def in_slot(number: int) -> Any:
                async with slots:
                    return await one(number)

            await asyncio.gather(*map(in_slot, range(CALLS)))

        await one(0)  # connects
        told("by hand: one by one", await timed(in_turn))
        told("by hand: gather", await timed(lambda: asyncio.gather(*map(one, range(CALLS)))))
        told("by hand: gather, limited to two", await timed(limited))


async def by_client(url: str) -> list[Bound]:
    worst = 0.0
    async with AsyncClient(request_url=url) as client:
        for _ in range(2):  # the first connects, the second builds what counts tokens
            await client.gather(map(chat, range(CALLS)))
        for concurrency in (1, CALLS, 2):
            ideal = math.ceil(CALLS / concurrency) * LATENCY
            for order in (client.as_completed, client.in_order):
                seconds = await timed(lambda o=order, c=concurrency: drained(o, CALLS, c))
                told(f"client: {order.__name__}, concurrency {concurrency}", seconds, ideal)
                worst = max(worst, seconds / ideal)
    return [Bound("seven extractions: times the ideal", 1.03, worst, least=False)]


async def drained(
    order: Callable[..., AsyncIterator[Any]], calls: int, concurrency: int | None
) -> None:
    async for result in order(map(chat, range(calls)), concurrency=concurrency):
        result.response  # noqa: B018  raises where there is none


async def slow(asked: argparse.Namespace) -> list[Bound]:
    middle, width = (LEAST + MOST) / 2, (MOST - LEAST) / 2
    seconds = []
    for concurrency in (1, WORKERS):  # an endpoint for each, so that both meet the same ten
        with endpoint(latency=middle, latency_jitter=width, seed=asked.seed) as url:
            async with AsyncClient(request_url=url) as client:
                took = await timed(
                    lambda c=client, n=concurrency: drained(c.as_completed, SLOW_CALLS, n)
                )
        seconds.append(took)
        told(f"ten calls, concurrency {concurrency}", took, best(asked.seed, concurrency))
    allowed = best(asked.seed, 1) / best(asked.seed, WORKERS)
    found = seconds[0] / seconds[1]
    print(f"  {found:.2f} times sooner, where these ten allow {allowed:.2f}")
    return [
        Bound("ten calls of 5 to 10 s: times sooner", 4.5, found),
        Bound("ten calls of 5 to 10 s: share of what they allow", 0.97, found / allowed),
    ]


def best(seed: int, workers: int) -> float:
    """Seconds for the calls in their order, each begun as soon as a worker is free."""
    draws, busy = Random(seed), [0.0] * workers
    for _ in range(SLOW_CALLS):
        heapreplace(busy, busy[0] + draws.uniform(LEAST, MOST))
    return max(busy)


async def embeddings(asked: argparse.Namespace) -> list[Bound]:
    texts = [f"Note {number} of a corpus that is embedded." for number in range(TEXTS)]
    model = "text-embedding-3-small"

    async def one_by_one() -> None:
        for text in texts:
            (await client.ask({"model": model, "input": text})).response  # noqa: B018

    async def packed() -> None:
        assert not (await client.embed(texts, model=model)).failures

    with endpoint(latency=EMBEDDING) as url:
        async with AsyncClient(request_url=url) as client:
            await client.ask({"model": model, "input": "connects"})
            single = await timed(one_by_one)
            together = await timed(packed)
    told(f"{TEXTS} texts one by one", single, TEXTS * EMBEDDING)
    told(f"{TEXTS} texts packed", together)
    return [Bound("packed embeddings: times sooner", 20.0, single / together)]


async def batch(asked: argparse.Namespace) -> list[Bound]:
    return await asyncio.to_thread(rewards_beside_the_step)


def rewards_beside_the_step() -> list[Bound]:
    bounds = []
    for latency, than in ((1.0, "shorter"), (3.0, "longer")):
        with (
            endpoint(latency=latency) as url,
            Client(request_url=url, max_concurrent_requests=REWARDS) as client,
        ):
            for _ in range(2):  # the first connects, the second builds what counts tokens
                client.gather(map(chat, range(REWARDS)))
            start = time.perf_counter()
            client.submit(list(map(chat, range(REWARDS)))).results()
            alone = time.perf_counter() - start
            start = time.perf_counter()
            handle = client.submit(list(map(chat, range(REWARDS))))
            time.sleep(GPU)
            results = handle.results()
            both = time.perf_counter() - start
        assert all(result.ok for result in results)
        told(f"{REWARDS} rewards alone, {than} than the step", alone)
        told(f"{REWARDS} rewards beside a step of {GPU:g} s", both, max(alone, GPU))
        name = f"{than} than the step: times the longer of the two"
        bounds.append(Bound(name, 1.05, both / max(alone, GPU), least=False))
    return bounds


async def down(asked: argparse.Namespace) -> list[Bound]:
    return await asyncio.to_thread(rewards_of_nobody)


def rewards_of_nobody() -> list[Bound]:
    deadline = 2.0
    with Client(request_url=NOWHERE) as client:
        start = time.perf_counter()
        handle = client.submit(list(map(chat, range(REWARDS))), batch_deadline=deadline)
        results = handle.results()
        seconds = time.perf_counter() - start
    told(f"{REWARDS} rewards of nobody, deadline {deadline:g} s", seconds)
    return [
        Bound("service down: seconds after the deadline", 0.2, seconds - deadline, least=False),
        Bound("service down: rewards masked", REWARDS, sum(not one.ok for one in results)),
    ]


CASES = {
    "extractions": extractions,
    "slow": slow,
    "embeddings": embeddings,
    "batch": batch,
    "down": down,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    parser.add_argument("--seed", type=int, default=4, help="of the times of the case slow")
    asked = parser.parse_args()
    bounds = []
    for name in asked.cases or CASES:
        print(name)
        bounds += asyncio.run(CASES[name](asked))
    print(*bounds, sep="\n")
    return 0 if all(bound.kept for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
