"""Text to tokens, offline: tiktoken's encodings, built from the rank data that travels with us."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from request_engine.errors import BadInput

if TYPE_CHECKING:
    from tiktoken import Encoding

Encode = Callable[[str], Sequence[int]]
"""The seam between text and its tokens; only how many there are matters to us."""

DEFAULT_ENCODING = "o200k_base"

SLICE = 100_000
"""Characters encoded at once. tiktoken panics on about a million spaces; a cut costs a token."""

_R50K_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_O200K_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_R50K_SPECIAL = {"<|endoftext|>": 50256}
_P50K_EDIT_SPECIAL = _R50K_SPECIAL | {
    "<|fim_prefix|>": 50281,
    "<|fim_middle|>": 50282,
    "<|fim_suffix|>": 50283,
}
_CL100K_SPECIAL = {
    "<|endoftext|>": 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|endofprompt|>": 100276,
}
_O200K_SPECIAL = {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}
_HARMONY_NAMED = {
    "<|startoftext|>": 199998,
    "<|endoftext|>": 199999,
    "<|return|>": 200002,
    "<|constrain|>": 200003,
    "<|channel|>": 200005,
    "<|start|>": 200006,
    "<|end|>": 200007,
    "<|message|>": 200008,
    "<|call|>": 200012,
}
_HARMONY_SPECIAL = (
    _O200K_SPECIAL
    | _HARMONY_NAMED
    | {
        f"<|reserved_{token}|>": token
        for token in range(200000, 201088)
        if token not in _HARMONY_NAMED.values()
    }
)


@dataclass(frozen=True, slots=True)
class _Recipe:
    ranks: str
    pattern: str
    special_tokens: Mapping[str, int]
    first: int | None = None
    """How many of the ranks belong to it; None means all."""


_RECIPES: Mapping[str, _Recipe] = {
    "cl100k_base": _Recipe("cl100k_base", _CL100K_PATTERN, _CL100K_SPECIAL),
    "o200k_base": _Recipe("o200k_base", _O200K_PATTERN, _O200K_SPECIAL),
    "o200k_harmony": _Recipe("o200k_base", _O200K_PATTERN, _HARMONY_SPECIAL),
    "p50k_base": _Recipe("p50k_base", _R50K_PATTERN, _R50K_SPECIAL),
    "p50k_edit": _Recipe("p50k_base", _R50K_PATTERN, _P50K_EDIT_SPECIAL),
    "r50k_base": _Recipe("p50k_base", _R50K_PATTERN, _R50K_SPECIAL, first=50_256),
    "gpt2": _Recipe("p50k_base", _R50K_PATTERN, _R50K_SPECIAL, first=50_256),
}

ENCODING_NAMES = tuple(_RECIPES)


def encoding_name(model: str | None) -> str:
    """The encoding of *model* as tiktoken knows it, o200k_base for every model it does not know."""
    return _name_for(model) if isinstance(model, str) else DEFAULT_ENCODING


def is_known(model: object) -> bool:
    """Whether tiktoken knows *model*, so that its tokens are counted as its service does."""
    return isinstance(model, str) and _known_name(model) is not None


def _name_for(model: str) -> str:
    return _known_name(model) or DEFAULT_ENCODING


@lru_cache(maxsize=1_000)
def _known_name(model: str) -> str | None:
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(_base_model(model))
    except KeyError:
        return None
    return name if name in _RECIPES else None


def _base_model(model: str) -> str:
    """`gateway/ft:gpt-4.1-mini:lab::id` is counted as gpt-4.1-mini is."""
    return model.strip().lower().rpartition("/")[2].removeprefix("ft:").partition(":")[0]


def check(name: str) -> None:
    """BadInput if there is no encoding *name*."""
    if name not in _RECIPES:
        raise BadInput(_unknown(name))


@cache
def encoder(name: str) -> Encode:
    """What turns text into tokens of the encoding *name*; it never raises and never downloads."""
    return unfailing(encoding(name).encode_ordinary)


@cache
def encoding(name: str) -> "Encoding":
    """tiktoken's encoding *name*; about a quarter of a second the first time."""
    check(name)
    # Imported on first use: the library and the rank data cost more than the rest of a start.
    from tiktoken import Encoding

    from request_engine.pack_ranks import read_packed, unpack

    recipe = _RECIPES[name]
    tokens = unpack(read_packed(recipe.ranks))[: recipe.first]
    ranks = dict(zip(tokens, range(len(tokens)), strict=True))
    ranks.pop(b"", None)  # there is no such rank
    return Encoding(
        name,
        pat_str=recipe.pattern,
        mergeable_ranks=ranks,
        special_tokens=dict(recipe.special_tokens),
    )


def token_counts(name: str, texts: Sequence[str]) -> list[int]:
    """How many tokens of the encoding *name* each text has."""
    encode = encoder(name)
    return [len(encode(text)) for text in texts]


def unfailing(encode: Encode) -> Encode:
    """*encode* in slices, with an estimate of the right length for a slice that it cannot do."""

    def encode_slices(text: str) -> Sequence[int]:
        if len(text) <= SLICE:
            return _tokens_or_estimate(encode, text)
        tokens: list[int] = []
        for start in range(0, len(text), SLICE):
            tokens += _tokens_or_estimate(encode, text[start : start + SLICE])
        return tokens

    return encode_slices


def _tokens_or_estimate(encode: Encode, text: str) -> Sequence[int]:
    try:
        return encode(text)
    except BaseException as error:  # tiktoken's PanicException is not an Exception
        if _stops_a_run(error):
            raise
        return range(estimate(text))


def _stops_a_run(error: BaseException) -> bool:
    """Whether *error* is no fault of the text."""
    from asyncio import CancelledError  # not above, where it is 30 ms of --help

    return isinstance(error, KeyboardInterrupt | SystemExit | CancelledError)


def estimate(text: str) -> int:
    """A third of the UTF-8 bytes, which is too low for hardly any text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 3)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(name), ENCODING_NAMES, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"use {', '.join(ENCODING_NAMES)}"
    return f"there is no token encoding {name!r}; {hint}"
