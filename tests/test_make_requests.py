"""A table becomes a request file: a request a row, whole or not at all, and faults in one line."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api_request_parallel_processor as door
from request_engine import make_requests
from request_engine.lines import read_line
from request_engine.local_endpoint import Settings, serving
from request_engine.records import Request
from request_engine.seen import Seen
from request_engine.tables import Table

MODEL = ("--model", "gpt-4o-mini")


@pytest.fixture
def make(tmp_path, monkeypatch, capsys):
    """Give *table* as the file *name* to the command: exit code, requests made, what it said."""
    monkeypatch.chdir(tmp_path)

    def make(table, *flags, name="in.csv", model=MODEL):
        if table is not None:
            data = table if isinstance(table, bytes) else table.encode()
            (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        try:
            code = make_requests.main([name, *model, "-o", "out.jsonl", *flags])
        except SystemExit as end:
            code = end.code
        made = tmp_path / "out.jsonl"
        text = made.read_text(encoding="utf-8") if made.exists() else ""
        said = capsys.readouterr().err
        assert not [one for one in os.listdir(tmp_path) if "unfinished" in one]
        return code, [json.loads(line) for line in text.split("\n")[:-1]], said

    return make


def asked(request):
    """What the user message of a chat request says."""
    return request["messages"][-1]["content"]


def refusal(made):
    """The one line that a command with a fault says; it makes nothing."""
    code, requests, said = made
    assert (code, requests) == (2, [])
    assert said.count("\n") == 1
    return said.removeprefix("make_requests: ").rstrip("\n")


# What is asked.


def test_a_row_is_a_chat_request_with_its_number_as_metadata(make):
    code, requests, said = make("id,text\n7,hello\n8,there\n", "--prompt", "Say {text}")
    assert code == 0
    assert requests == [
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": f"Say {text}"}],
            "metadata": {"row": number},
        }
        for number, text in ((1, "hello"), (2, "there"))
    ]
    assert said == "make_requests: 2 requests in out.jsonl, one for each row of in.csv\n"


BODIES = [
    ((), {"messages": [{"role": "user", "content": "hi"}]}),
    (
        ("--system", "As {who}."),
        {
            "messages": [
                {"role": "system", "content": "As Ann."},
                {"role": "user", "content": "hi"},
            ]
        },
    ),
    (("--endpoint", "embeddings"), {"input": "hi"}),
    (("--endpoint", "completions"), {"prompt": "hi"}),
    (("--endpoint", "responses"), {"input": "hi"}),
    (
        ("--endpoint", "responses", "--system", "As {who}."),
        {"instructions": "As Ann.", "input": "hi"},
    ),
    (
        ("--set", "temperature=0", "--set", 'response_format={"type": "json_object"}'),
        {
            "messages": [{"role": "user", "content": "hi"}],
            "temperature": 0,
            "response_format": {"type": "json_object"},
        },
    ),
    (
        ("--set", "user={who}", "--set", "stop=\n", "--set", "seed=007"),
        {
            "messages": [{"role": "user", "content": "hi"}],
            "user": "{who}",
            "stop": "\n",
            "seed": "007",
        },
    ),
]


@pytest.mark.parametrize(("flags", "body"), BODIES)
def test_each_endpoint_has_its_own_body(make, flags, body):
    """Without a prompt the column text is asked; what --set gives is not filled in."""
    _, requests, _ = make("who,text\nAnn,hi\n", *flags)
    assert requests == [{"model": "gpt-4o-mini", **body, "metadata": {"row": 1}}]
    assert next(iter(requests[0])) == "model"


def test_the_id_and_other_columns_are_metadata(make):
    table = "id,text,lang\na-1,hello,en\n"
    _, requests, _ = make(table, "--id", "id", "--metadata", "lang, text")
    assert requests[0]["metadata"] == {"id": "a-1", "lang": "en", "text": "hello"}


def test_numbers_of_json_lines_stay_numbers(make):
    table = '{"id": 7, "n": 1.5, "tags": ["a"], "text": "x", "none": null, "yes": true}\n'
    flags = ("--id", "id", "--metadata", "n,tags,none,yes")
    _, requests, _ = make(table, "--prompt", "{n} {tags} {none}| {yes}", *flags, name="in.jsonl")
    assert asked(requests[0]) == '1.5 ["a"] | true'
    assert requests[0]["metadata"] == {"id": 7, "n": 1.5, "tags": ["a"], "none": None, "yes": True}


def test_fields_of_csv_stay_texts(make):
    """007 is a postcode, 1e5 a part, and nobody has asked for numbers."""
    _, requests, _ = make("id,text\n007,1e5\n", "--id", "id", "--metadata", "text")
    assert requests[0]["metadata"] == {"id": "007", "text": "1e5"}


def test_batch_lines_have_the_id_as_custom_id_and_the_url_of_their_endpoint(make):
    table = '{"id": 7, "text": "hi"}\n'
    flags = ("--output_format", "batch", "--endpoint", "embeddings")
    _, requests, _ = make(table, "--id", "id", *flags, name="in.jsonl")
    line = {"custom_id": "7", "method": "POST", "url": "/v1/embeddings"}
    assert requests == [line | {"body": {"model": "gpt-4o-mini", "input": "hi"}}]

    _, requests, _ = make(table, *flags, "--overwrite", name="in.jsonl")
    assert requests[0]["custom_id"] == "row-1"


# Templates.


def template(tmp_path, body):
    path = tmp_path / "template.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    return "--template", str(path)


def test_a_template_is_a_whole_body(make, tmp_path):
    """A text that is one column alone becomes what the row has; keys and numbers stay."""
    body = {
        "model": "m-{size}",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "{text}, {{n}} {n}"}]}],
        "max_tokens": "{n}",
        "stop": "{stops}",
        "{n}": 1.5,
    }
    table = '{"size": "big", "text": "hi", "n": 9, "stops": ["a", "b"]}\n'
    _, requests, _ = make(table, *template(tmp_path, body), name="in.jsonl", model=())
    assert requests == [
        {
            "model": "m-big",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi, {n} 9"}]}],
            "max_tokens": 9,
            "stop": ["a", "b"],
            "{n}": 1.5,
            "metadata": {"row": 1},
        }
    ]


@pytest.mark.parametrize(
    ("body", "url"),
    [
        ({"messages": []}, "/v1/chat/completions"),
        ({"prompt": "{text}"}, "/v1/completions"),
        ({"input": "{text}"}, "/v1/responses"),
        ({"input": "{text}", "model": "text-embedding-3-small"}, "/v1/embeddings"),
    ],
)
def test_a_template_s_endpoint_is_known_by_its_keys(make, tmp_path, body, url):
    flags = (*template(tmp_path, {"model": "m"} | body), "--output_format", "batch")
    _, requests, _ = make("text\nhi\n", *flags, model=())
    assert requests[0]["url"] == url


TEXTS = [
    ("{text}", "hi"),
    ("{ text }", "hi"),
    ("{{text}}", "{text}"),
    ("{{{text}}}", "{hi}"),
    ('{{"a": "{text}"}}', '{"a": "hi"}'),
    ("no column", "no column"),
    ("{text}{text}", "hihi"),
    ("{a b.c}", "spaced"),
    ("{text", None),
    ("text}", None),
    ('{"a": "{text}"}', None),
]


@pytest.mark.parametrize(("prompt", "told"), TEXTS)
def test_double_braces_are_braces(make, prompt, told):
    """One that is alone is refused, since somebody may have meant a column."""
    made = make("text,a b.c\nhi,spaced\n", "--prompt", prompt)
    if told is None:
        assert "write {{ for" in refusal(made) or "write }} for" in refusal(made)
    else:
        assert asked(made[1][0]) == told


def test_what_a_field_holds_is_never_a_template(make):
    _, requests, _ = make('text\n"{id} {{x}} {"\n', "--prompt", "{text}")
    assert asked(requests[0]) == "{id} {{x}} {"


# Tables.

CSV = [
    ('text\n"a, b"\n', ["a, b"]),
    ('text\n"a\nb\r\nc"\n', ["a\nb\r\nc"]),
    ('text\n"say ""hi"""\n', ['say "hi"']),
    ("\ufefftext\na\n", ["a"]),
    ('\ufeff"text"\r\na\r\n', ["a"]),
    ("text\ra\r", ["a"]),
    ("text\na\n\n\nb", ["a", "b"]),
    (" text ,x\n a ,b\n", [" a "]),
    (",text\n0,a\n", ["a"]),
    ("text,\na,\n", ["a"]),
    ("text\n密\u2028\x85😀\0\n", ["密\u2028\x85😀\0"]),
]


@pytest.mark.parametrize(("table", "texts"), CSV)
@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "IN.CSV"])
def test_csv_is_read_as_spreadsheets_write_it(make, table, texts, name):
    code, requests, _ = make(table, "--prompt", "{text}", name=name)
    assert code == 0
    assert [asked(one) for one in requests] == texts
    assert [one["metadata"]["row"] for one in requests] == list(range(1, len(texts) + 1))


OTHERS = [
    ("id\ttext\n1\ta, b\n", "in.tsv", (), ["a, b"]),
    ('id\ttext\n1\t"a\tb"\n', "in.tsv", (), ["a\tb"]),
    ('id\ttext\n1\t"Hi" he said\n', "in.tsv", ("--no_quotes",), ['"Hi" he said']),
    ("id;text\n1;a, b\n", "in.csv", ("--delimiter", ";"), ["a, b"]),
    ("id\ttext\n1\ta\n", "in.csv", ("--delimiter", "tab"), ["a"]),
    ("1,a\n2,b\n", "in.csv", ("--columns", "id, text"), ["a", "b"]),
    ("a\n\n b\r\n", "in.txt", (), ["a", " b"]),
    ('"a", b\n', "in.txt", (), ['"a", b']),
    ("\ufeffa\rb\n", "in.txt.gz", (), ["a\rb"]),
    ("a\n", "in", ("--input_format", "text"), ["a"]),
    ('\ufeff{"text": "a"}\n\n {"text": "b", "x": 1}\r\n', "in.ndjson", (), ["a", "b"]),
    ("text\ncaf\xe9\n".encode("cp1252"), "in.csv", ("--encoding", "cp1252"), ["caf\xe9"]),
    ("text\n密\n".encode("gb18030"), "in.csv", ("--encoding", "gb18030"), ["密"]),
    ("\ufefftext\na\n", "in.csv", ("--encoding", "UTF_8"), ["a"]),
    ("text\na\n".encode("utf-16"), "in.csv", ("--encoding", "utf-16"), ["a"]),
]


@pytest.mark.parametrize(("table", "name", "flags", "texts"), OTHERS)
def test_tables_of_every_kind_are_read(make, table, name, flags, texts):
    code, requests, said = make(table, "--prompt", "{text}", *flags, name=name)
    assert code == 0, said
    assert [asked(one) for one in requests] == texts


def test_the_number_of_a_line_of_text_is_the_editor_s(make):
    _, requests, _ = make("a\n\nb\n", name="in.txt")
    assert [one["metadata"]["row"] for one in requests] == [1, 3]


@given(st.lists(st.text(max_size=9).filter(lambda one: one.isprintable()), min_size=1, max_size=9))
def test_whatever_the_csv_module_writes_is_read_back(tmp_path_factory, fields):
    path = tmp_path_factory.mktemp("table") / "in.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["a", "b"], *([one, "x\n"] for one in fields)])
    rows = Table(path=str(path), format="csv").rows()
    assert [row.fields for row in rows] == [{"a": one, "b": "x\n"} for one in fields]


# What is said.


def test_repeated_ids_and_empty_fields_are_told_and_asked_all_the_same(make):
    table = "id,text,note\n1,a,\n2,,\n1,b,\n1,c,\n,d,\n"
    code, requests, said = make(table, "--id", "id", "--prompt", "{text}")
    assert (code, len(requests)) == (0, 5)
    assert said.splitlines()[1:] == [
        "make_requests: 2 of them with the id of an earlier one, the first in line 4",
        "make_requests: text is empty in 1 of 5 rows",
        "make_requests: id is empty in 1 of 5 rows",
    ]


FAULTS = [
    (
        "id,text\n1,a\n",
        ("--prompt", "{txt}"),
        "in.csv",
        "in.csv, line 2: there is no column txt, only id, text; did you mean text?",
    ),
    ("id,text\n1,a\n", ("--id", "uid"), "in.csv", "there is no column uid, only id, text; did you"),
    ("id,text\n1,a\n", ("--metadata", "x"), "in.csv", "there is no column x, only id, text"),
    ("id;text\n1;a\n", (), "in.csv", "only id;text; if those are several, give --delimiter ';'"),
    ("id\ttext\n1\ta\n", (), "in.csv", "if those are several, give --delimiter tab"),
    ("text\na\n", ("--prompt", '{"n": 1}'), "in.csv", "write {{ and }} for braces"),
    (
        '{"text": "a"}\n{"t": 1}\n',
        (),
        "in.jsonl",
        "in.jsonl, line 2: there is no column text, only t",
    ),
    ("{}\n", (), "in.jsonl", "there is no column text, only an empty row"),
    ("[1]\n", (), "in.jsonl", "in.jsonl, line 1: not an object with a value for each column"),
    ('{"a": \n', (), "in.jsonl", "in.jsonl, line 1: not JSON: Expecting value at 6"),
    ('{"text": 1e999}\n', (), "in.jsonl", "in.jsonl, line 1: Out of range float"),
    ('{"text": ' + "[" * 9_999 + "]" * 9_999 + "}", (), "in.jsonl", "line 1: nested too deeply"),
    ('{"text": NaN}\n', (), "in.jsonl", "in.jsonl, line 1: NaN is not JSON"),
    ("a,text\n1,b\n1,b,c\n", (), "in.csv", "in.csv, line 3: 3 fields, but there are 2 columns"),
    ("a,text\n1\n", (), "in.csv", "in.csv, line 2: 1 fields, but there are 2 columns"),
    ("text,text\na,b\n", (), "in.csv", "in.csv has two columns that are called text"),
    ('text\n"a\nb\n', (), "in.csv", "line 3: a field that begins with a quotation mark has no end"),
    ('text\n"a" b\n', (), "in.csv", "line 2: ',' expected after '\"'; if quotation marks are"),
    ("", (), "in.csv", "in.csv holds no rows, so there is nothing to ask"),
    ("text\n\n", (), "in.csv", "in.csv holds no rows, so there is nothing to ask"),
    (
        "text\ncaf\xe9\n".encode("cp1252"),
        (),
        "in.csv",
        "in.csv is not UTF-8: byte 0xe9 after line 0; say what it is with --encoding, such as",
    ),
    (b"\x1f\x8b\x08", (), "in.csv", "in.csv is not UTF-8: byte 0x8b"),
    ("text\na\n", ("--encoding", "utf-99"), "in.csv", "--encoding is utf-99, which is not"),
    ("a\n", (), "in.dat", "nothing says what in.dat holds: give --input_format csv or tsv or"),
    ("a\n", ("--delimiter", ";"), "in.txt", "--delimiter is for CSV and TSV, but in.txt is read"),
    ("text\na\n", ("--delimiter", ";;"), "in.csv", "--delimiter is ;;, but it must be one sign"),
    ("text\na\n", ("--input_format", "xls"), "in.csv", "--input_format is xls, but it must be csv"),
    ("text\na\n", ("--endpoint", "chats"), "in.csv", "--endpoint is chats, but it must be chat or"),
    ("text\na\n", ("--set", "temperature"), "in.csv", "--set is temperature, but it must be NAME="),
    ("text\na\n", ("--set", "metadata={}"), "in.csv", "metadata in a body is never sent"),
    (
        "text\na\n",
        ("--endpoint", "embeddings", "--system", "x"),
        "in.csv",
        "--system has no place in a request to embeddings",
    ),
    (
        "text\na\n",
        ("--output_format", "batch", "--metadata", "text"),
        "in.csv",
        "--metadata has no place in a batch line",
    ),
    (
        "text\na\n",
        ("--template", "no.json"),
        "in.csv",
        "the template no.json cannot be read: No su",
    ),
    ("text\na\n", ("--template", "in.csv"), "in.csv", "the template in.csv is not JSON: Expecting"),
    ("text\na\n", ("--promt", "x"), "in.csv", "there is no flag --promt; did you mean --prompt"),
    ("text\na\n", ("-o", "in.csv"), "in.csv", "in.csv is the table itself: give another --output"),
    ("text\na\n", ("-o", "no/out.jsonl"), "in.csv", "no/out.jsonl cannot be written: No such file"),
    ("text\na\n", ("-o", "/dev/null"), "in.csv", "/dev/null is there and is not a regular file"),
    (None, (), "none.csv", "there is no file none.csv"),
    (None, (), "..", "nothing says what .. holds"),
]


@pytest.mark.parametrize(("table", "flags", "name", "told"), FAULTS)
def test_a_fault_is_one_line_and_nothing_is_made(make, table, flags, name, told):
    assert told in refusal(make(table, *flags, name=name))


def test_a_model_has_to_be_named(make):
    assert refusal(make("text\na\n", model=())) == "no model is named: give --model"


def test_a_compressed_table_that_was_cut_off_is_a_fault(make, tmp_path):
    cut = gzip.compress(b"text\n" + os.urandom(9_000).hex().encode())[:3_000]
    (tmp_path / "in.csv.gz").write_bytes(cut)
    assert "in.csv.gz cannot be read: Compressed file ended" in refusal(
        make(None, name="in.csv.gz")
    )


# The file it makes.


def test_what_was_there_stays_unless_it_is_to_be_overwritten(make, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    with pytest.raises(ValueError, match="Expecting value"):
        make("text\na\n")
    assert out.read_text() == "mine\n"
    assert make_requests.main(["in.csv", *MODEL, "-o", "out.jsonl", "--overwrite"]) == 0
    assert json.loads(out.read_text())["metadata"] == {"row": 1}


def test_a_fault_in_the_last_row_leaves_what_was_there(make, tmp_path):
    (tmp_path / "out.jsonl").write_text("{}\n")
    code, requests, _ = make("text,x\n" + "a,b\n" * 5_000 + "a\n", "--overwrite")
    assert (code, requests) == (2, [{}])


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("my people.csv", "my people_requests.jsonl"),
        ("people.tsv.gz", "people_requests.jsonl"),
        ("people.dat", "people.dat_requests.jsonl"),
    ],
)
def test_without_a_name_it_is_beside_the_table(tmp_path, name, output):
    (tmp_path / name).write_bytes(
        gzip.compress(b"text\na\n") if name.endswith(".gz") else b"text\na\n"
    )
    assert make_requests.main([str(tmp_path / name), *MODEL, "--input_format", "csv"]) == 0
    assert sorted(os.listdir(tmp_path)) == sorted([name, output])


def test_a_compressed_output_is_read_by_its_suffix(make, tmp_path):
    make("text\na\n", "-o", "out.jsonl.gz")
    assert json.loads(gzip.open(tmp_path / "out.jsonl.gz").read())["metadata"] == {"row": 1}


def test_half_a_character_does_not_stop_it(make):
    _, requests, _ = make('{"text": "\\ud800密"}\n', name="in.jsonl")
    assert asked(requests[0]) == "\ud800密"


def test_P7_memory_does_not_grow_with_the_table(tmp_path):
    """Beyond what tells repeated ids: 24 bytes a row at most, and 36 while that grows."""
    peaks = []
    for count in (500, 5_000):
        path = tmp_path / f"{count}.csv"
        path.write_text("id,text\n" + "".join(f"{n},{'x' * 100}\n" for n in range(count)))
        tracemalloc.start()
        assert make_requests.main([str(path), *MODEL, "--id", "id"]) == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 4_500 * 48


def test_names_are_seen_again_however_many_there_are():
    seen = Seen()
    names = [f"name {number}" for number in range(5_000)]
    assert not any(seen.add(name) for name in names)
    assert all(seen.add(name) for name in names)
    assert len(seen) == 5_000


# As it is used.


def command(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "request_engine.make_requests", *arguments],
        capture_output=True,
        cwd=os.path.dirname(door.__file__),
        check=False,
        **more,
    )


def test_from_standard_input_to_standard_output():
    """So that it can stand in a pipe before the door."""
    ended = command("-", "--input_format", "csv", *MODEL, input="text\n密\n".encode())
    assert ended.returncode == 0, ended.stderr
    request = read_line(1, ended.stdout)
    assert isinstance(request, Request)
    assert (asked(request.body), request.metadata) == ("密", {"row": 1})
    assert ended.stderr == b"make_requests: 1 requests, one for each row of standard input\n"


def test_help_shows_a_whole_command():
    ended = command("--help")
    assert ended.returncode == 0
    assert b'--prompt "Summarise: {text}"' in ended.stdout


@pytest.mark.parametrize("output_format", ["requests", "batch"])
async def test_what_it_makes_is_answered_with_its_ids(make, tmp_path, output_format):
    """The round trip: table, requests, rows, each with the id of its row of the table."""
    ids = [f"id {number}, 密" for number in range(25)]
    table = io.StringIO()
    csv.writer(table).writerows([["id", "text"], *([one, f"say\n{one}"] for one in ids)])
    make(table.getvalue(), "--id", "id", "--output_format", output_format)
    async with serving(Settings()) as endpoint:
        await door.process_api_requests_from_file(
            requests_filepath=str(tmp_path / "out.jsonl"),
            save_filepath=str(tmp_path / "results.jsonl"),
            request_url=endpoint.url + "/v1/chat/completions",
            api_key="sk-canary-for-the-round-trip",
            max_requests_per_minute=None,
            max_tokens_per_minute=None,
            output_format="rows" if output_format == "requests" else "batch",
            ordered=True,
        )
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    named = [row["custom_id"] if isinstance(row, dict) else row[2]["id"] for row in rows]
    assert named == ids
