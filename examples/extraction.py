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
    "The keeper of the lighthouse of Example Bay is Otto Testwell; he has turned 61.",
    "At 19, Ida Mockingham already repairs bicycles.",
    "Doctor Lorem Ipsumson is 47 and sees patients on Tuesdays.",
    "After 40 years at sea, captain Quentin Notreal, 66, grows tomatoes.",
    "Nora Fictiva is a student of 22 who plays the cello.",
    "The oldest clerk in Sampleton is Basil Dummyfield, who is 70.",
]


class Person(BaseModel):
    name: str
    age: int
    occupation: str | None = None


async def one_by_one(client: AsyncClient) -> list[Person | None]:
    return [(await client.extract(text, Person, model=MODEL)).value for text in SENTENCES]


async def gathered(client: AsyncClient) -> list[Person | None]:
    """All at once, in the order of the sentences."""
    asked = [client.extract(text, Person, model=MODEL) for text in SENTENCES]
    return [one.value for one in await asyncio.gather(*asked)]


async def as_completed(client: AsyncClient) -> list[Person | None]:
    """All at once, each as soon as it is there; `index` says which it is."""
    return [one.value async for one in client.extract_all(SENTENCES, Person, model=MODEL)]


async def two_at_a_time(client: AsyncClient) -> list[Person | None]:
    asked = client.extract_all(SENTENCES, Person, model=MODEL, concurrency=2)
    return [one.value async for one in asked]


async def main() -> None:
    async with AsyncClient(**SERVICE) as client:
        for way in (one_by_one, gathered, as_completed, two_at_a_time):
            start = time.perf_counter()
            people = await way(client)
            seconds = time.perf_counter() - start
            print(f"{way.__name__.replace('_', ' '):<14} {seconds:5.2f} s, {len(people)} people")
    for person in people:
        print(" ", person)


if __name__ == "__main__":
    asyncio.run(main())
