"""The places a job goes to: from its flags or its endpoints file, to targets that can be asked."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from request_engine import endpoints_file, logs, preflight
from request_engine.budget import Budget
from request_engine.descriptors import most_connections, shortage
from request_engine.destination import Asked, Carrier, Destination, Timeouts
from request_engine.errors import BadInput
from request_engine.provider import Provider
from request_engine.redaction import Redaction
from request_engine.targets import Targets

log = logging.getLogger(__name__)

_FOR_ONE = ("request_url", "provider", "api_key", "api_key_command", "models")
_LIMITS_OF_ONE = (
    "max_requests_per_minute",
    "max_tokens_per_minute",
    "max_input_tokens_per_minute",
    "max_output_tokens_per_minute",
    "max_concurrent_requests",
)


def named(given: Mapping[str, Any], providers: Sequence[Provider]) -> list[Destination]:
    """Where requests may go: the one place of the flags *given*, or those of a file.

    BadInput where they make no sense, and where a flag is for one place and there are several.
    """
    asked = Asked(**{one.name: given[one.name] for one in fields(Asked) if one.name in given})
    endpoints = given["endpoints"]
    if endpoints is None:
        return [Destination(asked, providers)]
    for name in (*_FOR_ONE, *_LIMITS_OF_ONE):
        value = given[name]
        if name in _LIMITS_OF_ONE:
            value = preflight.limit(value, f"--{name}")  # "none" asks for nothing
        if value is not None:
            flag = "model" if name == "models" else name
            raise BadInput(f"--{flag} is for one place: write it into {endpoints}")
    return endpoints_file.read(endpoints, asked, providers)


async def opened(
    destinations: Sequence[Destination], carrier: Carrier | None, timeouts: Timeouts
) -> tuple[Targets, list[Carrier]]:
    """The targets, and what carries requests to them. BadInput where there is no key."""
    redaction = Redaction()
    pairs = []
    for one, budget in zip(destinations, budgets(destinations), strict=True):
        with endpoints_file.told_by(one.asked):
            pairs.append(await one.open(budget, redaction, carrier, timeouts))
        logs.hide(redaction)
    carriers = list(dict.fromkeys(one for _, one in pairs))
    return Targets([target for target, _ in pairs]), carriers


def budgets(destinations: Sequence[Destination]) -> list[Budget]:
    """A budget for each, the same one for those of one account.

    Together they have no more requests in flight than the system has connections for.
    """
    accounts = [one.asked.account or number for number, one in enumerate(destinations)]
    # Those of one account are told the same limits, so that any of them may stand for it.
    first = dict(zip(reversed(accounts), reversed(destinations), strict=True))
    wanted = sum(one.max_concurrent for one in first.values())
    possible = most_connections(wanted)
    if possible < wanted:
        log.warning("%s", shortage(possible, wanted))
    made = {
        account: one.budget(max(1, one.max_concurrent * possible // wanted))
        for account, one in first.items()
    }
    return [made[account] for account in accounts]
