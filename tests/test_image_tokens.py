"""An image costs what the published formulas say, and is never fetched to find out."""

import base64
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.openai_images import GPT_4O, IMAGE_RULES, rule_for
from request_engine.image_tokens import (
    GridRule,
    PatchRule,
    Rule,
    TileRule,
    count,
    image_size,
)

REMOTE = "https://example.org/cat.png"


def data_url(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5x", 13, b"IHDR", width, height)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def jpeg(width: int, height: int, frame: int = 0xC0, before: bytes = b"") -> bytes:
    header = struct.pack(">BHHB", 8, height, width, 3)
    return b"\xff\xd8" + segment(0xE0, b"JFIF\0") + before + segment(frame, header) + bytes(9)


def webp(chunk: bytes, payload: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 12 + len(payload)) + b"WEBP" + chunk + bytes(4) + payload


def webp_lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width | 0x4000, height))


def webp_lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def webp_extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(b"VP8X", bytes(4) + sides)


@pytest.mark.parametrize(
    ("width", "height", "detail", "expected"),
    [
        pytest.param(1024, 1024, "high", 765, id="768 x 768 is 4 tiles"),
        pytest.param(2048, 4096, "high", 1105, id="768 x 1536 is 6 tiles"),
        pytest.param(4096, 8192, "low", 85, id="low is the base"),
        pytest.param(1024, 1024, "auto", 765, id="auto is high"),
        pytest.param(1024, 1024, "", 765, id="missing is high"),
        pytest.param(512, 512, "high", 255, id="one tile, and nothing is enlarged"),
        pytest.param(1, 1, "high", 255, id="one pixel"),
        pytest.param(513, 512, "high", 425, id="a pixel more is a tile more"),
        pytest.param(2049, 513, "high", 1445, id="billed: 2048 x 512.75 rounds up"),
        pytest.param(2050, 513, "high", 765, id="billed: 2048 x 512.499 rounds down"),
        pytest.param(3000, 1000, "high", 1445, id="scaled to exactly 2048, not a tile more"),
        pytest.param(100_000, 10, "high", 765, id="a thread: 2048 x 1"),
    ],
)
def test_tiles_cost_what_the_guide_says(
    width: int, height: int, detail: str, expected: int
) -> None:
    assert TileRule(85, 170).tokens(width, height, detail) == expected
    assert TileRule(85, 170).tokens(height, width, detail) == expected


@pytest.mark.parametrize(
    ("rule", "width", "height", "detail", "expected"),
    [
        pytest.param(PatchRule(1, 1536), 1024, 1024, "high", 1024, id="guide: 32 x 32"),
        pytest.param(PatchRule(1, 1536), 1800, 2400, "high", 1452, id="guide: 33 x 44"),
        pytest.param(PatchRule(2.46, 1536), 1800, 2400, "high", 3572, id="1452 x 2.46 = 3571.92"),
        pytest.param(PatchRule(1.62, 1536), 33, 32, "high", 4, id="2 x 1.62 = 3.24"),
        pytest.param(PatchRule(1.2, 1536), 160, 32, "high", 6, id="5 x 1.2 is no float's more"),
        pytest.param(PatchRule(1, 1536), 1800, 2400, "low", 1452, id="low as high"),
        pytest.param(PatchRule(1, 1536), 10, 100_000, "high", 1536, id="a thread is capped"),
        pytest.param(PatchRule(1, 6144, 2048), 4096, 2048, "high", 64 * 32, id="fitted first"),
        pytest.param(PatchRule(1, 2500, 2048, 512), 2048, 1024, "low", 16 * 8, id="low fits 512"),
        pytest.param(
            PatchRule(1, 2500, 2048, 512, 10_000), 3200, 3200, "original", 10_000, id="original"
        ),
        pytest.param(PatchRule(1, 2500, 2048), 1600, 1600, "original", 2500, id="no original"),
    ],
)
def test_patches_cost_what_the_guide_says(
    rule: PatchRule, width: int, height: int, detail: str, expected: int
) -> None:
    assert rule.tokens(width, height, detail) == expected
    assert rule.tokens(height, width, detail) == expected


@pytest.mark.parametrize(
    ("rule", "width", "height", "expected"),
    [
        (GridRule(28, 1568, 1568), 280, 56, 10 * 2),
        (GridRule(28, 1568, 1568), 281, 57, 11 * 3),
        (GridRule(28, 1568, 1568), 3136, 280, 56 * 5),
        (GridRule(28, 1568, 1568), 4000, 4000, 1568),
    ],
)
def test_areas_cost_a_token_a_cell_up_to_the_cap(
    rule: Rule, width: int, height: int, expected: int
) -> None:
    assert rule.tokens(width, height, "auto") == expected


@pytest.mark.parametrize(
    ("rule", "detail", "expected"),
    [
        (GPT_4O, "high", 1445),
        (GPT_4O, "auto", 1445),
        (GPT_4O, "low", 85),
        (PatchRule(2.46, 1536), "high", 3779),
        (PatchRule(1.2, 6144, 2048), "high", 4916),
        (PatchRule(1, 2500, 2048, 512, 10_000), "low", 256),
        (PatchRule(1, 2500, 2048, 512, 10_000), "original", 10_000),
        (GridRule(28, 1568, 1568), "auto", 1568),
    ],
)
def test_a_remote_image_reserves_the_upper_bound(rule: Rule, detail: str, expected: int) -> None:
    assert count(rule, REMOTE, detail) == rule.upper_bound(detail) == expected


RULES: list[Rule] = [
    *(rule for _, rule in IMAGE_RULES),
    GridRule(28, 1568, 1568),
    GridRule(28, 2576, 4784),
]
SIDES = st.one_of(st.integers(1, 5000), st.integers(1, 2**32 - 1))


@given(
    st.sampled_from(RULES), SIDES, SIDES, st.sampled_from(["low", "high", "original", "auto", ""])
)
def test_no_image_costs_more_than_the_upper_bound(
    rule: Rule, width: int, height: int, detail: str
) -> None:
    assert 0 < rule.tokens(width, height, detail) <= rule.upper_bound(detail)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png(640, 480), id="png"),
        pytest.param(gif(640, 480), id="gif"),
        pytest.param(jpeg(640, 480), id="jpeg"),
        pytest.param(jpeg(640, 480, frame=0xC2), id="progressive jpeg"),
        pytest.param(jpeg(640, 480, before=segment(0xE1, bytes(60_000)) * 3), id="jpeg with EXIF"),
        pytest.param(jpeg(640, 480, before=segment(0xC4, bytes(30))), id="jpeg, tables first"),
        pytest.param(jpeg(640, 480, before=b"\xff\xff\xff"), id="jpeg with fill bytes"),
        pytest.param(webp_lossy(640, 480), id="lossy webp"),
        pytest.param(webp_lossless(640, 480), id="lossless webp"),
        pytest.param(webp_extended(640, 480), id="extended webp"),
    ],
)
def test_the_size_is_read_from_the_header(content: bytes) -> None:
    assert image_size(data_url(content)) == (640, 480)
    assert image_size(data_url(content + bytes(100_000))) == (640, 480)


def test_a_declared_type_that_is_wrong_does_not_matter() -> None:
    assert image_size(data_url(jpeg(640, 480), kind="png")) == (640, 480)


def test_only_the_header_is_decoded() -> None:
    """What comes after it need not even be base64."""
    assert image_size(data_url(png(640, 480)) + "!" * 1000) == (640, 480)


def test_base64_in_lines_is_read() -> None:
    lines = base64.encodebytes(jpeg(640, 480, before=segment(0xE1, bytes(500)))).decode()
    assert image_size(f"data:image/jpeg;base64,{lines}") == (640, 480)


@pytest.mark.parametrize(
    "url",
    [
        REMOTE,
        "",
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,A",
        "data:image/png;base64,????????",
        "data:image/png;base64,\u4e00\u4e00\u4e00\u4e00",
        "data:image/png,not-base64",
        data_url(png(0, 480)),
        data_url(png(640, 480)[:20]),
        data_url(b"\x89PNG\r\n\x1a\n" + bytes(40)),
        data_url(gif(640, 480)[:9]),
        data_url(jpeg(640, 480)[:12]),
        data_url(b"\xff\xd8\xff\xda" + bytes(40)),
        data_url(b"\xff\xd8\xff\xe0\x00\x00" * 5000),
        data_url(b"\xff\xd8" + b"\xff" * 5000),
        data_url(webp(b"ALPH", bytes(40))),
        data_url(b"%PDF-1.7" + bytes(40)),
        None,
        7,
    ],
)
def test_an_unreadable_image_has_no_size_and_costs_the_most(url: Any) -> None:
    assert image_size(url) is None
    assert count(GPT_4O, url, "high") == 1445


@given(st.binary(max_size=60), st.sampled_from([png, gif, jpeg, webp_lossy, webp_extended]))
def test_no_image_raises(junk: bytes, make: Any) -> None:
    for content in (junk, make(640, 480)[:20] + junk, b"\xff\xd8\xff" + junk):
        image_size(data_url(content))


@given(st.text(max_size=60))
def test_no_data_url_raises(junk: str) -> None:
    image_size(junk)
    image_size("data:" + junk)
    image_size("data:image/png;base64," + junk)


def test_an_image_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an image must not be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert count(GPT_4O, REMOTE, "low") == 85


def test_an_image_in_the_url_costs_what_its_size_does() -> None:
    assert count(GPT_4O, data_url(png(1024, 1024)), "high") == 765
    assert count(GPT_4O, data_url(jpeg(2048, 4096)), "auto") == 1105
    assert count(GPT_4O, data_url(png(1024, 1024)), "low") == 85


@pytest.mark.parametrize(
    ("model", "upper_bound"),
    [
        ("gpt-4o", 85 + 8 * 170),
        ("gpt-4o-2024-08-06", 85 + 8 * 170),
        ("gpt-4o-mini", 2833 + 8 * 5667),
        ("gpt-4.1", 85 + 8 * 170),
        ("gpt-4.1-mini-2025-04-14", 6636),
        ("gpt-4.1-nano", 3779),
        ("o3", 75 + 8 * 150),
        ("o4-mini", 2642),
        ("gpt-5", 70 + 8 * 140),
        ("gpt-5.1", 70 + 8 * 140),
        ("gpt-5-nano", 3779),
        ("gpt-5.2", 4916),
        ("gpt-5.4", 3000),
        ("gpt-5.4-mini", 2489),
        ("computer-use-preview", 65 + 8 * 129),
        ("openai/gpt-5", 70 + 8 * 140),
        ("ft:gpt-4o-mini:lab::id", 2833 + 8 * 5667),
        ("some-vision-model", 85 + 8 * 170),
        ("", 85 + 8 * 170),
        (None, 85 + 8 * 170),
    ],
)
def test_the_longest_model_prefix_decides(model: str | None, upper_bound: int) -> None:
    """4,096 patches x 1.62 and x 1.2, 1,536 x 2.46, x 1.72 and x 1.62, 2,500 x 1.2."""
    assert rule_for(model).upper_bound("high") == upper_bound
