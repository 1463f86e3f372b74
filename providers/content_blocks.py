"""Answers whose content is a list of blocks, put together from a stream's pieces of blocks.

{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]} + the same of "m." + "It is."
-> {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]},
   {"type": "text", "text": "It is."}
"""

import json
from itertools import groupby
from typing import Any

from request_engine import splice
from request_engine.records import Failure

from .openai_streams import Streamed


class InBlocks(Streamed):
    """The Assembler of a service whose deltas may be blocks."""

    def finish(self) -> bytes | Failure:
        content = super().finish()
        try:
            return content if isinstance(content, Failure) else _with_whole_blocks(content)
        except RecursionError:  # whoever reads it says so
            return content


def _with_whole_blocks(content: bytes) -> bytes:
    reply = splice.parse_reply(content.decode("utf-8", errors="replace"))
    choices = reply.get("choices") if isinstance(reply, dict) else None
    messages = [
        choice["message"]
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict)
    ]
    in_blocks = [one for one in messages if isinstance(one.get("content"), list)]
    for message in in_blocks:
        message["content"] = joined(message["content"])
    return _json(reply) if in_blocks else content


def joined(pieces: list[Any]) -> list[Any]:
    """*pieces* of blocks, and of plain text, as whole blocks in their order."""
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in pieces]
    whole: list[Any] = []
    for kind, pieces_of_one in groupby(blocks, _kind):
        run = list(pieces_of_one)
        whole += run if kind is None else [_one_block(kind, run)]
    return whole


def _kind(block: Any) -> str | None:
    """What sort of block it is, if that sort comes in pieces."""
    if isinstance(block, dict):
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            return "text"
        if block.get("type") == "thinking" and isinstance(block.get("thinking"), list):
            return "thinking"
    return None


def _one_block(kind: str, pieces: list[dict[str, Any]]) -> dict[str, Any]:
    fields = {name: value for piece in pieces for name, value in piece.items()}
    said = [piece[kind] for piece in pieces]
    fields[kind] = (
        "".join(said) if kind == "text" else joined([one for part in said for one in part])
    )
    return fields


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # halves of a surrogate pair, which two pieces may share
        return json.dumps(value).encode()
