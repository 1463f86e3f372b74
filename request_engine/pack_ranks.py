"""Packs the tokenizer's published rank files into the compact form that travels with us.

Run `python -m request_engine.pack_ranks FOLDER`, where FOLDER holds the *.tiktoken files.

    packed = zlib(number of ranks, 4 bytes | length of each token, 1 byte each | the tokens' bytes)
             in rank order; length 0 means that there is no such rank
"""

import argparse
import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

RANK_DATA = Path(__file__).with_name("rank_data")

PUBLISHED_SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "p50k_base": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
}
"""As stated in tiktoken's own source."""

R50K_RANKS = 50_256
R50K_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
"""r50k_base is the first 50,256 ranks of p50k_base, so it has no file of its own."""

_COUNT_BYTES = 4


def pack(text: bytes) -> bytes:
    """The compact form of a published rank file."""
    tokens = _parse(text)
    count = len(tokens).to_bytes(_COUNT_BYTES, "big")
    return zlib.compress(count + bytes(map(len, tokens)) + b"".join(tokens), level=9)


def unpack(packed: bytes) -> list[bytes]:
    """The token of each rank, empty where there is no such rank."""
    data = zlib.decompress(packed)
    first_token = _COUNT_BYTES + int.from_bytes(data[:_COUNT_BYTES], "big")
    lengths = data[_COUNT_BYTES:first_token]
    return [data[start:end] for start, end in pairwise(accumulate(lengths, initial=first_token))]


def expand(packed: bytes, ranks: int | None = None) -> bytes:
    """The published file again, byte for byte; only its first *ranks* ranks when given."""
    tokens = unpack(packed)[:ranks]
    return b"".join(
        b"%s %d\n" % (b64encode(token), rank) for rank, token in enumerate(tokens) if token
    )


def read_packed(name: str) -> bytes:
    return (RANK_DATA / f"{name}.zlib").read_bytes()


def _parse(text: bytes) -> list[bytes]:
    token_of = {int(rank): b64decode(token) for token, rank in map(bytes.split, text.splitlines())}
    return [token_of.get(rank, b"") for rank in range(max(token_of) + 1)]


def _verified(path: Path, sha256: str) -> bytes:
    text = path.read_bytes()
    seen = hashlib.sha256(text).hexdigest()
    if seen != sha256:
        raise ValueError(f"{path} is not the published file: sha256 {seen}, expected {sha256}")
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m request_engine.pack_ranks", description="Pack the published rank files."
    )
    parser.add_argument("folder", type=Path, help="where the *.tiktoken files are")
    folder = parser.parse_args(arguments).folder
    try:
        texts = {
            name: _verified(folder / f"{name}.tiktoken", sha256)
            for name, sha256 in PUBLISHED_SHA256.items()
        }
    except (OSError, ValueError) as error:
        parser.error(str(error))
    RANK_DATA.mkdir(exist_ok=True)
    for name, text in texts.items():
        packed = pack(text)
        (RANK_DATA / f"{name}.zlib").write_bytes(packed)
        print(f"{name}: {len(text):,} bytes packed into {len(packed):,}")


if __name__ == "__main__":
    main()
