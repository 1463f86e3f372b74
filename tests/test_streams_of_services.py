"""Streams as one service alone writes them become the reply of its unstreamed call."""

import json

import pytest
from streamed import BY_NAME, DONE, chunk, delta, event

from request_engine.records import Failure, Kind, Reply, Success, Usage


def read(name: str, *parts: bytes):
    """The outcome of a stream, byte by byte, with its reply as a value where it is an answer."""
    provider = BY_NAME[name]
    assembler = provider.assembler()
    for byte in b"".join(parts):
        assembler.feed(bytes([byte]))
    content = assembler.finish()
    if isinstance(content, Failure):
        return content, None
    outcome = provider.read(Reply(200, {}, content))
    return outcome, json.loads(outcome.response) if isinstance(outcome, Success) else None


def content_of(reply) -> object:
    return reply["choices"][0]["message"]["content"]


COUNTED = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


# OpenRouter

PROCESSING = b": OPENROUTER PROCESSING\n\n"


def test_openrouters_comments_are_no_part_of_the_answer_and_its_cost_is_kept():
    counted = COUNTED | {"cost": 0.00014, "cost_details": {"upstream_inference_cost": None}}
    outcome, reply = read(
        "openrouter",
        PROCESSING * 3,
        chunk(delta(role="assistant", content="It "), provider="OpenAI"),
        PROCESSING,
        chunk(delta(content="is."), provider="OpenAI"),
        chunk(delta("stop", content="") | {"native_finish_reason": "completed"}),
        chunk(delta(content="", role="assistant"), usage=counted),
        DONE,
    )
    assert outcome.usage == Usage(3, 5)
    assert (content_of(reply), reply["provider"]) == ("It is.", "OpenAI")
    assert reply["choices"][0]["native_finish_reason"] == "completed"
    assert reply["usage"] == counted


def test_openrouters_comments_alone_are_no_progress():
    assembler = BY_NAME["openrouter"].assembler()
    assert not assembler.feed(PROCESSING)
    assert assembler.feed(chunk(delta(content="a")))
    assert not assembler.feed(PROCESSING)


@pytest.mark.parametrize(
    ("code", "error_type", "kind"),
    [
        (429, "rate_limit_exceeded", Kind.RATE_LIMIT),
        (502, "provider_unavailable", Kind.TRANSIENT),
        (400, "content_policy_violation", Kind.CONTENT_FILTER),
        (402, "payment_required", Kind.QUOTA),
    ],
)
def test_an_error_in_the_middle_of_openrouters_stream_is_judged_by_its_type(code, error_type, kind):
    stated = {"code": code, "message": "Provider said no", "metadata": {"error_type": error_type}}
    outcome, _ = read(
        "openrouter",
        chunk(delta(content="It "), usage=COUNTED),
        PROCESSING,
        chunk(delta("error", content=""), error=stated, provider="OpenAI"),
        DONE,
    )
    assert (outcome.kind, outcome.message) == (kind, "Provider said no")
    assert outcome.usage == Usage(3, 5)


def test_what_openrouter_says_of_another_attempt_holds_in_a_stream_as_well():
    told = {"retryable": True, "retry_after": 30}
    stated = {"code": 503, "message": "busy", "availability": told}
    outcome, _ = read("openrouter", PROCESSING, chunk(error=stated))
    assert (outcome.kind, outcome.wait) == (Kind.TRANSIENT, 30.0)


# Groq

X_GROQ = {"id": "req_1"}


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "unasked"])
def test_groqs_usage_is_found_in_its_own_field_and_in_the_usual_one(asked):
    counted = COUNTED | {"queue_time": 0.03, "prompt_time": 0.001, "total_time": 0.46}
    usual = [chunk(usage=counted, x_groq=X_GROQ | {"usage": counted})] if asked else []
    outcome, reply = read(
        "groq",
        chunk(delta(role="assistant", content="", reasoning="Hm"), x_groq=X_GROQ),
        chunk(delta(reasoning="m.")),
        chunk(delta(content="It is.")),
        chunk(delta("stop"), x_groq=X_GROQ | {"usage": counted}),
        *usual,
        DONE,
    )
    assert outcome.usage == Usage(3, 5)
    assert reply["x_groq"] == {"id": "req_1", "usage": counted}
    message = reply["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "It is.", "reasoning": "Hmm."}


def test_a_stream_that_groq_stopped_early_is_no_answer():
    stopped = chunk(delta(), x_groq=X_GROQ | {"error": "over capacity"})
    outcome, _ = read("groq", chunk(delta(content="It ")), stopped, DONE)
    assert (outcome.kind, outcome.message) == (
        Kind.BAD_ANSWER,
        "the service stopped the answer: over capacity",
    )


def test_a_call_that_groqs_model_garbled_may_be_tried_again():
    stated = {"message": "Failed to call a function", "code": "tool_use_failed", "status_code": 400}
    outcome, _ = read("groq", chunk(delta(content="")), event({"error": stated}))
    assert outcome.kind is Kind.BAD_ANSWER


# Mistral


def thinking(*texts: str, **more) -> dict:
    return {"type": "thinking", "thinking": [{"type": "text", "text": one} for one in texts]} | more


def test_mistrals_pieces_of_blocks_become_the_blocks_of_the_unstreamed_answer():
    outcome, reply = read(
        "mistral",
        chunk(delta(role="assistant", content="")),
        chunk(delta(content=[thinking("Only ")])),
        chunk(delta(content=[thinking("READY \u662f ")])),
        chunk(delta(content=[thinking("wanted.", closed=True)])),
        chunk(delta(content=[{"type": "text", "text": "REA"}])),
        chunk(delta("stop", content="DY"), usage=COUNTED),
        DONE,
    )
    assert outcome.usage == Usage(3, 5)
    assert content_of(reply) == [
        thinking("Only READY \u662f wanted.", closed=True),
        {"type": "text", "text": "READY"},
    ]
    assert "\u662f".encode() in outcome.response


def test_blocks_that_do_not_come_in_pieces_stay_apart_and_in_their_place():
    reference = {"type": "reference", "reference_ids": [1]}
    _, reply = read(
        "mistral",
        chunk(delta(content=[{"type": "text", "text": "Tides"}])),
        chunk(delta(content=[reference, reference])),
        chunk(delta("stop", content=[{"type": "text", "text": "."}])),
    )
    texts = [{"type": "text", "text": one} for one in ("Tides", ".")]
    assert content_of(reply) == [texts[0], reference, reference, texts[1]]


def test_a_surrogate_pair_may_be_parted_between_two_blocks():
    halves = [{"type": "text", "text": one} for one in ("\ud83d", "\ude00")]
    _, reply = read(
        "mistral", chunk(delta(content=halves[:1])), chunk(delta("stop", content=halves[1:]))
    )
    assert content_of(reply) == [{"type": "text", "text": "\U0001f600"}]


def test_mistrals_plain_text_stays_a_text():
    outcome, reply = read(
        "mistral", chunk(delta(content="It ")), chunk(delta("stop", content="is."), usage=COUNTED)
    )
    assert (content_of(reply), outcome.usage) == ("It is.", Usage(3, 5))


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": "Hm"}],
        [{"type": "thinking"}, None, 7, ["a"]],
        [{"type": ["text"], "text": "a"}, {"type": "text", "text": None}],
    ],
)
def test_blocks_of_no_known_sort_are_passed_on(content):
    _, reply = read("mistral", chunk(delta("stop", content=content)))
    assert content_of(reply) == content


def test_blocks_nested_too_deep_to_be_read_are_judged_and_nothing_is_raised():
    deep = b"[" * 50_000 + b"]" * 50_000
    outcome, _ = read("mistral", b'data: {"choices": [{"delta": {"content": ' + deep + b"}}]}\n\n")
    assert outcome.kind is Kind.BAD_ANSWER


def test_mistrals_stream_is_not_asked_for_its_usage():
    """It refuses the option with 422, and tells the usage unasked."""
    assert not BY_NAME["mistral"].stream_usage_option


# Moonshot


@pytest.mark.parametrize("both", [True, False], ids=["in both places", "in the choice alone"])
def test_moonshots_usage_is_found_in_the_choice(both):
    usual = [chunk(usage=COUNTED)] if both else []
    outcome, reply = read(
        "moonshot",
        chunk(delta(role="assistant", content="", reasoning_content="Hm")),
        chunk(delta(content="1+1=2")),
        chunk(delta("stop") | {"usage": COUNTED | {"cached_tokens": 2}}),
        *usual,
        DONE,
    )
    assert (outcome.usage, content_of(reply)) == (Usage(3, 5), "1+1=2")


# xAI


def test_xais_reasoning_is_added_to_what_a_stream_counts():
    """It counts in every chunk, and once more in the last."""
    counted = COUNTED | {"total_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 92}}
    outcome, reply = read(
        "xai",
        chunk(delta(reasoning_content="Hm", role="assistant"), usage=COUNTED),
        chunk(delta("stop", content="101"), usage=counted),
        chunk(usage=counted, citations=["https://example.org"]),
        DONE,
    )
    assert outcome.usage == Usage(3, 97)
    assert (content_of(reply), reply["citations"]) == ("101", ["https://example.org"])


def test_xais_flat_error_ends_a_stream():
    stated = {"code": "Some resource has been exhausted", "error": "used all available credits"}
    outcome, _ = read("xai", chunk(delta(content="1")), event(stated))
    assert outcome.kind is Kind.QUOTA


# Together and Fireworks


def test_togethers_tokens_become_a_message():
    """Its chunks say each piece twice, in the delta and beside it."""
    pieces = [
        chunk(delta(token_id=number, role="assistant", content=text) | {"text": text, "seed": None})
        for number, text in enumerate(["It ", "is."])
    ]
    end = delta("eos", token_id=9, role="assistant", content="") | {"text": "", "seed": 42}
    outcome, reply = read("together", *pieces, chunk(end, usage=COUNTED), DONE)
    assert (outcome.usage, content_of(reply)) == (Usage(3, 5), "It is.")
    assert reply["choices"][0]["seed"] == 42
    assert "text" not in reply["choices"][0]


def test_fireworks_counts_in_its_last_chunk():
    outcome, reply = read(
        "fireworks",
        chunk(delta(role="assistant")),
        chunk(delta(content="It is.")),
        chunk(delta("stop"), usage=COUNTED),
        DONE,
    )
    assert (outcome.usage, content_of(reply)) == (Usage(3, 5), "It is.")
