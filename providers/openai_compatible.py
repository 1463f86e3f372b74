"""The dialect that most services speak: OpenAI's endpoints, usage and ways to fail."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from request_engine import image_tokens, tokens
from request_engine.encodings import Encode
from request_engine.event_stream import Assembler
from request_engine.json_forms import JsonForm
from request_engine.provider import Provider, number
from request_engine.records import Kind, Request, Usage
from request_engine.turns import MESSAGES_TURNS, PROMPT, RESPONSES_TURNS

from .openai_images import rule_for
from .openai_streams import Streamed

CHAT, COMPLETIONS, EMBEDDINGS = "chat/completions", "completions", "embeddings"
RESPONSES, MESSAGES = "responses", "messages"

UNBOUNDED = 256
"""Tokens reserved for an answer whose length the body does not bound."""
_COMPLETIONS_BOUND = 16
"""max_tokens that the completions endpoint assumes itself."""
MESSAGES_NEED = {"max_tokens": 4_096}
"""Without which the Messages shape is refused; added only to what asks for JSON."""
_ANSWERS = ("choices", "data", "output", "content", "results")
_USAGE_WANTED = b', "stream_options": {"include_usage": true}}'

_messages_images = partial(image_tokens.count, image_tokens.GridRule(28, 1568, 1568))
"""Images in the Messages shape: its documentation counts cells of 28 pixels."""


class OpenAICompatible(Provider):
    """What a compatible service inherits; it adds its name, hosts and key, and where it differs."""

    endpoints: ClassVar[tuple[str, ...]] = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES)
    streams: ClassVar[tuple[str, ...]] = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
    finish_reasons: ClassVar[Mapping[str, Kind]] = {
        "content_filter": Kind.CONTENT_FILTER,
        "refusal": Kind.CONTENT_FILTER,
        "error": Kind.BAD_ANSWER,
    }

    json_forms: ClassVar[Mapping[str, JsonForm]] = {
        CHAT: JsonForm(),
        COMPLETIONS: JsonForm(turns=PROMPT),
        RESPONSES: JsonForm(turns=RESPONSES_TURNS),
        MESSAGES: JsonForm(turns=MESSAGES_TURNS, needed=MESSAGES_NEED),
    }

    may_be_empty: ClassVar[bool] = True
    """Whether an answer without text that ended well is one."""
    stream_usage_option: ClassVar[bool] = True
    """Whether a streamed answer may be asked for its usage, which it leaves out unasked."""

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        if "messages" in body:
            return CHAT
        if "prompt" in body:
            return COMPLETIONS
        return RESPONSES if _is_responses(body) else EMBEDDINGS

    def wire_body(
        self, request: Request, api_key: str | None, endpoint: str | None = None
    ) -> bytes:
        """The user's own bytes; a streamed answer is asked for its usage where they do not say."""
        body = request.body
        if body.get("stream") is not True or "stream_options" in body:
            return request.raw_body
        endpoint = endpoint or self._own_endpoint(request)
        if not self.stream_usage_option or endpoint not in (CHAT, COMPLETIONS):
            return request.raw_body
        return request.raw_body[: request.raw_body.rindex(b"}")] + _USAGE_WANTED

    def _own_endpoint(self, request: Request) -> str:
        named = self.endpoint_of_path(request.url) if request.url is not None else None
        return named or self.endpoint_of_body(request.body)

    def assembler(self) -> Assembler:
        return Streamed(self.usage)

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        images = image_tokens_of(body.get("model"))
        match endpoint:
            case "completions":
                return tokens.prompt_tokens(body.get("prompt"), encode)
            case "embeddings":
                return tokens.prompt_tokens(body.get("input"), encode)
            case "responses":
                return tokens.responses_tokens(body, encode, images)
            case "messages":
                return tokens.messages_tokens(body, encode, _messages_images)
        return tokens.chat_tokens(body, encode, images)

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        if endpoint == EMBEDDINGS:
            return 0
        if endpoint == COMPLETIONS:
            prompts = tokens.prompt_count(body.get("prompt"))
            bound = tokens.completion_ceiling(body) or _COMPLETIONS_BOUND
            return prompts * tokens.choices(body) * bound
        return tokens.choices(body) * (tokens.completion_ceiling(body) or UNBOUNDED)

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        counted = payload.get("usage")
        return usage_of(counted) if isinstance(counted, dict) else None

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        reason = _finish_reason(payload)
        if reason is not None and reason in self.finish_reasons:
            return self.finish_reasons[reason], f"the service ended the answer with {reason}"
        choices = payload.get("choices")
        if choices:
            choices = _list(choices)
            if not any(map(_says_something, choices)):
                return Kind.BAD_ANSWER, "no choice in the reply has a message or a text"
            if not self.may_be_empty and all(map(_is_empty, choices)):
                return Kind.BAD_ANSWER, "the answer is empty"
        elif not any(map(payload.get, _ANSWERS)):
            return Kind.BAD_ANSWER, "there is no answer in the reply: no choices, data or output"
        return None


def image_tokens_of(model: Any) -> tokens.ImageTokens:
    """What an image costs *model*."""
    return partial(image_tokens.count, rule_for(model if isinstance(model, str) else None))


def usage_of(counted: Mapping[str, Any]) -> Usage:
    """Usage in either of the dialect's spellings, cached prompt and reasoning included.

    Where the input is told without what was cached (the Messages shape), that is added; where the
    total exceeds the parts by the reasoning alone, that belongs to the completion.
    """
    prompt = number(counted.get("prompt_tokens")) or (
        number(counted.get("input_tokens"))
        + number(counted.get("cache_creation_input_tokens"))
        + number(counted.get("cache_read_input_tokens"))
    )
    completion = number(counted.get("completion_tokens")) or number(counted.get("output_tokens"))
    details = counted.get("completion_tokens_details")
    reasoning = number(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    if reasoning and number(counted.get("total_tokens")) == prompt + completion + reasoning:
        completion += reasoning
    return Usage(prompt, completion)


def _is_responses(body: Mapping[str, Any]) -> bool:
    """`input` is a text to embed unless the body says more than an embeddings request can."""
    told = {"instructions", "max_output_tokens", "tools", "reasoning", "previous_response_id"}
    if told & body.keys():
        return True
    first = next(iter(body["input"]), None) if isinstance(body.get("input"), list) else None
    return isinstance(first, dict)


def _finish_reason(payload: Mapping[str, Any]) -> str | None:
    """Why all answers ended, in the chat, the Responses or the Messages shape."""
    choices, incomplete = payload.get("choices"), payload.get("incomplete_details")
    if isinstance(choices, list):
        reasons = [choice.get("finish_reason") for choice in choices if isinstance(choice, dict)]
        reason = reasons[0] if reasons and reasons.count(reasons[0]) == len(reasons) else None
    elif isinstance(incomplete, dict):
        reason = incomplete.get("reason")
    else:
        reason = payload.get("stop_reason")
    return reason if isinstance(reason, str) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_empty(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    return (
        isinstance(message, dict)
        and choice.get("finish_reason") == "stop"
        and not (message.get("content") or message.get("tool_calls"))
    )


def _says_something(choice: Any) -> bool:
    return isinstance(choice, dict) and (
        isinstance(choice.get("message"), dict) or isinstance(choice.get("text"), str)
    )
