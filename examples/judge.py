"""A model as judge: every answer gets a score, or none where judging it failed.

sh examples/run.sh judge
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api_request_parallel_processor import AsyncClient, Client

# For a real service, with OPENAI_API_KEY set: SERVICE = {"provider": "openai"}
SERVICE = {"request_url": os.environ.get("LOCAL_ENDPOINT_URL", "http://127.0.0.1:8642")}
MODEL = "gpt-4o-mini"
MAX_WORKERS = 16
DEADLINE = 60.0  # seconds that one verdict may take

RUBRIC = "You grade answers. 1 is wrong, 10 is right, clear and short. Explain, then score."
SCORE = {"type": "integer", "minimum": 1, "maximum": 10}
VERDICT = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": SCORE},
    "required": ["reason", "score"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Item:
    question: str
    answer: str


@dataclass(frozen=True)
class Verdict:
    score: int | None
    """None where there is none: a 0 in its place would count as a bad answer."""
    reason: str


def body_of(item: Item) -> dict:
    asked = f"Question: {item.question}\nAnswer: {item.answer}"
    form = {"name": "verdict", "strict": True, "schema": VERDICT}
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": RUBRIC}, {"role": "user", "content": asked}],
        "response_format": {"type": "json_schema", "json_schema": form},
        "temperature": 0,
    }


def verdict_of(result) -> Verdict:
    if not result.ok:
        return Verdict(None, f"{result.failure.kind}: {result.failure.message}")
    try:
        said = json.loads(result.text)
        score, reason = said["score"], said["reason"]
    except (ValueError, KeyError, TypeError):
        return Verdict(None, f"not a verdict: {result.text[:80]!r}")
    return Verdict(score, reason)


class Judge:
    """For scripts and notebooks. Share one between threads if you like."""

    def __init__(self, client: Client, max_workers: int = MAX_WORKERS) -> None:
        self.client, self.max_workers = client, max_workers

    def answer(self, item: Item) -> Verdict:
        return verdict_of(self.client.ask(body_of(item), deadline=DEADLINE))

    def evaluate(self, items: Iterable[Item]) -> list[Verdict]:
        """A verdict for each of *items*, in their order."""
        bodies = map(body_of, items)
        asked = self.client.in_order(bodies, concurrency=self.max_workers, deadline=DEADLINE)
        return [verdict_of(result) for result in asked]


class AsyncJudge:
    """The same where a loop is running."""

    def __init__(self, client: AsyncClient, max_workers: int = MAX_WORKERS) -> None:
        self.client, self.max_workers = client, max_workers

    async def answer_async(self, item: Item) -> Verdict:
        return verdict_of(await self.client.ask(body_of(item), deadline=DEADLINE))

    async def evaluate_async(self, items: Iterable[Item]) -> list[Verdict]:
        bodies = map(body_of, items)
        asked = self.client.in_order(bodies, concurrency=self.max_workers, deadline=DEADLINE)
        return [verdict_of(result) async for result in asked]


async def judged_in_a_loop(items: Sequence[Item]) -> list[Verdict]:
    async with AsyncClient(**SERVICE) as client:
        return await AsyncJudge(client).evaluate_async(items)


def report(verdicts: Sequence[Verdict], seconds: float) -> str:
    scores = [one.score for one in verdicts if one.score is not None]
    mean = f"mean score {sum(scores) / len(scores):.2f}" if scores else "no mean"
    lines = [f"{len(scores)} of {len(verdicts)} judged in {seconds:.1f} s, {mean}"]
    reasons = Counter(one.reason for one in verdicts if one.score is None)
    lines += [f"  {count} without a score: {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


def main() -> None:
    items = [Item(f"What is {n} + {n}?", str(2 * n)) for n in range(100)]
    with Client(**SERVICE) as client:
        judge = Judge(client)
        print("one:", judge.answer(items[0]))
        start = time.perf_counter()
        print("blocking:", report(judge.evaluate(items), time.perf_counter() - start))
    start = time.perf_counter()
    print("async:", report(asyncio.run(judged_in_a_loop(items)), time.perf_counter() - start))


if __name__ == "__main__":
    main()
