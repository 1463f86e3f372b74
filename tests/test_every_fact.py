"""Every provider's own rows show all that it states: no fact on its class is dead or untold."""

import copy
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import services

from providers import PROVIDERS
from providers.openai_compatible import OpenAICompatible
from request_engine.provider import Provider
from request_engine.records import Failure, Kind, Limit, Reply

SERVICES = {one.name: services.of(one.name) for one in PROVIDERS}

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=[one.name for one in PROVIDERS])


@each_provider
def test_it_has_an_answer_with_usage(provider):
    assert any(one.usage for one in SERVICES[provider.name].answers)


@each_provider
@pytest.mark.parametrize("kind", [Kind.RATE_LIMIT, Kind.AUTH, Kind.BAD_REQUEST])
def test_it_has_a_refusal_of_every_kind_that_all_services_know(provider, kind):
    assert kind in {one.kind for one in SERVICES[provider.name].refusals}


@each_provider
@pytest.mark.parametrize("content", [b"", b"\r\n", b"<html>busy</html>", b"<!DOCTYPE html>\n<p>"])
def test_nothing_and_a_page_in_place_of_an_answer_are_worth_another_attempt(provider, content):
    assert provider.read(Reply(200, {}, content)).kind is Kind.TRANSIENT


@each_provider
def test_its_own_answers_broken_off_anywhere_are_none(provider):
    service = SERVICES[provider.name]
    for answered in service.answers:
        start = len(answered.content) - len(answered.content.lstrip()) + 1
        for end in range(start, len(answered.content), 40):
            outcome = provider.read(Reply(200, {}, answered.content[:end]))
            assert isinstance(outcome, Failure), answered.content[:end]
            assert outcome.kind is service.cut_off


# A fact is an entry of a table on the class: what a code, a word, a status or an end means.


def facts() -> Iterator[tuple[Provider, str, Any]]:
    """(provider, name of the table, entry), without those shown elsewhere."""
    for provider in PROVIDERS:
        for name in dir(provider):
            table = getattr(type(provider), name, None)
            if not _is_of_verdicts(table):
                continue
            inherited = _inherited(provider, name)
            if isinstance(table, Mapping):
                own = [key for key, verdict in table.items() if inherited.get(key) != verdict]
            else:
                own = [pair for pair in table if pair not in inherited]
            yield from ((provider, name, entry) for entry in own)


def _is_of_verdicts(table: Any) -> bool:
    """A mapping to kinds or limits, or pairs that end in one."""
    pairs = table.items() if isinstance(table, Mapping) else table
    if not isinstance(pairs, Sequence | ItemsView) or not pairs:
        return False
    return all(isinstance(one, tuple) and _is_verdict(*one[-1:]) for one in pairs)


def _is_verdict(value: Any = None) -> bool:
    return isinstance(value, Kind | Limit)


def _inherited(provider: Provider, table: str) -> Any:
    """What it has from a provider that sits the exam itself, or from all services in common."""
    examined = {Provider, OpenAICompatible, *map(type, PROVIDERS)}
    base = next(one for one in type(provider).__mro__[1:] if one in examined)
    return getattr(base, table, type(getattr(provider, table))())


def without(provider: Provider, table: str, entry: Any) -> Provider:
    """The same provider with what it would inherit in place of *entry*."""
    stated, inherited = getattr(provider, table), _inherited(provider, table)
    if isinstance(stated, Mapping):
        less: Any = {key: verdict for key, verdict in stated.items() if key != entry}
        less |= {key: inherited[key] for key in {entry} & inherited.keys()}
    else:
        less = tuple(pair for pair in stated if pair != entry)
    other = copy.copy(provider)
    setattr(other, table, less)
    return other


def judgements(provider: Provider) -> list[object]:
    """Of every row, and of the same error inside a 200, as streams have it, without its status."""
    rows = SERVICES[provider.name].refusals
    outcomes = [
        services.judged(provider, replace(row, status=status))
        for row in rows
        for status in (row.status, 200)
    ]
    return [(one.kind, one.wait, one.limit) for one in outcomes if isinstance(one, Failure)]


with_all = cache(judgements)
FACTS = list(facts())


@pytest.mark.parametrize(
    ("provider", "table", "entry"),
    FACTS,
    ids=[f"{provider.name} {table}: {entry}" for provider, table, entry in FACTS],
)
def test_a_fact_left_out_would_change_the_judgement_of_a_row(provider, table, entry):
    needed = judgements(without(provider, table, entry)) != with_all(provider)
    assert needed, f"no row of tests/services/{provider.name}.py needs it"
