"""What a run adds to its requests is sent and counted; all else stays as the user wrote it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import URL, Service, answer
from virtual_time import run

from providers import PROVIDERS
from request_engine.address import Address
from request_engine.amend import amendment, read_fields, read_models
from request_engine.counting import Counter
from request_engine.errors import BadInput
from request_engine.lines import read_line
from request_engine.records import Request
from request_engine.token_counts import TokenCounts

BY_NAME = {one.name: one for one in PROVIDERS}
BASE = "http://localhost/v1"
LINE = '{ "model" : "a","top_p":1.10, "seed": 12345678901234567890123, "input":"\\u00e9" }'


def amending(body=None, models=None, stream=False, provider=PROVIDERS[-1], url=BASE):
    address = Address(provider, url, base_allowed=True)
    return amendment(
        provider, address, fields=read_fields(body), models=read_models(models), stream=stream
    )


def read(line) -> Request:
    request = read_line(1, line.encode())
    assert isinstance(request, Request)
    return request


def sent(line, **asked) -> str:
    """The body that is sent for *line*, which is what its value says."""
    request = read(line)
    amended = amending(**asked).amended(request)
    assert request == read(line)
    assert json.loads(amended.raw_body) == amended.body
    assert (amended.metadata, amended.raw_metadata) == (request.metadata, request.raw_metadata)
    assert (amended.number, amended.url) == (request.number, request.url)
    return amended.raw_body.decode()


def test_a_run_that_changes_nothing_has_nothing_to_ask():
    assert amending() is None
    assert amending(body={}, models={}) is None
    assert amending(body=[], models=[]) is None


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"body": '{"n": 2}'}, LINE[:-1] + ', "n": 2}'),
        ({"body": '{"n": 1e2, "m":"\\u4e2d"}'}, LINE[:-1] + ', "n": 1e2, "m":"\\u4e2d"}'),
        ({"body": '{"top_p": 0}'}, LINE),
        ({"models": {"b": "c"}}, LINE),
        (
            {"models": {"a": "b"}},
            '{"model": "b", "top_p":1.10, "seed": 12345678901234567890123, "input":"\\u00e9"}',
        ),
    ],
)
def test_all_that_is_not_changed_keeps_its_spelling(asked, wanted):
    assert sent(LINE, **asked) == wanted


def test_a_line_with_nothing_to_change_is_sent_as_the_very_same():
    request = read('{"model": "b", "messages": [], "n": 1, "stream": true}')
    assert amending(body={"n": 2}, models={"a": "b"}, stream=True).amended(request) is request


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("{}", '{"temperature": 0}'),
        ('{"metadata": 1}', '{"temperature": 0}'),
        ('{"temperature": 1.0}', '{"temperature": 1.0}'),
        ('{"temperature": null}', '{"temperature": null}'),
    ],
)
def test_a_field_of_the_line_s_own_counts_for_more(line, wanted):
    assert sent(line, body={"temperature": 0}) == wanted


@pytest.mark.parametrize(
    ("line", "models", "model"),
    [
        ('{"model": "a"}', "x", "x"),
        ('{"model": "a"}', ["x", "a=y"], "y"),
        ('{"model": "b"}', ["x", "a=y"], "x"),
        ('{"model": "b"}', ["a=y"], "b"),
        ('{"model": "a"}', ["a=b", "b=c"], "b"),
        ("{}", "x", "x"),
        ('{"model": null}', "x", "x"),
        ('{"model": ["a"]}', ["a=y"], ["a"]),
        ('{"mod\\u0065l": "a", "model": "a"}', {"a": "y"}, "y"),
        ('{"model": "a"}', {"a": 'ft:"中=2"'}, 'ft:"中=2"'),
        ('{"model": "a"}', "a=b=c", "b=c"),
    ],
)
def test_a_model_goes_by_the_name_that_the_run_gives_it(line, models, model):
    assert json.loads(sent(line, models=models))["model"] == model


def test_a_model_of_the_fields_goes_by_its_other_name_as_well():
    assert json.loads(sent("{}", body={"model": "a"}, models={"a": "b"})) == {"model": "b"}


ASKED = {
    "chat/completions": '"messages": []',
    "completions": '"prompt": "a"',
    "responses": '"input": "a", "instructions": "b"',
    "messages": '"messages": []',
    "embeddings": '"input": "a"',
}


@pytest.mark.parametrize("said", ["", ', "stream": false', ', "stream": null', ', "stream": true'])
@pytest.mark.parametrize("endpoint", ASKED)
def test_every_line_is_streamed_where_its_endpoint_can(endpoint, said):
    line = "{" + ASKED[endpoint] + said + "}"
    body = json.loads(sent(line, stream=True, url=f"{BASE}/{endpoint}"))
    own = {key: value for key, value in json.loads(line).items() if key != "stream"}
    if endpoint == "embeddings":
        assert body == json.loads(line)
    else:
        assert body == own | {"stream": True}


def test_a_batch_line_is_streamed_by_its_own_endpoint():
    line = '{"custom_id": "1", "url": "/v1/%s", "body": {"model": "a", "input": "b"}}'
    assert sent(line % "embeddings", stream=True) == '{"model": "a", "input": "b"}'
    assert json.loads(sent(line % "responses", stream=True))["stream"] is True


def test_a_service_that_cannot_stream_is_not_asked_to():
    """The lab's gateway wraps its answers into one object."""
    asked = {"provider": BY_NAME["lab_gateway"], "url": "http://localhost/gpt"}
    assert sent('{"messages": []}', stream=True, **asked) == '{"messages": []}'


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Halves of a surrogate pair have no UTF-8.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inside: (
        st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["model", "stream", "n", "user", "\u00e9", ""]), VALUES)


@given(OBJECTS, OBJECTS, st.booleans(), st.booleans())
def test_any_body_is_amended_member_by_member(body, fields, escaped, stream):
    """What is sent is what the rules say, and bytes and value of it are the same thing."""
    body, fields = ({"messages": []} | one for one in (body, fields))
    line = json.dumps(body, ensure_ascii=escaped)
    wanted = fields | body
    if wanted.get("model") == "a":
        wanted["model"] = "b"
    if stream:
        wanted["stream"] = True
    assert json.loads(sent(line, body=fields, models={"a": "b"}, stream=stream)) == wanted


# What the user may write.


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (None, {}),
        ({"temperature": 0}, {"temperature": 0}),
        ('{"a": 1}', {"a": 1}),
        (['{"a": 1, "b": 1}', ' {"a":\n2} '], {"a": 2, "b": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_fields_come_as_objects(given, fields):
    assert {name: field.value for name, field in read_fields(given).items()} == fields


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("temperature=0", "--body temperature=0 is not JSON"),
        ("{'temperature': 0}", "is not JSON"),
        ("", "is not JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[1]", "--body [1] is no JSON object: write an object"),
        ('"' + "x" * 999 + '"', "x... is no JSON object"),
        ('{"\udcff": 1}', "is not JSON"),
        ({"a": float("nan")}, "cannot be written as JSON"),
        ({"a": {1, 2}}, "cannot be written as JSON"),
    ],
)
def test_fields_that_are_none_are_refused_in_one_line(given, words):
    with pytest.raises(BadInput) as refused:
        read_fields(given)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 300
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (None, {}),
        ("x", {"*": "x"}),
        (["x", "a=b", " c = d "], {"*": "x", "a": "b", "c": "d"}),
        (["x", "x"], {"*": "x"}),
        ({"a": "b", "*": "x"}, {"a": "b", "*": "x"}),
    ],
)
def test_models_come_as_names(given, names):
    assert read_models(given) == names


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["x", "y"], "two names for every line: x and y"),
        (["a=x", "a=y"], "two names for a: x and y"),
        ("", "write NAME, or OLD=NEW"),
        ("a=", "write NAME, or OLD=NEW"),
        ("=x", "write NAME, or OLD=NEW"),
        ({"a": None}, "write NAME, or OLD=NEW"),
    ],
)
def test_models_that_are_none_are_refused(given, words):
    with pytest.raises(BadInput, match=words):
        read_models(given)


# Where it is used.


def test_what_is_sent_is_what_is_counted():
    """The prompt that the run adds takes tokens, and so does its longest answer."""
    request = read('{"model": "a", "messages": []}')
    more = amending(
        body={"max_tokens": 50, "tools": [{"type": "function", "function": {"name": "tide"}}]},
        models={"a": "gpt-4o"},
    )

    def size(amendment):
        counter = Counter(
            PROVIDERS[-1],
            Address(PROVIDERS[-1], URL, base_allowed=False),
            None,
            TokenCounts(),
            amendment=amendment,
        )
        try:
            [one] = run(counter.measure([request]))
        finally:
            run(counter.close())
        return one

    assert size(more).model == "gpt-4o"
    assert size(more).ceiling == 50 != size(None).ceiling
    assert size(more).prompt > size(None).prompt


def test_the_address_sees_what_is_sent():
    """Where the model is part of the path, as in native inference, it is the model that is sent."""
    provider = BY_NAME["lab_gateway"]
    service = Service([answer()], max_attempts=1)
    urls = []

    async def post(url, wire_body):
        urls.append(url)
        return await service.post(url, wire_body)

    address = Address(provider, "http://localhost", base_allowed=True)
    service.target.provider, service.target.post = provider, post
    service.target.address = address
    service.target.amendment = amendment(
        provider, address, fields={}, models={"a": "claude-x"}, stream=False
    )
    run(service.send(read('{"model": "a", "messages": []}')))
    run(service.send(read('{"model": "b", "messages": []}')))
    assert urls == ["http://localhost/claude", "http://localhost/gpt"]
