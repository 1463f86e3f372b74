"""Bad input gets one clear line: what was wrong, what was seen, what to do. Nothing is sent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import api_request_parallel_processor as door

DOOR = Path(door.__file__).resolve()
URL = "http://127.0.0.1:9/v1/chat/completions"  # nothing listens on the discard port


def command(*arguments, cwd, **environment):
    """The door as a person runs it, in an environment with nothing of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(DOOR), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=kept | environment,
        timeout=60,
    )


def exit_code(*arguments):
    """The door's exit code, in this process."""
    try:
        return door.main(arguments)
    except SystemExit as end:
        return end.code


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"model": "m", "messages": []}\n', encoding="utf-8")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "a folder").mkdir()
    return tmp_path


FILE = ("--requests_filepath", "in.jsonl")
GOOD = (*FILE, "--request_url", URL)


@pytest.mark.no_key
@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ((), {}, ["--requests_filepath"]),
        (("--requests_filepath", "none.jsonl", "--request_url", URL), {}, ["no file none.jsonl"]),
        (("--requests_filepath", "a folder", "--request_url", URL), {}, ["a directory"]),
        (
            ("--requests_filepath", "empty.jsonl", "--request_url", URL),
            {},
            ["empty.jsonl is empty"],
        ),
        ((*GOOD, "--save_filepath", "in.jsonl"), {}, ["the same file", "in.jsonl"]),
        ((*GOOD, "--save_filepath", "./in.jsonl"), {}, ["the same file"]),
        ((*GOOD, "--save_filepath", "a folder"), {}, ["a folder is a directory"]),
        ((*GOOD, "--save_filepath", "no/such/out.jsonl"), {}, ["there is no folder"]),
        ((*GOOD, "--errors_filepath", "in_results.jsonl"), {}, ["the same file"]),
        (("--requests_filepath", "-", "--request_url", URL), {}, ["need --save_filepath"]),
        (FILE, {}, ["no key for openai", "OPENAI_API_KEY"]),
        ((*FILE, "--provider", "deepseek"), {}, ["no key", "DEEPSEEK_API_KEY"]),
        (
            (*FILE, "--request_url", "https://llm.example.org/v1/chat/completions"),
            {"OPENAI_API_KEY": "sk-known"},
            ["no key", "OPENAI_COMPATIBLE_API_KEY"],
        ),
        (FILE, {"OPENAI_API_KEY": "sk a"}, ["OPENAI_API_KEY", "a space"]),
        (FILE, {"OPENAI_API_KEY": "sk-a\n"}, ["OPENAI_API_KEY", "a line break"]),
        (FILE, {"OPENAI_API_KEY": "“sk-a”"}, ["OPENAI_API_KEY", "U+201C"]),
        ((*FILE, "--request_url", "api.example.com/v1"), {}, ["no scheme", "https://"]),
        ((*FILE, "--request_url", "ftp://example.com/v1"), {}, ["ftp://", "https://"]),
        ((*FILE, "--request_url", "https://"), {}, ["no host"]),
        ((*FILE, "--request_url", "https://a b.com/"), {}, ["a blank"]),
        ((*FILE, "--provider", "opnai"), {}, ["no provider 'opnai'", "did you mean openai"]),
        ((*FILE, "--provider", "azure"), {"AZURE_API_KEY": "k"}, ["give --request_url"]),
        *(
            ((*GOOD, flag, value), {}, [f"{flag} is {value}", "must be"])
            for flag in (
                "--max_requests_per_minute",
                "--max_tokens_per_minute",
                "--max_attempts",
                "--max_concurrent_requests",
                "--total_timeout",
                "--connect_timeout",
                "--max_wait",
            )
            for value in ("0", "-1", "nan", "inf", "many")
        ),
        ((*GOOD, "--seconds_to_sleep_each_loop", "-0.1"), {}, ["-0.1", "0 or more"]),
        ((*GOOD, "--seconds_to_sleep_each_loop", "nan"), {}, ["nan", "0 or more"]),
        ((*GOOD, "--max_attempts", "2.5"), {}, ["2.5", "a whole number"]),
        (
            (*GOOD, "--token_encoding_name", "cl100k"),
            {},
            ["no token encoding 'cl100k'", "did you mean cl100k_base"],
        ),
        ((*GOOD, "--max_token_per_minute", "9"), {}, ["did you mean --max_tokens_per_minute"]),
        ((*GOOD, "--max-request-per-minute", "9"), {}, ["did you mean --max_requests_per_minute"]),
        ((*GOOD, "--output_format", "csv"), {}, ["csv", "rows or batch"]),
        ((*GOOD, "--logging_level", "loud"), {}, ["loud", "DEBUG"]),
        ((*GOOD, "surplus"), {}, ["surplus"]),
        ((*GOOD, "--api_key=", "sk-0123456789abcdef"), {}, ["a word of 19 characters"]),
        ((*FILE, "--request_url", "sk-0123456789abcdef"), {}, ["--request_url has no scheme"]),
        (
            (*FILE, "--request_url", "api.example.com/v1?key=sk-0123456789"),
            {},
            ["--request_url api.example.com/v1 has no scheme"],
        ),
        (
            (*FILE, "--api_key", "k"),
            {"https_proxy": "socks5://me:sk-secret@127.0.0.1:1080"},
            ["socks5://127.0.0.1:1080", "only http:// proxies"],
        ),
        *(
            (
                (*FILE, "--api_key", "k"),
                {"https_proxy": proxy},
                ["proxy for https cannot be read", "%2F for /"],
            )
            for proxy in (
                "http://me:sk-/secret@127.0.0.1:1080",
                "http://me:12/sk-secret@127.0.0.1",
                "http://me:sk-#secret@127.0.0.1",
                "http://[sk-secret",
                "http://",
            )
        ),
        (
            (*FILE, "--request_url", "http://10.1.2.3:8080/gpt"),
            {},
            ["no key for lab_gateway", "BNU_API_KEY"],
        ),
    ],
)
def test_it_exits_2_with_one_line_before_anything_is_sent(
    folder, monkeypatch, capsys, arguments, environment, words
):
    monkeypatch.chdir(folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = exit_code(*arguments)
    said = capsys.readouterr()

    assert code == 2, said.err
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith("api_request_parallel_processor: ")
    for word in words:
        assert word in line
    assert "sk-" not in line
    assert not list(folder.glob("*_results*"))


@pytest.mark.parametrize(
    ("opener", "arguments", "words"),
    [
        ("builtins.open", GOOD, "in.jsonl cannot be read: Permission denied"),
        ("os.open", GOOD, "in_results.jsonl cannot be written: Permission denied"),
    ],
)
def test_unreadable_and_unwritable_files_are_said_at_once(
    folder, monkeypatch, capsys, opener, arguments, words
):
    """The system's refusal is put in its place, since the tests may be run by root."""
    monkeypatch.chdir(folder)

    whole = {"builtins.open": open, "os.open": os.open}[opener]

    def refuse(path, *more, **named):
        if str(path).endswith(".jsonl"):
            raise PermissionError(13, "Permission denied")
        return whole(path, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(opener, refuse)
        code = exit_code(*arguments)

    assert code == 2
    assert words in capsys.readouterr().err


def test_results_that_are_no_regular_file_are_refused(folder):
    result = command(*GOOD, "--save_filepath", "/dev/full", cwd=folder)

    assert result.returncode == 2
    assert "/dev/full is not a regular file" in result.stderr


def test_P9_a_key_on_the_command_line_is_warned_about_and_not_repeated(folder):
    arguments = (*GOOD, "--api_key", "sk-on-the-command-line", "--max_attempts", "1")
    result = command(*arguments, cwd=folder)

    assert "ps shows it to everybody: set OPENAI_COMPATIBLE_API_KEY instead" in result.stderr
    assert "sk-on-the-command-line" not in result.stderr


def test_hyphens_work_as_well_as_underscores(folder):
    result = command("--requests-filepath=none.jsonl", "--request-url", URL, cwd=folder)

    assert (result.returncode, "no file none.jsonl" in result.stderr) == (2, True)


def test_a_service_that_is_not_there_costs_the_attempts_and_says_so(folder):
    """No network, or a wrong port: the row tells, and the run ends as runs do."""
    result = command(*GOOD, "--max_attempts", "2", "--strict", cwd=folder)
    [row] = (folder / "in_results.jsonl").read_text(encoding="utf-8").splitlines()

    assert result.returncode == 1
    assert [error["attempt"] for error in json.loads(row)[1]] == [1, 2]
    assert "1 x transient, such as line 1: cannot connect to 127.0.0.1" in result.stderr


def test_help_answers_quickly_and_without_the_heavy_libraries(folder):
    """In two thirds of the CPU time that importing these alone takes (the least of several)."""
    heavy = ("aiohttp", "tiktoken", "rich.live")
    script = (
        "import sys, runpy\n"
        "sys.argv[1:] = ['--help']\n"
        f"try: runpy.run_path({str(DOOR)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(DOOR.parent)}
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert loaded.stdout.splitlines()[-1] == "[]", loaded.stderr

    def cpu(*arguments):
        before = os.times()
        assert subprocess.run([sys.executable, *arguments], capture_output=True).returncode == 0
        after = os.times()
        return (
            after.children_user
            + after.children_system
            - (before.children_user + before.children_system)
        )

    importing = min(cpu("-c", f"import {', '.join(heavy)}") for _ in range(3))
    assert min(cpu(str(DOOR), "--help") for _ in range(5)) < importing * 2 / 3


def test_a_python_without_the_packages_gets_the_line_that_helps(folder):
    """`-S` leaves site-packages out, as a system Python would."""
    result = subprocess.run(
        [sys.executable, "-S", str(DOOR), *GOOD],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
    )

    assert result.returncode == 2
    assert "has no package aiohttp: use sh run.sh" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
