"""A file of endpoints: what is wrong with it is one clear line, and what is right counts."""

import asyncio
import json
import logging
import os

import pytest

import api_request_parallel_processor as door
from providers import PROVIDERS
from request_engine import endpoints_file
from request_engine.budget import Budget
from request_engine.destination import Asked, Timeouts
from request_engine.local_endpoint import Settings, serving
from request_engine.places import budgets
from request_engine.records import Request
from request_engine.redaction import Redaction

HERE = "http://127.0.0.1:9/v1"  # nothing listens on the discard port
ONE = f'[[endpoint]]\nname = "a"\nurl = "{HERE}"\n'
SECRET = "sk-0123456789abcdefghij"


def chat(number):
    said = {"role": "user", "content": f"Say {number}"}
    return {"model": "m", "messages": [said], "metadata": number}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY_OF_THE_LAB", SECRET)
    lines = [chat(n) for n in range(5)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return tmp_path


def write(text, name="e.toml"):
    with open(name, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def complaint(capsys, *flags):
    """What the command says before it ends with exit code 2, having written nothing."""
    arguments = ("--requests_filepath", "in.jsonl", "--endpoints", "e.toml", *flags)
    try:
        code = door.main(arguments)
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err.strip()
    assert code == 2, said
    assert not os.path.exists("in_results.jsonl")
    assert SECRET not in said
    return said.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["e.toml has no [[endpoint]]", "two brackets"]),
        ('[endpoint]\nurl = "x"\n', ["e.toml has no [[endpoint]]", "two brackets"]),
        ("endpoint = []", ["e.toml has no [[endpoint]]"]),
        ("endpoint = [1]", ["endpoint 1 of e.toml is not a table"]),
        ("[[endpoint]\n", ["e.toml is not TOML", "line 1"]),
        ("a" * 2000 + " = " + "[" * 2000, ["e.toml is not TOML"]),
        (b"\xff\xfe[\x00[\x00", ["e.toml is not TOML", "not UTF-8"]),
        (f"{ONE}\n[other]\n", ["'other'", "no [[endpoint]]"]),
        (ONE + "rmp = 5", ["endpoint a of e.toml", "no setting 'rmp'", "did you mean rpm"]),
        (ONE + f'api_key = "{SECRET}"', ["no setting 'api_key'", "key_variable"]),
        (ONE + "max-tokens-per-minute = 5", ["did you mean tpm?"]),
        (ONE + "weight = 0", ["endpoint a of e.toml", "weight is 0", "above 0"]),
        (ONE + "weight = inf", ["weight is inf"]),
        (ONE + "weight = true", ["weight is True"]),
        (ONE + "concurrency = true", ["concurrency is True", "a number"]),
        (ONE + "concurrency = 1.5", ["concurrency is 1.5", "whole number"]),
        (ONE + "rpm = -1", ["endpoint a of e.toml", "rpm is -1", "above 0"]),
        (ONE + 'rpm = "many"', ["rpm is many", "above 0"]),
        (ONE + "tpm = nan", ["tpm is nan"]),
        (ONE + "input_tpm = 0", ["input_tpm is 0"]),
        (ONE + "output_tpm = []", ["output_tpm is []", "a number or a word"]),
        (ONE + "spacing = -1", ["spacing is -1", "0 or more"]),
        (ONE + "model = 5", ["model is 5", "a text"]),
        (ONE + 'model = "a"\nmodels = {b = "c"}', ["both model and models"]),
        (ONE + 'models = "b"', ["models is 'b'", "a table"]),
        (ONE + "models = {b = 5}", ["models has 'b' = 5"]),
        (ONE + "body = 5", ["body is 5", "a table"]),
        (ONE + "body = {t = 2020-01-01}", ["endpoint a of e.toml", "body", "JSON"]),
        (ONE + f'headers = "X-Key: {SECRET}"', ["headers is something else", "a table"]),
        (ONE + 'headers = {Host = "x"}', ["endpoint a of e.toml", "headers 'Host'", "connection"]),
        (ONE + "headers = {X = 5}", ["headers 'X' is not text"]),
        (ONE + "provider = 'nobody'", ["endpoint a of e.toml", "no provider 'nobody'"]),
        (ONE + "provider = 'deepsek'", ["did you mean deepseek"]),
        (
            ONE + 'key_variable = "NOT_SET"',
            ["endpoint a of e.toml", "NOT_SET", "set that variable"],
        ),
        (ONE + f'key_variable = "{SECRET}"', ["key_variable names no variable", "not the key"]),
        (ONE + 'key_variable = ["KEY_OF_THE_LAB"]', ["key_variable is something else", "a text"]),
        (ONE + 'key_command = "exit 7"', ["endpoint a of e.toml: key_command failed", "code 7"]),
        (
            ONE + 'key_variable = "KEY_OF_THE_LAB"\nkey_command = "echo x"',
            ["key_variable and key_command are both given"],
        ),
        ('[[endpoint]]\nname = "b"\n', ["endpoint b of e.toml: give url, or provider"]),
        ('[[endpoint]]\nprovider = "azure"\n', ["endpoint 1 of e.toml", "no URL", "give url"]),
        ('[[endpoint]]\nurl = "llm:8000/v1"\n', ["endpoint 1 of e.toml: url", "write https://"]),
        ('[[endpoint]]\nurl = "http://h:port/v1"\n', ["url", "port is not a number"]),
        ('[[endpoint]]\nurl = "http://u:pw@h/v1"\n', ["url has a name or password"]),
        ("[[endpoint]]\nurl = 5\n", ["endpoint 1 of e.toml: url is something else", "a text"]),
        ("[[endpoint]]\nname = ''\n", ["endpoint 1 of e.toml: name is ''", "a text"]),
        (f"{ONE}\n{ONE}", ["e.toml has two endpoints named a"]),
        (
            f'[[endpoint]]\nurl = "{HERE}"\n[[endpoint]]\nname = "endpoint 1"\nurl = "{HERE}"\n',
            ["two endpoints named endpoint 1"],
        ),
        (
            f'{ONE}account = "lab"\nrpm = 5\n\n[[endpoint]]\nname = "b"\nurl = "{HERE}"\n'
            'account = "lab"\nrpm = 6\n',
            ["endpoint b of e.toml and endpoint a of e.toml", "account lab", "rpm", "same"],
        ),
        (
            f'{ONE}account = "lab"\nconcurrency = 5\n\n[[endpoint]]\nname = "b"\nurl = "{HERE}"\n'
            'account = "lab"\n',
            ["differ in concurrency"],
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_that_names_the_endpoint_and_the_key(
    folder, capsys, text, words
):
    write(text)
    said = complaint(capsys)
    assert all(word in said for word in words), said


def test_a_file_that_is_not_there_or_is_a_folder_is_told(folder, capsys):
    assert "--endpoints e.toml cannot be read: No such file" in complaint(capsys)
    os.mkdir("e.toml")
    assert "--endpoints e.toml cannot be read: Is a directory" in complaint(capsys)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--request_url", HERE),
        ("--provider", "openai"),
        ("--api_key", "x"),
        ("--api_key_command", "echo x"),
        ("--model", "m"),
        ("--max_requests_per_minute", "5"),
        ("--max_tokens_per_minute", "5"),
        ("--max_input_tokens_per_minute", "5"),
        ("--max_output_tokens_per_minute", "5"),
        ("--max_concurrent_requests", "5"),
    ],
)
def test_flags_for_one_place_are_refused_beside_a_file(folder, capsys, flag, value):
    write(ONE)
    assert f"{flag} is for one place: write it into e.toml" in complaint(capsys, flag, value)


def test_P9_a_header_with_a_secret_is_not_for_every_endpoint(folder, capsys):
    """Else the key of one service would be sent to all."""
    write(ONE)
    for header in (f"X-Api-Key: {SECRET}", f"Authorization: Bearer {SECRET}"):
        said = complaint(capsys, "--header", "X-Title: tides", "--header", header)
        assert f"--header {header.split(':')[0]} would go to every endpoint" in said
        assert "write it into e.toml, as headers" in said


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--header", "no colon", "--header has no colon"),
        ("--body", "{", "--body { is not JSON"),
        ("--seconds_to_sleep_each_loop", "x", "--seconds_to_sleep_each_loop is x"),
    ],
)
def test_what_is_wrong_with_a_flag_is_not_said_of_the_file(folder, capsys, flag, value, words):
    write(ONE)
    said = complaint(capsys, flag, value)
    assert words in said
    assert "endpoint" not in said.removeprefix("api_request_parallel_processor")


def read(text, common=None):
    write(text)
    return endpoints_file.read("e.toml", common or Asked(), PROVIDERS)


def opened(destination):
    """The target of *destination*, as a run has it."""
    budget = Budget(requests_per_minute=None, tokens_per_minute=None, max_concurrent=1)
    times = Timeouts(connect_timeout=1, first_byte_timeout=1, progress_timeout=1, total_timeout=1)
    return asyncio.run(destination.open(budget, Redaction(), None, times))[0]


def sent(destination, model="m", **more):
    """The body of a line as it goes there."""
    body = {"model": model, "messages": []} | more
    request = Request(1, body, json.dumps(body).encode())
    amendment = destination.amendment
    return (request if amendment is None else amendment.amended(request)).body


@pytest.mark.no_key
def test_what_is_left_open_is_as_the_flags_say(folder):
    [one] = read(f'[[endpoint]]\nurl = "{HERE}"\n', Asked(seconds_to_sleep_each_loop=0.5))
    assert one.asked.name == "endpoint 1"
    assert one.asked.weight == 1.0
    assert one.asked.account is None
    assert (one.asked.max_requests_per_minute, one.asked.seconds_to_sleep_each_loop) == (
        "learn",
        0.5,
    )
    assert one.max_concurrent == 1_000
    assert one.amendment is None
    target = opened(one)
    assert (target.name, target.weight, target.api_key) == ("endpoint 1", 1.0, None)


def test_what_an_endpoint_says_counts_for_it_alone(folder):
    one, other = read(
        f"""{ONE}
        rpm = 60
        tpm = "none"
        concurrency = 7
        spacing = 0.1
        weight = 2.5
        key_variable = "KEY_OF_THE_LAB"
        [[endpoint]]
        provider = "deepseek"
        """
    )
    assert (one.asked.max_requests_per_minute, one.asked.max_tokens_per_minute) == (60, "none")
    assert (one.max_concurrent, one.asked.seconds_to_sleep_each_loop) == (7, 0.1)
    assert opened(one).weight == 2.5
    assert opened(one).api_key == SECRET
    assert other.shown == "endpoint 2: https://api.deepseek.com (deepseek)"
    assert (other.max_concurrent, other.asked.weight) == (500, 1.0)
    assert opened(other).api_key != SECRET


def test_a_model_is_for_every_line_and_models_are_for_some(folder):
    every, some, none = read(
        f'''{ONE}model = "x=y"
        [[endpoint]]
        url = "{HERE}"
        models = {{ m = "z" }}
        [[endpoint]]
        url = "{HERE}"
        '''
    )
    assert [sent(one)["model"] for one in (every, some, none)] == ["x=y", "z", "m"]
    assert [sent(one, "n")["model"] for one in (every, some, none)] == ["x=y", "n", "n"]


def test_headers_and_fields_of_an_endpoint_go_over_those_of_the_run(folder):
    own, other = read(
        f'''{ONE}
        headers = {{ X-TITLE = "sun", X-Key = "{SECRET}" }}
        body = {{ temperature = 1.5, stop = ["a"] }}
        [[endpoint]]
        url = "{HERE}"
        ''',
        Asked(headers=["X-Title: moon", "X-Other: 1"], body=['{"temperature": 0}', '{"n": 2}']),
    )
    assert own.asked.headers == {"X-TITLE": "sun", "X-Other": "1", "X-Key": SECRET}
    assert list(other.asked.headers) == ["X-Title: moon", "X-Other: 1"]
    added = {"n": 2, "temperature": 1.5, "stop": ["a"]}
    assert sent(own) == {"model": "m", "messages": []} | added
    assert sent(other) == {"model": "m", "messages": [], "temperature": 0, "n": 2}
    assert sent(own, temperature=0.7)["temperature"] == 0.7  # the line's own counts most


@pytest.fixture
def few_files(monkeypatch):
    """The system allows so many open files, and no more."""
    resource = pytest.importorskip("resource")

    def allow(number):
        monkeypatch.setattr(resource, "getrlimit", lambda what: (number, number))
        monkeypatch.setattr(resource, "setrlimit", lambda what, limits: None)

    return allow


def test_those_of_one_account_have_one_budget_and_count_once_for_the_system(
    folder, few_files, caplog
):
    same = f'url = "{HERE}"\naccount = "lab"\nrpm = 60\nconcurrency = 100\n'
    found = read(f'[[endpoint]]\n{same}[[endpoint]]\n{same}[[endpoint]]\nurl = "{HERE}"\n')
    one, other, third = budgets(found)
    assert one is other
    assert one is not third
    assert (one.max_concurrent, third.max_concurrent) == (100, 1_000)
    few_files(500)
    budgets(found)
    assert "not 1,100: the system allows so few" in caplog.text


def test_few_descriptors_are_shared_out_in_proportion_and_at_least_one_each(folder, few_files):
    found = read(f"{ONE}concurrency = 1000\n[[endpoint]]\nurl = '{HERE}'\nconcurrency = 100\n")
    few_files(700)
    many, few = (one.max_concurrent for one in budgets(found))
    assert 400 < many + few < 700
    assert many == pytest.approx(10 * few, rel=0.1)
    few_files(30)
    assert all(one.max_concurrent >= 1 for one in budgets(found))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + ONE.encode(),
        ONE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode() + b"# \xe5\xae\x9e\xe9\xaa\x8c",
    ],
    ids=["BOM", "CRLF", "both"],
)
def test_what_windows_editors_write_is_read(folder, text):
    assert [one.asked.name for one in read(text)] == ["a"]


def test_P9_no_key_is_in_what_is_shown_of_a_place(folder):
    [one] = read(f'{ONE}key_variable = "KEY_OF_THE_LAB"\nheaders = {{X-Key = "{SECRET}"}}\n')
    target = opened(one)
    assert SECRET not in f"{one!r}{one.asked!r}{one.shown}{target!r}"


async def test_P9_keys_go_to_their_own_endpoint_and_into_no_row_and_no_log(
    folder, caplog, monkeypatch
):
    """Through the door, over real sockets: a relative path, and a file with a BOM."""
    caplog.set_level(logging.DEBUG)
    other = "sk-another-9876543210zyxwv"
    monkeypatch.setenv("KEY_OF_ANOTHER", other)
    os.mkdir("sub")
    async with serving(Settings()) as here, serving(Settings()) as there:
        write(
            f'''\ufeff[[endpoint]]
            name = "here"
            url = "{here.url}/v1"
            provider = "vllm"
            key_variable = "KEY_OF_THE_LAB"
            model = "small"
            [[endpoint]]
            url = "{there.url}/v1/chat/completions"
            key_variable = "KEY_OF_ANOTHER"
            ''',
            "sub/e.toml",
        )
        summary = await door.process_api_requests_from_file(
            "in.jsonl", endpoints="sub/e.toml", max_attempts=1
        )
    assert summary.tally.succeeded == 5
    rows = (folder / "in_results.jsonl").read_text()
    assert sorted(json.loads(row)[2] for row in rows.splitlines()) == list(range(5))
    for secret in (SECRET, other):
        assert secret not in caplog.text + rows + repr(summary)
    assert [told.split(":")[0] for told in summary.endpoints] == ["here", "endpoint 2"]
