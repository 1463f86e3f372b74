"""Typed objects out of texts: what a client asks for them with, and what it gives back."""

import json
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from request_engine.bodies import checked
from request_engine.destination import Destination
from request_engine.errors import BadInput
from request_engine.extraction import Extraction, Fitting
from request_engine.records import Failure, Request, Usage, used
from request_engine.result import RequestFailed, Result
from request_engine.shape import shape_of
from request_engine.turns import CHAT, Turns

T = TypeVar("T")

What = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]
"""A text, the messages of a chat, or a whole body."""
Items = Iterable[What] | AsyncIterable[What]


@dataclass(frozen=True, slots=True)
class Extracted(Generic[T]):
    """What one text, or one body, came to."""

    what: Any
    """What was given."""
    result: Result

    @property
    def value(self) -> T:
        """The object. RequestFailed where there is none."""
        outcome = self.result.outcome
        if isinstance(outcome, Failure):
            raise RequestFailed(outcome)
        assert isinstance(outcome, Fitting)
        value: T = outcome.value
        return value

    @property
    def index(self) -> int:
        """Its place among those that were asked together, from 0 on."""
        return self.result.index

    @property
    def ok(self) -> bool:
        """Whether there is an object."""
        return self.result.ok

    @property
    def failure(self) -> Failure | None:
        """Why there is none; None if there is one."""
        return self.result.failure

    @property
    def attempts(self) -> tuple[Failure, ...]:
        """The attempts that failed, in their order, with what was wrong with each."""
        outcome = self.result.outcome
        return (*outcome.earlier, outcome) if isinstance(outcome, Failure) else outcome.earlier

    @property
    def usage(self) -> Usage | None:
        """Tokens that the service counted, of every attempt; None where it does not say."""
        return used(self.result.outcome)


class Extracting:
    """One use of a client, whichever face it has: bodies out of what is given, and back again."""

    def __init__(
        self, shape: Any, destination: Destination, model: str | None, instructions: str | None
    ) -> None:
        """BadInput where *shape* is none. Bodies are made as *destination* wants them."""
        self.extraction = _extraction_of(shape)
        self._service = destination.service
        self._model = model
        self._instructions = instructions
        self._given: dict[int, Any] = {}

    def bodies(self, items: Items) -> Iterator[Any] | AsyncIterator[Any]:
        """The bodies that ask about *items*, each made when it is taken."""
        if isinstance(items, AsyncIterable):
            return self._async(items)
        return self.bodies_at_once(items)

    def bodies_at_once(self, items: Iterable[What]) -> Iterator[Any]:
        """The same without waiting for any."""
        checked(items)
        if isinstance(items, AsyncIterable):
            raise BadInput("items is an async iterable: use AsyncClient, or make it a list first")
        return self._each(items)

    def extracted(self, result: Result) -> Extracted[Any]:
        """What *result* is of."""
        return Extracted(self._given.pop(result.index), result)

    def _each(self, items: Iterable[What]) -> Iterator[Any]:
        for number, item in enumerate(items):
            self._given[number] = item
            yield self._body(item)

    async def _async(self, items: AsyncIterable[What]) -> AsyncIterator[Any]:
        number = 0
        async for item in items:
            self._given[number], number = item, number + 1
            yield self._body(item)

    def _body(self, item: Any) -> Any:
        """A body that says *item*; what is no such thing is refused later, as one request."""
        named = {} if self._model is None else {"model": self._model}
        if isinstance(item, Mapping):
            body = named | dict(item)
        elif isinstance(item, Sequence) and not isinstance(item, bytes):
            said = CHAT.begun(item if isinstance(item, str) else list(item))
            body = named | self._turns(named | said).begun(*said.values())
        else:
            return item
        if self._instructions is not None:
            body |= self._turns(body).instructed(body, self._instructions)
        return body

    def _turns(self, body: dict[str, Any]) -> Turns:
        """Where a body for that endpoint says what."""
        endpoint = self._service.address.endpoint(Request(0, body, b""))
        form = self._service.provider.json_form(endpoint, body)
        return CHAT if form is None else form.turns


def _extraction_of(shape: Any) -> Extraction:
    """The same for shapes that are the same: those who ask alike at once may share a call."""
    if isinstance(shape, Mapping):
        try:
            return _of_schema(json.dumps(shape, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            return Extraction(shape_of(shape))  # which says what is wrong with it
    return _of_type(shape) if isinstance(shape, Hashable) else Extraction(shape_of(shape))


@lru_cache(maxsize=64)
def _of_schema(spelled: str) -> Extraction:
    return Extraction(shape_of(json.loads(spelled)))


@lru_cache(maxsize=64)
def _of_type(shape: Hashable) -> Extraction:
    return Extraction(shape_of(shape))
