"""The least that a client made of aiohttp can do: post ready bytes, and drop the replies.

    python benchmarks/floor.py FILE URL IN_FLIGHT

The same loop and connector as the real command's, and the same number in flight, kept by as many
workers. What the command does beside posting is what it takes longer than this.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.stub_server import fastest_loop  # noqa: E402  found by the path above
from request_engine.connections import Connector  # noqa: E402


async def post_all(bodies: Iterator[bytes], url: str, in_flight: int) -> None:
    session = aiohttp.ClientSession(
        connector=Connector(lambda *, reused: None),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"Content-Type": "application/json", "Authorization": "Bearer none"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    async with session, asyncio.TaskGroup() as workers:
        for _ in range(in_flight):
            workers.create_task(post(session, url, bodies))


async def post(session: aiohttp.ClientSession, url: str, bodies: Iterator[bytes]) -> None:
    """One worker: the next body as soon as the last one was answered."""
    for body in bodies:
        async with session.post(url, data=body, allow_redirects=False) as response:
            await response.read()
            if response.status != 200:
                raise SystemExit(f"the stub answered {response.status}")


def main() -> None:
    path, url, in_flight = sys.argv[1:]
    with open(path, "rb") as bodies, asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(post_all(bodies, url, int(in_flight)))


if __name__ == "__main__":
    main()
