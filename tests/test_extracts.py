"""A client makes typed objects out of texts: one, or many, and with either face."""

import asyncio
import json
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import pytest
from loopback import answering, serving
from pydantic import BaseModel, Field

from api_request_parallel_processor import AsyncClient, Client
from request_engine import local_endpoint
from request_engine.errors import BadInput
from request_engine.records import Kind, Usage
from request_engine.result import RequestFailed

MODEL = "gpt-4o-mini"


class Person(BaseModel):
    name: str
    age: int


SCHEMA = Person.model_json_schema()
TEXTS = [f"{name} is {age}." for name, age in [("Anne", 30), ("Ben", 4), ("Cleo", 71)]]
PEOPLE = [Person(name="Anne", age=30), Person(name="Ben", age=4), Person(name="Cleo", age=71)]


def reply(content, **usage):
    choice = {"message": {"content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def canned(*contents):
    """Answers one after the other, the last of them again and again."""
    left = list(contents)

    async def serve(request, writer):
        await answering(reply(left.pop(0) if len(left) > 1 else left[0]))(request, writer)

    return serve


@pytest.mark.parametrize("provider", ["openai", "anthropic", "deepseek", "openai_compatible"])
async def test_one_text_becomes_one_object_whatever_the_service(provider):
    async with local_endpoint.serving() as endpoint:
        url = f"{endpoint.url}/v1"
        async with AsyncClient(provider=provider, request_url=url, api_key="sk-1") as client:
            found = await client.extract(TEXTS[0], Person, model=MODEL)
            by_schema = await client.extract(
                TEXTS[0], SCHEMA, model=MODEL, instructions="Ages in years."
            )
    assert (found.ok, found.value, found.attempts) == (True, PEOPLE[0], ())
    assert by_schema.value == {"name": "Anne", "age": 30}
    assert found.usage is not None
    assert found.what == TEXTS[0]


async def test_many_come_each_once_with_their_places_or_in_their_order():
    async def arriving():
        for text in TEXTS:
            yield text

    async with (
        local_endpoint.serving() as endpoint,
        AsyncClient(request_url=endpoint.url) as client,
    ):
        asked = client.extract_all(arriving(), Person, model=MODEL, concurrency=2)
        found = [one async for one in asked]
        in_order = client.extract_all(TEXTS, Person, model=MODEL, in_order=True)
        ordered = [one.value async for one in in_order]
    assert sorted((one.index, one.what, one.value.name) for one in found) == [
        (place, text, person.name)
        for place, (text, person) in enumerate(zip(TEXTS, PEOPLE, strict=True))
    ]
    assert ordered == PEOPLE


async def test_messages_and_whole_bodies_are_taken_as_well():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXTS[1]}]
    body = {"model": MODEL, "messages": messages, "temperature": 0}
    async with (
        local_endpoint.serving() as endpoint,
        AsyncClient(request_url=endpoint.url) as client,
    ):
        asked = client.extract_all([messages, body], Person, model=MODEL, in_order=True)
        found = [one async for one in asked]
    assert [one.value for one in found] == [PEOPLE[1], PEOPLE[1]]
    assert found[1].result.body == body


async def test_a_text_is_said_where_the_url_is_for():
    async with local_endpoint.serving() as endpoint:
        for path in ("responses", "completions", "messages"):
            url = f"{endpoint.url}/v1/{path}"
            async with AsyncClient(request_url=url, body={"max_tokens": 500}) as client:
                found = await client.extract(TEXTS[2], Person, model=MODEL)
            assert found.value == PEOPLE[2]


async def test_a_wrong_answer_is_put_right_and_every_attempt_is_there_with_its_tokens():
    serve = canned("It is Anne.", json.dumps({"name": "Anne", "age": 30}))
    async with serving(serve) as server, AsyncClient(request_url=server.url) as client:
        found = await client.extract(TEXTS[0], Person, model=MODEL)
        assert client.tally.tokens == 30
    assert found.value == PEOPLE[0]
    assert found.usage == Usage(20, 10)
    assert [(one.kind, one.raw) for one in found.attempts] == [(Kind.BAD_ANSWER, "It is Anne.")]


async def test_what_never_fits_is_a_failure_and_no_value():
    async with serving(canned('{"name": "Anne"}')) as server:
        url = f"{server.url}/chat/completions"
        async with AsyncClient(request_url=url, max_attempts=2) as client:
            found = await client.extract(TEXTS[0], Person, model=MODEL)
    assert (found.ok, len(found.attempts)) == (False, 2)
    assert found.failure == found.attempts[-1]
    assert found.usage == Usage(20, 10)
    with pytest.raises(RequestFailed, match="age"):
        _ = found.value


async def test_an_item_that_is_nothing_to_ask_costs_only_itself():
    async with (
        local_endpoint.serving() as endpoint,
        AsyncClient(request_url=endpoint.url) as client,
    ):
        items = [TEXTS[0], 5, {"model": MODEL, "messages": object()}, TEXTS[1]]
        asked = client.extract_all(items, Person, model=MODEL, in_order=True)
        found = [one async for one in asked]
    assert [one.ok for one in found] == [True, False, False, True]


async def test_the_local_endpoint_answers_in_every_format_and_within_bounds():
    class Event(BaseModel):
        day: date
        at: datetime
        number: UUID
        note: str = Field(min_length=12)
        seats: int = Field(ge=2, le=5)
        kind: Literal["talk", "walk"]

    async with (
        local_endpoint.serving() as endpoint,
        AsyncClient(request_url=endpoint.url) as client,
    ):
        found = await client.extract("A walk of 900 steps.", Event, model=MODEL)
    assert found.ok, found.failure


async def test_what_is_no_shape_or_no_list_is_told_before_anything_is_sent():
    async with (
        local_endpoint.serving() as endpoint,
        AsyncClient(request_url=endpoint.url) as client,
    ):
        with pytest.raises(BadInput, match="no JSON Schema"):
            await client.extract(TEXTS[0], {"type": "objekt"}, model=MODEL)
        with pytest.raises(BadInput, match="no type"):
            client.extract_all(TEXTS, 5, model=MODEL)
        with pytest.raises(BadInput):
            client.extract_all(TEXTS[0], Person, model=MODEL)
        assert endpoint.ledger.requests == 0


async def test_whoever_stops_early_leaves_nothing_behind():
    async with (
        local_endpoint.serving() as endpoint,
        AsyncClient(request_url=endpoint.url) as client,
    ):
        asked = client.extract_all(TEXTS * 20, Person, model=MODEL)
        async for _ in asked:
            break
        await asked.aclose()
        found = await client.extract(TEXTS[0], Person, model=MODEL)
    assert found.ok


async def test_a_kept_answer_is_read_again_and_one_of_another_shape_is_asked_for():
    class Name(BaseModel):
        name: str

    async with local_endpoint.serving() as endpoint:
        async with AsyncClient(
            request_url=endpoint.url, body={"temperature": 0}, cache="memory"
        ) as client:
            first = await client.extract(TEXTS[0], Person, model=MODEL)
            again = await client.extract(TEXTS[0], Person, model=MODEL)
            other = await client.extract(TEXTS[0], Name, model=MODEL)
        assert endpoint.ledger.requests == 2
    assert first.value == again.value == PEOPLE[0]
    assert other.value == Name(name="Anne")


async def test_the_blocking_face_is_the_same():
    def asked(url):
        with Client(request_url=url) as client:
            one = client.extract(TEXTS[0], Person, model=MODEL)
            many = client.extract_all(TEXTS, Person, model=MODEL, in_order=True)
            people = [each.value for each in many]
            next(client.extract_all(TEXTS * 20, Person, model=MODEL))
        return one.value, people

    async with local_endpoint.serving() as endpoint:
        assert await asyncio.to_thread(asked, endpoint.url) == (PEOPLE[0], PEOPLE)
