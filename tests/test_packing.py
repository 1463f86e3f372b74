"""Texts in packs: each in one, in order, under every cap; a refused pack costs its bad text."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Service, error
from virtual_time import run

from providers.any_other import AnyOther
from providers.openai import OpenAI
from request_engine import packing
from request_engine.address import Address
from request_engine.encodings import token_counts
from request_engine.packing import Caps, Packing
from request_engine.records import Failure, Kind, Reply, Request, Success
from request_engine.sizes import UNCOUNTED
from request_engine.stopping import Abandoned
from request_engine.unpacking import Unpacker

MODEL = "text-embedding-3-small"
ENCODING = "cl100k_base"
EMBEDDINGS = Address(AnyOther(), "http://localhost/v1/embeddings", base_allowed=False)
CHAT = Address(AnyOther(), "http://localhost/v1/chat/completions", base_allowed=False)

texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["tide", "潮汐", "👩‍🚀", "low water " * 20, " " * 40, "\ud800", "<|endoftext|>"]
    ),
)


def request(number, text, model=MODEL, **beside):
    body = {"model": model, "input": text, **beside}
    return Request(number, body, json.dumps(body).encode())


class Told(dict):
    """What came of each text, by its number; told once."""

    def keep(self, part, outcome):
        assert part.number not in self
        self[part.number] = outcome


def packed(lines, caps, told=None, **more):
    """The packs of *lines*, in the order in which they are ready."""
    filling = Packing(caps, (Told() if told is None else told).keep, **more)
    counts = {
        text: count
        for name, found in filling.to_count(lines).items()
        for text, count in zip(found, token_counts(name, found), strict=True)
    }
    return [*filling.add(lines, counts), *filling.rest()]


def sent(pack):
    """The texts in its body."""
    wanted = json.loads(pack.raw_body)["input"]
    return [wanted] if isinstance(wanted, str) else wanted


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(texts, st.sampled_from(["a", "b"])), max_size=40),
    st.integers(1, 9),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(1, 30),
)
def test_each_text_is_in_one_pack_in_order_and_no_cap_is_exceeded(lines, inputs, tokens, each):
    """Tokens are those of tiktoken; a text that alone exceeds the cap of all goes alone."""
    told = Told()
    requests = [request(at, text, user=user) for at, (text, user) in enumerate(lines)]
    packs = packed(requests, Caps(inputs, each, tokens), told)

    in_packs = [part.number for pack in packs for part in pack.parts]
    assert sorted([*in_packs, *told]) == list(range(len(lines)))
    for number, failure in told.items():
        (count,) = token_counts(ENCODING, [lines[number][0]])
        assert not lines[number][0] or (each is not None and count > each)
        assert (failure.kind, failure.sent) == (Kind.BAD_REQUEST, False)
    for pack in packs:
        assert sent(pack) == [lines[part.number][0] for part in pack.parts]
        assert {part.body["user"] for part in pack.parts} == {pack.body["user"]}
        counts = token_counts(ENCODING, sent(pack))
        assert len(counts) <= inputs
        assert tokens is None or len(counts) == 1 or sum(counts) <= tokens
        assert each is None or max(counts) <= each
    for user in "ab":
        own = [one for pack in packs if pack.body["user"] == user for one in pack.parts]
        assert [one.number for one in own] == sorted(one.number for one in own)


def test_what_fits_into_one_request_is_one_request():
    """200 short texts at OpenAI's caps."""
    caps = Caps(packing.ENOUGH, 8_192, 300_000)
    assert len(packed([request(at, f"text {at}") for at in range(200)], caps)) == 1


def test_a_text_alone_is_sent_as_the_user_wrote_it():
    body = b'{"model": "m", "input": "\\u00e9", "dimensions": 8.0}'
    (pack,) = packed([Request(1, json.loads(body), body)], Caps(10))
    assert pack.raw_body == body


def test_a_line_of_a_corpus_sends_its_text_and_nothing_else_of_it():
    lines = [{"text": "one", "id": 1, "model": "of a car"}, {"text": "two", "id": 2}]
    (pack,) = packed(
        [Request(at, one, json.dumps(one).encode()) for at, one in enumerate(lines)], Caps(10)
    )
    assert pack.body == {"input": ["one", "two"]}
    assert [part.body for part in pack.parts] == lines


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1], [2]], ["one", "two"]])
def test_what_is_packed_already_is_a_request_of_its_own(tokens):
    packs = packed([request(1, "before"), request(2, tokens), request(3, "after")], Caps(10))
    assert sorted(len(pack.parts) for pack in packs) == [1, 2]


@pytest.mark.parametrize("nothing", ["", None, 5, {}, [], True])
def test_what_is_no_text_fails_alone_and_is_not_sent(nothing):
    told = Told()
    packs = packed([request(1, "a"), request(2, nothing), request(3, "b")], Caps(10), told)
    assert [sent(pack) for pack in packs] == [["a", "b"]]
    assert told[2].sent is False


def test_a_text_too_long_by_another_model_s_tokens_goes_alone_and_the_service_judges_it():
    told = Told()
    lines = [request(at, text, "some-model") for at, text in enumerate(["a", "tide " * 50, "b"])]
    packs = packed(lines, Caps(10, tokens_per_input=20), told)
    assert sorted(len(pack.parts) for pack in packs) == [1, 2]
    assert told == {}


def test_texts_of_a_url_for_chat_go_to_its_embeddings():
    lines = [request(1, "a"), request(2, "b")]
    (elsewhere,) = packed(lines, Caps(10), address=CHAT)
    (there,) = packed(lines, Caps(10), address=EMBEDDINGS)
    assert CHAT.url(elsewhere) == EMBEDDINGS.url(there) == "http://localhost/v1/embeddings"


def test_another_model_on_each_line_does_not_fill_the_memory():
    filling = Packing(Caps(10), Told().keep)
    ready = filling.add([request(at, "a", f"model {at}") for at in range(1_000)], {})
    assert len(filling.rest()) < 100
    assert len(ready) > 900


class Embedder(Service):
    """A service that refuses a request with a bad text in it, and counts what it was sent."""

    def __init__(self, refuses, *, most=10**9, refusal=None, **more):
        super().__init__(self._reply, **more)
        self._refuses = refuses
        self._most = most
        self._refusal = refusal or error(400, "this text is refused")

    def _reply(self, wire_body):
        given = json.loads(wire_body)["input"]
        given = [given] if isinstance(given, str) else given
        if len(given) > self._most or any(map(self._refuses, given)):
            return self._refusal
        data = [{"index": at, "embedding": [float(text)]} for at, text in enumerate(given)]
        payload = {"data": data[::-1], "usage": {"prompt_tokens": len(given)}}
        return Reply(200, {}, json.dumps(payload).encode())

    async def embed(self, count, inputs):
        """What came of the texts "0", "1", ... in packs of *inputs*, one pack after the other."""
        told = Told()

        def keep(part, outcome):
            told.keep(part, outcome)
            self.tally.finish(part, outcome)

        filling = Packing(Caps(inputs), keep)

        async def measure(requests):
            return [UNCOUNTED for _ in requests]

        unpacker = Unpacker(
            self.sender.send,
            measure,
            filling,
            targets=self.targets,
            stopping=self.stopping,
            tally=self.tally,
        )
        lines = [request(at, str(at)) for at in range(count)]
        for pack in [*filling.add(lines, {}), *filling.rest()]:
            reservation = await self.targets.acquire(UNCOUNTED)
            self.stopping.judge(await unpacker.send(pack, UNCOUNTED, reservation), self.tally)
        self.caps = filling.caps
        return told


def vectors(told):
    return {
        at: json.loads(outcome.response)["data"][0]["embedding"]
        for at, outcome in told.items()
        if isinstance(outcome, Success)
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 40), st.sets(st.integers(0, 69)))
def test_a_bad_text_costs_itself_and_every_other_has_its_own_vector(count, inputs, bad):
    bad = {at for at in bad if at < count}
    service = Embedder(lambda text: int(text) in bad)
    told = run(service.embed(count, inputs))

    assert vectors(told) == {at: [at] for at in range(count) if at not in bad}
    assert {at: one.kind for at, one in told.items() if at in bad} == dict.fromkeys(
        bad, Kind.BAD_REQUEST
    )
    packs = -(-count // inputs)
    assert len(service.sent) <= packs + 2 * len(bad) * (inputs - 1).bit_length()
    assert service.tally.attempts == len(service.sent)


def test_many_bad_texts_before_the_first_answer_do_not_stop_a_run():
    """--max_same_refusals counts lines, not the packs that they are refused with."""
    service = Embedder(lambda text: int(text) % 16 == 15, max_same_refusals=10)
    told = run(service.embed(320, 16))
    assert service.stopping.reason is None
    assert len(vectors(told)) == 300


def test_a_service_that_refuses_everything_has_been_sent_little_when_that_is_noticed():
    service = Embedder(lambda text: True, max_same_refusals=10)
    with pytest.raises(Abandoned):
        run(service.embed(5_000, 256))
    assert len(service.sent) < 40


def test_a_service_that_takes_fewer_texts_is_sent_no_more_of_them_from_then_on():
    service = Embedder(lambda text: False, most=10)
    told = run(service.embed(256, 64))
    assert len(vectors(told)) == 256
    assert service.caps.inputs == 8


def test_a_server_that_breaks_down_over_one_text_costs_that_text():
    service = Embedder(lambda text: text == "5", refusal=error(500, "unsupported value: NaN"))
    told = run(service.embed(8, 8))
    assert {at for at, one in told.items() if isinstance(one, Failure)} == {5}


def test_a_failure_of_another_kind_is_that_of_every_text_and_nothing_is_sent_again():
    service = Embedder(lambda text: True, refusal=error(404, "no such model", "model_not_found"))
    told = run(service.embed(8, 8))
    assert [one.kind for one in told.values()] == [Kind.MODEL_CONFIG] * 8
    assert len(service.sent) == 1


def test_what_was_used_is_told_once():
    told = run(Embedder(lambda text: False).embed(50, 20))
    assert sum(one.usage.prompt for one in told.values() if one.usage) == 50


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [2.0]}],
        [{"index": at, "embedding": [1.0]} for at in range(3)],
    ],
    ids=["none", "too few", "twice", "another's", "too many"],
)
def test_a_reply_without_one_vector_for_each_text_is_a_bad_answer_and_asked_for_in_halves(data):
    """No text gets what may be another's."""

    def reply(wire_body):
        asked = json.loads(wire_body)["input"]
        mine = [{"index": 0, "embedding": [float(asked)]}] if isinstance(asked, str) else data
        return Reply(200, {}, json.dumps({"data": mine, "usage": {}, "output": "x"}).encode())

    service = Embedder(lambda text: False)
    service._replies = reply
    assert vectors(run(service.embed(2, 2))) == {0: [0.0], 1: [1.0]}
    assert service.tally.maybe_billed >= 1


def test_caps_are_those_of_all_places_and_the_user_s_count_for_more():
    place = Service([], tokens_per_minute=60_000).targets
    assert packing.caps(place) == Caps(packing.UNKNOWN, None, 10_000)
    assert packing.caps(place, 500, 70) == Caps(500, None, 70)
    own = Service([]).targets
    own.all = tuple(replace(one, provider=OpenAI()) for one in own.all)
    assert packing.caps(own) == Caps(packing.ENOUGH, 8_192, 300_000)
