"""The cookbook's script without limits: FILE RESULTS BASE_URL IN_FLIGHT SCRIPT.

Two things of it are replaced, neither of which it does while it sends: it only knows https, and
tiktoken would download what it counts with. How much it keeps in flight is its own affair.
"""

import asyncio
import importlib.util
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from request_engine.encodings import encoding  # noqa: E402  found by the path above

NO_LIMIT = 1e12

requests_filepath, save_filepath, base_url, _, script = sys.argv[1:]
spec = importlib.util.spec_from_file_location("cookbook", script)
assert spec is not None
assert spec.loader is not None
cookbook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cookbook)
cookbook.api_endpoint_from_url = lambda _: "chat/completions"  # type: ignore[attr-defined]
cookbook.tiktoken = SimpleNamespace(get_encoding=encoding)  # type: ignore[attr-defined]
asyncio.run(
    cookbook.process_api_requests_from_file(
        requests_filepath=requests_filepath,
        save_filepath=save_filepath,
        request_url=f"{base_url}/chat/completions",
        api_key="none",
        max_requests_per_minute=NO_LIMIT,
        max_tokens_per_minute=NO_LIMIT,
        token_encoding_name="cl100k_base",
        max_attempts=5,
        logging_level=logging.INFO,
    )
)
