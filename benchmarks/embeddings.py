"""How much sooner texts are embedded when they are packed. Exits with 1 if a bound is missed.

    python benchmarks/embeddings.py [--texts 200] [--latency 0.05]

Against the local endpoint, which takes so long for each request: one by one, as many at a time as
are of use, and packed; and a file of them by the command, a request a line and with --embed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from api_request_parallel_processor import (  # noqa: E402  found by the path above
    AsyncClient,
    process_api_requests_from_file,
)
from request_engine import local_endpoint  # noqa: E402
from request_engine.local_endpoint.settings import Settings  # noqa: E402

MODEL = "text-embedding-3-small"
BOUND = 20.0
"""Times that packed texts are there sooner than one by one, at least."""
NO_LIMIT = {"max_requests_per_minute": "none", "max_tokens_per_minute": "none"}


def bodies(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"model": MODEL, "input": text} for text in texts]


def write(path: Path, texts: Sequence[str]) -> None:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in bodies(texts)), "utf-8")


async def one_by_one(client: AsyncClient, texts: Sequence[str]) -> int:
    return sum([(await client.ask(body)).ok for body in bodies(texts)])


async def at_a_time(client: AsyncClient, texts: Sequence[str]) -> int:
    return sum(result.ok for result in await client.gather(bodies(texts)))


async def packed(client: AsyncClient, texts: Sequence[str]) -> int:
    return len((await client.embed(texts, model=MODEL)).vectors)


async def of_file(url: str, texts: Sequence[str], *, embed: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "texts.jsonl"), Path(folder, "results.jsonl")
        write(asked, texts)
        summary = await process_api_requests_from_file(
            str(asked), str(answered), url, logging_level="ERROR", embed=embed, **NO_LIMIT
        )
        return summary.tally.succeeded


async def timed(name: str, texts: Sequence[str], work: Callable[[], Awaitable[int]]) -> float:
    began = time.perf_counter()
    done = await work()
    took = time.perf_counter() - began
    assert done == len(texts), f"{name}: only {done} were answered"
    print(f"{name:<34} {took:7.3f} s")
    return took


async def measured(texts: Sequence[str], latency: float) -> bool:
    """Print the times; True if the bound is kept."""
    async with local_endpoint.serving(Settings(latency=latency)) as endpoint:
        url = endpoint.url + "/v1/embeddings"
        async with AsyncClient(request_url=url, **NO_LIMIT) as client:
            await packed(client, texts[:1])  # what is imported at first use is no part of it
            ways = (
                ("one by one", one_by_one),
                ("as many at a time as are of use", at_a_time),
                ("packed", packed),
            )
            took = [await timed(name, texts, partial(way, client, texts)) for name, way in ways]
        await timed("a file, a request a line", texts, partial(of_file, url, texts, embed=False))
        await timed("a file, with --embed", texts, partial(of_file, url, texts, embed=True))
    times = took[0] / took[-1]
    print(f"packed is {times:.0f} times sooner than one by one (at least {BOUND:g} are wanted)")
    return times >= BOUND


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS")
    asked = parser.parse_args()
    texts = [f"The harbour master's note {number}, of tides." for number in range(asked.texts)]
    print(f"{asked.texts} texts, {asked.latency * 1000:g} ms a request")
    return 0 if asyncio.run(measured(texts, asked.latency)) else 1


if __name__ == "__main__":
    sys.exit(main())
