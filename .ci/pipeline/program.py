"""A program that imports the door and has a `providers` of its own.

program.py URL FOLDER_OF_THE_ENGINE
"""

import asyncio
import json
import sys
from pathlib import Path

import providers
import request_engine
from api_request_parallel_processor import process_api_requests_from_file

url, folder_of_the_engine = sys.argv[1:]
requests, results = Path("requests.jsonl"), Path("results.jsonl")
bodies = [
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Say {n}"}], "max_tokens": 9}
    for n in range(20)
]
requests.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")

asyncio.run(
    process_api_requests_from_file(
        requests_filepath=str(requests),
        save_filepath=str(results),
        request_url=f"{url}/v1/chat/completions",
        api_key="sk-of-nobody",
        max_requests_per_minute=1_500,
        max_tokens_per_minute=125_000,
        token_encoding_name="o200k_base",
        max_attempts=5,
        logging_level=20,
    )
)

# Again, by a service of the program's own, in a file of its own.
asyncio.run(
    process_api_requests_from_file(
        requests_filepath=str(requests),
        save_filepath="own_results.jsonl",
        request_url=f"{url}/v1",
        provider="own_cloud.py:OwnCloud",
    )
)
assert len(Path("own_results.jsonl").read_text(encoding="utf-8").splitlines()) == len(bodies)

rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
assert len(rows) == len(bodies)
assert all(row[1]["choices"] for row in rows)
assert providers.WHOSE == "the program's own"
assert Path(request_engine.__file__).is_relative_to(folder_of_the_engine), request_engine.__file__
