"""Answers of one shape: every request is asked for it, and every answer is checked.

body -> with the schema, in the service's own way -> answer -> fits              a success
                                                            -> does not fit      asked again, with
                                                               that answer and what is wrong in it
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

from request_engine import amend, answer_json, splice, strict_schema
from request_engine.address import Address
from request_engine.errors import BadInput
from request_engine.intake import Measure
from request_engine.json_forms import JsonForm
from request_engine.preflight import Service
from request_engine.provider import SHOWN, Provider
from request_engine.record import record
from request_engine.records import Failure, Kind, Request, Success
from request_engine.shape import FLAG, Invalid, Shape
from request_engine.sizes import Size

_REPEATED = 20_000
"""Characters of a wrong answer that the model is shown again."""
_ANSWERED = 200
"""The status of every reply that comes so far."""


class Place(Protocol):
    """Where requests go."""

    @property
    def provider(self) -> Provider: ...

    @property
    def address(self) -> Address: ...


@record(frozen=True, slots=True)
class Fitting(Success):
    """An answer of the wanted shape."""

    value: Any = None
    """What its text was read into."""


_TOLD = tuple(one.name for one in fields(Success))


class Extraction:
    """What the requests of a run, or of one use of a client, are asked for."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._ways: dict[JsonForm, _Way] = {}

    def asking(
        self, request: Request, provider: Provider, endpoint: str, wrong: Failure | None = None
    ) -> Request:
        """*request* as it asks for the shape, after a *wrong* answer if there was one.

        As it is where nobody knows how to ask: then its answer is only checked.
        """
        form = provider.json_form(endpoint, request.body)
        if form is None:
            return request
        way = self._ways.get(form)
        if way is None:
            way = self._ways[form] = _Way(form, self._shape.schema)
        return way.asking(request, wrong)

    def check(self, service: Service) -> None:
        """BadInput where every request goes to an endpoint that nobody knows how to ask."""
        endpoint = service.provider.endpoint_of_path(service.parts.path)
        if endpoint is not None and service.provider.json_form(endpoint, {}) is None:
            raise BadInput(
                f"{FLAG} is for endpoints that write text: {service.shown} is not known as one"
            )

    def measuring(self, measure: Measure, place: Place) -> Measure:
        """As *measure*, of requests as *place* gets them first."""

        async def measured(requests: Sequence[Request]) -> Sequence[Size]:
            return await measure([self.first(one, place) for one in requests])

        return measured

    def first(self, request: Request, place: Place) -> Request:
        """*request* as *place* gets it first."""
        return self.asking(request, place.provider, place.address.endpoint(request))

    def judged(self, answer: Success) -> Success | Failure:
        """*answer* with its value; a failure if it has another shape."""
        reply = splice.parse_reply(answer.response.decode())
        said = answer_json.said(reply)
        if (words := answer_json.refusal(reply)) is not None:
            message = f"the model refused: {words[:SHOWN]}"
            return _failure(answer, Kind.CONTENT_FILTER, message, words)
        text = answer_json.json_in(said)
        if answer_json.was_cut(reply) and text != said.strip():
            message = "the answer was cut off before its JSON ended: allow it more tokens"
            return replace(_failure(answer, Kind.BAD_ANSWER, message, said), final=True)
        if text is None:
            reason = "there is no JSON in it" if said.strip() else "it is empty"
        else:
            read = self._shape.read(text)
            if not isinstance(read, Invalid):
                told = {name: getattr(answer, name) for name in _TOLD}
                return Fitting(**told, value=read.value)
            reason = read.reason
        message = f"the answer does not have the wanted shape: {reason}"
        failure = _failure(answer, Kind.BAD_ANSWER, message, said)
        return replace(failure, answer=said.strip()[:_REPEATED])


def _failure(answer: Success, kind: Kind, message: str, said: str) -> Failure:
    return Failure(kind, message, _ANSWERED, raw=said[:SHOWN], usage=answer.usage)


class _Way:
    """How one form is asked for one schema."""

    def __init__(self, form: JsonForm, schema: dict[str, Any]) -> None:
        self._form = form
        self._told = _told(schema)
        self._members = _members(form, schema)
        self._pieces = {name: _piece(name, value) for name, value in self._members.items()}

    def asking(self, request: Request, wrong: Failure | None) -> Request:
        form, body = self._form, dict(request.body)
        changed = {name: value for name, value in form.needed.items() if body.get(name) is None}
        in_prompt = form.told or not self._members
        for name, value in self._members.items():
            own = body.get(name)
            if own is None:
                changed[name] = value
            elif (
                isinstance(own, dict) and isinstance(value, dict) and not own.keys() & value.keys()
            ):
                changed[name] = own | value
            else:  # the user's own stands
                in_prompt = True
        if in_prompt:
            changed |= form.turns.instructed(body, self._told)
        if wrong is not None and wrong.answer is not None:
            changed |= form.turns.answered(body | changed, wrong.answer, _correction(wrong))
        return amend.with_members(
            request, {name: self._piece(name, changed[name]) for name in changed}
        )

    def _piece(self, name: str, value: Any) -> splice.Piece:
        ready = self._pieces.get(name)
        return ready if ready is not None and ready.value is value else _piece(name, value)


def _members(form: JsonForm, schema: dict[str, Any]) -> Mapping[str, Any]:
    """What stands in the body's own place for a schema; nothing where only the prompt can say it.

    Such places take objects only, all but a few of them.
    """
    if form.place is None or not strict_schema.is_object(schema):
        return {}
    if form.subset is None:
        return form.place(strict_schema.with_own_root(schema), False)
    strict = strict_schema.cut(schema, form.subset)
    if strict is not None:
        return form.place(strict, True)
    return form.place(strict_schema.with_own_root(schema), False) if form.loosely else {}


def _told(schema: dict[str, Any]) -> str:
    spelled = json.dumps(schema, ensure_ascii=False)
    return f"Answer with JSON alone, and no word besides. It must fit this JSON Schema:\n{spelled}"


def _correction(wrong: Failure) -> str:
    return (
        f"This cannot be used: {wrong.message}.\n"
        "Answer again: the whole JSON, put right, and no word besides."
    )


def _piece(name: str, value: Any) -> splice.Piece:
    text = json.dumps(value)
    return splice.Piece(name, value, text, f"{json.dumps(name)}: {text}")
