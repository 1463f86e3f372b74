"""A reply that comes event by event (text/event-stream), read into the unstreamed one.

bytes -> EventReader -> events -> a provider's Assembler -> the unstreamed JSON, or a failure
"""

from dataclasses import dataclass
from typing import Protocol

from request_engine.records import Failure, Kind

EVENTS = "text/event-stream"
"""The content type of such a reply."""
LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes. An answer of several images fits into one."""


class Assembler(Protocol):
    """Takes the parts of one streamed reply as they arrive. Never raises, whatever they are."""

    cut: str | None
    """Why to stop reading now; None to go on."""
    ended: bool
    """Whether the answer is complete, so that what the connection does now is of no matter."""

    @property
    def speaking(self) -> bool:
        """Whether any word has come: of the answer, its reasoning or a call, and no mere frame."""
        ...

    def feed(self, data: bytes) -> bool:
        """Whether *data* moved the answer on: comments, blank lines and empty events do not."""
        ...

    def finish(self) -> bytes | Failure:
        """The JSON body that the unstreamed call would have had, or why there is none."""
        ...


class Unread:
    """For a service whose events nobody has taught us: stops at once, since each costs money."""

    cut: str | None = "the answer is a stream of events, which cannot be read from this service"
    ended = speaking = False

    def feed(self, data: bytes) -> bool:
        return False

    def finish(self) -> Failure:
        assert self.cut is not None
        return Failure(Kind.BAD_ANSWER, self.cut, 200)


@dataclass(frozen=True, slots=True)
class Event:
    """One event; its name is empty where it has none."""

    name: str
    data: str


class EventReader:
    """Server-sent events by the rules of https://html.spec.whatwg.org, chunk by chunk.

    `id` and `retry` are for reconnecting, which a POST does not do.
    """

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self.too_large = False
        """Whether an event outgrew *largest* bytes; nothing is read from then on."""
        self.framed = False
        """Whether any line so far was one of an event stream."""
        self._largest = largest
        self._line: list[bytes] = []
        self._line_size = 0
        self._name = b""
        self._data: list[bytes] = []
        self._data_size = 0
        self._after_cr = False
        self._at_start = True

    @property
    def held(self) -> int:
        """Bytes of an event whose end has not come yet."""
        comment = bool(self._line) and self._line[0].startswith(b":")
        return self._data_size + (0 if comment else self._line_size)

    def feed(self, data: bytes) -> list[Event]:
        """The events that *data* completes."""
        if not data or self.too_large:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a line's end
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = lines.pop() if lines and not data.endswith((b"\n", b"\r")) else b""
        if lines and self._line:
            lines[0] = self._whole_line(lines[0])
        events = [event for line in lines if (event := self._read(line)) is not None]
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
        self._limit(self._line_size)
        return events

    def end(self) -> Event | None:
        """The event that the stream's end left without its blank line, as some services do."""
        if self._line:
            self._read(self._whole_line(b""))
        return self._read(b"")

    def _whole_line(self, last: bytes) -> bytes:
        line = b"".join((*self._line, last))
        self._line.clear()
        self._line_size = 0
        return line

    def _read(self, line: bytes) -> Event | None:
        self._limit(len(line))
        if self.too_large:
            return None
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._event()
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_size += len(value)
        elif field == b"event":
            self._name = value.removeprefix(b" ")
        self.framed = self.framed or field in _FIELDS
        return None

    def _event(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data, self._data_size = b"", [], 0
        if not data:
            return None
        return Event(_text(name), _text(data[0] if len(data) == 1 else b"\n".join(data)))

    def _limit(self, more: int) -> None:
        if self._data_size + more > self._largest:
            self.too_large = True
            self._line.clear()
            self._data.clear()
            self._line_size = self._data_size = 0


_FIELDS = frozenset({b"", b"data", b"event", b"id", b"retry"})
"""The names of lines; a comment is one without."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
