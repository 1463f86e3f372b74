"""What a client reaches that is told by the service whether a request fits, in the file's order.

Not a bound, but what one may hope for: it is never refused, waits for nothing but room, and knows
nothing of what is to come. What it is above the floor is the end of the job, when a long answer or
two are waited for, and room that was lost because the next request did not fit yet.
"""

import heapq
from collections.abc import Sequence

from benchmarks.simulator.profiles import Scenario
from benchmarks.simulator.service import Call, Service
from benchmarks.simulator.workload import Workload

_STEP = 0.02
"""Seconds between two looks at whether there is room."""


def makespan(
    scenario: Scenario, service: Service, work: Workload, order: Sequence[int] | None = None
) -> float:
    """Seconds for *work* by a *service* that serves nobody else; line numbers in *order*."""
    left = list(order if order is not None else range(1, work.count + 1))[::-1]
    going: list[tuple[float, int, Call]] = []
    ended, step = 0.0, 0
    service.serve(work)
    while left or going:
        now, step = step * _STEP, step + 1
        while going and going[0][0] <= now:
            ended, _, call = heapq.heappop(going)
            service.leave(call, ended)
        while left and _fits(scenario, service, work, left[-1], now):
            call = Call(left[-1], 0)
            if service.arrive(call, now) is not None:  # failed, in an outage
                break
            heapq.heappush(going, (now + work.seconds(left.pop()), call.number, call))
    return ended


def _fits(scenario: Scenario, service: Service, work: Workload, number: int, now: float) -> bool:
    limits, charged = service.limits, service.charge(work, number)
    if scenario.slots is not None and limits.in_flight >= scenario.slots:
        return False
    return not any(
        rate.meter.wait(now, charged if rate.what == "tokens" else 1) for rate in limits.rates
    )
