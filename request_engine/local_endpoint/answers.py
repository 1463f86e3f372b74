"""Canned answers in the shapes of the real ones: the same body always gets the same words."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import vectors
from .asked_schema import forced_function
from .calls import Call
from .spelling import dumps
from .words import Said, said


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply body as JSON, and what it is billed for."""

    text: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def answer(call: Call, number: str, mean_tokens: int) -> Answer:
    """The answer to *call*; its id ends in *number*."""
    return _SHAPES[call.endpoint](call, number, mean_tokens)


def id_of(endpoint: str, number: str) -> str:
    return f"{_PREFIXES[endpoint]}{number}"


def hollow(text: str) -> str:
    """The same reply with nothing where the answer was."""
    payload = json.loads(text)
    emptied = {name: None for name in ("choices", "data", "output", "content") if name in payload}
    return dumps(payload | emptied)


def _chat(call: Call, number: str, mean_tokens: int) -> Answer:
    spoken = [said(call, index, mean_tokens) for index in range(call.body.get("n") or 1)]
    choices = [
        {
            "index": index,
            "message": _chat_message(call, one),
            "logprobs": None,
            "finish_reason": _finish_reason(call, one),
        }
        for index, one in enumerate(spoken)
    ]
    return _with_usage(call, number, {"object": "chat.completion", "choices": choices}, spoken)


def _chat_message(call: Call, one: Said) -> dict[str, Any]:
    message = {"role": "assistant", "content": one.text, "refusal": None}
    if (function := forced_function(call.body)) is None:
        return message
    called = {"name": function.get("name"), "arguments": one.text}
    tool_call = {"id": f"call_{call.seed.hex()[:12]}", "type": "function", "function": called}
    return message | {"content": None, "tool_calls": [tool_call]}


def _finish_reason(call: Call, one: Said) -> str:
    return "length" if one.cut else "stop"


def _completions(call: Call, number: str, mean_tokens: int) -> Answer:
    wanted = (call.body.get("n") or 1) * call.prompts
    spoken = [said(call, index, mean_tokens) for index in range(wanted)]
    choices = [
        {
            "text": one.text,
            "index": index,
            "logprobs": None,
            "finish_reason": _finish_reason(call, one),
        }
        for index, one in enumerate(spoken)
    ]
    return _with_usage(call, number, {"object": "text_completion", "choices": choices}, spoken)


def _with_usage(call: Call, number: str, shape: dict[str, Any], spoken: list[Said]) -> Answer:
    completion = sum(one.tokens for one in spoken)
    payload = {
        "id": id_of(call.endpoint, number),
        "created": int(time.time()),
        "model": call.model,
        **shape,
        "usage": {
            "prompt_tokens": call.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": call.prompt_tokens + completion,
        },
    }
    return Answer(dumps(payload), call.prompt_tokens, completion)


def _responses(call: Call, number: str, mean_tokens: int) -> Answer:
    one = said(call, 0, mean_tokens)
    content = {"type": "output_text", "text": one.text, "annotations": []}
    status = "incomplete" if one.cut else "completed"
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [content],
    }
    payload = {
        "id": id_of(call.endpoint, number),
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if one.cut else None,
        "model": call.model,
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": call.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": one.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": call.prompt_tokens + one.tokens,
        },
    }
    return Answer(dumps(payload), call.prompt_tokens, one.tokens)


def _messages(call: Call, number: str, mean_tokens: int) -> Answer:
    one = said(call, 0, mean_tokens)
    payload = {
        "id": id_of(call.endpoint, number),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [{"type": "text", "text": one.text}],
        "stop_reason": "max_tokens" if one.cut else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": call.prompt_tokens, "output_tokens": one.tokens},
    }
    return Answer(dumps(payload), call.prompt_tokens, one.tokens)


def _embeddings(call: Call, number: str, mean_tokens: int) -> Answer:
    size = vectors.dimensions(call.model, call.body.get("dimensions"))
    packed = call.body.get("encoding_format") == "base64"
    spell = vectors.vector_base64 if packed else vectors.vector_json
    items = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{spell(text, size)}}}'
        for index, text in enumerate(_inputs(call.body["input"]))
    )
    usage = dumps({"prompt_tokens": call.prompt_tokens, "total_tokens": call.prompt_tokens})
    text = (
        f'{{"id":"{id_of(call.endpoint, number)}","object":"list","data":[{items}],'
        f'"model":{dumps(call.model)},"usage":{usage}}}'
    )
    return Answer(text, call.prompt_tokens, 0)


def _inputs(value: str | list[Any]) -> list[Any]:
    """A token array is one input, as a string is."""
    one = isinstance(value, str) or isinstance(value[0], int)
    return [value] if one else list(value)


_PREFIXES = {
    "chat/completions": "chatcmpl-",
    "completions": "cmpl-",
    "embeddings": "embd-",
    "responses": "resp_",
    "messages": "msg_",
}

_SHAPES: dict[str, Callable[[Call, str, int], Answer]] = {
    "chat/completions": _chat,
    "completions": _completions,
    "embeddings": _embeddings,
    "responses": _responses,
    "messages": _messages,
}
