"""Texts to embed, packed into as few requests as a service takes them in.

{"model": "m", "input": "one"}
{"model": "m", "input": "two"}    ->  {"model": "m", "input": ["one", "two"]}
{"model": "n", "input": "three"}  ->  a request of its own: what stands beside the texts must agree
{"text": "four", "id": 4}         ->  a line of a corpus: its text is sent, with the run's --model

Most texts are short enough that their bytes show that they fit: no text has more tokens. Only the
longer ones are counted.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from request_engine import encodings, preflight
from request_engine.address import Address
from request_engine.amend import Amendment
from request_engine.identity import content_id
from request_engine.provider import Profile
from request_engine.record import record
from request_engine.records import Failure, Kind, Outcome, Request
from request_engine.targets import Targets
from request_engine.token_counts import TokenCounts

UNKNOWN = 32
"""Texts of one request where nobody says how many a service takes."""
ENOUGH = 256
"""Texts of one request where the service takes more: what a request costs is spread over enough of
them by then, and more would only make for replies of tens of megabytes."""
_SHARE = 6.0
"""One request takes at most this part of a minute's tokens: services let some 10 s' worth in."""
_KINDS = 64
"""Packs begun at a time: a file with another model on each line does not fill the memory."""
_OTHERS = frozenset({"chat/completions", "completions", "responses", "messages"})
"""Endpoints that a text to embed cannot be meant for."""

Keep = Callable[[Request, Outcome], None]
"""Takes the outcome of one text."""


@dataclass(slots=True)
class Caps:
    """What one request may hold; None where no number is known."""

    inputs: int
    tokens_per_input: int | None = None
    tokens: int | None = None

    @property
    def short(self) -> float:
        """Tokens up to which texts fit by the number of them alone."""
        share = self.tokens / self.inputs if self.tokens is not None else float("inf")
        return min(share, self.tokens_per_input or float("inf"))


def caps(targets: Targets, inputs: int | None = None, tokens: int | None = None) -> Caps:
    """The caps that hold at all *targets*; *inputs* and *tokens* are the user's own."""
    profiles = [one.provider.profile for one in targets.all]
    minutes = [one.allowance.per_minute for one in targets.tokens if one.allowance is not None]
    known = [one.tokens_per_request for one in profiles] + [int(one / _SHARE) for one in minutes]
    return Caps(
        inputs or min(map(_inputs, profiles)),
        _least(one.tokens_per_input for one in profiles),
        tokens or _least(known),
    )


def own_cap(value: object, name: str) -> int | None:
    """The user's own; BadInput where it is no count."""
    return None if value is None else preflight.count(value, name)


def _inputs(profile: Profile) -> int:
    return min(profile.inputs_per_request or UNKNOWN, ENOUGH)


def _least(values: Iterable[int | None]) -> int | None:
    return min((max(1, one) for one in values if one is not None), default=None)


@record(frozen=True, slots=True, kw_only=True)
class Pack(Request):
    """The request for the vectors of its parts. *keep* is told what comes of each."""

    parts: tuple[Request, ...]
    """The lines, in the order of their texts."""
    keep: Keep


def asked(request: Request) -> Request:
    """What *request* asks: itself, unless it is a line of a corpus."""
    if "input" in request.body or not isinstance(request.body.get("text"), str):
        return request
    body = {"input": request.body["text"]}
    return replace(request, body=body, raw_body=_spelled(body))


class Packing:
    """Packs that are being filled. Texts come in, packs that are full come out."""

    def __init__(
        self,
        caps: Caps,
        keep: Keep,
        *,
        refuse: Keep | None = None,
        address: Address | None = None,
        amendment: Amendment | None = None,
        encoding_name: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """*keep* takes the outcome of each text, *refuse* of those that are not sent at all.

        *fields* go into every body that lacks them. *address* tells where texts would go: those of
        a URL that is for something else are sent to its embeddings. *amendment* is what is changed
        about requests, and *encoding_name* what their tokens are counted with.
        """
        self.caps = caps
        self._keep = keep
        self._refuse = refuse or keep
        self._address = address
        self._amendment = amendment
        self._encoding_name = encoding_name
        self._fields = dict(fields or {})
        self._open: dict[bytes, _Filling] = {}

    def to_count(self, requests: Iterable[Request]) -> dict[str, list[str]]:
        """The texts whose tokens have to be known to pack *requests*, by encoding."""
        short, found = self.caps.short, dict[str, list[str]]()
        for request in requests:
            text = asked(request).body.get("input")
            # Four bytes are the most that a character takes.
            if isinstance(text, str) and 4 * len(text) > short and _bytes(text) > short:
                name = self._encoding_name or encodings.encoding_name(self._model(request))
                found.setdefault(name, []).append(text)
        return found

    def add(self, requests: Iterable[Request], counts: Mapping[str, int]) -> list[Pack]:
        """The packs that are full, now that there are *requests*.

        *counts* are the tokens of the texts of `to_count`.
        """
        return [pack for request in requests for pack in self._add(request, counts)]

    async def packed(self, requests: Sequence[Request], counting: TokenCounts) -> list[Pack]:
        """The same, where counting must not keep the event loop waiting."""
        counts: dict[str, int] = {}
        for name, texts in self.to_count(requests).items():
            counts.update(zip(texts, await counting.of(name, texts), strict=True))
        return self.add(requests, counts)

    def rest(self) -> list[Pack]:
        """Those that are not full."""
        return [self._closed(key) for key in tuple(self._open)]

    def halves(self, pack: Pack) -> tuple[Pack, Pack]:
        """The same texts in two requests."""
        middle = (len(pack.parts) + 1) // 2
        return self._pack(pack.parts[:middle]), self._pack(pack.parts[middle:])

    def take_at_most(self, inputs: int) -> None:
        """The service takes so many texts at once, and not twice as many."""
        self.caps.inputs = min(self.caps.inputs, inputs)

    def _add(self, request: Request, counts: Mapping[str, int]) -> list[Pack]:
        text = asked(request).body.get("input")
        if isinstance(text, list) and text:  # tokens, or several texts: packed already
            return [self._pack([request])]
        if not isinstance(text, str) or not text:
            seen = "empty" if text == "" else f"no text but {type(text).__name__}"
            self._refuse(request, _refused(f"there is nothing to embed: the input is {seen}"))
            return []
        tokens = counts.get(text) if counts else None
        if tokens is None:
            tokens = _bytes(text)
        elif _exceeds(tokens, self.caps.tokens_per_input):
            return self._too_long(request, tokens)
        return self._fill(request, tokens)

    def _too_long(self, request: Request, tokens: int) -> list[Pack]:
        """Refused here where the count is the service's own; else it goes alone."""
        if not encodings.is_known(self._model(request)):
            return [self._pack([request])]
        most = self.caps.tokens_per_input
        self._refuse(
            request, _refused(f"too long: {tokens:,} tokens, and a text may have {most:,}")
        )
        return []

    def _fill(self, request: Request, tokens: int) -> list[Pack]:
        key, ready = _beside(request), []
        filling = self._open.get(key)
        if filling is not None and _exceeds(filling.tokens + tokens, self.caps.tokens):
            ready.append(self._closed(key))
            filling = None
        if filling is None:
            if len(self._open) >= _KINDS:
                ready.append(self._closed(next(iter(self._open))))
            filling = self._open[key] = _Filling([])
        filling.parts.append(request)
        filling.tokens += tokens
        if len(filling.parts) >= self.caps.inputs:
            ready.append(self._closed(key))
        return ready

    def _closed(self, key: bytes) -> Pack:
        return self._pack(self._open.pop(key).parts)

    def _pack(self, parts: Sequence[Request]) -> Pack:
        """One request for all *parts*; one part alone is sent as it is."""
        first = asked(parts[0])
        changed = {name: value for name, value in self._fields.items() if name not in first.body}
        if len(parts) > 1:
            changed["input"] = [asked(one).body["input"] for one in parts]
        body: dict[str, Any] = first.body | changed
        raw = _spelled(body) if changed or not first.raw_body else first.raw_body
        make = partial(Pack, first.number, body, raw, parts=tuple(parts), keep=self._keep)
        pack = make(url=first.url)
        if first.url is None and self._address and self._address.endpoint(pack) in _OTHERS:
            return make(url="/v1/embeddings")
        return pack

    def _model(self, request: Request) -> Any:
        sent = asked(request)
        return (self._amendment.amended(sent) if self._amendment else sent).body.get("model")


@dataclass(slots=True)
class _Filling:
    parts: list[Request]
    tokens: int = 0


def _beside(request: Request) -> bytes:
    """What two requests have in common that can be one, texts and metadata apart."""
    body = asked(request).body
    return content_id({name: body[name] for name in body if name != "input"}, request.url)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _exceeds(tokens: int, most: int | None) -> bool:
    return most is not None and tokens > most


def _refused(why: str) -> Failure:
    return Failure(Kind.BAD_REQUEST, why, sent=False)


def _spelled(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a character, which only an escape can spell
        return json.dumps(body).encode()
