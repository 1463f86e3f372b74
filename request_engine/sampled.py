"""Whether the same request, asked twice, is meant to have two answers."""

from collections.abc import Iterator, Mapping
from typing import Any

from request_engine.provider import Provider

_SETTINGS = ("generationConfig", "generation_config", "parameters", "options")
"""Members in which some dialects keep what others have beside the prompt."""
_SEEDS = ("seed", "random_seed")


def is_sampled(provider: Provider, body: Mapping[str, Any], endpoint: str) -> bool:
    """Whether the answer is drawn anew each time.

    That is so unless nothing is written at all (embeddings), or the body says that it wants the
    same again: temperature 0, a seed, or `do_sample` false. A service's own default is none of
    these, so a body without a temperature is sampled.
    """
    if any(map(_wants_the_same, _settings(body))):
        return False
    return provider.completion_tokens(body, endpoint) > 0


def _settings(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield body
    for name in _SETTINGS:
        inner = body.get(name)
        if isinstance(inner, dict):
            yield inner


def _wants_the_same(settings: Mapping[str, Any]) -> bool:
    temperature = settings.get("temperature")
    if type(temperature) in (int, float) and temperature == 0:
        return True
    if any(type(settings.get(name)) is int for name in _SEEDS):
        return True
    return settings.get("do_sample") is False
