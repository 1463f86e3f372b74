"""Request files: distinct bodies of about 200 tokens, the same in every run."""

import json
import marshal
import random
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

_SOME_WORDS = (
    "the of and to in is that for it with as on be by this are from or an at which but not have has"
    " was were one all their more can time other some these two may then first new any people over"
    " such after also most our day way long little very great own each where good well here water"
    " number sentence question answer model result figure measure weather mountain language history"
    " evidence estimate compare explain describe summarise translate classify paragraph argument"
    " hypothesis regression electromagnetic photosynthesis jurisprudence counterfactual Byzantine"
    " Kolmogorov heteroscedasticity mitochondria archipelago 1984 37.5 2,048 (see e.g. don't what's"
)
WORDS = _SOME_WORDS.split()
"""Frequent and rare ones, so that the pieces a tokenizer finds are of all lengths."""
_WORDS_A_BODY = 136, 166
_SENTENCE = 12
"""Words."""
_TOGETHER = 1_000
"""Bodies that are marshalled at once."""


def written(folder: Path, count: int, *, embeddings: bool = False) -> Path:
    """A requests file with metadata; beside it, as `.bodies`, what goes over the wire."""
    path = folder / f"{'embeddings' if embeddings else 'chat'}-{count}.jsonl"
    if path.exists():
        return path
    draw = random.Random(4)
    with open(path, "w") as requests, open(path.with_suffix(".bodies"), "w") as bodies:
        for number in range(count):
            text = _text(draw)
            body = _embeddings(text) if embeddings else _chat(text)
            bodies.write(json.dumps(body) + "\n")
            requests.write(json.dumps(body | {"metadata": {"row_id": number}}) + "\n")
    return path


def marshalled(requests: Path) -> Path:
    """The bodies of *requests* as lists that are soon in memory; for `in_memory`.

    Lists, for whoever writes one has it in memory, and that counts for the processes it starts.
    """
    path = requests.with_suffix(".marshal")
    if not path.exists():
        with open(requests.with_suffix(".bodies"), "rb") as lines, open(path, "wb") as file:
            while some := [json.loads(line) for line in islice(lines, _TOGETHER)]:
                marshal.dump(some, file)
    return path


def in_memory(path: Path) -> list[dict[str, Any]]:
    """What `marshalled` wrote."""
    bodies: list[dict[str, Any]] = []
    with open(path, "rb") as file, suppress(EOFError):
        while True:
            bodies += marshal.load(file)
    return bodies


def _chat(text: str) -> dict[str, object]:
    message = {"role": "user", "content": text}
    return {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 100, "temperature": 0}


def _embeddings(text: str) -> dict[str, object]:
    return {"model": "text-embedding-3-small", "input": text}


def _text(draw: random.Random) -> str:
    words = draw.choices(WORDS, k=draw.randint(*_WORDS_A_BODY))
    words[_SENTENCE - 1 :: _SENTENCE] = (word + "." for word in words[_SENTENCE - 1 :: _SENTENCE])
    return " ".join(words)
