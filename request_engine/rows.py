"""Spell one line of the results file, and read one back.

[body, response]   [body, response, metadata]   [body, response, metadata, extra]
[body, [error, ...]]                            the same with errors: this request failed
"""

import json
import os
from collections.abc import Callable
from typing import Any

from request_engine import splice
from request_engine.identity import content_id
from request_engine.lines import content_of
from request_engine.records import Failure, Outcome, Request, Success, Unusable

_BATCH_ID = "batch_req_"
_CONTENT = 32
"""Hexadecimal digits of the content id, with which the rest of a batch row's `id` begins."""
_REFUSED = 400
"""Statuses from here on say that the service did not do what was asked."""


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
    identity, response = str(row.get("id")), row.get("response")
    if not identity.startswith(_BATCH_ID):
        raise ValueError("a batch row has an id")
    content = bytes.fromhex(identity[len(_BATCH_ID) :][:_CONTENT])
    if row.get("error") is not None or not isinstance(response, dict):
        return content, False
    status = response.get("status_code")
    return content, isinstance(status, int) and status < _REFUSED


def batch_row(request: Request | Unusable, outcome: Outcome) -> bytes:
    """An output line of the OpenAI Batch API, and nothing more where that can say everything.

    Its `id` is the content's, from which a later run knows the request, and a mark of its own:
    equal lines have rows that differ in it. Which of its equals a line is cannot be told here, as
    some rows may have been taken out, so the mark is random.
    """
    content, custom_id, metadata = _batch_names(request)
    response, error = _batch_answer(outcome, f"req_{content.hex()}")
    fields = {
        "id": _spelled(_BATCH_ID + content.hex() + os.urandom(8).hex()),
        "custom_id": _spelled(custom_id),
        "response": response,
        "error": error,
    }
    if isinstance(outcome, Failure):
        if outcome.earlier or outcome.raw is not None:
            fields["errors"] = _errors(outcome)
    elif outcome.extra is not None:
        fields["extra"] = outcome.extra
    if metadata is not None:
        fields["metadata"] = metadata
    return _object(fields) + b"\n"


SPELLINGS: dict[str, Spelling] = {"rows": array_row, "batch": batch_row}


def _batch_answer(outcome: Outcome, request_id: str) -> tuple[bytes, bytes]:
    """`response` and `error`: what a service refused has a response, and no error beside it."""
    if isinstance(outcome, Success):
        status, body = 200, outcome.response
    elif outcome.status is not None and outcome.status >= _REFUSED:
        kind = outcome.kind
        error = {"message": outcome.message, "type": kind, "param": None, "code": kind}
        status, body = outcome.status, _spelled({"error": error})
    else:
        return b"null", _spelled({"code": outcome.kind, "message": outcome.message})
    answer = {"status_code": b"%d" % status, "request_id": _spelled(request_id), "body": body}
    return _object(answer), b"null"


def _object(fields: dict[str, bytes]) -> bytes:
    members = b", ".join(b'"%b": %b' % (key.encode(), text) for key, text in fields.items())
    return b"{" + members + b"}"


def _spelled(value: Any) -> bytes:
    return json.dumps(value).encode()


def _errors(failure: Failure) -> bytes:
    return _spelled([_error(one) for one in (*failure.earlier, failure)])


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
    """Content id, custom_id and the metadata that says more than that."""
    content = content_of(request)
    if isinstance(request, Unusable) or request.custom_id is not None:
        return content, request.custom_id, None
    match request.metadata:
        case {"custom_id": str(named), **others}:
            return content, named, request.raw_metadata if others else None
    return content, None, request.raw_metadata
