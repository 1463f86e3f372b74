"""The documents say what the code does, and both languages say the same."""

import argparse
import asyncio
import importlib
import inspect
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from api_request_parallel_processor import AsyncClient, Client, command_line, find_providers
from benchmarks.pictures import PICTURES
from request_engine import endpoints_file, judgement, make_requests, preflight
from request_engine.destination import Asked
from request_engine.encodings import ENCODING_NAMES
from request_engine.lines import read_line
from request_engine.local_endpoint import Settings, serving
from request_engine.local_endpoint.flags import _parser as local_endpoint_flags
from request_engine.pace import Pace
from request_engine.records import Kind, Reply, Request, Success
from request_engine.rows import read_row
from request_engine.shares import SHORT

ROOT = Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
READMES = (ENGLISH, CHINESE)
PAGES = ("docs/providers.md", "docs/providers.zh-CN.md")
TWINS = (READMES, PAGES)
FAILURES, FAULTS, LIMITS = "docs/failures.md", "docs/faults.md", "docs/limits.md"
PIPELINES = tuple(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("pipelines-*.md"))
DOCUMENTS = (*READMES, *PAGES, *PIPELINES, "CHANGELOG.md", FAILURES, FAULTS, LIMITS)
CONTROLLER = [
    "allowance",
    "backoff",
    "budget",
    "charges",
    "gate",
    "pace",
    "pause",
    "sizes",
    "window",
]

PROVIDERS = find_providers().PROVIDERS
FLAGS = [
    action for action in command_line()._actions if not isinstance(action, argparse._HelpAction)
]

NO_VALUE = {"none", "无"}
OFF = {"off", "关"}
REQUIRED = {"required", "必填"}

fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
literal = re.compile(r"https?://[^\s)]+|\d+|_\w+")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def prose(document: str) -> str:
    """The document without its code blocks."""
    return fence.sub("", text_of(document))


def tables(document: str) -> list[list[list[str]]]:
    """Every table as rows of cells, headers first, without the line below them."""
    found: list[list[list[str]]] = [[]]
    for line in prose(document).splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[table[0], *table[2:]] for table in found if table]


def table_of(document: str, *headings: str) -> list[list[str]]:
    """The rows of the table whose first column has one of *headings*, in either language."""
    [table] = [one for one in tables(document) if one[0][0] in headings]
    return table[1:]


def literals(*cells: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]*)`", " ".join(cells))


def rows_of(document: str) -> dict[str, list[str]]:
    """Every table row by its first cell."""
    return {row[0]: row for table in tables(document) for row in table}


def kinds_told(document: str) -> set[tuple[str, str]]:
    """(what, kind) of every table row whose second cell is a kind."""
    rows = (row for table in tables(document) for row in table)
    return {(row[0].replace("`", ""), row[1].strip("`")) for row in rows}


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("flag", FLAGS, ids=lambda action: action.dest)
def test_every_flag_stands_in_the_table_with_its_default(
    flag: argparse.Action, readme: str
) -> None:
    """What --help says of a default is what both tables say."""
    default = rows_of(readme)[f"`{flag.option_strings[0]}`"][2]
    told = re.search(r"\(default: (.*)\)", flag.help or "")
    if flag.required:
        assert default in REQUIRED
    elif flag.nargs == 0:
        assert default in OFF
    elif flag.default is not None:
        assert default == f"`{flag.default}`"
    elif told is None:
        assert default in NO_VALUE
    else:
        assert all(f"`{word}`" in default for word in literal.findall(told[1]))


@pytest.mark.parametrize("readme", READMES)
def test_no_flag_stands_in_the_table_that_does_not_exist(readme: str) -> None:
    """A reader of the flag table can use every row of it."""
    told = {cell for cell in rows_of(readme) if cell.startswith("`--")}
    assert told == {f"`{flag.option_strings[0]}`" for flag in FLAGS}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_flag_named_anywhere_exists(document: str) -> None:
    """No document speaks of a flag that no command has."""
    parsers = (command_line(), local_endpoint_flags(), make_requests.command_line())
    known = {flag for one in parsers for action in one._actions for flag in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z]\w+", text_of(document))) <= known


def test_every_fault_names_a_test_that_exists() -> None:
    """Each row of the page of faults but those of the sweeps ends with one or more tests."""
    rows = [row for table in tables(FAULTS) for row in table[1:] if len(row) == 3]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row[2])
        assert named, row
        for file, test in named:
            assert re.search(rf"def {test}\(", (ROOT / "tests" / file).read_text("utf-8")), test


def test_every_test_named_after_a_fault_is_on_the_page() -> None:
    named = set(re.findall(r"::(test_\w+)`", text_of(FAULTS)))
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    assert set(re.findall(r"def (test_fault_\w+)\(", tests)) <= named


@pytest.mark.parametrize(("english", "chinese"), TWINS)
def test_both_languages_have_the_same_shape(english: str, chinese: str) -> None:
    """Headings, tables with their rows, and code blocks correspond one to one."""

    def shape(document: str) -> dict[str, object]:
        plain = prose(document)
        return {
            "headings": [len(one) for one in re.findall(r"^(#+) ", plain, re.MULTILINE)],
            "tables": [[len(row) for row in table] for table in tables(document)],
            "code": [language for language, _ in fence.findall(text_of(document))],
            "items": len(re.findall(r"^(?:-|\d+\.) ", plain, re.MULTILINE)),
            "bold": len(re.findall(r"^\*\*", plain, re.MULTILINE)),
        }

    assert shape(chinese) == shape(english)


@pytest.mark.parametrize(("english", "chinese"), TWINS)
def test_both_languages_show_the_same_code(english: str, chinese: str) -> None:
    """Commands and examples are not translated; only the drawing of the path is."""

    def code(document: str) -> list[str]:
        return [block for language, block in fence.findall(text_of(document)) if language != "text"]

    assert code(chinese) == code(english)


@pytest.mark.parametrize(("english", "chinese"), TWINS)
def test_both_languages_name_the_same_things_in_every_table(english: str, chinese: str) -> None:
    """What stands between backticks is the same, cell by cell."""

    def named(document: str) -> list[list[list[str]]]:
        return [[sorted(literals(cell)) for cell in row] for one in tables(document) for row in one]

    assert named(chinese) == named(english)


@pytest.mark.parametrize("document", [*READMES, *PAGES])
def test_the_providers_are_those_of_the_tuple_in_its_order(document: str) -> None:
    """By the name that comes first in their row."""
    rows = table_of(document, "name", "名称", "name (other names)", "名称（别名）")
    assert [literals(row[0])[0] for row in rows] == [one.name for one in PROVIDERS]


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_provider_has_a_row_with_where_it_is_and_its_key(provider, readme: str) -> None:
    """Its hosts, or where it is looked for if it has none; and the first variable of its key."""
    row = next(row for row in table_of(readme, "name", "名称") if row[0] == f"`{provider.name}`")
    where = set(provider.hosts) or {provider.base_url} - {None}
    assert where | {provider.key_variables[0]} <= set(literals(*row))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_provider_has_a_row_with_all_its_facts(provider, page: str) -> None:
    """Name, other names, hosts, key variables and base URL are those of the class."""
    rows = table_of(page, "name (other names)", "名称（别名）")
    name, hosts, keys, url, notes = next(
        row for row in rows if literals(row[0])[0] == provider.name
    )
    assert literals(name) == [provider.name, *provider.aliases]
    assert set(provider.hosts) <= set(literals(hosts))
    assert literals(keys)[: len(provider.key_variables)] == [*provider.key_variables]
    assert literals(url) == [provider.base_url or "--request_url"]
    numbers = re.findall(r"(?<![\w.])\d[\d,]*\b", re.sub("`.*?`", "", notes))
    told = {int(one.replace(",", "")) for one in numbers}
    profile = provider.profile
    caps = {profile.inputs_per_request, profile.tokens_per_input, profile.tokens_per_request}
    assert (caps | {profile.max_concurrent}) - {None} <= told


@pytest.mark.parametrize("document", [*READMES, FAILURES])
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_told(kind: Kind, document: str) -> None:
    """A kind seen in a row can be looked up."""
    assert f"`{kind}`" in prose(document)


@pytest.mark.parametrize("readme", READMES)
def test_the_examples_of_requests_and_rows_are_what_the_engine_reads(readme: str) -> None:
    """Each example line is a request, and each example row an answer and a failure."""
    requests, rows = (
        block for language, block in fence.findall(text_of(readme)) if language == "json"
    )
    read = [
        read_line(number, line.encode()) for number, line in enumerate(requests.splitlines(), 1)
    ]
    assert [type(one) for one in read] == [Request, Request, Request]
    assert [read_row(row.encode())[1] for row in rows.splitlines()] == [True, False]


@pytest.mark.parametrize("readme", READMES)
def test_every_encoding_is_named(readme: str) -> None:
    """What --token_encoding_name takes is told."""
    assert all(f"`{name}`" in text_of(readme) for name in ENCODING_NAMES)


@pytest.mark.parametrize("readme", READMES)
def test_the_example_of_a_provider_is_one(readme: str) -> None:
    """Ten lines of code, chosen by its host, that judge replies."""
    blocks = [block for _, block in fence.findall(text_of(readme))]
    [example] = [block for block in blocks if "(OpenAICompatible)" in block]
    made: dict[str, Any] = {"__name__": "example_cloud"}
    exec(compile(example, "example_cloud.py", "exec"), made)
    added = (*PROVIDERS[:-1], made["ExampleCloud"](), PROVIDERS[-1])
    chosen = preflight.service(added, None, "https://api.example.com/v1/chat/completions")
    reply = Reply(200, {}, b'{"choices": [{"message": {"content": "hi"}}]}')

    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    assert chosen.provider.name == "example_cloud"
    assert isinstance(chosen.provider.read(reply), Success)


@pytest.mark.parametrize("page", PAGES)
def test_the_tuple_is_shown_as_it_is(page: str) -> None:
    """But for what is left out, and for the example that is put in."""
    [shown] = [block for _, block in fence.findall(text_of(page)) if "PROVIDERS: tuple" in block]
    before, _, after = shown[shown.index("PROVIDERS: tuple") :].partition("    ...,\n")
    registry = text_of("providers/__init__.py")
    tuple_itself = registry[registry.index("PROVIDERS: tuple") :]
    assert tuple_itself.startswith(before)
    assert tuple_itself.endswith(after.replace("    ExampleCloud(),\n", ""))


@pytest.mark.parametrize("readme", READMES)
def test_every_key_of_an_endpoint_stands_in_the_table(readme: str) -> None:
    """And none that the file may not have."""
    told = [key for row in table_of(readme, "key", "键") for key in literals(row[0])]
    assert sorted(told) == sorted(endpoints_file._FIELDS)


@pytest.mark.parametrize("readme", READMES)
def test_the_examples_of_endpoints_are_what_the_engine_reads(readme, tmp_path, monkeypatch) -> None:
    """Each names places that make sense, to providers that are there."""
    examples = [block for language, block in fence.findall(text_of(readme)) if language == "toml"]
    assert len(examples) == 2
    for example in examples:
        for one in tomllib.loads(example)["endpoint"]:
            monkeypatch.setenv(one.get("key_variable", "UNUSED"), "sk-test")
        path = tmp_path / "endpoints.toml"
        path.write_text(example, encoding="utf-8")
        assert len(endpoints_file.read(str(path), Asked(), PROVIDERS)) > 1


def test_the_shared_tables_of_failures_are_those_of_the_code() -> None:
    """docs/failures.md names every code, word and status that judgement.py judges by."""
    shared = (
        *judgement.CODES.items(),
        *judgement.OVERRULING,
        *judgement.PHRASES,
        *((str(status), kind) for status, kind in judgement.STATUSES.items()),
        *PROVIDERS[-1].finish_reasons.items(),
    )
    assert {(what, str(kind)) for what, kind in shared} <= kinds_told(FAILURES)


def own_verdicts(provider) -> set[tuple[str, str]]:
    """(what, kind) of all that the class says by itself."""
    shared = type(PROVIDERS[-1]).finish_reasons.items()
    own = (
        *provider.codes.items(),
        *((f"words {words} (overruling)", kind) for words, kind in provider.overruling),
        *((f"words {words}", kind) for words, kind in provider.phrases),
        *((str(status), kind) for status, kind in provider.statuses.items()),
        *(provider.finish_reasons.items() - shared),
    )
    return {(what, str(kind)) for what, kind in own}


def own_sections() -> dict[str, set[tuple[str, str]]]:
    """By their headings, which name providers, the tables of docs/failures.md."""
    page = text_of(FAILURES).partition("## Each provider's own\n")[2].partition("\n## ")[0]
    row = re.compile(r"^\| (.+?) \| `(\w+)` \|", re.MULTILINE)
    return {
        section.partition("\n")[0]: {
            (what.replace("`", ""), kind) for what, kind in row.findall(section)
        }
        for section in page.split("\n### ")[1:]
    }


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_provider_s_own_table_is_that_of_its_class(provider) -> None:
    """docs/failures.md names what a provider judges differently, in the section of its name."""
    [told] = [
        verdicts for names, verdicts in own_sections().items() if provider.name in names.split(", ")
    ]
    assert own_verdicts(provider) <= told


def test_no_table_of_a_provider_says_more_than_its_class() -> None:
    """Nor is there one of a provider that does not exist."""
    known = {one.name: own_verdicts(one) for one in PROVIDERS}
    for names, told in own_sections().items():
        assert told == set().union(*(known[name] for name in names.split(", ")))


async def test_the_examples_of_requests_in_memory_run(capsys) -> None:
    """One after the other, against the local endpoint."""
    blocks = [block for _, block in fence.findall(text_of(ENGLISH)) if "Client(" in block]
    async with serving(Settings()) as service:
        code = "".join(blocks).replace('provider="openai"', f'request_url="{service.url}"')
        await asyncio.to_thread(exec, compile(code, ENGLISH, "exec"), {"__name__": "readme"})
    assert len(blocks) == 2
    assert len(capsys.readouterr().out.splitlines()) == 100 + 1


@pytest.mark.parametrize("face", [AsyncClient, Client])
def test_every_method_of_a_client_is_told(face: type) -> None:
    """With no argument that it does not take."""
    rows = table_of(ENGLISH, "method")
    told = [one for row in rows for one in re.findall(r"`(\w+)\((.*?)\)`", row[0])]
    public = {name for name, one in inspect.getmembers(face, callable) if name[0] != "_"}
    assert {name for name, _ in told} == public - {"open", "close"}
    for name, arguments in told:
        takes = [one for one in inspect.signature(getattr(face, name)).parameters if one != "self"]
        for place, argument in enumerate(arguments.split(", ")):
            keyword, equals, _ = argument.partition("=")
            assert keyword in takes if equals else place < len(takes)


@pytest.mark.parametrize("readme", READMES)
def test_every_setting_of_the_scripts_is_told(readme: str) -> None:
    """What run.sh takes from the environment stands in the table of settings, and nothing else."""
    taken = set(re.findall(r"^([A-Z_]+)=\$\{", text_of("run.sh"), re.MULTILINE))
    told = {cell.strip("`") for cell in rows_of(readme) if re.fullmatch(r"`[A-Z_]+`", cell)}
    assert told == taken


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document: str) -> None:
    """A link to another file finds it."""
    links = re.findall(r"\]\(([^)]+)\)", prose(document))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    folder = (ROOT / document).parent
    assert [link for link in local if link and not (folder / link).exists()] == []


@pytest.mark.parametrize("readme", READMES)
def test_every_path_of_the_layout_exists(readme: str) -> None:
    """The layout shows what is there."""
    paths = [path for row in table_of(readme, "path", "路径") for path in literals(row[0])]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def constants_of(module: str) -> dict[str, tuple[float, ...]]:
    """`module.NAME` of every number, or numbers, that a room of the controller goes by."""
    found = {}
    for name, value in vars(importlib.import_module(f"request_engine.{module}")).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if re.fullmatch(r"[A-Z_]+", name) and all(map(is_number, numbers)):
            found[f"`{module}.{name.lstrip('_')}`"] = numbers
    return found


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@pytest.mark.parametrize("module", CONTROLLER)
def test_every_constant_of_the_controller_is_on_its_page(module: str) -> None:
    """docs/limits.md has each with its value, and none that is not there."""
    told = {
        name: tuple(float(one.replace(",", "")) for one in row[1].split(" to "))
        for name, row in rows_of(LIMITS).items()
        if name.startswith(f"`{module}.")
    }
    assert told == constants_of(module)


def cases(heading: str) -> list[tuple[float, float]]:
    """The two numbers in each row of the table that begins with *heading*."""
    table = next(one for one in tables(LIMITS) if one[0][0] == heading)
    return [tuple(float(cell.split()[0].replace(",", "")) for cell in row) for row in table[1:]]


def refused_pace(pause: float) -> Pace:
    """Ten a second for 10 s, then refused for the first time, and let in after *pause*."""
    pace = Pace(1.0)
    for tenth in range(100):
        pace.spend(tenth / 10, 1)
    pace.resumed(10.0 + pause, 10.0, blamed=True)
    return pace


@pytest.mark.parametrize(("busy", "times"), cases("refused again after"))
def test_the_page_of_limits_tells_how_much_a_refusal_costs(busy: float, times: float) -> None:
    """A second short pause, *busy* seconds after the first."""
    pace = refused_pace(0.5)
    first = pace.rate
    pace.resumed(10.5 + busy + 0.5, 10.5 + busy, blamed=True)
    assert pace.rate / first == pytest.approx(times, abs=0.005)


@pytest.mark.parametrize(("pause", "seconds"), cases("the last pause"))
def test_the_page_of_limits_tells_when_more_is_tried(pause: float, seconds: float) -> None:
    """With more to send than the pace lets through."""
    pace = refused_pace(pause)
    first, resumed = pace.rate, 10.0 + pause
    now = resumed
    while pace.rate == first:
        now += 1 / 16
        pace.spend(now, first / 16)
        pace.wait(now, 2 * first)
    assert pace.rate > first
    assert now - resumed == pytest.approx(seconds, abs=0.5)


def test_all_that_may_bind_is_on_the_page_of_limits() -> None:
    """In the words of the progress line and of the closing line."""
    [table] = [one for one in tables(LIMITS) if one[0][0] == "in the progress line"]
    assert {row[0]: row[1] for row in table[1:]} == {str(one): SHORT[one] for one in SHORT}


def test_the_pictures_are_those_that_the_page_of_limits_shows() -> None:
    """Each is there, and small."""
    shown = set(re.findall(r"\]\(pictures/(\w+)\.svg\)", text_of(LIMITS)))
    there = {path.stem: path for path in (ROOT / "docs" / "pictures").iterdir()}
    assert shown == there.keys() == PICTURES.keys()
    assert all(path.stat().st_size < 40_000 for path in there.values())
