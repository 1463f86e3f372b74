"""Reads one call from the bytes that came, or says in the service's words what is wrong with it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from .. import image_tokens, tokens
from ..encodings import Encode, encoder, encoding_name
from . import complaints
from .complaints import Complaint
from .settings import Settings

MOST_INPUTS = 2048
"""Texts in one embeddings request."""

DEFAULT_COMPLETION_TOKENS = 16
"""What a legacy completion may have when it does not say, and what is charged for it."""

_image_tokens = partial(image_tokens.count, image_tokens.TileRule(base=85, per_tile=170))

PROMPT_FIELDS = {
    "chat/completions": "messages",
    "completions": "prompt",
    "embeddings": "input",
    "responses": "input",
    "messages": "messages",
}

_COUNTS: dict[str, Callable[[dict[str, Any], Encode], int]] = {
    "chat/completions": lambda body, encode: tokens.chat_tokens(body, encode, _image_tokens),
    "completions": lambda body, encode: tokens.prompt_tokens(body["prompt"], encode),
    "embeddings": lambda body, encode: tokens.prompt_tokens(body["input"], encode),
    "responses": lambda body, encode: tokens.responses_tokens(body, encode, _image_tokens),
    "messages": lambda body, encode: tokens.messages_tokens(body, encode, _image_tokens),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that makes sense, counted."""

    endpoint: str
    body: dict[str, Any]
    model: str
    prompt_tokens: int
    ceiling: int | None
    """Most tokens of one choice."""
    seed: bytes
    """Decides what is answered: the hash of the body."""
    encode: Encode

    @property
    def charge(self) -> int:
        """Prompt and the most that may be answered, as services reserve it."""
        if self.endpoint == "embeddings":
            return self.prompt_tokens
        ceiling = self.ceiling or DEFAULT_COMPLETION_TOKENS
        return self.prompt_tokens + ceiling * tokens.choices(self.body) * self.prompts

    @property
    def prompts(self) -> int:
        return tokens.prompt_count(self.body["prompt"]) if self.endpoint == "completions" else 1

    @property
    def streamed(self) -> bool:
        return self.body.get("stream") is True and self.endpoint != "embeddings"


@lru_cache(maxsize=1024)
def encode_for(model: str) -> Encode:
    return encoder(encoding_name(model))


def warm_encoders(models: tuple[str, ...]) -> None:
    """Load what the calls will need, so that no call pays for it."""
    if not models:
        encoder("cl100k_base")
        encoder("o200k_base")
    for model in models:
        encode_for(model)


def parsed(content: bytes | str) -> dict[str, Any] | Complaint:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return complaints.not_json()
    return body if isinstance(body, dict) else complaints.not_json()


def read(
    endpoint: str, body: dict[str, Any], digest: bytes, settings: Settings
) -> Call | Complaint:
    """The call that *body* makes; *digest* is the hash of its bytes."""
    complaint = _unknown_model(body, settings) or _wrong_prompt(endpoint, body)
    complaint = complaint or _wrong_parameters(endpoint, body)
    return complaint or _counted(endpoint, body, digest, settings)


def _counted(
    endpoint: str, body: dict[str, Any], digest: bytes, settings: Settings
) -> Call | Complaint:
    encode = encode_for(body["model"])
    ceiling = tokens.completion_ceiling(body)
    if endpoint == "completions":
        ceiling = ceiling or DEFAULT_COMPLETION_TOKENS
    prompt_tokens = _COUNTS[endpoint](body, encode)
    most = settings.context_length
    if most is not None and prompt_tokens + (ceiling or 0) > most:
        param = PROMPT_FIELDS[endpoint]
        return complaints.context_too_long(param, most, prompt_tokens, ceiling or 0)
    return Call(endpoint, body, body["model"], prompt_tokens, ceiling, digest, encode)


def _unknown_model(body: dict[str, Any], settings: Settings) -> Complaint | None:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return complaints.no_model()
    if settings.models and model not in settings.models:
        return complaints.no_such_model(model)
    return None


def _wrong_prompt(endpoint: str, body: dict[str, Any]) -> Complaint | None:
    name = PROMPT_FIELDS[endpoint]
    value = body.get(name)
    if value is None:
        return complaints.missing(name)
    if name == "messages":
        return _wrong_messages(value)
    if not isinstance(value, str | list):
        return complaints.wrong_type(name, "a string or an array")
    return _wrong_input(value) if endpoint == "embeddings" else None


def _wrong_messages(messages: Any) -> Complaint | None:
    if not isinstance(messages, list):
        return complaints.wrong_type("messages", "an array of objects")
    if not messages:
        return complaints.empty("messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            return complaints.wrong_type(f"messages[{index}]", "an object")
        if not isinstance(message.get("role"), str):
            return complaints.missing(f"messages[{index}].role")
    return None


def _wrong_input(value: str | list[Any]) -> Complaint | None:
    if not value:
        return complaints.empty("input")
    if isinstance(value, str) or isinstance(value[0], int):
        return None
    if len(value) > MOST_INPUTS:
        return complaints.array_too_long("input", MOST_INPUTS, len(value))
    for index, text in enumerate(value):
        if not isinstance(text, str | list):
            return complaints.wrong_type(f"input[{index}]", "a string or an array of tokens")
        if not text:
            return complaints.empty(f"input[{index}]")
    return None


_AT_LEAST_ONE = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "dimensions")
_AT_MOST = {"n": 128, "dimensions": 16_384}


def _wrong_parameters(endpoint: str, body: dict[str, Any]) -> Complaint | None:
    for name in _AT_LEAST_ONE:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            return complaints.wrong_type(name, "an integer")
        if value < 1:
            return complaints.below_minimum(name, value)
        if value > (most := _AT_MOST.get(name, value)):
            return complaints.above_maximum(name, most, value)
    if endpoint == "messages" and body.get("max_tokens") is None:
        return complaints.missing("max_tokens")
    if endpoint == "messages" and "stream_options" in body:
        return complaints.not_permitted("stream_options")
    return None
