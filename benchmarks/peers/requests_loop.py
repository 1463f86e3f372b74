"""A plain loop with requests, one after the other: FILE RESULTS BASE_URL IN_FLIGHT."""

import json
import sys

import requests

requests_filepath, save_filepath, base_url, _ = sys.argv[1:]
with (
    requests.Session() as session,
    open(requests_filepath) as lines,
    open(save_filepath, "a") as rows,
):
    for line in lines:
        body = json.loads(line)
        metadata = body.pop("metadata")
        reply = session.post(f"{base_url}/chat/completions", json=body)
        reply.raise_for_status()
        rows.write(json.dumps([body, reply.json(), metadata]) + "\n")
