"""Every code and shape of the tables of error classes, row by row: what looks alike is told apart.

The rows are in `look_alike_refusals.py` and `false_successes.py`.
"""

import false_successes
import look_alike_refusals
import pytest
import services
from services import answer, refused

from providers import PROVIDERS
from request_engine.records import Failure, Kind, Success

BY_NAME = {name: one for one in PROVIDERS for name in (one.name, *one.aliases)}

ROWS = [
    (name, source, row)
    for name, source, rows in (*look_alike_refusals.TABLE, *false_successes.TABLE)
    for row in rows
]


@pytest.mark.parametrize(
    ("name", "row"),
    [(name, row) for name, _, row in ROWS],
    ids=[f"{name} ({source}) {row.what}" for name, source, row in ROWS],
)
def test_what_looks_alike_is_told_apart(name, row):
    outcome = services.judged(BY_NAME[name], row)
    assert isinstance(outcome, Failure)
    assert outcome.kind is row.kind


def test_an_answer_that_azures_filter_did_not_look_at_is_still_an_answer():
    """The service says so beside the choice when its filter was down; the answer is whole."""
    unseen = {"error": {"code": "content_filter_error", "message": "The filter did not run"}}
    body = answer("stop")
    body["choices"][0]["content_filter_results"] = unseen
    outcome = services.judged(BY_NAME["azure"], refused(200, body, Kind.BAD_ANSWER))
    assert isinstance(outcome, Success)
