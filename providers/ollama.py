"""Ollama: https://docs.ollama.com

OpenAI-compatible under /v1; its own interface is under /api, and streams lines of JSON unless the
body says `"stream": false`.
"""

from collections.abc import Mapping
from typing import Any

from request_engine import tokens
from request_engine.encodings import Encode
from request_engine.event_stream import EVENTS, Assembler
from request_engine.json_forms import JsonForm, Schema
from request_engine.provider import Profile, number
from request_engine.records import Kind, Limit, Usage
from request_engine.turns import Prompt

from .json_asked import BY_SCHEMA
from .ollama_stream import LINES, OllamaStream
from .openai_compatible import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    UNBOUNDED,
    OpenAICompatible,
)

NATIVE_CHAT, GENERATE, EMBED = "api/chat", "api/generate", "api/embed"
OLDER_EMBED = "api/embeddings"
_LIKE = {NATIVE_CHAT: CHAT, GENERATE: COMPLETIONS, EMBED: EMBEDDINGS, OLDER_EMBED: COMPLETIONS}
"""Endpoints of its own, each with the one whose body has its words in the same place."""


def _format(schema: Schema, strict: bool) -> Mapping[str, Any]:
    return {"format": schema}


class Ollama(OpenAICompatible):
    """Answers one request at a time unless told otherwise, queues 512 and refuses those beyond.

    Both are settings of the server: OLLAMA_NUM_PARALLEL and OLLAMA_MAX_QUEUE.
    """

    name = "ollama"
    key_variables = ("OLLAMA_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:11434/v1"
    profile = Profile(max_concurrent=512)
    endpoints = (*_LIKE, *OpenAICompatible.endpoints)
    streams = (NATIVE_CHAT, GENERATE, *OpenAICompatible.streams)
    stream_types = (EVENTS, LINES)
    json_forms = {
        **BY_SCHEMA,
        NATIVE_CHAT: JsonForm(place=_format),
        GENERATE: JsonForm(turns=Prompt("system"), place=_format),
    }
    overruling = (
        # Its queue is full (503): nothing was executed, and fewer in flight are the cure.
        ("maximum pending requests exceeded", Kind.RATE_LIMIT),
        # Older versions say so with 500.
        ("input length exceeds the context length", Kind.BAD_REQUEST),
    )
    only_limit = Limit.CONCURRENCY

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        """Either interface under the address that the user gave, with its /v1 or without."""
        root = base.removesuffix("/v1")
        if endpoint in _LIKE:
            return f"{root}/{endpoint}"
        return super().path(base or "/v1", endpoint, body)

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        system = body.get("system") if endpoint == GENERATE else None
        return tokens.prompt_tokens(system, encode) + super().prompt_tokens(
            body, _LIKE.get(endpoint, endpoint), encode
        )

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        if endpoint not in _LIKE:
            return super().completion_tokens(body, endpoint)
        if endpoint in (EMBED, OLDER_EMBED):
            return 0
        options = body.get("options")
        most = number(options.get("num_predict")) if isinstance(options, dict) else 0
        return most or UNBOUNDED

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        if "prompt_eval_count" in payload or "eval_count" in payload:
            # A prompt that it has at hand from before may go untold.
            return Usage(
                number(payload.get("prompt_eval_count")), number(payload.get("eval_count"))
            )
        return super().usage(payload)

    def assembler(self) -> Assembler:
        return OllamaStream(self.usage)

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        if payload.get("done") is False:
            return Kind.BAD_ANSWER, "the answer ended before it was done"
        said = payload.get("message"), payload.get("response")
        if isinstance(said[0], dict) or isinstance(said[1], str):
            return None
        if payload.get("embeddings") or payload.get("embedding"):
            return None
        return super().judge_answer(payload)
