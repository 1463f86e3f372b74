"""Spell one line of the results file, and read one back.

[body, response]   [body, response, metadata]   [body, response, metadata, extra]
[body, [error, ...]]                            the same with errors: this request failed
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from request_engine import splice
from request_engine.identity import content_id
from request_engine.lines import metadata_of
from request_engine.records import Failure, Outcome, Request, Success, Unusable

_BATCH_ID = "batch_req_"


@dataclass(frozen=True, slots=True)
class Found:
    """What a line of an earlier results file says: which request, and whether it was answered."""

    content: bytes
    succeeded: bool


class RowFormat(Protocol):
    """One way to spell rows."""

    def row(self, request: Request | Unusable, outcome: Outcome) -> bytes:
        """The line for *request*, newline included."""
        ...

    def read(self, line: bytes) -> Found:
        """What *line* says. ValueError when it is no row of this format."""
        ...


class ArrayRows:
    """The cookbook's rows: arrays that begin with the request's body."""

    def row(self, request: Request | Unusable, outcome: Outcome) -> bytes:
        parts = [request.raw_body, _answer(outcome)]
        metadata = request.raw_metadata if isinstance(request, Request) else None
        extra = outcome.extra if isinstance(outcome, Success) else None
        if extra is not None:
            parts += [metadata or b"null", extra]
        elif metadata is not None:
            parts.append(metadata)
        return b"[" + b", ".join(parts) + b"]\n"

    def read(self, line: bytes) -> Found:
        row = splice.elements(line.decode("utf-8"))
        if not 2 <= len(row) <= 4 or not isinstance(row[0].value, dict | str):
            raise ValueError("a row has a body, an answer, and perhaps metadata and an extra")
        if not isinstance(row[1].value, dict | list):
            raise ValueError("an answer is an object, or a list of errors")
        succeeded = isinstance(row[1].value, dict)
        return Found(content_id(row[0].value, metadata_of(row)), succeeded)


class BatchRows:
    """The output objects of the OpenAI Batch API, whose `id` here is made of the content's."""

    def row(self, request: Request | Unusable, outcome: Outcome) -> bytes:
        status = 200 if isinstance(outcome, Success) else outcome.status
        body = outcome.response if isinstance(outcome, Success) else _batch_errors(outcome)
        content, custom_id, metadata = _batch_names(request)
        fields = {
            "id": json.dumps(_BATCH_ID + content.hex()).encode(),
            "custom_id": json.dumps(custom_id).encode(),
            "response": b"null",
            "error": b"null",
        }
        if status is not None:
            response_id = json.dumps(f"req_{content.hex()}").encode()
            fields["response"] = b'{"status_code": %d, "request_id": %b, "body": %b}' % (
                status,
                response_id,
                body,
            )
        if isinstance(outcome, Failure):
            error = {"code": outcome.kind, "message": outcome.message}
            fields["error"] = json.dumps(error).encode()
        if isinstance(outcome, Success) and outcome.extra is not None:
            fields["extra"] = outcome.extra
        if metadata is not None:
            fields["metadata"] = metadata
        joined = b", ".join(b'"%b": %b' % (key.encode(), text) for key, text in fields.items())
        return b"{" + joined + b"}\n"

    def read(self, line: bytes) -> Found:
        row = splice.parse(line.decode("utf-8"))
        if not isinstance(row, dict) or not str(row.get("id")).startswith(_BATCH_ID):
            raise ValueError("a batch row is an object with an id")
        content = bytes.fromhex(row["id"][len(_BATCH_ID) :][:32])
        return Found(content, row.get("error") is None and row.get("response") is not None)


FORMATS: dict[str, RowFormat] = {"rows": ArrayRows(), "batch": BatchRows()}


def _answer(outcome: Outcome) -> bytes:
    if isinstance(outcome, Success):
        return outcome.response
    return json.dumps([_error(failure) for failure in (*outcome.earlier, outcome)]).encode()


def _error(failure: Failure) -> dict[str, Any]:
    error: dict[str, Any] = {
        "kind": failure.kind,
        "message": failure.message,
        "status": failure.status,
        "attempt": failure.attempt,
    }
    if failure.raw is not None:
        error["raw"] = failure.raw
    return error


def _batch_errors(failure: Failure) -> bytes:
    error = {"message": failure.message, "type": failure.kind, "code": failure.kind}
    return json.dumps({"error": error}).encode()


def _batch_names(request: Request | Unusable) -> tuple[bytes, str | None, bytes | None]:
    if isinstance(request, Unusable):
        return content_id(request.raw_body.decode(), None), None, None
    content = content_id(request.body, request.metadata)
    if request.custom_id is not None:
        return content, request.custom_id, None
    named = request.metadata
    if isinstance(named, dict):
        named = named.get("custom_id")
    return content, named if isinstance(named, str) else None, request.raw_metadata
