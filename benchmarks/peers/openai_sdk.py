"""The openai SDK behind a semaphore: FILE RESULTS BASE_URL IN_FLIGHT."""

import sys
from pathlib import Path

import openai

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from benchmarks.peers.behind_semaphore import run  # noqa: E402  found by the path above

# Its own 5 s to connect are too few where it opens hundreds of connections at once.
client = openai.AsyncOpenAI(base_url=sys.argv[3], api_key="none", max_retries=0, timeout=600.0)
run(client.chat.completions.create)
