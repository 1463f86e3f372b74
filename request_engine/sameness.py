"""Which requests have the same answer: those that are sent in the same bytes to the same place."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

from request_engine.extraction import Extraction
from request_engine.records import Request
from request_engine.redaction import secrets_in_headers
from request_engine.sampled import is_sampled
from request_engine.target import Target


class Place:
    """A target, as far as it decides what the answer is."""

    def __init__(self, target: Target, headers: Mapping[str, str]) -> None:
        """*headers* are those that the user adds."""
        self._target = target
        self._headers = sorted(_open(headers.items()))
        self._head = lru_cache(maxsize=1_000)(lambda url: sha256(self._head_of(url)))

    def is_sampled(self, request: Request) -> bool:
        """Whether *request*, asked twice here, is meant to have two answers."""
        sent = self._amended(request)
        return is_sampled(self._target.provider, sent.body, self._target.address.endpoint(sent))

    def key(self, request: Request, extraction: Extraction | None) -> bytes:
        """Equal for requests that have the same answer here; tells nothing of what is in them.

        Neither metadata nor the key of the service count.
        """
        provider, address = self._target.provider, self._target.address
        sent = self._amended(request)
        if "metadata" in sent.body:
            sent = _without_metadata(sent)
        endpoint = address.endpoint(sent)
        asked = self._head(address.url(sent)).copy()
        if extraction is not None:  # its answer may be one that was put right
            asked.update(b"extraction")
            sent = extraction.asking(sent, provider, endpoint)
        asked.update(provider.wire_body(sent, None, endpoint))
        return asked.digest()

    def _amended(self, request: Request) -> Request:
        amendment = self._target.amendment
        return request if amendment is None else amendment.amended(request)

    def _head_of(self, url: str) -> bytes:
        parts = urlsplit(url)
        query = sorted(_open(parse_qsl(parts.query, keep_blank_values=True)))
        where = [parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path, query]
        return json.dumps([self._target.provider.name, where, self._headers]).encode()


def _open(named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of name and value whose name does not tell that the value is a key."""
    return [(name.lower(), value) for name, value in named if not secrets_in_headers({name: value})]


def _without_metadata(request: Request) -> Request:
    body = {name: value for name, value in request.body.items() if name != "metadata"}
    return replace(request, body=body, raw_body=json.dumps(body).encode())
