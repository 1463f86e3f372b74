"""A job as the door makes it by default, but for what a simulation has to be told."""

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import api_request_parallel_processor as door
from benchmarks.simulator.carrier import Carrier
from benchmarks.simulator.workload import Simulated
from request_engine.errors import BadInput, Stopped
from request_engine.job import Job
from request_engine.summary import Summary

URL = "http://localhost/v1/chat/completions"
"""Nothing is sent there: the carrier is the service."""
LEARN, NO_LIMIT = "learn", "none"


def make_job(requests: Path, given: tuple[float | str, float | str], asked: dict[str, Any]) -> Job:
    """A job over the file *requests*, *given* the limits; *asked* are other flags."""
    ours = {field.name for field in fields(Job)}
    parameters = inspect.signature(door.process_api_requests_from_file).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name in ours}
    told = {
        "requests_filepath": str(requests),
        "save_filepath": str(requests.with_suffix(".results")),
        "request_url": URL,
        "max_requests_per_minute": given[0],
        "max_tokens_per_minute": given[1],
        "token_encoding_name": "o200k_base",  # encodes nothing; spares looking the model up
        "fsync": None,
        "show_progress": False,
        "stop_on_signals": False,
    }
    return Job(**(defaults | told | asked))


async def run_job(job: Job, provider: Simulated, carrier: Carrier) -> tuple[Summary, str | None]:
    """What became of *job*, and why it stopped early if it did."""
    try:
        try:
            return await job.run([provider], carrier), None
        except BadInput as wrong:
            if LEARN not in str(wrong):
                raise
        # An engine that does not learn limits yet is told that there are none.
        unlimited = replace(job, max_requests_per_minute=NO_LIMIT, max_tokens_per_minute=NO_LIMIT)
        return await unlimited.run([provider], carrier), None
    except Stopped as early:
        summary, reason = early.summary, str(early)
    assert summary is not None
    return summary, reason


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of the engine's log, which would be a line every 30 s of virtual time."""
    ours = logging.getLogger("request_engine")
    level = ours.level
    ours.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        ours.setLevel(level)
