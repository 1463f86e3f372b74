"""The lab's gateway: an envelope around OpenAI's and Anthropic's APIs that holds the real keys.

sent      {"username": key, "request": "the body as a JSON string"}
replied   {"raw": "the upstream reply as a JSON string", "credits_consumed", "credits_total"}
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import SplitResult

from request_engine import splice
from request_engine.encodings import Encode
from request_engine.json_forms import JsonForm
from request_engine.provider import Wall
from request_engine.records import Failure, Kind, Outcome, Reply, Request, Success

from .openai_compatible import CHAT, EMBEDDINGS, MESSAGES, OpenAICompatible

GPT, CLAUDE = "gpt", "claude"
_CREDITS = ("credits_consumed", "credits_total")


class LabGateway(OpenAICompatible):
    """Known by its path, /gpt or /claude, since its host is a bare address."""

    name = "lab_gateway"
    aliases = ("bnu",)
    key_variables = ("BNU_API_KEY",)
    keyless_locally = False
    codes: ClassVar[Mapping[str, Kind]] = {
        "invalid_request_error": Kind.BAD_REQUEST,  # inside `raw` there is no status to tell
        "not_found_error": Kind.MODEL_CONFIG,
    }
    endpoints = (GPT, CLAUDE)
    other_paths = False

    def matches(self, url: SplitResult) -> bool:
        return url.path.rstrip("/") in ("/gpt", "/claude")

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        return CLAUDE if "claude" in str(body.get("model")).lower() else GPT

    def headers(self, api_key: str | None) -> dict[str, str]:
        """The key travels in the body."""
        return {}

    def wire_body(
        self, request: Request, api_key: str | None, endpoint: str | None = None
    ) -> bytes:
        envelope = {"username": api_key or "", "request": request.raw_body.decode()}
        return json.dumps(envelope).encode()

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        return super().prompt_tokens(body, _upstream(endpoint, body), encode)

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        return super().completion_tokens(body, _upstream(endpoint, body))

    def json_form(self, endpoint: str, body: Mapping[str, Any]) -> JsonForm | None:
        return super().json_form(_upstream(endpoint, body), body)

    def read(self, reply: Reply, wall: Wall = time.time) -> Outcome:
        """Read the envelope, then what is inside it in the same way."""
        envelope = _envelope(reply)
        raw = envelope.get("raw")
        if not isinstance(raw, str):
            return _gateways_own(super().read(_without_echo(reply, envelope), wall))
        inner = super().read(replace(reply, content=raw.encode("utf-8", "replace")), wall)
        if not isinstance(inner, Success):
            return _worth_its_attempts(inner)
        return replace(inner, extra=_credits(envelope))


def _upstream(endpoint: str, body: Mapping[str, Any]) -> str:
    if endpoint == CLAUDE:
        return MESSAGES
    return EMBEDDINGS if "input" in body or "embedding" in str(body.get("model")) else CHAT


def _envelope(reply: Reply) -> Mapping[str, Any]:
    try:
        envelope = splice.parse_reply(reply.content.decode("utf-8-sig").strip())
    except (ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _credits(envelope: Mapping[str, Any]) -> bytes | None:
    given = {name: envelope[name] for name in _CREDITS if name in envelope}
    told = {name: value for name, value in given.items() if isinstance(value, str | int | float)}
    return json.dumps(splice.finite(told)).encode() if told else None


def _without_echo(reply: Reply, envelope: Mapping[str, Any]) -> Reply:
    """The gateway repeats the request, and with it the user's name."""
    if not {"request", "username"} & envelope.keys():
        return reply
    kept = {key: value for key, value in envelope.items() if key not in ("request", "username")}
    return replace(reply, content=json.dumps(kept).encode())


def _gateways_own(outcome: Outcome) -> Failure:
    """A reply without `raw` is a failure, whatever it looks like."""
    if isinstance(outcome, Success):
        outcome = Failure(Kind.TRANSIENT, "the gateway's reply has no `raw` in it", status=200)
    return _worth_its_attempts(outcome)


def _worth_its_attempts(failure: Failure) -> Failure:
    """Its errors come inside a success and mostly pass: they get every attempt there is."""
    return replace(failure, kind=Kind.TRANSIENT) if failure.kind is Kind.BAD_ANSWER else failure
