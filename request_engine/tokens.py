"""How many tokens a request body asks for; any JSON value is counted as far as it makes sense."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from request_engine.encodings import Encode, encoding_name

ImageTokens = Callable[[str, str], int]
"""(url, detail) -> tokens. An image without a URL, such as an uploaded file's, has the url ""."""

# The current rules for messages and, fitted on a few models, for tools, as published in the
# cookbook's "How to count tokens with tiktoken".
_MESSAGE = 3
_NAME = 1
_PRIMING = 3
_FUNCTION = 7
_FUNCTION_OF_OLDER_MODELS = 10
_PROPERTIES = 3
_PROPERTY = 3
_ENUM = -3
_ENUM_ITEM = 3
_TOOLS_END = 12

_TEXT_KEYS = ("text", "refusal", "thinking")
_CALL_KEYS = ("name", "arguments", "input")
_SPELLED = (str, dict, list)
_NESTED_KEYS = ("content", "output", "summary")
_IMAGE_TYPES = ("image_url", "input_image", "image")
_CEILINGS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "max_new_tokens")
_CHOICES = ("n", "best_of", "num_responses")


def chat_tokens(body: Any, encode: Encode, image_tokens: ImageTokens) -> int:
    """Prompt tokens of a chat completion: `messages`, `tools` and the older `functions`."""
    body = _object(body)
    tools = _list(body.get("tools")) + _list(body.get("functions"))
    return _conversation(_list(body.get("messages")), encode, image_tokens) + _tools_tokens(
        tools, encode, body.get("model")
    )


def responses_tokens(body: Any, encode: Encode, image_tokens: ImageTokens) -> int:
    """Prompt tokens of the Responses shape: `instructions`, `input` and `tools`."""
    body = _object(body)
    items = body.get("input")
    messages = _message_of("system", body.get("instructions")) + (
        items if isinstance(items, list) else _message_of("user", items)
    )
    return _conversation(messages, encode, image_tokens) + _tools_tokens(
        _list(body.get("tools")), encode, body.get("model")
    )


def messages_tokens(body: Any, encode: Encode, image_tokens: ImageTokens) -> int:
    """Prompt tokens of the Messages shape: `system`, `messages` and `tools`, estimated as chat."""
    body = _object(body)
    messages = _message_of("system", body.get("system")) + _list(body.get("messages"))
    return _conversation(messages, encode, image_tokens) + _tools_tokens(
        _list(body.get("tools")), encode, None
    )


def prompt_tokens(prompt: Any, encode: Encode) -> int:
    """Tokens of a `prompt` or an embeddings `input`: a text, a token array, or a list of either."""
    if isinstance(prompt, list):
        return sum(_one_prompt_tokens(item, encode) for item in prompt)
    return _one_prompt_tokens(prompt, encode)


def prompt_count(prompt: Any) -> int:
    """How many prompts there are, each completed on its own; none given still makes one."""
    if not isinstance(prompt, list):
        return 1
    prompts = sum(isinstance(item, str | list) for item in prompt)
    return max(1, prompts)


def completion_ceiling(body: Any) -> int | None:
    """The most tokens one answer may have, None when the body does not say."""
    return _largest(body, _CEILINGS) or None


def choices(body: Any) -> int:
    """How many answers each prompt is to have."""
    return _largest(body, _CHOICES) or 1


def _largest(body: Any, keys: tuple[str, ...]) -> int:
    """The largest of the whole numbers above 0 that *body* has for *keys*; 0 if there are none."""
    largest, body = 0, _object(body)
    for key in keys:
        if key in body and _is_integer(value := body[key]) and value > largest:
            largest = value
    return largest


def _one_prompt_tokens(prompt: Any, encode: Encode) -> int:
    if isinstance(prompt, list):
        return sum(_is_integer(token) or _text_tokens(token, encode) for token in prompt)
    if isinstance(prompt, dict):
        return _text_tokens(prompt.get("text"), encode)
    return int(_is_integer(prompt)) or _text_tokens(prompt, encode)


def _conversation(messages: list[Any], encode: Encode, image_tokens: ImageTokens) -> int:
    tokens = _PRIMING if messages else 0
    for message in messages:
        tokens += _message_tokens(message, encode, image_tokens)
    return tokens


def _message_of(role: str, content: Any) -> list[Any]:
    given = isinstance(content, str | list) and content
    return [{"role": role, "content": content}] if given else []


def _message_tokens(message: Any, encode: Encode, image_tokens: ImageTokens) -> int:
    if not isinstance(message, dict):
        return _content_tokens(message, encode, image_tokens)
    tokens = _MESSAGE + _text_tokens(message.get("role"), encode)
    if len(message) == 2 and "role" in message and "content" in message:  # as nearly always
        return tokens + _content_tokens(message["content"], encode, image_tokens)
    # Beside no role the name is a called function's, which costs no more than its text.
    if isinstance(message.get("name"), str) and "role" in message:
        tokens += _NAME
    for call in (*_list(message.get("tool_calls")), message.get("function_call")):
        tokens += _tool_call_tokens(call, encode)
    return tokens + _content_tokens(message, encode, image_tokens)


def _tool_call_tokens(call: Any, encode: Encode) -> int:
    call = _object(call)
    called = call.get("function") or call.get("custom") or call
    return _call_tokens(_object(called), encode)


def _content_tokens(content: Any, encode: Encode, image_tokens: ImageTokens) -> int:
    """Tokens of a text, a part, a block, an item, or lists of them however deep."""
    if isinstance(content, str):
        return len(encode(content))
    tokens = 0
    pending = [content]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            tokens += len(encode(part))
        elif isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            tokens += _part_tokens(part, encode, image_tokens)
            pending += [part.get(key) for key in _NESTED_KEYS]
            pending += _document(part)
    return tokens


def _part_tokens(part: dict[Any, Any], encode: Encode, image_tokens: ImageTokens) -> int:
    if part.get("type") in _IMAGE_TYPES:
        return image_tokens(*_image(part))
    text = sum(_text_tokens(part.get(key), encode) for key in _TEXT_KEYS)
    return text + _call_tokens(part, encode)


def _call_tokens(call: dict[Any, Any], encode: Encode) -> int:
    """Arguments are a string of JSON in some shapes and an object in others."""
    values = map(call.get, _CALL_KEYS)
    return sum(len(encode(_plain(value))) for value in values if isinstance(value, _SPELLED))


def _document(part: dict[Any, Any]) -> list[Any]:
    """The text of a document block; other documents are not counted."""
    source = _object(part.get("source"))
    return [source.get("data") if source.get("type") == "text" else source.get("content")]


def _image(part: dict[Any, Any]) -> tuple[str, str]:
    """The URL and detail of an image part in any of the shapes."""
    image = part.get("image_url")
    holder = image if isinstance(image, dict) else part
    url = holder.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        url = _source_url(_object(part.get("source")))
    detail = holder.get("detail")
    return url, detail if isinstance(detail, str) else "auto"


def _source_url(source: dict[Any, Any]) -> str:
    url, data = source.get("url"), source.get("data")
    if isinstance(data, str):
        return f"data:{source.get('media_type')};base64,{data}"
    return url if isinstance(url, str) else ""


def _tools_tokens(tools: list[Any], encode: Encode, model: Any) -> int:
    """The cookbook's formula; it tells older models from newer ones as their encodings do."""
    functions = [function for tool in tools if (function := _function(tool))]
    if not functions:
        return 0
    older = isinstance(model, str) and encoding_name(model) == "cl100k_base"
    opening = _FUNCTION_OF_OLDER_MODELS if older else _FUNCTION
    return _TOOLS_END + sum(opening + _function_tokens(function, encode) for function in functions)


def _function(tool: Any) -> dict[Any, Any]:
    tool = _object(tool)
    function = tool.get("function") or tool.get("custom")
    return function if isinstance(function, dict) else tool


def _function_tokens(function: dict[Any, Any], encode: Encode) -> int:
    line = f"{_plain(function.get('name'))}:{_description(function)}"
    schema = function.get("parameters") or function.get("input_schema")
    return len(encode(line)) + _schema_tokens(schema, encode)


def _schema_tokens(schema: Any, encode: Encode) -> int:
    """The published rule for properties, applied to schemas inside schemas as well."""
    tokens = 0
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            properties = _object(node.get("properties"))
            tokens += _PROPERTIES if properties else 0
            for name, value in properties.items():
                tokens += _property_tokens(name, _object(value), encode)
            pending += _schemas_within(node)
    return tokens


def _schemas_within(schema: dict[Any, Any]) -> Iterator[Any]:
    for key in ("properties", "$defs"):
        yield from _object(schema.get(key)).values()
    for key in ("anyOf", "oneOf", "allOf"):
        yield from _list(schema.get(key))
    yield schema.get("items")


def _property_tokens(name: Any, schema: dict[Any, Any], encode: Encode) -> int:
    tokens = _PROPERTY + len(encode(f"{name}:{_plain(schema.get('type'))}:{_description(schema)}"))
    enum = schema.get("enum")
    if not isinstance(enum, list):
        return tokens
    return tokens + _ENUM + sum(_ENUM_ITEM + len(encode(_plain(item))) for item in enum)


def _description(schema: dict[Any, Any]) -> str:
    return _plain(schema.get("description")).removesuffix(".")


def _text_tokens(value: Any, encode: Encode) -> int:
    return len(encode(value)) if isinstance(value, str) else 0


def _plain(value: Any) -> str:
    """A string as it is, None as nothing, anything else as its JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):  # such as a number of 5,000 digits
        return ""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
