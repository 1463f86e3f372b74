"""--list_providers: every fact of the classes, readable in a narrow and in a wide terminal."""

from dataclasses import fields, replace

import canary
import pytest

import api_request_parallel_processor as door
from providers import PROVIDERS
from request_engine.provider import Profile
from request_engine.provider_table import table

OTHER = PROVIDERS[-1]
WIDTHS = (80, 200)


def words(text: str) -> list[str]:
    return text.replace(",", " ").replace("(", " ").replace(")", " ").split()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_every_fact_of_every_provider_is_told(provider, width: int) -> None:
    told = words(table([provider], {}, width))
    hosts = [f"*{one}" if one.startswith(".") else one for one in provider.hosts]
    facts = [provider.name, *provider.aliases, *hosts, *provider.key_variables]
    assert {*facts, *provider.endpoints} <= {*told}


@pytest.mark.parametrize("width", [*WIDTHS, 60, 120])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    """And no sign in it that some terminal cannot show."""
    text = table(PROVIDERS, {}, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii()
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_a_wide_terminal_has_a_line_of_headings_and_a_narrow_one_a_block_each() -> None:
    narrow, wide = (table(PROVIDERS, {}, width) for width in WIDTHS)
    assert wide.split()[:6] == ["provider", "hosts", "key", "endpoints", "limits", "embeddings"]
    assert len(narrow.split("\n\n")) == len(PROVIDERS) + 1


@pytest.mark.parametrize("width", WIDTHS)
def test_P9_of_a_key_it_is_told_whether_it_is_set(width: int) -> None:
    told = table(PROVIDERS, {"DEEPSEEK_API_KEY": canary.KEY, "OPENAI_API_KEY": ""}, width)
    assert "DEEPSEEK_API_KEY (set)" in told
    assert told.count("(set)") == 1
    assert canary.KEY not in told


OTHERWISE = {
    "burst_seconds": 0.0,
    "max_concurrent": 77,
    "charges_ceiling": True,
    "inputs_per_request": 99,
    "tokens_per_input": 88,
    "tokens_per_request": 66,
    "base64_vectors": True,
}


@pytest.mark.parametrize("fact", [one.name for one in fields(Profile)])
def test_every_known_limit_of_a_profile_is_told(fact: str) -> None:
    """A fact that is added to Profile has to be told as well."""
    limited = type("Limited", (type(OTHER),), {"profile": replace(Profile(), **OTHERWISE)})
    without = replace(limited.profile, **{fact: getattr(Profile(), fact)})
    other = type("Other", (type(OTHER),), {"profile": without})
    assert table([limited()], {}, 80) != table([other()], {}, 80)


@pytest.mark.no_key
def test_it_needs_no_other_flag_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["--list-providers"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert all(one.name in words(printed.out) for one in PROVIDERS)


def test_the_width_is_the_terminal_s(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = {}
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        door.main(["--list_providers"])
        longest[width] = max(map(len, capsys.readouterr().out.splitlines()))
    assert longest[80] <= 80 < longest[200] <= 200


def test_a_provider_in_a_file_is_listed_too(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from api_request_parallel_processor import OpenAICompatible\n\n"
        "class Own(OpenAICompatible):\n    name = 'own_cloud'\n",
        encoding="utf-8",
    )
    assert door.main(["--list_providers", "--provider", f"{path}:Own"]) == 0
    assert "own_cloud" in words(capsys.readouterr().out)
    assert door.main(["--list_providers", "--provider", f"{path}:Owl"]) == 2
    assert f"write {path}:Own" in capsys.readouterr().err


def test_every_other_command_still_needs_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        door.main([])
    assert ended.value.code == 2
    assert "--requests_filepath" in capsys.readouterr().err
