"""litellm behind a semaphore: FILE RESULTS BASE_URL IN_FLIGHT."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it downloads a list of prices

import litellm

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from benchmarks.peers.behind_semaphore import run  # noqa: E402  found by the path above

litellm.telemetry = False
complete = partial(
    litellm.acompletion,
    api_base=sys.argv[3],
    api_key="none",
    num_retries=0,
    max_retries=0,
    timeout=600.0,
)


async def create(model: str, **body: Any) -> Any:
    return await complete(model=f"openai/{model}", **body)


run(create)
