"""Spell one line of the results file, and read one back.

[body, response]   [body, response, metadata]   [body, response, metadata, extra]
[body, [error, ...]]                            the same with errors: this request failed
"""

import json
from collections.abc import Callable
from typing import Any

from request_engine import splice
from request_engine.identity import content_id
from request_engine.lines import content_of
from request_engine.records import Failure, Outcome, Request, Success, Unusable

_BATCH_ID = "batch_req_"


Spelling = Callable[[Request | Unusable, Outcome], bytes]
"""The line for a request and its outcome, newline included."""


def array_row(request: Request | Unusable, outcome: Outcome) -> bytes:
    """The cookbook's row: an array that begins with the request's body."""
    answer = outcome.response if isinstance(outcome, Success) else _errors(outcome)
    parts = [request.raw_body, answer]
    metadata = request.raw_metadata if isinstance(request, Request) else None
    extra = outcome.extra if isinstance(outcome, Success) else None
    if extra is not None:
        parts += [metadata or b"null", extra]
    elif metadata is not None:
        parts.append(metadata)
    return b"[" + b", ".join(parts) + b"]\n"


def read_row(line: bytes) -> tuple[bytes, bool]:
    """The content id of the request that *line* is of, and whether it was answered.

    In either spelling. ValueError when it is no row.
    """
    row = splice.parse(line.decode())
    if isinstance(row, dict):
        return _read_batch(row)
    if isinstance(row, list) and 2 <= len(row) <= 4:
        body, answer = row[0], row[1]
        if isinstance(body, (dict, str)) and isinstance(answer, (dict, list)):
            metadata = row[2] if len(row) > 2 else None
            return content_id(body, metadata), isinstance(answer, dict)
    raise ValueError("a row has a body, an answer or a list of errors, perhaps metadata and extra")


def _read_batch(row: dict[str, Any]) -> tuple[bytes, bool]:
    if not str(row.get("id")).startswith(_BATCH_ID):
        raise ValueError("a batch row has an id")
    content = bytes.fromhex(row["id"][len(_BATCH_ID) :][:32])
    return content, row.get("error") is None and row.get("response") is not None


def batch_row(request: Request | Unusable, outcome: Outcome) -> bytes:
    """An output line of the OpenAI Batch API, whose `id` here is made of the content's."""
    content, custom_id, metadata = _batch_names(request)
    fields = {
        "id": json.dumps(_BATCH_ID + content.hex()).encode(),
        "custom_id": json.dumps(custom_id).encode(),
        "response": _batch_response(outcome, f"req_{content.hex()}"),
        "error": b"null",
    }
    if isinstance(outcome, Failure):
        error = {"code": outcome.kind, "message": outcome.message}
        fields["error"] = json.dumps(error).encode()
        fields["errors"] = _errors(outcome)
    elif outcome.extra is not None:
        fields["extra"] = outcome.extra
    if metadata is not None:
        fields["metadata"] = metadata
    joined = b", ".join(b'"%b": %b' % (key.encode(), text) for key, text in fields.items())
    return b"{" + joined + b"}\n"


SPELLINGS: dict[str, Spelling] = {"rows": array_row, "batch": batch_row}


def _batch_response(outcome: Outcome, request_id: str) -> bytes:
    if isinstance(outcome, Success):
        status, body = 200, outcome.response
    elif outcome.status is not None:
        error = {"message": outcome.message, "type": outcome.kind, "code": outcome.kind}
        status, body = outcome.status, json.dumps({"error": error}).encode()
    else:
        return b"null"
    named = json.dumps(request_id).encode()
    return b'{"status_code": %d, "request_id": %b, "body": %b}' % (status, named, body)


def _errors(failure: Failure) -> bytes:
    return json.dumps([_error(one) for one in (*failure.earlier, failure)]).encode()


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


def _batch_names(request: Request | Unusable) -> tuple[bytes, str | None, bytes | None]:
    content = content_of(request)
    if isinstance(request, Unusable):
        return content, None, None
    if request.custom_id is not None:
        return content, request.custom_id, None
    named = request.metadata
    if isinstance(named, dict):
        named = named.get("custom_id")
    return content, named if isinstance(named, str) else None, request.raw_metadata
