"""Counting is exact, offline, and never ends a run."""

import asyncio
import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext.openai_public import (  # type: ignore[import-untyped]
    ENCODING_CONSTRUCTORS,
)

from request_engine import pack_ranks
from request_engine.encodings import (
    ENCODING_NAMES,
    SLICE,
    Encode,
    encoder,
    encoding,
    encoding_name,
    token_counts,
    unfailing,
)
from request_engine.errors import BadInput

WITH_PUBLISHED_RANKS = ["cl100k_base", "o200k_base", "p50k_base", "r50k_base"]

CACHE_NAMES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "p50k_base": "ec7223a39ce59f226a68acc30dc1af2788490e15",
    "r50k_base": "0ea1e91bbb3a60f729a8dc8f777fd2fc07cd8df4",
}
"""tiktoken keeps a file under the sha1 of the address it comes from."""

CORPUS = {
    "English": "The quick brown fox didn't jump; it's over 3,141 lazy dogs' backs, they'll say.",
    "Chinese": "请把下面这段话翻译成英文:人工智能正在改变我们的生活方式,价格是¥128.50元。",
    "Traditional Chinese": "臺灣的夜市有許多小吃,例如蚵仔煎、珍珠奶茶與臭豆腐。",
    "Japanese": "吾輩は猫である。名前はまだ無い。カタカナとひらがな、漢字が混ざった文章です。",
    "Korean": "안녕하세요, 오늘 서울의 날씨는 어떻습니까? 대체로 맑고 기온은 23도입니다.",
    "Arabic": "مرحبا بالعالم، كيف حالك اليوم؟ اللُّغَةُ العَرَبِيَّةُ جميلةٌ جدًا ١٢٣٤٥.",
    "Hebrew": "שלום עולם, מה שלומך היום? זהו משפט לבדיקה.",
    "Hindi": "नमस्ते दुनिया, आज मौसम कैसा है? यह एक परीक्षण वाक्य है १२३४५।",
    "Thai": "สวัสดีชาวโลก วันนี้อากาศเป็นอย่างไรบ้าง ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. Цена: 1 000 ₽.",
    "Greek": "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",
    "German": "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.",
    "French": "L'œuvre d'été n'a-t-elle pas été « brûlée » à Noël ? Ça va !",
    "Spanish": "¿Dónde está el niño? ¡Mañana será otro día! El pingüino comió jalapeños.",
    "Turkish": "Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul'da IĞDIR ilı.",
    "Vietnamese": "Tiếng Việt có rất nhiều dấu thanh: ngã, nặng, hỏi, sắc, huyền.",
    "Tamil": "வணக்கம் உலகம், இன்று வானிலை எப்படி இருக்கிறது?",
    "Bengali": "ওহে বিশ্ব, আজ আবহাওয়া কেমন? এটি একটি পরীক্ষা।",
    "Swahili": "Habari ya dunia, hali ya hewa ikoje leo?",
    "Python": "def f(x: int) -> int:\n    # doubles\n\treturn x ** 2  if x>0 else -x\n\n\n",
    "JSON": '{"id": 12345, "tags": ["a", "b\\n"], "nested": {"pi": 3.14159e-05, "ok": null}}',
    "markup": "<html><!-- note --><p class='x'>&amp;</p></html>\r\n\r\n  <br/>",
    "address": "https://example.org/a/b?c=d&e=%20f#g user.name+tag@example.co.uk",
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA==",
    "LaTeX": "\\frac{\\partial f}{\\partial x} = \\sum_{i=0}^{\\infty} a_i x^{i}",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 👍🏽 🇨🇳 ❤️\u200d🔥",
    "combining": "e\u0301 n\u0303 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢ \u00c5 \u212b",
    "odd spaces": "a  b   c\t\td \n \n\n e\r\n\r\n\u00a0\u3000\u2009x\u200b\ufeff ",
    "digits": "0 00 000 0000 1234567 3.1415926535 1,000,000 ٣٤٥ ⅷ ²",
    "contractions": "I'm you're WE'LL don'T she'd they'Ve 's 'S'll",
    "special-token text": "<|endoftext|><|fim_prefix|> <|im_start|>user<|im_sep|> <|endofprompt|>",
    "NUL and controls": "\x00\x01\x7f\x85\u2028\u2029\u202e",
    "lone surrogate": "before \ud83d after",
    "empty": "",
    "one space": " ",
    "long spaces": " " * 20_000,
    "long newlines": "\n" * 5_000,
    "long zeros": "0" * 20_000,
    "long Chinese": "的" * 20_000,
    "long word": "abc" * 7_000,
    "long signs": "=-" * 5_000,
}


def refuse(*_: object) -> None:
    raise AssertionError("counting must not touch the network")


@pytest.fixture(scope="module")
def offline() -> Iterator[pytest.MonkeyPatch]:
    """No socket connects and nothing of ours was built before."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        encoder.cache_clear()
        encoding.cache_clear()
        yield monkeypatch


@pytest.fixture(scope="module")
def rank_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published files as tiktoken caches them, made from the packed data."""
    folder = tmp_path_factory.mktemp("tiktoken")
    for name, cache_name in CACHE_NAMES.items():
        (folder / cache_name).write_bytes(published(name))
    return folder


@pytest.fixture(scope="module")
def stock(rank_files: Path, offline: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the installed tiktoken itself builds its encodings from.

    Its constructors are called directly, since its registry remembers what it built before.
    """
    offline.setenv("TIKTOKEN_CACHE_DIR", str(rank_files))
    return {name: ENCODING_CONSTRUCTORS[name]() for name in WITH_PUBLISHED_RANKS}


def published(name: str) -> bytes:
    if name == "r50k_base":
        return pack_ranks.expand(pack_ranks.read_packed("p50k_base"), pack_ranks.R50K_RANKS)
    return pack_ranks.expand(pack_ranks.read_packed(name))


@pytest.mark.parametrize(
    ("name", "sha256"),
    [*pack_ranks.PUBLISHED_SHA256.items(), ("r50k_base", pack_ranks.R50K_SHA256)],
)
def test_the_packed_ranks_are_the_published_ones(name: str, sha256: str) -> None:
    """Expanded again, they are the published file byte for byte."""
    assert hashlib.sha256(published(name)).hexdigest() == sha256


def test_packing_keeps_a_gap_in_the_ranks() -> None:
    text = b"YQ== 0\nYg== 1\nYWI= 3\n"
    packed = pack_ranks.pack(text)
    assert pack_ranks.unpack(packed) == [b"a", b"b", b"", b"ab"]
    assert pack_ranks.expand(packed) == text


def test_a_file_that_is_not_the_published_one_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in pack_ranks.PUBLISHED_SHA256:
        (tmp_path / f"{name}.tiktoken").write_bytes(b"YQ== 0\n")
    with pytest.raises(SystemExit) as stopped:
        pack_ranks.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "is not the published file" in capsys.readouterr().err


@pytest.mark.parametrize("name", WITH_PUBLISHED_RANKS)
def test_ids_equal_tiktokens_own(name: str, stock: dict[str, dict[str, Any]]) -> None:
    """Every text of the corpus gives the same ids as the installed tiktoken with its own files."""
    theirs = tiktoken.Encoding(**stock[name])
    ours = encoder(name)
    for kind, text in CORPUS.items():
        assert ours(text) == theirs.encode(text, disallowed_special=()), kind


@pytest.mark.parametrize("name", ENCODING_NAMES)
def test_patterns_and_special_tokens_equal_tiktokens_own(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_ranks: dict[bytes, int] = {}
    for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
        monkeypatch.setattr(f"tiktoken_ext.openai_public.{loader}", lambda *_, **__: no_ranks)
    theirs = ENCODING_CONSTRUCTORS[name]()
    ours = encoding(name)
    assert ours._pat_str == theirs["pat_str"]
    assert ours._special_tokens == theirs["special_tokens"]


def test_every_encoding_tiktoken_has_is_here() -> None:
    assert sorted(ENCODING_NAMES) == sorted(ENCODING_CONSTRUCTORS)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("hello world", [31373, 995]),
        ("00000", [20483]),
        ("0" * 16, [25645]),
        ("0" * 17, [8269, 10535, 830]),
    ],
)
def test_gpt2_gives_the_ids_that_tiktokens_own_tests_state(text: str, ids: list[int]) -> None:
    """gpt2 is published in another form; r50k_base has the same ranks."""
    assert encoder("gpt2")(text) == ids


@pytest.mark.parametrize("name", ENCODING_NAMES)
def test_every_encoding_is_built_with_the_network_unreachable(
    name: str, offline: pytest.MonkeyPatch
) -> None:
    assert len(encoder(name)("hello world")) == 2


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
@pytest.mark.parametrize("text", [" " * 1_000_000, "的" * 250_000, "word " * 60_000])
def test_texts_of_any_length_are_counted_in_slices(name: str, text: str) -> None:
    """tiktoken cannot do a million spaces; a cut costs at most a token or two."""
    first, last = text[:SLICE], text[SLICE * (len(text) // SLICE) :]
    whole_slices = len(text) // SLICE
    encode = encoder(name)
    expected = whole_slices * len(encode(first)) + len(encode(last))
    assert abs(len(encode(text)) - expected) <= 2 * whole_slices


@pytest.mark.parametrize("name", ENCODING_NAMES)
def test_texts_counted_together_have_as_many_tokens_as_each_alone(name: str) -> None:
    """Also beside texts that cannot be joined: special tokens, or more than one slice."""
    encode = encoder(name)
    plain = [text for title, text in CORPUS.items() if "special" not in title]
    for texts in (plain, [*CORPUS.values()], [*plain, "word " * 30_000], [], [""], ["", ""]):
        assert token_counts(name, texts) == [len(encode(text)) for text in texts]


@given(st.lists(st.text(st.characters(codec=None), max_size=20), max_size=6))
def test_any_texts_can_be_counted_together(texts: list[str]) -> None:
    encode = encoder("o200k_base")
    assert token_counts("o200k_base", texts) == [len(encode(text)) for text in texts]


def test_a_text_with_special_tokens_is_plain_text() -> None:
    assert encoder("cl100k_base")("<|endoftext|>") == [27, 91, 8862, 728, 428, 91, 29]


class Panic(BaseException):
    """Like tiktoken's PanicException, which is not an Exception either."""


def failing_with(error: BaseException) -> Encode:
    def encode(text: str) -> list[int]:
        raise error

    return encode


@pytest.mark.parametrize("error", [ValueError("stack overflow"), Panic("index out of bounds")])
@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("abc", 1), ("abcd", 2), ("的的", 2), ("\ud800", 1), ("x" * 2 * SLICE, 66_668)],
)
def test_what_cannot_be_encoded_is_estimated(error: BaseException, text: str, length: int) -> None:
    """A third of the UTF-8 bytes of each slice, rounded up."""
    assert len(unfailing(failing_with(error))(text)) == length


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_stops_a_run_still_stops_it(error: type[BaseException]) -> None:
    with pytest.raises(error):
        unfailing(failing_with(error()))("text")


@given(st.text(st.characters(codec=None), max_size=50))
def test_no_text_raises(text: str) -> None:
    """Lone surrogates included; never more than a token a byte."""
    assert len(encoder("o200k_base")(text)) <= len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("o3", "o200k_base"),
        ("gpt-oss-20b", "o200k_harmony"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("gpt-35-turbo-16k", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-davinci-003", "p50k_base"),
        ("text-davinci-edit-001", "p50k_edit"),
        ("davinci", "r50k_base"),
        ("gpt2", "gpt2"),
        ("ft:gpt-4o-mini:lab::id", "o200k_base"),
        ("ft:gpt-4.1-mini:lab::id", "o200k_base"),
        ("ft:gpt-3.5-turbo:lab::id", "cl100k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("openrouter/openai/gpt-4:free", "cl100k_base"),
        ("GPT-4", "cl100k_base"),
        ("gpt-6", "o200k_base"),
        ("o9-mini", "o200k_base"),
        ("qwen-max", "o200k_base"),
        ("deepseek-chat", "o200k_base"),
        ("", "o200k_base"),
        ("/", "o200k_base"),
        (None, "o200k_base"),
        (["gpt-4"], "o200k_base"),
    ],
)
def test_every_model_has_an_encoding(model: Any, name: str) -> None:
    """tiktoken's own choice where it knows the model, o200k_base everywhere else."""
    assert encoding_name(model) == name


@pytest.mark.parametrize("model", sorted(tiktoken.model.MODEL_TO_ENCODING))
def test_models_that_tiktoken_knows_are_as_tiktoken_says(model: str) -> None:
    assert encoding_name(model) == tiktoken.encoding_name_for_model(model)


def test_an_unknown_encoding_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match=r"'cl100k'; did you mean cl100k_base\?"):
        encoder("cl100k")


def test_an_encoding_like_no_other_is_refused_with_all_names() -> None:
    with pytest.raises(BadInput, match=r"use cl100k_base, o200k_base, .*gpt2"):
        encoder("zzz")


def test_threads_that_ask_at_once_get_the_same_answer() -> None:
    encoder.cache_clear()
    encoding.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        lengths = list(threads.map(lambda _: len(encoder("r50k_base")("hello world")), range(8)))
    assert lengths == [2] * 8


def test_importing_this_does_not_import_tiktoken() -> None:
    """Runs that count nothing do not pay for the counter."""
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            "import request_engine.encodings, request_engine.tokens, sys;"
            "print('tiktoken' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert seen.stdout.strip() == "False"
