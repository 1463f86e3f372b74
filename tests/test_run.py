"""A whole run: one row a line, bounded, and stopped when going on makes no sense."""

import asyncio
import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Service, answer, error, request
from virtual_time import run

from request_engine.disk import Disk
from request_engine.intake import Intake
from request_engine.journal import Journal
from request_engine.records import Unusable
from request_engine.rows import array_row
from request_engine.run import CANARY, Run
from request_engine.shares import Binding
from request_engine.sizes import Size


async def stream(items, size=8):
    """*items* in batches, as a requests file gives them."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


async def ten_tokens(requests):
    return [Size(10) for _ in requests]


class Work:
    """A run over *items* against a scripted service."""

    def __init__(self, path, service, items, *, disk=Disk, **settings):
        self.service = service
        self.journal = Journal(str(path), None, array_row)
        self.items = items
        tally = service.tally
        self.disk = disk(self.journal, service.targets, service.stopping, tally.finish, fsync=None)
        self.run = Run(
            service.sender.send,
            service.targets,
            self.disk,
            service.stopping,
            tally,
            **settings,
        )

    def intake(self):
        return Intake(stream(self.items), ten_tokens, self.journal, self.service.tally)

    async def done(self):
        try:
            await self.journal.recover()
            async with self.disk.watched():
                await self.run.run(self.intake())
        finally:
            self.trouble = self.disk.close()


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(path):
    return [row[0]["messages"][0]["content"] for row in rows(path)]


def many(count):
    return [request(number, f"text {number}") for number in range(1, count + 1)]


@settings(max_examples=25, deadline=None)
@given(outcomes=st.lists(st.sampled_from([200, 400, 429, 500, None]), max_size=60))
def test_P2_every_line_read_gives_exactly_one_row(tmp_path_factory, outcomes):
    """Whatever the service does in whatever order, and with lines that are no requests."""
    path = tmp_path_factory.mktemp("run") / "r.jsonl"
    replies = {200: answer(), 400: error(400), 429: error(429), 500: error(500)}
    seen: dict[bytes, int] = {}

    def reply(body):
        seen[body] = seen.get(body, 0) + 1
        wanted = outcomes[int(json.loads(body)["messages"][0]["content"])]
        return replies[wanted] if wanted != 429 or seen[body] == 1 else answer()

    items = [
        Unusable(number, json.dumps(f"line {number}").encode(), "not JSON")
        if outcome is None
        else request(number, str(number))
        for number, outcome in enumerate(outcomes)
    ]

    async def scenario():
        await Work(path, Service(reply, max_attempts=2), items).done()

    run(scenario())
    found = sorted(
        row[0] if isinstance(row[0], str) else f"line {row[0]['messages'][0]['content']}"
        for row in rows(path)
    )
    assert found == sorted(f"line {number}" for number in range(len(outcomes)))
    assert max(seen.values(), default=0) <= 2


def test_P7_no_more_are_in_flight_than_allowed_and_the_file_is_read_no_further(tmp_path):
    """With 4 slots, at most 4 are sent at once, and reading keeps two batches ahead at most."""
    read, most = [], []

    def items():
        for one in many(500):
            read.append(one)
            yield one

    async def scenario():
        service = Service([answer()], max_concurrent=4)

        async def slow(url, wire_body):
            most.append(service.budget.in_flight)
            assert len(read) - service.tally.finished <= 4 + 2 * 8
            await asyncio.sleep(1)
            return answer()

        service.target.post = slow
        work = Work(tmp_path / "r.jsonl", service, items())
        await work.run.run(work.intake())
        work.disk.close()
        return asyncio.get_running_loop().time()

    assert run(scenario()) == pytest.approx(125.0)
    assert max(most) == 4


def test_P7_an_outage_does_not_pile_up_requests_without_bound(tmp_path):
    """Backing off holds no slot, but at most twice the slots and a hundred wait at once."""
    read = []

    def items():
        for one in many(5_000):
            read.append(one)
            yield one

    async def scenario():
        service = Service([error(503)], max_concurrent=10)
        work = Work(tmp_path / "r.jsonl", service, items())
        task = asyncio.create_task(work.run.run(work.intake()))
        await asyncio.sleep(3)
        open_now = len(read) - service.tally.finished
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        work.disk.close()
        return open_now

    assert run(scenario()) <= 2 * 10 + 100 + 2 * 8


def test_retries_do_not_starve_new_work_nor_new_work_retries(tmp_path):
    """The first request fails twice and is answered long before the last of 200."""
    path = tmp_path / "r.jsonl"
    failures = {b"text 1": 2}

    def reply(body):
        text = json.loads(body)["messages"][0]["content"].encode()
        failures[text] = failures.get(text, 0) - 1
        return error(500) if failures[text] >= 0 else answer()

    async def scenario():
        await Work(path, Service(reply, requests_per_minute=60), many(200)).done()

    run(scenario())
    assert 1 <= texts(path).index("text 1") <= 25


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (error(401, "Incorrect API key provided"), "the key was refused (401): Incorrect API key"),
        (error(402, "Insufficient Balance"), "out of money or quota (402): Insufficient Balance"),
        (error(404, "no such model", "model_not_found"), "not there (404): no such model"),
    ],
)
def test_what_every_line_would_meet_stops_the_run_after_a_few(tmp_path, reply, words):
    """A hundred lines and a wrong key: three are sent, and the reason is the service's own."""
    path = tmp_path / "r.jsonl"

    async def scenario():
        service = Service([reply], max_concurrent=1)
        await Work(path, service, many(100)).done()
        return service

    service = run(scenario())
    assert words in service.stopping.reason
    assert len(service.sent) <= 4
    assert len(rows(path)) <= 4


def test_a_run_whose_lines_all_have_rows_is_not_called_stopped(tmp_path):
    """One unknown model among bad requests: none was answered, but nothing stopped the run."""

    def reply(body):
        return error(404) if b"text 7" in body else error(400)

    async def scenario():
        service = Service(reply, max_concurrent=1)
        await Work(tmp_path / "r.jsonl", service, many(20)).done()
        service.stopping.judge_whole_run(service.tally)
        return service.stopping.reason

    assert run(scenario()) is None
    assert len(rows(tmp_path / "r.jsonl")) == 20


def test_a_short_run_that_met_nothing_but_a_refused_key_was_stopped_by_it(tmp_path):
    async def scenario():
        service = Service([error(401, "no such key")])
        await Work(tmp_path / "r.jsonl", service, many(2)).done()
        service.stopping.judge_whole_run(service.tally)
        return service.stopping.reason

    assert run(scenario()) == "the key was refused (401): no such key"


def test_a_wrong_model_on_some_lines_costs_those_lines(tmp_path):
    """Once anything was answered, twenty such lines in a row do not end the run."""
    path = tmp_path / "r.jsonl"

    def reply(body):
        wrong = 20 <= int(json.loads(body)["messages"][0]["content"].split()[1]) < 40
        return error(404, code="model_not_found") if wrong else answer()

    async def scenario():
        service = Service(reply, max_concurrent=1)
        await Work(path, service, many(50)).done()
        return service.stopping.reason

    assert run(scenario()) is None
    assert len(rows(path)) == 50


def test_a_stopped_run_is_finished_by_the_next_and_nothing_answered_is_sent_again(tmp_path):
    path = tmp_path / "r.jsonl"

    async def stopped():
        service = Service([answer()], requests_per_minute=60)
        work = Work(path, service, many(100))
        asyncio.get_running_loop().call_later(30, service.stopping.stop, "enough")
        await work.done()
        return len(service.sent)

    async def resumed():
        service = Service([answer()])
        await Work(path, service, many(100)).done()
        return len(service.sent), service.tally.answered_before

    sent_first = run(stopped())
    sent_second, before = run(resumed())
    assert 20 <= sent_first < 100
    assert sent_first + sent_second == 100
    assert before == sent_first
    assert sorted(texts(path)) == sorted(f"text {number}" for number in range(1, 101))


def test_a_fault_of_our_own_is_not_swallowed(tmp_path):
    async def scenario():
        service = Service([answer()])

        async def broken(asked, size, reservation):
            raise ZeroDivisionError("ours")

        work = Work(tmp_path / "r.jsonl", service, many(3))
        work.run._send = broken
        await work.done()

    with pytest.raises(ZeroDivisionError, match="ours"):
        run(scenario())


@pytest.mark.parametrize("last", [False, True])
def test_P12_a_stop_asked_for_while_requests_are_admitted_lets_those_in_flight_come_home(
    tmp_path, last
):
    """What stops it here is a line's own failure row, in the middle of a batch or at its end."""
    path = tmp_path / "r.jsonl"
    items = [*many(3), Unusable(4, b'"oops"', "line 4: not JSON")]

    class StopsThere(Disk):
        def keep(self, asked, outcome):
            super().keep(asked, outcome)
            if isinstance(asked, Unusable):
                service.stopping.stop("enough")

    async def scenario():
        nonlocal service
        service = Service([answer()], latency=5.0)
        work = Work(path, service, items if last else [*items, *many(3)], disk=StopsThere)
        await work.done()
        return asyncio.get_running_loop().time(), len(service.sent)

    service = None
    ended, sent = run(scenario())
    assert service.stopping.reason == "enough"
    assert ended == pytest.approx(5.0)
    assert sent == len(rows(path)) - 1 == 3


def test_the_time_is_shared_out_between_what_was_awaited(tmp_path):
    """A pipe that gives a line a minute, and an answer of half a minute after the last."""

    async def slow_pipe():
        for one in many(3):
            await asyncio.sleep(60)
            yield [one]

    async def scenario():
        service = Service([answer()], latency=30.0)
        work = Work(tmp_path / "r.jsonl", service, [])
        await work.run.run(Intake(slow_pipe(), ten_tokens, work.journal, service.tally))
        work.disk.close()
        return service.budget.shares.told(asyncio.get_running_loop().time())

    shares = run(scenario())
    assert shares == pytest.approx({Binding.FILE: 180 / 210, Binding.SERVICE: 30 / 210})


def test_canaries_go_first_when_much_is_to_do(tmp_path):
    """Five are in flight until the first answer; a service that refuses all costs ten requests."""
    in_flight = []

    async def scenario(replies):
        service = Service(replies, latency=1.0, max_same_refusals=10)
        work = Work(tmp_path / "r.jsonl", service, many(1_000), is_large=lambda: True)
        in_flight.append([])
        service.target.post = counting(service, service.target.post)
        await work.done()
        return service

    def counting(service, post):
        async def counted(url, body):
            in_flight[-1].append(service.budget.in_flight)
            return await post(url, body)

        return counted

    refused = run(scenario([error(400, "no such parameter: frobnicate")]))
    (tmp_path / "r.jsonl").unlink()
    run(scenario([error(500), answer()]))

    assert "no such parameter: frobnicate" in refused.stopping.reason
    assert len(refused.sent) <= 10 + CANARY
    assert max(in_flight[0]) == CANARY
    assert max(in_flight[1][:CANARY]) == CANARY
    assert max(in_flight[1]) == 100
