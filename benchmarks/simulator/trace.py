"""What happened in each second of a run: a series to draw pictures from."""

import asyncio
from enum import Enum
from typing import Any

from benchmarks.simulator.play import Client
from benchmarks.simulator.service import Service
from request_engine.budget import Budget
from request_engine.targets import Targets

_DEPTH = 2
"""How far into what a budget is made of: its gates, and their parts."""


class Trace:
    """Rows of figures, one a second; call it to add one."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._budget: Budget | None = None
        self._before: dict[str, int] = {}

    def __call__(self, now: float, service: Service, clients: list[Client]) -> None:
        seen = service.seen
        totals = {
            "offered": sum(len(one.offered_at) for one in clients),
            "admitted": len(seen.admitted_at),
            "refused": len(seen.refused_at),
            "failed": len(seen.failed_at),
        }
        row: dict[str, Any] = {"second": round(now)}
        row |= {name: total - self._before.get(name, 0) for name, total in totals.items()}
        row["in_flight"] = len(seen.admitted_at) - seen.left
        self._before = totals
        self._budget = self._budget or _budget()
        if self._budget is not None:
            row |= _figures(self._budget, "budget", _DEPTH)
        self.rows.append(row)


def _budget() -> Budget | None:
    """The first budget of a job that runs, which it shows to nobody: from the names in its code."""
    for task in asyncio.all_tasks():
        waits: Any = task.get_coro()
        while (frame := getattr(waits, "cr_frame", None)) is not None:
            for value in frame.f_locals.values():
                if isinstance(value, Targets):
                    return value.budgets[0]
            waits = waits.cr_await
    return None


def _figures(thing: object, name: str, depth: int) -> dict[str, Any]:
    """Numbers and words among the attributes of *thing* and of the engine's objects in it."""
    found: dict[str, Any] = {}
    for key, value in _attributes(thing).items():
        path = f"{name}.{key.lstrip('_')}"
        if isinstance(value, Enum):
            found[path] = str(value.value)
        elif isinstance(value, bool | int | str) or value is None:
            found[path] = value
        elif isinstance(value, float):
            found[path] = value if abs(value) < float("inf") else None
        elif depth and type(value).__module__.startswith("request_engine"):
            found |= _figures(value, path, depth - 1)
    return found


def _attributes(thing: object) -> dict[str, Any]:
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    held = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    return held | getattr(thing, "__dict__", {})
