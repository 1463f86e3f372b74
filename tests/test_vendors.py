"""The engine knows no service: every vendor's name stands in providers/, in tests and in docs."""

import re
from pathlib import Path

import pytest

from providers import PROVIDERS

ENGINE = Path(__file__).resolve().parent.parent / "request_engine"
ALSO_WORDS = {"together", "generic", "bailian"}
"""Names of services that say something else as well."""
ALLOWED = re.compile(
    r"OpenAI[- ]compatible|OpenAICompatible|OpenAI Batch|\w[\w.-]*/[\w.-]+#\d+|openai_batch", re.I
)
"""The dialect, the format of files, and threads that a rule was taken from."""
NAMES = {
    name.replace("_", "[ ._-]?")
    for one in PROVIDERS
    for name in (one.name, *one.aliases)
    if name not in ALSO_WORDS
} | {"anthropic", "gemini", "claude", "volces?", "dashscope"}
VENDOR = re.compile(rf"(?<![a-z])(?:{'|'.join(sorted(NAMES))})(?![a-z])", re.I)
SOURCES = sorted(ENGINE.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_engine_names_no_vendor(path):
    text = ALLOWED.sub("", path.read_text(encoding="utf-8"))
    assert VENDOR.findall(text) == []


def test_a_vendor_s_name_would_be_found():
    for text in ("Azure tells", "as OpenAI does", "see lm studio", "x = 'deepseek'"):
        assert VENDOR.search(ALLOWED.sub("", text)), text
