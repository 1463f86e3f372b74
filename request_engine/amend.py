"""What a run changes about every request: the row keeps the user's own body, this is what is sent.

the line's body -> fields it lacks (--body) -> its model by another name (--model) -> streamed

Only the members that are changed are spelled anew. Resuming goes by the user's own body.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from request_engine import splice
from request_engine.address import Address
from request_engine.errors import BadInput
from request_engine.provider import Provider
from request_engine.records import Request
from request_engine.splice import Piece

EVERY = "*"
"""Stands for every model that has no other name of its own, and for none."""
_SHOWN = 60
"""Characters of a wrong value that are repeated."""

Fields = Mapping[str, Piece]


class Amendment:
    """Turns a request into the one that is sent and counted."""

    def __init__(
        self,
        provider: Provider,
        address: Address,
        *,
        fields: Fields,
        models: Mapping[str, str],
        stream: bool,
    ) -> None:
        """*fields* go into bodies that lack them, *models* are the names for models.

        *stream* asks for events wherever *provider* has them at the endpoint.
        """
        self._provider = provider
        self._address = address
        self._fields = list(fields.values())
        self._models = {old: _piece("model", json.dumps(new)) for old, new in models.items()}
        self._stream = stream

    def amended(self, request: Request) -> Request:
        """*request* as it is sent; itself if there is nothing to change about it."""
        changed = {one.key: one for one in self._fields if one.key not in request.body}
        model = changed["model"].value if "model" in changed else request.body.get("model")
        named = self._models.get(model) if isinstance(model, str) else None
        named = named or self._models.get(EVERY)
        if named is not None and named.value != model:
            changed["model"] = named
        if changed:
            request = with_members(request, changed)
        if self._stream and request.body.get("stream") is not True and self._can_stream(request):
            request = with_members(request, {"stream": _STREAM})
        return request

    def _can_stream(self, request: Request) -> bool:
        return self._address.endpoint(request) in self._provider.streams


def amendment(
    provider: Provider,
    address: Address,
    *,
    fields: Fields,
    models: Mapping[str, str],
    stream: bool,
) -> Amendment | None:
    """None where nothing is to be changed, so that no request costs a look."""
    if not (fields or models or stream):
        return None
    return Amendment(provider, address, fields=fields, models=models, stream=stream)


def read_fields(given: Mapping[str, Any] | str | Iterable[str] | None) -> dict[str, Piece]:
    """The members of --body in their own spelling; of two that are alike the later counts."""
    if isinstance(given, Mapping):
        given = _spelled(given)
    texts = [given] if isinstance(given, str) else given or ()
    return {field.key or "": field for text in texts for field in _members(text)}


def read_models(given: Mapping[str, str] | str | Iterable[str] | None) -> dict[str, str]:
    """The names of --model: NAME for every model, OLD=NEW for one."""
    if isinstance(given, Mapping):
        pairs = [*given.items()]
    else:
        texts = [given] if isinstance(given, str) else given or ()
        pairs = [_pair(text) for text in texts]
    names: dict[str, str] = {}
    for old, new in pairs:
        if not (isinstance(old, str) and isinstance(new, str) and old and new):
            raise BadInput(f"--model has {old!r} = {new!r}: write NAME, or OLD=NEW for one model")
        if names.setdefault(old, new) != new:
            whose = "every line" if old == EVERY else old
            raise BadInput(f"--model has two names for {whose}: {names[old]} and {new}")
    return names


def with_members(request: Request, changed: Mapping[str | None, Piece]) -> Request:
    """*request* with what is *changed* in its body, in its place or at the end."""
    text = request.raw_body.decode()
    new = [piece for key, piece in changed.items() if key not in request.body]
    if len(new) < len(changed):
        text = splice.joined([changed.get(one.key, one) for one in splice.members(text)])
    if new:
        comma = ", " if request.body else ""
        text = text[: text.rindex("}")] + comma + splice.joined(new)[1:]
    body = request.body | {key or "": piece.value for key, piece in changed.items()}
    return replace(request, body=body, raw_body=text.encode())


def _piece(key: str, text: str) -> Piece:
    return Piece(key, json.loads(text), text, f"{json.dumps(key)}: {text}")


_STREAM = _piece("stream", "true")


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    return (old.strip(), new.strip()) if equals else (EVERY, text.strip())


def _spelled(fields: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(fields), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"--body cannot be written as JSON: {error}") from None


def _members(text: str) -> list[Piece]:
    """The members of the object *text*, each on one line."""
    text = splice.one_line(text)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    wanted = """write an object, as in --body '{"temperature": 0}'"""
    try:
        text.encode()
        if isinstance(splice.parse(text), dict):
            return splice.members(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"--body {shown} is not JSON ({error}): {wanted}") from None
    raise BadInput(f"--body {shown} is no JSON object: {wanted}")
