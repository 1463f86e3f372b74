"""Gemini's own API, as its two services have it: the model and what is asked of it in the path.

POST .../models/MODEL:generateContent {"contents": [{"role", "parts": [{"text"}]}]}
->  {"candidates": [{"content": {"parts": [...]}, "finishReason"}], "usageMetadata"}
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from request_engine import splice
from request_engine.encodings import Encode
from request_engine.event_stream import Assembler
from request_engine.json_forms import JsonForm, Schema, Subset
from request_engine.provider import SHOWN, Wall, number
from request_engine.records import Kind, Outcome, Reply, Request, Usage
from request_engine.runaway import Speech
from request_engine.turns import CONTENTS

from .gemini_stream import GeminiStream, GeminiStreamed
from .google_errors import GoogleErrors
from .json_asked import BY_SCHEMA
from .openai_compatible import CHAT, EMBEDDINGS, UNBOUNDED

GENERATE, STREAM = "generateContent", "streamGenerateContent"
EMBED, BATCH_EMBED = "embedContent", "batchEmbedContents"
_FILTERED = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
)
_SPOILT = ("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "OTHER")
_MEDIUM = 258
"""Tokens of a picture in one tile. Not confirmed for larger ones: their usage corrects it."""


def _generation_config(schema: Schema, strict: bool) -> Mapping[str, Any]:
    asked = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return {"generationConfig": asked}


def _generation_config_in_snake(schema: Schema, strict: bool) -> Mapping[str, Any]:
    asked = {"response_mime_type": "application/json", "response_json_schema": schema}
    return {"generation_config": asked}


_KNOWN = Subset(
    frozenset(
        {"$id", "$defs", "$ref", "type", "format", "title", "description", "enum", "const"}
        | {"items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf"}
        | {"properties", "additionalProperties", "required"}
    ),
    frozenset({"date-time", "date", "time"}),
    closed=False,
)
"""What its page on structured output lists."""
_FORM = JsonForm(turns=CONTENTS, place=_generation_config, subset=_KNOWN, told=False)
_IN_SNAKE = JsonForm(turns=CONTENTS, place=_generation_config_in_snake, subset=_KNOWN, told=False)


class Gemini(GoogleErrors):
    """Bodies are sent natively where they have `contents`, `content` or `requests`.

    Their model is the body's `model`, which goes into the path; or that of a URL that names one.
    `"stream": true` goes there as well: the service refuses members that it does not know.
    """

    native: ClassVar[tuple[str, ...]] = (GENERATE, STREAM, EMBED, BATCH_EMBED)
    endpoints = (*native, CHAT, EMBEDDINGS)
    streams = (GENERATE, STREAM, CHAT)
    json_forms = {**BY_SCHEMA, GENERATE: _FORM, STREAM: _FORM}
    finish_reasons: ClassVar[Mapping[str, Kind]] = {
        **GoogleErrors.finish_reasons,
        **dict.fromkeys(_FILTERED, Kind.CONTENT_FILTER),
        **dict.fromkeys(_SPOILT, Kind.BAD_ANSWER),
    }

    def endpoint_of_path(self, path: str) -> str | None:
        verb = path.rstrip("/").rpartition(":")[2]
        return verb if verb in self.native else super().endpoint_of_path(path)

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        if "contents" in body:
            return STREAM if body.get("stream") is True else GENERATE
        if "requests" in body:
            return BATCH_EMBED
        return EMBED if "content" in body else super().endpoint_of_body(body)

    def native_path(self, models: str, endpoint: str) -> str:
        """The path of *endpoint* at *models*; events have to be asked for by the query."""
        return f"{models}:{endpoint}{'?alt=sse' if endpoint == STREAM else ''}"

    def wire_body(
        self, request: Request, api_key: str | None, endpoint: str | None = None
    ) -> bytes:
        if (endpoint or self._own_endpoint(request)) not in self.native:
            return super().wire_body(request, api_key, endpoint)
        if not _IN_THE_PATH & request.body.keys():
            return request.raw_body
        members = splice.members(request.raw_body.decode())
        return splice.joined([one for one in members if one.key not in _IN_THE_PATH]).encode()

    def json_form(self, endpoint: str, body: Mapping[str, Any]) -> JsonForm | None:
        form = super().json_form(endpoint, body)
        return _IN_SNAKE if form is _FORM and "generation_config" in body else form

    def assembler(self) -> Assembler:
        return GeminiStreamed(self.usage)

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        if endpoint not in self.native:
            return super().prompt_tokens(body, endpoint, encode)
        asked = [_either(body, "systemInstruction"), body.get("tools")]
        asked += [body.get(name) for name in ("contents", "content", "requests", "instances")]
        return sum(_tokens(one, encode) for one in asked)

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        if endpoint not in self.native:
            return super().completion_tokens(body, endpoint)
        if endpoint not in (GENERATE, STREAM):
            return 0
        config = _either(body, "generationConfig")
        config = config if isinstance(config, dict) else {}
        candidates = number(_either(config, "candidateCount")) or 1
        return candidates * (number(_either(config, "maxOutputTokens")) or UNBOUNDED)

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        """Cached tokens are within the prompt's; thoughts are apart from the candidates'."""
        counted = payload.get("usageMetadata", payload.get("usage"))
        if not isinstance(counted, dict) or "promptTokenCount" not in counted:
            return super().usage(payload)
        return Usage(
            number(counted["promptTokenCount"]) + number(counted.get("toolUsePromptTokenCount")),
            number(counted.get("candidatesTokenCount")) + number(counted.get("thoughtsTokenCount")),
        )

    def read(self, reply: Reply, wall: Wall = time.time) -> Outcome:
        """A stream that was not asked for as events is a list of chunks."""
        return super().read(replace(reply, content=_joined(reply.content)), wall)

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        candidates = payload.get("candidates")
        if isinstance(candidates, list) and candidates:
            return self._judge_candidates(candidates)
        feedback = payload.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            return Kind.CONTENT_FILTER, f"the prompt was blocked: {feedback['blockReason']}"
        if payload.get("embedding") or payload.get("embeddings"):
            return None
        if "usageMetadata" in payload:
            return Kind.BAD_ANSWER, "there are no candidates in the reply"
        return super().judge_answer(payload)

    def _judge_candidates(self, candidates: list[Any]) -> tuple[Kind, str] | None:
        """One usable candidate is an answer; else the first tells what is wrong."""
        wrong = [self._judge_candidate(one if isinstance(one, dict) else {}) for one in candidates]
        return None if None in wrong else wrong[0]

    def _judge_candidate(self, candidate: Mapping[str, Any]) -> tuple[Kind, str] | None:
        reason, content = candidate.get("finishReason"), candidate.get("content")
        if isinstance(reason, str) and reason in self.finish_reasons:
            return self.finish_reasons[reason], f"the service ended the answer with {reason}"
        # All of max_tokens may have gone into thoughts.
        if reason != "MAX_TOKENS" and not (isinstance(content, dict) and content.get("parts")):
            return Kind.BAD_ANSWER, f"the answer has no parts (it ended with {reason})"
        return None


_IN_THE_PATH = frozenset({"model", "stream"})
_MEDIA = frozenset({"inlineData", "inline_data", "fileData", "file_data"})
_SNAKE = {
    "systemInstruction": "system_instruction",
    "generationConfig": "generation_config",
    "candidateCount": "candidate_count",
    "maxOutputTokens": "max_output_tokens",
}


def _either(holder: Mapping[str, Any], name: str) -> Any:
    """Its value in either of the spellings that the service takes."""
    return holder.get(name, holder.get(_SNAKE[name]))


def _tokens(value: Any, encode: Encode) -> int:
    """Of all texts within *value*; what is called or declared counts as it is spelled."""
    tokens, pending = 0, [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            tokens += len(encode(part))
        elif isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            tokens += _MEDIUM if _MEDIA & part.keys() else 0
            pending += [part[name] for name in _WITH_TEXTS if name in part]
            pending += [_spelled(part[name]) for name in _SPELLED if name in part]
    return tokens


_WITH_TEXTS = ("parts", "text", "content", "contents")
_SPELLED = (
    "functionCall",
    "function_call",
    "functionResponse",
    "function_response",
    "functionDeclarations",
    "function_declarations",
)


def _spelled(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # such as a number of 5,000 digits
        return ""


def _joined(content: bytes) -> bytes:
    """The one reply that a list of chunks is; anything else as it is."""
    if not content.lstrip().startswith(b"["):
        return content
    try:
        chunks = splice.parse_reply(content.decode())
    except (ValueError, RecursionError):
        return content
    if not chunks or not all(isinstance(one, dict) and "candidates" in one for one in chunks):
        return content
    stream = GeminiStream(Speech(SHOWN))
    for chunk in chunks:
        stream.take("", chunk, "")
    return json.dumps(stream.reply()).encode()
