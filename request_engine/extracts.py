"""What both faces of a client have to make typed objects out of texts.

person = await client.extract("Anne is thirty.", Person, model="gpt-4o-mini")
print(person.value.age if person.ok else person.failure.message)
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, overload

from request_engine.asking import AsyncAsking
from request_engine.bodies import Bodies, Body
from request_engine.extracted import Extracted, Extracting, Items, What
from request_engine.extraction import Extraction
from request_engine.result import Result
from request_engine.session import Opening

if TYPE_CHECKING:
    from request_engine.blocking import BlockingAsking

M = TypeVar("M")


class _Client:
    """What is used of a client."""

    _opening: Opening

    def _extracting(self, shape: Any, model: str | None, instructions: str | None) -> Extracting:
        return Extracting(shape, self._opening.first, model, instructions)


class AsyncExtracts(_Client):
    """`extract` and `extract_all` for a running loop."""

    @overload
    async def extract(
        self,
        what: What,
        shape: type[M],
        *,
        model: str | None = None,
        instructions: str | None = None,
        deadline: float | None = None,
    ) -> Extracted[M]: ...

    @overload
    async def extract(
        self,
        what: What,
        shape: Mapping[str, Any],
        *,
        model: str | None = None,
        instructions: str | None = None,
        deadline: float | None = None,
    ) -> Extracted[Any]: ...

    async def extract(
        self,
        what: What,
        shape: Any,
        *,
        model: str | None = None,
        instructions: str | None = None,
        deadline: float | None = None,
    ) -> Extracted[Any]:
        """The object of *shape* that is in *what*, or why there is none.

        *what* is a text, the messages of a chat, or a whole body. *shape* is a pydantic model, any
        type that pydantic can read, or a JSON Schema: the service is asked for it in its own way,
        the answer is checked, and a wrong one is asked for again with what is wrong in it, within
        `max_attempts`. *instructions* go behind those that *what* has. BadInput where *shape* is
        none.
        """
        asked = self.extract_all(
            [what], shape, model=model, instructions=instructions, deadline=deadline
        )
        [one] = [one async for one in asked]
        return one

    @overload
    def extract_all(
        self,
        items: Items,
        shape: type[M],
        *,
        model: str | None = None,
        instructions: str | None = None,
        concurrency: int | None = None,
        in_order: bool = False,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncGenerator[Extracted[M], None]: ...

    @overload
    def extract_all(
        self,
        items: Items,
        shape: Mapping[str, Any],
        *,
        model: str | None = None,
        instructions: str | None = None,
        concurrency: int | None = None,
        in_order: bool = False,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncGenerator[Extracted[Any], None]: ...

    def extract_all(
        self,
        items: Items,
        shape: Any,
        *,
        model: str | None = None,
        instructions: str | None = None,
        concurrency: int | None = None,
        in_order: bool = False,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> AsyncGenerator[Extracted[Any], None]:
        """The objects in *items* as they come, or in their order, one for each; see `extract`.

        *concurrency* and the deadlines are those of `as_completed`.
        """
        extracting = self._extracting(shape, model, instructions)
        asked = self._asking(
            extracting.bodies(items), concurrency, deadline, batch_deadline, extracting.extraction
        )
        results = asked.results(asked.next_in_order if in_order else asked.next_completed)
        return _each(results, extracting)

    def _asking(
        self,
        bodies: Bodies,
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
        extraction: Extraction | None = None,
    ) -> AsyncAsking:
        raise NotImplementedError


class BlockingExtracts(_Client):
    """The same without `await`."""

    @overload
    def extract(
        self,
        what: What,
        shape: type[M],
        *,
        model: str | None = None,
        instructions: str | None = None,
        deadline: float | None = None,
    ) -> Extracted[M]: ...

    @overload
    def extract(
        self,
        what: What,
        shape: Mapping[str, Any],
        *,
        model: str | None = None,
        instructions: str | None = None,
        deadline: float | None = None,
    ) -> Extracted[Any]: ...

    def extract(
        self,
        what: What,
        shape: Any,
        *,
        model: str | None = None,
        instructions: str | None = None,
        deadline: float | None = None,
    ) -> Extracted[Any]:
        """The object of *shape* that is in *what*, or why there is none.

        *what* is a text, the messages of a chat, or a whole body. *shape* is a pydantic model, any
        type that pydantic can read, or a JSON Schema: the service is asked for it in its own way,
        the answer is checked, and a wrong one is asked for again with what is wrong in it, within
        `max_attempts`. *instructions* go behind those that *what* has. BadInput where *shape* is
        none.
        """
        asked = self.extract_all(
            [what], shape, model=model, instructions=instructions, deadline=deadline
        )
        [one] = asked
        return one

    @overload
    def extract_all(
        self,
        items: Iterable[What],
        shape: type[M],
        *,
        model: str | None = None,
        instructions: str | None = None,
        concurrency: int | None = None,
        in_order: bool = False,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> Iterator[Extracted[M]]: ...

    @overload
    def extract_all(
        self,
        items: Iterable[What],
        shape: Mapping[str, Any],
        *,
        model: str | None = None,
        instructions: str | None = None,
        concurrency: int | None = None,
        in_order: bool = False,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> Iterator[Extracted[Any]]: ...

    def extract_all(
        self,
        items: Iterable[What],
        shape: Any,
        *,
        model: str | None = None,
        instructions: str | None = None,
        concurrency: int | None = None,
        in_order: bool = False,
        deadline: float | None = None,
        batch_deadline: float | None = None,
    ) -> Iterator[Extracted[Any]]:
        """The objects in *items* as they come, or in their order, one for each; see `extract`.

        *concurrency* and the deadlines are those of `as_completed`.
        """
        extracting = self._extracting(shape, model, instructions)
        asked = self._asking(
            extracting.bodies_at_once(items),
            concurrency,
            deadline,
            batch_deadline,
            extracting.extraction,
        )
        results = asked.results(asked.next_in_order if in_order else asked.next_completed)
        return map(extracting.extracted, results)

    def _asking(
        self,
        bodies: Iterable[Body],
        concurrency: int | None,
        deadline: float | None,
        batch_deadline: float | None,
        extraction: Extraction | None = None,
    ) -> "BlockingAsking":
        raise NotImplementedError


async def _each(
    results: AsyncGenerator[Result, None], extracting: Extracting
) -> AsyncGenerator[Extracted[Any], None]:
    async with aclosing(results):
        async for result in results:
            yield extracting.extracted(result)
