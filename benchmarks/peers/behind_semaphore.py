"""What people write around an SDK: a task a request, a semaphore, a row for each answer."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TextIO


def run(create: Callable[..., Awaitable[Any]]) -> None:
    """Give every request of the file to *create* and append its row to the results."""
    requests_filepath, save_filepath, _, in_flight = sys.argv[1:]
    with open(requests_filepath) as lines, open(save_filepath, "a") as rows:
        asyncio.run(_all(create, lines, rows, int(in_flight)))


async def _all(
    create: Callable[..., Awaitable[Any]], lines: TextIO, rows: TextIO, in_flight: int
) -> None:
    semaphore = asyncio.Semaphore(in_flight)

    async def one(line: str) -> None:
        body = json.loads(line)
        metadata = body.pop("metadata")
        async with semaphore:
            answer = await create(**body)
        rows.write(json.dumps([body, answer.model_dump(), metadata]) + "\n")

    async with asyncio.TaskGroup() as tasks:
        for line in lines:
            tasks.create_task(one(line))
