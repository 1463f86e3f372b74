"""Events as services stream them, and what is assembled from them."""

import json

from providers import PROVIDERS
from request_engine.records import Failure

BY_NAME = {one.name: one for one in PROVIDERS}
ANY = BY_NAME["openai_compatible"]
DONE = b"data: [DONE]\n\n"


def event(payload, name=None) -> bytes:
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(payload)}\n\n".encode()


def chunk(*choices, **fields) -> bytes:
    """A chunk of chat/completions."""
    shell = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return event(shell | {"choices": list(choices)} | fields)


def delta(finish_reason=None, index=0, **said):
    return {"index": index, "delta": said, "finish_reason": finish_reason}


def assemble(*parts: bytes) -> bytes | Failure:
    assembler = ANY.assembler()
    for part in parts:
        assembler.feed(part)
    return assembler.finish()


def answer(*parts: bytes):
    content = assemble(*parts)
    assert isinstance(content, bytes), content
    return json.loads(content)


def message(*parts: bytes):
    return answer(*parts, DONE)["choices"][0]["message"]


def failure(*parts: bytes) -> Failure:
    content = assemble(*parts)
    assert isinstance(content, Failure), content
    return content


def call(arguments="", index=0, **fields):
    """A delta of a tool call."""
    named = {"name": fields.pop("name")} if "name" in fields else {}
    numbered = {} if index is None else {"index": index}
    return numbered | fields | {"function": named | {"arguments": arguments}}
