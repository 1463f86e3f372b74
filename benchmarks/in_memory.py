"""The library as `library.py` measures it: asks requests that are in memory.

python benchmarks/in_memory.py FACE FILE URL IN_FLIGHT LIMITS SHARE
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from api_request_parallel_processor import AsyncClient, Client  # noqa: E402  found by the path
from benchmarks import workload  # noqa: E402
from benchmarks.measured import PREPARED  # noqa: E402

Asked = dict[str, Any]
Bodies = Sequence[dict[str, Any]]

FACES = ("as_completed", "gather", "blocking", "submit")
SHARE = {"auto": "auto", "off": False}


async def as_completed(bodies: Bodies, asked: Asked) -> int:
    async with AsyncClient(**asked) as client:
        return sum([result.ok async for result in client.as_completed(bodies)])


async def gather(bodies: Bodies, asked: Asked) -> int:
    async with AsyncClient(**asked) as client:
        return sum(result.ok for result in await client.gather(bodies))


def blocking(bodies: Bodies, asked: Asked) -> int:
    with Client(**asked) as client:
        return sum(result.ok for result in client.as_completed(bodies))


def submit(bodies: Bodies, asked: Asked) -> int:
    with Client(**asked) as client:
        return sum(result.ok for result in client.submit(bodies).results())


def answered(face: str, bodies: Bodies, asked: Asked) -> int:
    """How many of *bodies* are, asked on that face."""
    if face == "as_completed":
        return asyncio.run(as_completed(bodies, asked))
    if face == "gather":
        return asyncio.run(gather(bodies, asked))
    return (blocking if face == "blocking" else submit)(bodies, asked)


def main(face: str, path: str, url: str, in_flight: str, limits: str, share: str) -> None:
    begun = time.process_time()
    bodies = workload.in_memory(Path(path))
    Path(PREPARED).write_text(str(time.process_time() - begun))  # not the library's affair
    asked = {
        "request_url": url,
        "api_key": "none",
        "max_concurrent_requests": int(in_flight),
        "share": SHARE[share],
        **json.loads(limits),
    }
    found = answered(face, bodies, asked)
    if found != len(bodies):
        raise SystemExit(f"{len(bodies)} requests, {found} answers")


if __name__ == "__main__":
    main(*sys.argv[1:])
