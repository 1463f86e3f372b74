"""A corpus as vectors, three ways, timed; and the texts that are nearest to a question.

sh examples/run.sh corpus
"""

import os
import time
from collections.abc import Sequence

import numpy as np

from api_request_parallel_processor import Client

# For a real service, with OPENAI_API_KEY set: SERVICE = {"provider": "openai"}
SERVICE = {"request_url": os.environ.get("LOCAL_ENDPOINT_URL", "http://127.0.0.1:8642")}
MODEL = "text-embedding-3-small"

PLACES = ("harbour", "library", "market", "museum", "orchard", "railway", "theatre", "workshop")
TEXTS = [
    f"Note {n}: the {PLACES[n % 8]} opens at {7 + n % 5} and closes at {15 + n % 7}."
    for n in range(200)
]


def body_of(text: str) -> dict:
    return {"model": MODEL, "input": text}


def vector_of(result) -> list[float]:
    return result.response["data"][0]["embedding"]


def one_by_one(client: Client, texts: Sequence[str]) -> np.ndarray:
    return np.array([vector_of(client.ask(body_of(text))) for text in texts], dtype=np.float32)


def at_once(client: Client, texts: Sequence[str]) -> np.ndarray:
    """A request for each text, many in flight, without a thread for each."""
    return np.array([vector_of(one) for one in client.in_order(map(body_of, texts))], np.float32)


def packed(client: Client, texts: Sequence[str]) -> np.ndarray:
    """As many texts in a request as the service takes. Raises where one has no vector."""
    return client.embed(texts, model=MODEL).vectors


def nearest(vectors: np.ndarray, vector: np.ndarray, count: int) -> list[tuple[float, int]]:
    """(cosine, index) of the nearest *count*, the nearest first."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
    closeness = vectors @ vector / lengths
    return [(float(closeness[n]), int(n)) for n in np.argsort(-closeness)[:count]]


def main() -> None:
    with Client(**SERVICE) as client:
        for way in (one_by_one, at_once, packed):
            start = time.perf_counter()
            vectors = way(client, TEXTS)
            seconds = time.perf_counter() - start
            print(f"{way.__name__.replace('_', ' '):<10} {seconds:6.2f} s, {vectors.shape} float32")
        # Canned vectors mean nothing, so the question is one of the texts: it finds itself.
        question = TEXTS[42]
        [asked] = packed(client, [question])
        print(f"nearest to {question!r}:")
        for closeness, index in nearest(vectors, asked, 3):
            print(f"  {closeness:.3f}  {TEXTS[index]}")


if __name__ == "__main__":
    main()
