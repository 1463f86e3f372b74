"""Typed people out of sentences, four ways, timed.

sh examples/run.sh extraction
"""

import asyncio
import os
import time

from pydantic import BaseModel

from api_request_parallel_processor import AsyncClient

# For a real service, with OPENAI_API_KEY set: SERVICE = {"provider": "openai"}
SERVICE = {"request_url": os.environ.get("LOCAL_ENDPOINT_URL", "http://127.0.0.1:8642")}
MODEL = "gpt-4o-mini"

SENTENCES = [  # nobody of them exists
    "Mara Placeholder, 34, bakes bread in Sampleton.",
    "Otto Testwell keeps the lighthouse of Example Bay; he has turned 61.",
    "Ida Mockingham repairs bicycles, and is all of 19.",
    "Lorem Ipsumson, 47, sees patients on Tuesdays.",
    "Quentin Notreal went to sea until he was 66; now he grows tomatoes.",
    "Nora Fictiva is a student of 22 who plays the cello.",
    "Basil Dummyfield, who is 70, is the oldest clerk in Sampleton.",
]


class Person(BaseModel):
    first_name: str
    last_name: str
    age: int


async def one_by_one(client: AsyncClient) -> list:
    return [await client.extract(text, Person, model=MODEL) for text in SENTENCES]


async def gather(client: AsyncClient) -> list:
    """All at once, in the order of the sentences."""
    asked = [client.extract(text, Person, model=MODEL) for text in SENTENCES]
    return await asyncio.gather(*asked)


async def as_completed(client: AsyncClient) -> list:
    """All at once, each as soon as it is there; its `index` says which it is."""
    return [one async for one in client.extract_all(SENTENCES, Person, model=MODEL)]


async def limited_to_two(client: AsyncClient) -> list:
    """Two under way, in the order of the sentences."""
    asked = client.extract_all(SENTENCES, Person, model=MODEL, concurrency=2, in_order=True)
    return [one async for one in asked]


async def main() -> None:
    async with AsyncClient(**SERVICE) as client:
        for way in (one_by_one, gather, as_completed, limited_to_two):
            start = time.perf_counter()
            found = await way(client)
            seconds = time.perf_counter() - start
            people = sum(one.ok for one in found)
            print(f"{way.__name__.replace('_', ' '):<14} {seconds:5.2f} s, {people} people")
    for one in found:
        print(" ", one.value if one.ok else f"nobody: {one.failure.message}")


if __name__ == "__main__":
    asyncio.run(main())
