"""What the engine asks of a service. Answers are facts on the class or short pure methods.

A provider never sends, sleeps, counts attempts or writes. Instances hold no state.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import SplitResult

from request_engine import judgement, refusals, retry_after, splice
from request_engine.encodings import Encode
from request_engine.event_stream import EVENTS, Assembler, Unread
from request_engine.json_forms import JsonForm
from request_engine.judgement import ServiceError
from request_engine.limit_headers import LIMITS, REMAINING, Announced, announced
from request_engine.records import Failure, Kind, Limit, Outcome, Reply, Request, Success, Usage

SHOWN = 2_000
"""Characters of an unusable answer that its failure keeps."""

Wall = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a service limits, as far as that shapes how we send."""

    burst_seconds: float = 10.0
    """How many seconds' worth may go at once after an idle spell; 0 where limits are also
    enforced by the second."""
    max_concurrent: int | None = None
    """Requests in flight that the service allows; None where it states no number."""
    charges_ceiling: bool = False
    """Whether max_tokens is charged in full, whatever the answer's length."""
    inputs_per_request: int | None = None
    """Most texts in one embeddings request."""
    tokens_per_input: int | None = None
    """Most tokens of one of them."""
    tokens_per_request: int | None = None
    """Most tokens of all of them."""
    base64_vectors: bool = False
    """Whether vectors may be asked for as base64, a quarter of the bytes."""


class Provider:
    """A service, or a family of them. See `providers/__init__.py` for how to add one."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    hosts: ClassVar[tuple[str, ...]] = ()
    """Host names; a leading dot stands for any name that ends so."""
    key_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables that may hold the key, the first one found is used."""
    key_command: ClassVar[str | None] = None
    """What prints the key where no variable holds it, for keys that soon expire."""
    header_variables: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Headers that tell of the account, such as its organization, with the environment variables
    that may hold them. They go to its own hosts only."""
    keyless_locally: ClassVar[bool] = True
    """Whether a server of its kind in a private network may go without a key."""
    base_url: ClassVar[str | None] = None
    """What `--provider NAME` alone means; None where every user has a URL of their own."""
    profile: ClassVar[Profile] = Profile()
    endpoints: ClassVar[tuple[str, ...]] = ()
    """Endings of the paths it serves; each names an endpoint."""
    streams: ClassVar[tuple[str, ...]] = ()
    """Those that answer in events where the body says `"stream": true`."""
    stream_types: ClassVar[tuple[str, ...]] = (EVENTS,)
    """Content types of the replies that its assembler reads."""
    other_paths: ClassVar[bool] = True
    """Whether a batch line may name a path that is none of these; it is then taken as it is."""
    codes: ClassVar[Mapping[str, Kind]] = {}
    """Error codes in lower case, for what they mean here and not everywhere."""
    limits_named: ClassVar[Mapping[str, Limit]] = {}
    """The limit that an error code, in lower case, names when it refuses for speed."""
    only_limit: ClassVar[Limit | None] = None
    """The limit that every refusal for speed is about, where the service has no other."""
    patience: ClassVar[Mapping[str, float]] = {}
    """Seconds to wait after an error code, in lower case, that outlasts a few quick attempts; where
    the service itself does not say how long."""
    limit_headers: ClassVar[Mapping[str, str]] = LIMITS
    """Headers that tell a limit a minute, and the field of `Announced` that each is for."""
    remaining_headers: ClassVar[Mapping[str, Limit]] = REMAINING
    """Headers that tell what is left of a limit."""
    overruling: ClassVar[tuple[tuple[str, Kind], ...]] = ()
    """Words of a message, in lower case, that count for more than its code."""
    phrases: ClassVar[tuple[tuple[str, Kind], ...]] = ()
    """Words of a message, in lower case, that count where no code tells."""
    statuses: ClassVar[Mapping[int, Kind]] = {}
    """What a status means with an error of the service's own that neither code nor words explain.
    A page, or no word at all, may be some proxy's."""
    beyond_bytes: ClassVar[tuple[bytes, ...]] = (b"image",)
    """Words in a body that may stand for more tokens than its bytes tell."""
    finish_reasons: ClassVar[Mapping[str, Kind]] = {}
    """Why an answer ended, where that makes it a failure."""

    json_forms: ClassVar[Mapping[str, JsonForm]] = {}
    """How each endpoint that writes text is asked for JSON of a certain shape."""

    def matches(self, url: SplitResult) -> bool:
        """Whether *url* is one of this service's, judged by its host, never by a substring."""
        host = url.hostname or ""
        return any(host == one or (one[0] == "." and host.endswith(one)) for one in self.hosts)

    def endpoint_of_path(self, path: str) -> str | None:
        """The endpoint that the URL path *path* is one of; None for the path of a base URL."""
        path = path.rstrip("/")
        return next((one for one in self.endpoints if path.endswith("/" + one)), None)

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        """The endpoint that *body* is for, judged by its keys."""
        raise NotImplementedError

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        """The path of *endpoint* under the path *base* of a base URL."""
        return f"{base.rstrip('/')}/{endpoint}"

    def headers(self, api_key: str | None) -> dict[str, str]:
        """What identifies us to the service."""
        return {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def wire_body(
        self, request: Request, api_key: str | None, endpoint: str | None = None
    ) -> bytes:
        """What is sent; the user's own bytes unless the service wants an envelope.

        *endpoint* is the one it goes to, None where only the request can tell.
        """
        return request.raw_body

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        """Tokens of what *body* asks.

        Of what *encode* gives only lengths are used, and only added up: texts are counted later,
        many at once.
        """
        raise NotImplementedError

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        """Most tokens that the answers to *body* can take, or a guess where it sets no bound."""
        raise NotImplementedError

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        """What the service counted, None if it does not say."""
        raise NotImplementedError

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        """What is wrong with a reply that states no error; None if it is an answer."""
        return None

    def json_form(self, endpoint: str, body: Mapping[str, Any]) -> JsonForm | None:
        """How *body* is asked for JSON of a certain shape at *endpoint*; None if it cannot be."""
        return self.json_forms.get(endpoint)

    def assembler(self) -> Assembler:
        """What reads one streamed reply of this service."""
        return Unread()

    def read(self, reply: Reply, wall: Wall = time.time) -> Outcome:
        """Judge *reply*. Never raises, whatever came back.

        *wall* gives the time of day in seconds since 1970, for hints that are dates.
        """
        try:
            return self._judged(reply, wall)
        except RecursionError:  # nested deeper than can be read
            return self._unreadable(reply, wall)

    def _judged(self, reply: Reply, wall: Wall) -> Outcome:
        try:
            payload, spelled = splice.read_reply(reply.content)
        except ValueError:
            return self._streamed(reply, wall) or self._unreadable(reply, wall)
        error = judgement.error_in(payload)
        if error is not None or not 200 <= reply.status < 300:
            return self.failure(reply, payload, error, wall)
        if not isinstance(payload, dict):
            return self._bad(reply, f"the answer is not a JSON object but {_named(payload)}")
        wrong = self.judge_answer(payload)
        if wrong is not None:
            return self._wrong(reply, payload, wrong, wall)
        return Success(spelled, self.usage(payload))

    def _streamed(self, reply: Reply, wall: Wall) -> Outcome | None:
        """Events that came under another content type, or inside an envelope; None for others."""
        if not reply.content.lstrip(b"\r\n").startswith(_EVENTS):
            return None
        assembler = self.assembler()
        assembler.feed(reply.content)
        content = assembler.finish()
        if isinstance(content, bytes):
            return self._judged(replace(reply, content=content), wall)
        return content if 200 <= reply.status < 300 else None

    def failure(
        self, reply: Reply, payload: Any, error: ServiceError | None, wall: Wall
    ) -> Failure:
        """The failure that *reply* means by its *error*, or by its status alone."""
        error = error or judgement.flat_error_in(payload)
        kind = self.kind(reply.status, error)
        message = error.message if error else ""
        message = message or f"the service answered {reply.status} without a word"
        if 300 <= reply.status < 400:
            target = reply.headers.get("location", "elsewhere")
            message = f"the service redirects to {target}: give that as the URL if it is right"
        return self._failed(kind, message, reply, payload, wall, error)

    def kind(self, status: int, error: ServiceError | None) -> Kind:
        """What a reply with *status* and *error* means for the request and for the run."""
        own = error is not None and not isinstance(error, _Page)
        return judgement.kind_of(
            status,
            error,
            overruling=self.overruling,
            codes=self.codes,
            phrases=self.phrases,
            statuses=self.statuses if own else {},
        )

    def wait(self, reply: Reply, message: str, wall: Wall) -> float | None:
        """Seconds the service asks us to wait; None if it does not say."""
        return retry_after.wait(reply.headers, message, wall)

    def announced(self, headers: Mapping[str, str]) -> Announced:
        """The limits a minute that *headers* tell: a hint, to be checked by who uses it."""
        return announced(headers, self.limit_headers)

    def _wrong(
        self, reply: Reply, payload: dict[str, Any], wrong: tuple[Kind, str], wall: Wall
    ) -> Failure:
        flat = judgement.flat_error_in(payload)
        kind, message = wrong
        if flat is not None and kind is Kind.BAD_ANSWER:
            kind, message = self.kind(reply.status, flat), flat.message.strip() or message
        return self._failed(kind, message, reply, payload, wall, flat)

    def _failed(
        self,
        kind: Kind,
        message: str,
        reply: Reply,
        payload: Any,
        wall: Wall,
        error: ServiceError | None,
    ) -> Failure:
        """Keeps the start of what came with a 2xx, since that was paid for."""
        paid = reply.status < 300
        return Failure(
            kind,
            message,
            reply.status,
            wait=self._wait(message, error, reply, wall) if kind in _WAITING else None,
            limit=self._limit(message, error, reply) if kind is Kind.RATE_LIMIT else None,
            raw=_start(reply.content) if paid else None,
            usage=self.usage(payload) if paid and isinstance(payload, dict) else None,
        )

    def _wait(
        self, message: str, error: ServiceError | None, reply: Reply, wall: Wall
    ) -> float | None:
        told = self.wait(reply, message, wall)
        codes = map(str.lower, error.codes if told is None and error else ())
        return next((self.patience[one] for one in codes if one in self.patience), told)

    def _limit(self, message: str, error: ServiceError | None, reply: Reply) -> Limit | None:
        codes = error.codes if error else ()
        named = refusals.limit_named(
            message, codes, reply.headers, self.limits_named, self.remaining_headers
        )
        return named or self.only_limit

    def _unreadable(self, reply: Reply, wall: Wall) -> Failure:
        """Not JSON: a page of some proxy, nothing at all, or an answer that was cut off."""
        text = _start(reply.content)
        if not 200 <= reply.status < 300:
            error = _Page(_title(text)) if text else None
            return self.failure(reply, None, error, wall)
        if not text or text.startswith("<"):
            page = f"an HTML page ({_title(text)})" if text else "an empty answer"
            return Failure(Kind.TRANSIENT, f"{page} instead of JSON", reply.status, raw=text)
        return self._bad(reply, "the answer is not valid JSON")

    def _bad(self, reply: Reply, message: str) -> Failure:
        return Failure(Kind.BAD_ANSWER, message, reply.status, raw=_start(reply.content))


class _Page(ServiceError):
    """What a reply says that is not the service's JSON."""

    __slots__ = ()


_WAITING = frozenset({Kind.RATE_LIMIT, Kind.TRANSIENT})
_EVENTS = (b"data:", b"event:", b":")
"""How a stream of events begins."""


def number(value: Any) -> int:
    """A count from the service's JSON; 0 for what is none."""
    return int(value) if type(value) in (int, float) and 0 <= value < 1e15 else 0


def _start(content: bytes) -> str:
    return content[: 4 * SHOWN].decode("utf-8", errors="replace").strip()[:SHOWN]


def _title(text: str) -> str:
    lowered = text.lower()
    start, end = lowered.find("<title>"), lowered.find("</title>")
    title = text[start + 7 : end] if 0 <= start < end else text
    return " ".join(title[:200].split())


def _named(payload: Any) -> str:
    names = {type(None): "null", list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(payload), "a number")
