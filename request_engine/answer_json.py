"""Find the JSON in an answer, of whatever shape the reply is and whatever is said around it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from request_engine.result import text_of

_MOST_STARTS = 50
"""Brackets at which no JSON begins that are looked at."""
_CUT = frozenset(
    {"length", "max_tokens", "max_output_tokens", "MAX_TOKENS", "model_context_window_exceeded"}
)
_fenced = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.S).findall
_thought = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.S)
_bracket = re.compile(r"[{\[]").search


def said(reply: Mapping[str, Any]) -> str:
    """What the model said: its text, or else what it calls a tool with."""
    return text_of(reply) or next(_arguments(reply), "")


def json_in(text: str) -> str | None:
    """The JSON in *text*: all of it, or what a fence or a sentence is around."""
    text = _thought.sub("", text).strip()
    for whole in (text, *map(str.strip, _fenced(text))):
        if _is_json(whole):
            return whole
    return max(_values(text), key=len, default=None)


def was_cut(reply: Mapping[str, Any]) -> bool:
    """Whether the answer ended because it had no more tokens."""
    return any(one in _CUT for one in _reasons(reply))


def refusal(reply: Mapping[str, Any]) -> str | None:
    """The words in which the model declined, where the service tells those apart."""
    for message in _messages(reply):
        if isinstance(words := message.get("refusal"), str) and words:
            return words
    return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse)


def _is_json(text: str) -> bool:
    try:
        _decoder.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _values(text: str) -> Iterator[str]:
    """The objects and arrays in *text*, not those within others."""
    at, missed = 0, 0
    while missed < _MOST_STARTS and (found := _bracket(text, at)):
        try:
            _, end = _decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            at, missed = found.end(), missed + 1
        else:
            yield text[found.start() : end]
            at = end


def _arguments(reply: Mapping[str, Any]) -> Iterator[str]:
    """What tools are called with."""
    for message in _messages(reply):
        called = [*_objects(message.get("tool_calls")), *_objects(message.get("parts")), message]
        for call in called:
            function = call.get("function") or call.get("functionCall") or call
            for name in ("arguments", "args", "input"):
                given = function.get(name) if isinstance(function, dict) else None
                if isinstance(given, str) and given:
                    yield given
                elif isinstance(given, dict):
                    yield json.dumps(given, ensure_ascii=False)


def _messages(reply: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Whatever may hold what was said, in any of the shapes."""
    output = reply.get("output")
    if isinstance(output, dict):
        yield from _messages(output)
    for choice in _objects(reply.get("choices")):
        yield from _objects([choice.get("message")])
    for candidate in _objects(reply.get("candidates")):
        yield from _objects([candidate.get("content")])
    yield from _objects([reply.get("message")])
    for item in (*_objects(output), *_objects(reply.get("content"))):
        yield item
        yield from _objects(item.get("content"))


def _reasons(reply: Mapping[str, Any]) -> Iterator[Any]:
    """Why the answer ended."""
    output, incomplete = reply.get("output"), reply.get("incomplete_details")
    holders = [reply, *_objects(reply.get("choices")), *_objects(reply.get("candidates"))]
    if isinstance(output, dict):
        yield from _reasons(output)
    if isinstance(incomplete, dict):
        yield incomplete.get("reason")
    for holder in holders:
        for name in ("finish_reason", "finishReason", "stop_reason", "done_reason"):
            if isinstance(holder.get(name), str):
                yield holder[name]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
