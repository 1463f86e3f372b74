"""The proxy's keys, each named after the limit it has: `<anything>-<name>`.

LiteLLM keeps keys in a database; its hook for keys of one's own spares that, and leaves the limits,
the budget and what it answers about them to its own code.
"""

from litellm.proxy._types import UserAPIKeyAuth

LIMITS = {
    "open": {},
    "requests": {"rpm_limit": 300},
    "told": {"rpm_limit": 300},
    "parallel": {"max_parallel_requests": 4},
    "money": {"max_budget": 0.001},
}


async def known(request, api_key):
    name = api_key.rpartition("-")[2]
    if name not in LIMITS:
        raise ValueError("no such key")
    return UserAPIKeyAuth(api_key=api_key, token=name, **LIMITS[name])
