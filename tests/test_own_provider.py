"""Providers that are not ours: of the user's own in a file, and of packages that are installed."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import canary
import pytest

import api_request_parallel_processor as door
from providers import PROVIDERS
from providers.deepseek import DeepSeek
from providers.openai_compatible import OpenAICompatible
from request_engine import own_provider, preflight
from request_engine.errors import BadInput
from request_engine.local_endpoint import Settings, serving
from request_engine.provider import Provider

ROOT = Path(__file__).resolve().parent.parent
BASE = "from api_request_parallel_processor import OpenAICompatible"
OWN = f"""
{BASE}


class Own(OpenAICompatible):
    name = "own_cloud"
    hosts = ("api.own.example",)
    key_variables = ("OWN_CLOUD_KEY",)
    base_url = "https://api.own.example/v1"
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write own.py, in whose folder the test then is."""
    monkeypatch.chdir(tmp_path)

    def written(text: str, name: str = "own.py") -> str:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(textwrap.dedent(text), encoding="utf-8")
        return f"{name}:Own"

    return written


def complaint(told: str) -> str:
    with pytest.raises(BadInput) as caught:
        own_provider.load(told)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# A provider in a file.


def test_a_class_in_a_file_is_a_provider_and_may_have_a_url_of_its_own(write) -> None:
    service = preflight.service(PROVIDERS, write(OWN), None)
    assert (service.provider.name, service.shown) == ("own_cloud", "https://api.own.example/v1")
    elsewhere = preflight.service(PROVIDERS, "own.py:Own", "http://127.0.0.1:8000/v1")
    assert elsewhere.shown == "http://127.0.0.1:8000/v1"


def test_the_file_is_read_anew_each_time_and_nothing_is_written_beside_it(write) -> None:
    """P10. And in a notebook one mends the file and runs the cell again."""
    assert own_provider.load(write(OWN)).name == "own_cloud"
    assert own_provider.load(write(OWN.replace("own_cloud", "mended"))).name == "mended"
    assert os.listdir() == ["own.py"]


def test_it_may_hold_whatever_a_module_may(write) -> None:
    """A dataclass looks for its module, and `__file__` finds what lies beside."""
    told = write(
        f"""
        from __future__ import annotations
        from dataclasses import dataclass
        from pathlib import Path
        from typing import ClassVar
        {BASE}

        @dataclass(frozen=True, slots=True)
        class Fact:
            seen: ClassVar[int] = 0
            folder: Path = Path(__file__).parent

        class Own(OpenAICompatible):
            name = "own_cloud"
            fact = Fact()
        """
    )
    assert own_provider.load(told).fact.folder == Path()


def test_its_base_is_the_class_that_ours_are_made_from() -> None:
    """The one import that works in a checkout, in a wheel and after pip install -e."""
    assert door.OpenAICompatible is OpenAICompatible
    assert door.DeepSeek is DeepSeek
    assert door.Provider is Provider


@pytest.mark.parametrize("name", ["OpenAIIncompatible", "__path__", "object", "providers"])
def test_the_door_has_nothing_else_to_derive_from(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(door, name)


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ("own.py:Own", ("own.py", "Own")),
        ("a b/own.py:Own", ("a b/own.py", "Own")),
        (r"C:\Users\me\own.py:Own", (r"C:\Users\me\own.py", "Own")),
        ("C:/Users/me/own.PY:Own", ("C:/Users/me/own.PY", "Own")),
        (r"C:\Users\me\own.py", (r"C:\Users\me\own.py", None)),
        ("own.py", ("own.py", None)),
        ("own.py:", ("own.py", "")),
    ],
)
def test_the_last_colon_parts_the_file_from_the_class(told: str, parts) -> None:
    """A drive of Windows has one too."""
    assert own_provider.is_file(told)
    assert own_provider._file_and_class(told).groups() == parts


@pytest.mark.parametrize("name", ["openai", "z.ai", "own:Own", "python", ".py", "own.pyc:Own"])
def test_what_names_no_file_is_a_name(name: str) -> None:
    assert not own_provider.is_file(name)


def test_a_file_with_a_drive_of_windows_in_its_path(write) -> None:
    """Elsewhere a colon and a backslash are letters of a name, and read as such."""
    path = f"{Path.cwd()}\\own.py" if sys.platform == "win32" else r"C:\own.py"
    assert own_provider.load(write(OWN, path)).name == "own_cloud"


FACTS = [
    ('name = "own_cloud"', "", "has no name"),
    ('name = "own_cloud"', 'name = "Own Cloud"', "name is 'Own Cloud', but it must be as in name"),
    ('("api.own.example",)', '"api.own.example"', "but it must be as in ('api.own.example',)"),
    ('("api.own.example",)', '("api.own.example", 7)', "hosts is"),
    ('("api.own.example",)', '("https://api.own.example",)', "a name alone"),
    ('("api.own.example",)', '("API.own.example",)', "in small letters"),
    ('("api.own.example",)', '("api.own.example:443",)', "a name alone"),
    ('("api.own.example",)', '("",)', "a name alone"),
    ('("OWN_CLOUD_KEY",)', '["OWN_CLOUD_KEY"]', "key_variables is ['OWN_CLOUD_KEY']"),
    ('"https://api.own.example/v1"', "7", "base_url is 7"),
    ("base_url =", "profile =", "must be a Profile"),
]


@pytest.mark.parametrize(("right", "wrong", "words"), FACTS)
def test_a_fact_of_the_wrong_shape_is_told_with_the_right_one(write, right, wrong, words) -> None:
    """A text where a tuple belongs would be taken letter by letter."""
    message = complaint(write(OWN.replace(right, wrong)))
    assert message.startswith("--provider own.py: Own")
    assert words in message


HOSTS = ["api.own.example", ".own.example", "localhost", "192.0.2.7", "::1", "xn--eckwd.example"]


@pytest.mark.parametrize("host", HOSTS)
def test_every_host_that_a_url_can_have_may_be_a_fact(write, host: str) -> None:
    provider = own_provider.load(write(OWN.replace("api.own.example", host, 1)))
    shown = f"x{host}" if host[0] == "." else f"[{host}]" if ":" in host else host
    assert provider.matches(urlsplit(f"http://{shown}:80/v1"))


FAULTS = [
    ("Own = (\n", "own.py, line 1: SyntaxError: '(' was never closed"),
    ("x = 1\nif x:\ny = 2\n", "own.py, line 3: IndentationError: expected an indented block"),
    ("x = 'caf\xe9'\n", None),
    ("import no_such_package\n", "own.py, line 1: ModuleNotFoundError: No module named 'no_such"),
    ("from .openai_compatible import X\n", f"what works everywhere is: {BASE}"),
    ("from request_engine.providers.openai import X\n", BASE),
    ("def f():\n    raise ValueError('a\\nb')\nf()\n", "own.py, line 2: ValueError: a b"),
    ("raise SystemExit(3)\n", "own.py, line 1: SystemExit: 3"),
    ("class Owl: pass\n", "no class Own in own.py: write a class, and own.py:ItsName"),
    (OWN.replace("Own(", "Owl("), "there is no class Own in own.py: write own.py:Owl"),
    ("Own = 7\n", f"Own is not a provider: derive it from OpenAICompatible ({BASE})"),
    ("class Own: pass\n", "Own is not a provider"),
    (OWN + "    def __init__(self, url): pass\n", "own.py: TypeError: Own.__init__() missing 1"),
    (OWN + "    def __init__(self):\n        1 / 0\n", "own.py, line 11: ZeroDivisionError"),
    (
        "from request_engine.provider import Provider\nclass Own(Provider):\n    name = 'own'\n",
        "Own has no endpoint_of_body(): write it, or derive Own from OpenAICompatible",
    ),
]


@pytest.mark.parametrize(("text", "words"), FAULTS)
def test_a_fault_in_the_file_is_one_line_with_its_place(write, text: str, words) -> None:
    told = write(text)
    if words is None:
        Path("own.py").write_bytes(text.encode("latin-1"))
        words = "own.py: SyntaxError: invalid or missing encoding declaration"
    message = complaint(told)
    assert message.startswith("--provider")
    assert words in message


def test_a_file_that_cannot_be_read_is_told(write) -> None:
    assert complaint("none.py:Own") == "--provider: there is no file none.py"
    Path("folder.py").mkdir()
    assert complaint("folder.py:Own").startswith("--provider: folder.py cannot be read: ")
    Path("nul.py").write_bytes(b"x = 1\0")
    assert "null byte" in complaint("nul.py:Own")


def test_without_a_class_the_classes_in_the_file_are_named(write) -> None:
    """Those that it imports are not its own."""
    write(OWN + "\n\nclass Other(Own):\n    name = 'other'\n")
    for told in ("own.py", "own.py:"):
        message = f"--provider: {told} names no class: write own.py:Own or own.py:Other"
        assert complaint(told) == message


@pytest.mark.no_key
@pytest.mark.parametrize("told", ["none.py:Own", "own.py:None", "own.py"])
def test_a_faulty_file_ends_the_command_with_2_and_one_line(write, told: str) -> None:
    write(OWN)
    Path("in.jsonl").write_text('{"model": "m", "messages": []}\n', encoding="utf-8")
    command = [sys.executable, door.__file__, "--requests_filepath", "in.jsonl"]
    ended = subprocess.run(
        [*command, "--provider", told], capture_output=True, encoding="utf-8", timeout=60
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert not Path("in_results.jsonl").exists()


# Its key.


def test_P9_the_key_in_its_variable_is_sent_to_its_own_hosts_only(write) -> None:
    own, environ = own_provider.load(write(OWN)), {"OWN_CLOUD_KEY": "sk-1"}
    home, elsewhere = urlsplit("https://api.own.example/v1"), urlsplit("https://b.example/v1")
    assert preflight.key(None, own, home, environ) == "sk-1"
    with pytest.raises(BadInput, match=r"OWN_CLOUD_KEY is not sent to b\.example"):
        preflight.key(None, own, elsewhere, environ)
    with pytest.raises(BadInput, match="no key for own_cloud: set OWN_CLOUD_KEY, or give"):
        preflight.key(None, own, home, {})


def test_without_a_variable_of_its_own_a_key_can_only_be_given(write) -> None:
    """P9: no other service's key is taken for it."""
    own = own_provider.load(write(OWN.replace("OWN_CLOUD_KEY", "X").replace('("X",)', "()")))
    environ = {name: "sk-1" for one in PROVIDERS for name in one.key_variables}
    with pytest.raises(BadInput) as caught:
        preflight.key(None, own, urlsplit("https://api.own.example/v1"), environ)
    assert str(caught.value) == "no key for own_cloud: give --api_key"


def test_a_job_runs_through_it_and_its_judgement(write, monkeypatch) -> None:
    """P9: with the key from its variable, which is in no row."""
    judged = OWN.replace("api.own.example", "127.0.0.1", 1)
    judged += '    finish_reasons = {"stop": Kind.CONTENT_FILTER}\n'
    told = write("from request_engine import Kind\n" + judged)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    Path("in.jsonl").write_text(json.dumps(body) + "\n", encoding="utf-8")
    monkeypatch.setenv("OWN_CLOUD_KEY", canary.KEY)

    async def run() -> None:
        async with serving(Settings(key=canary.KEY)) as endpoint:
            await door.process_api_requests_from_file(
                "in.jsonl", request_url=endpoint.url + "/v1", provider=told
            )

    asyncio.run(run())
    written = Path("in_results.jsonl").read_text(encoding="utf-8")
    [(_, errors)] = [json.loads(line) for line in written.splitlines()]
    assert errors[0]["kind"] == "content_filter"
    assert canary.KEY not in written


# Those of installed packages.


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package where this Python finds it, with an entry point for each of its classes."""
    there = tmp_path / "site"
    monkeypatch.syspath_prepend(str(there))

    def installed(text: str, *names: str, package: str = "own_package") -> None:
        (there / f"{package}.py").parent.mkdir(exist_ok=True)
        (there / f"{package}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        told = there / f"{package}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n", encoding="utf-8")
        points = "".join(f"{name.lower()} = {package}:{name}\n" for name in names)
        (told / "entry_points.txt").write_text(f"[{own_provider.GROUP}]\n{points}", "utf-8")
        importlib.invalidate_caches()

    yield installed
    for name in [one for one in sys.modules if one.startswith("own_package")]:
        del sys.modules[name]


def test_a_package_s_provider_is_chosen_by_url_by_name_and_before_the_last(install) -> None:
    install(OWN, "Own")
    by_url = preflight.service(PROVIDERS, None, "https://api.own.example/v1/chat/completions")
    by_name = preflight.service(PROVIDERS, "Own-Cloud", None)
    assert by_url.provider.name == by_name.provider.name == "own_cloud"
    assert [one.name for one in own_provider.joined(PROVIDERS)][-2:] == [
        "own_cloud",
        PROVIDERS[-1].name,
    ]


def test_a_package_takes_neither_the_name_nor_the_host_of_a_known_service(install) -> None:
    """P9: or it would get that service's key."""
    thief = OWN.replace("own_cloud", "deepseek").replace("api.own.example", "api.deepseek.com")
    install(thief, "Own")
    for name, url in (("deepseek", None), (None, "https://api.deepseek.com/chat/completions")):
        assert isinstance(preflight.service(PROVIDERS, name, url).provider, DeepSeek)


BROKEN = {
    "no such class": ("", "AttributeError"),
    "an error in it": ("raise RuntimeError('no\\nlicence')\n", "RuntimeError: no licence"),
    "no provider": ("Own = 7\n", "own_package:Own is not a provider"),
    "a wrong fact": (OWN.replace('("api.own.example",)', '"x"'), "hosts is 'x'"),
    "an end of the program": ("raise SystemExit(1)\n", "SystemExit: 1"),
    "no constructor": (OWN + "    def __init__(self, url): pass\n", "TypeError"),
}


@pytest.mark.parametrize(("text", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_package_is_one_line_of_the_log_and_the_others_are_there(
    install, caplog: pytest.LogCaptureFixture, text: str, words: str
) -> None:
    install(text, "Own")
    install(OWN, "Own", package="own_package_too")
    assert preflight.provider(PROVIDERS, "own_cloud").name == "own_cloud"
    [line] = [one.getMessage() for one in caplog.records]
    assert line.startswith("the provider own of own_package is left out: ")
    assert words in line
    assert "\n" not in line


def test_packages_are_not_looked_for_when_a_known_service_fits(install, caplog) -> None:
    """Looking costs time, and a broken one is nothing to them."""
    install("raise RuntimeError\n", "Own")
    preflight.service(PROVIDERS, "deepseek", None)
    preflight.service(PROVIDERS, None, "https://api.openai.com/v1/embeddings")
    assert caplog.records == []


def test_help_does_not_look_for_packages() -> None:
    script = (
        "import sys, api_request_parallel_processor as door\n"
        "try:\n    door.main(['--help'])\n"
        "except SystemExit:\n    print('importlib.metadata' in sys.modules, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.stderr == "False\n"


# The exam, as a user gives it.


def examine(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "test_every_provider.py")]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT), *arguments],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_the_example_passes_the_exam_and_sits_all_of_it(tmp_path) -> None:
    """Its own rows too; the others' are left out."""
    example = f"{ROOT / 'examples' / 'own_provider.py'}:ExampleCloud"
    asked = ["-q", "--co", "--provider", example]
    listed = examine(*asked, "-o", "addopts=", cwd=tmp_path).stdout.splitlines()
    names = [line.partition("[")[2] for line in listed if "[" in line]
    assert any("example_cloud: no money" in name for name in names)
    assert any("api.example.com.evil.example" in name for name in names)
    assert len([name for name in names if "example_cloud" in name]) > 90
    assert not any("deepseek" in name or "openai]" in name for name in names)


def test_the_exam_finds_what_is_wrong(write, tmp_path) -> None:
    """A provider that judges nothing fails it; the rows are in the file beside."""
    told = write(OWN)
    rows = f"{(ROOT / 'examples' / 'own_provider_service.py').read_text('utf-8')}"
    Path("own_service.py").write_text(rows.replace("example.com", "own.example"), "utf-8")
    Path("own.jsonl").write_text('{"model": "m", "messages": "hi"}\n', encoding="utf-8")
    chosen = ["-o", "addopts=", "-k", "what_it_refuses or has_an_example or its_reply"]
    ended = examine(*chosen, "--provider", told, cwd=tmp_path)
    assert ended.returncode == 1
    assert "1 failed, 3 passed" in ended.stdout
    assert "own_cloud: no money" in ended.stdout


@pytest.mark.parametrize(
    ("told", "words"),
    [("none.py:Own", "no file none.py"), ("own.py:Own", "its name belongs to one of ours")],
)
def test_the_exam_of_what_is_not_there_is_one_line(write, tmp_path, told, words) -> None:
    write(OWN.replace("own_cloud", "deepseek"))
    ended = examine("--provider", told, cwd=tmp_path)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
