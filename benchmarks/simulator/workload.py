"""What a job asks for: prompts and answers of log-normal length, the same for the same seed.

The engine sees a short body that names its prompt tokens; only the service knows how long the
answer will be, from the line number that travels as `user`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from providers.openai_compatible import OpenAICompatible
from request_engine.encodings import Encode
from request_engine.provider import Profile

PROMPT, PROMPT_SIGMA = 600.0, 0.8
"""Median and spread of prompts, in tokens."""
OUTPUT, OUTPUT_SIGMA = 250.0, 0.9
LONGEST_OUTPUT = 2_048
TOKENS_A_SECOND = 60.0
FIRST_TOKEN = (0.3, 0.8)
"""Seconds to an answer's first token, from the least to the most."""
UNSTATED = 256
"""Tokens a service expects of an answer that no max_tokens bounds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the requests of a file are like."""

    max_tokens: int | None = 2_048
    order: str = "shuffled"
    """`shuffled`, or `sorted` by the length of prompt and answer, shortest first."""
    counting: float = 1.0
    """Prompt tokens by the service's count, for each that the engine counts."""
    longest: int = LONGEST_OUTPUT
    """Tokens of the longest answer, where max_tokens does not cut it sooner."""


class Workload:
    """*count* requests of *shape*: their prompts, answers and seconds, by line number from 1."""

    def __init__(self, count: int, shape: Shape, seed: int) -> None:
        rng = random.Random(f"workload {seed}")
        lines: list[tuple[int, int, float]] = []
        most = min(shape.max_tokens or shape.longest, shape.longest)
        for _ in range(count):
            prompt = max(1, round(rng.lognormvariate(0.0, PROMPT_SIGMA) * PROMPT))
            output = max(1, round(rng.lognormvariate(0.0, OUTPUT_SIGMA) * OUTPUT))
            lines.append((prompt, min(output, most), rng.uniform(*FIRST_TOKEN)))
        if shape.order == "sorted":
            lines.sort()
        self.shape = shape
        self.count = count
        self.prompts = [prompt for prompt, _, _ in lines]
        self.outputs = [output for _, output, _ in lines]
        self.first_tokens = [first for _, _, first in lines]

    def used(self, number: int) -> int:
        """Tokens that line *number* really takes."""
        return self.prompts[number - 1] + self.outputs[number - 1]

    def ceiling(self, number: int) -> int:
        """Tokens that it may take, as far as a service can tell when it arrives."""
        bound = UNSTATED if self.shape.max_tokens is None else self.shape.max_tokens
        return self.prompts[number - 1] + bound

    def seconds(self, number: int) -> float:
        """How long its answer takes where nothing slows it."""
        return self.first_tokens[number - 1] + self.outputs[number - 1] / TOKENS_A_SECOND

    @cached_property
    def all_used(self) -> int:
        return sum(self.prompts) + sum(self.outputs)

    @cached_property
    def all_foreseen(self) -> int:
        """Of the tokens used, those that a service could charge when their request came."""
        return sum(
            min(self.ceiling(number), self.used(number)) for number in range(1, self.count + 1)
        )

    @cached_property
    def all_ceilings(self) -> int:
        return sum(map(self.ceiling, range(1, self.count + 1)))

    @cached_property
    def all_seconds(self) -> float:
        return sum(self.first_tokens) + sum(self.outputs) / TOKENS_A_SECOND

    @cached_property
    def least_seconds(self) -> float:
        return min(map(self.seconds, range(1, self.count + 1)))

    @cached_property
    def most_seconds(self) -> float:
        return max(map(self.seconds, range(1, self.count + 1)))

    def write(self, path: Path) -> None:
        """The file of requests."""
        bound = "" if self.shape.max_tokens is None else f', "max_tokens": {self.shape.max_tokens}'
        with open(path, "w", encoding="ascii") as file:
            for number, prompt in enumerate(self.prompts, 1):
                counted = max(1, round(prompt / self.shape.counting))
                file.write(
                    f'{{"user": "{number}", "model": "m", "messages": '
                    f'[{{"role": "user", "content": "?"}}]{bound}, "prompt_tokens": {counted}}}\n'
                )


class Simulated(OpenAICompatible):
    """The adapter of every simulated service: a body tells how many tokens its prompt has."""

    name = "simulated"
    key_variables = ("SIMULATED_API_KEY",)

    def __init__(self, profile: Profile) -> None:
        self.profile = profile  # type: ignore[misc]  # a fact of the class elsewhere

    def matches(self, url: object) -> bool:
        return True

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        return int(body["prompt_tokens"])
