"""Write the cookbook's example of a long job: N embeddings requests, a line each.

    python examples/make_embeddings_requests.py [N] [FILE]

N is 10000 and FILE is embeddings_10000.jsonl beside this script, if they are not given.
"""

import json
import sys
from pathlib import Path

MODEL = "text-embedding-3-small"


def main(count: int, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        for number in range(count):
            body = {"model": MODEL, "input": f"{number}\n", "metadata": {"row_id": number}}
            lines.write(json.dumps(body) + "\n")
    sys.stderr.write(f"{count} requests in {path}\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    wanted = int(given[0]) if given else 10_000
    beside = Path(__file__).with_name(f"embeddings_{wanted}.jsonl")
    main(wanted, Path(given[1]) if len(given) > 1 else beside)
