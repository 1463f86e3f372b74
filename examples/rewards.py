"""Rewards of a batch in reinforcement learning, judged by a model while the GPU works.

sh examples/run.sh rewards
"""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from api_request_parallel_processor import Client

# For a real service, with OPENAI_API_KEY set: SERVICE = {"provider": "openai"}
SERVICE = {"request_url": os.environ.get("LOCAL_ENDPOINT_URL", "http://127.0.0.1:8642")}
MODEL = "gpt-4o-mini"
DEADLINE = 30.0
"""Seconds that all rewards of a batch may take."""
GPU_SECONDS = 2.0

GRADES = {"right": 1.0, "partly right": 0.5, "wrong": 0.0}
GRADE = {"type": "string", "enum": list(GRADES)}
FORM = {
    "type": "object",
    "properties": {"grade": GRADE},
    "required": ["grade"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Sample:
    prompt: str
    completion: str


@dataclass(frozen=True)
class Rewards:
    values: list[float]
    """NaN where there is no reward, so that one that is used by mistake shows."""
    mask: list[bool]
    """Whether there is a reward. Leave the others out of the loss: they are not bad samples."""

    @property
    def mean(self) -> float:
        known = [value for value, there in zip(self.values, self.mask, strict=True) if there]
        return sum(known) / len(known) if known else math.nan


def body_of(sample: Sample) -> dict:
    asked = f"Task: {sample.prompt}\nAnswer: {sample.completion}\nGrade the answer."
    form = {"name": "grade", "strict": True, "schema": FORM}
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": asked}],
        "response_format": {"type": "json_schema", "json_schema": form},
        "temperature": 0,  # equal samples get equal rewards, and share one request
    }


def reward_of(result) -> float:
    """NaN where nothing was answered, or no grade."""
    if not result.ok:
        return math.nan
    grade = next((one for one in GRADES if f'"{one}"' in result.text), None)
    return math.nan if grade is None else GRADES[grade]


class Pending:
    """Rewards on their way."""

    def __init__(self, handle) -> None:
        self.handle = handle

    def collect(self) -> Rewards:
        """Wait for what is missing, at most until the batch's deadline."""
        values = [reward_of(result) for result in self.handle.results()]
        return Rewards(values, [not math.isnan(value) for value in values])


class RewardModel:
    def __init__(self, client: Client) -> None:
        self.client = client

    def evaluate_batch(self, samples: Sequence[Sample], deadline: float = DEADLINE) -> Pending:
        """Ask for the rewards, and return at once."""
        bodies = [body_of(sample) for sample in samples]
        return Pending(self.client.submit(bodies, batch_deadline=deadline))


def gpu_step() -> None:
    """Where a trainer would do the next rollout, or the last batch's update."""
    time.sleep(GPU_SECONDS)


def main() -> None:
    samples = [Sample(f"What is {n % 64} + 1?", str(n % 64 + n % 3)) for n in range(512)]
    with Client(**SERVICE, cache="memory") as client:
        start = time.perf_counter()
        pending = RewardModel(client).evaluate_batch(samples)
        submitted = time.perf_counter() - start
        gpu_step()
        worked = time.perf_counter() - start
        rewards = pending.collect()
        seconds = time.perf_counter() - start
        print(f"submitted in {submitted:.3f} s, GPU done at {worked:.2f} s, ", end="")
        print(f"rewards at {seconds:.2f} s")
        print(f"{sum(rewards.mask)} of {len(samples)} have a reward, mean {rewards.mean:.2f}")
        print(f"{client.tally.attempts} requests for {len(set(samples))} distinct samples")
    with Client(request_url="http://127.0.0.1:9") as client:  # nothing listens there
        start = time.perf_counter()
        rewards = RewardModel(client).evaluate_batch(samples, deadline=1.0).collect()
        seconds = time.perf_counter() - start
        print(
            f"service down: back after {seconds:.2f} s, {sum(rewards.mask)} rewards, none made up"
        )


if __name__ == "__main__":
    main()
