"""The least time in which anybody could do a job, who knew everything beforehand.

Each bound is on its own honest, so the largest of them is. With L a minute's limit, l = L / 60:

    bucket    the last request is let in at T >= (total - burst) / l, where *burst* is what the full
              bucket holds at the start: nothing is charged that was not there
    changing  the same with the integral of the capacity: burst + integral of l(t) up to T >= total
    window    in any 60 s at most L, so T >= 60 (ceil(total / L) - 1); with windows that begin at
              fixed moments, the first already *phase* s old, T >= that - phase
    held      a window counts a request for 60 s, and what max_tokens holds beyond what is used
              while it is in flight; all that fits below L until 60 s after the last admission,
              so T >= (sum of 60 used + (ceiling - used) seconds) / L - 60
    slots     with k in flight at once, the job takes at least (sum of all seconds) / k

A rate bounds when the last request is let in, and that one takes at least as long as the shortest
answer; a job takes at least as long as its longest answer. The limits that the user gives bind
like windows. *total* counts requests, or the tokens really used (each charge is at least those).
"""

import math

from benchmarks.simulator.meters import Steps
from benchmarks.simulator.workload import Workload

MINUTE = 60.0


def bucket(total: float, per_minute: float, burst: float) -> float:
    """When the last of *total* can be let in, with *burst* seconds' worth at the start."""
    rate = per_minute / MINUTE
    return max(0.0, (total - max(1.0, rate * burst)) / rate)


def changing(total: float, per_minute: float, burst: float, steps: Steps) -> float:
    """The same where the limit is multiplied by what *steps* say."""
    left = total - max(1.0, per_minute * steps[0][1] / MINUTE * burst)
    for (at, share), (end, _) in zip(steps, [*steps[1:], (math.inf, 0.0)], strict=True):
        rate = per_minute * share / MINUTE
        if left <= rate * (end - at):
            return at + max(0.0, left) / rate
        left -= rate * (end - at)
    raise AssertionError("the last step has no end")


def window(total: float, per_minute: float, phase: float = 0.0) -> float:
    """When the last of *total* can be let in with at most *per_minute* in 60 s."""
    return max(0.0, MINUTE * (math.ceil(total / per_minute) - 1) - phase)


def held(work: Workload, per_minute: float) -> float:
    """When the last request can be let in by a window that holds max_tokens until the answer."""
    area = 0.0
    for number in range(1, work.count + 1):
        used, seconds = work.used(number), work.seconds(number)
        area += MINUTE * used + (work.ceiling(number) - used) * min(seconds, MINUTE)
    return max(0.0, area / per_minute - MINUTE)


def given(work: Workload, requests: float | None, tokens: float | None) -> float:
    """When the last request can go within the limits that the user gave."""
    least = 0.0
    if requests is not None:
        least = window(work.count, requests)
    if tokens is not None:
        least = max(least, window(work.all_used, tokens))
    return least


def evenly(work: Workload, requests: float, tokens: float, burst: float) -> float:
    """When the last request can go if never more than *burst* seconds' worth go at once.

    That is a rule of our own, and no bound on others.
    """
    return max(bucket(work.count, requests, burst), bucket(work.all_used, tokens, burst))


def whole(work: Workload, last_admission: float, at_least: float = 0.0) -> float:
    """The least makespan, where the last request is let in at *last_admission*."""
    return max(last_admission + work.least_seconds, work.most_seconds, at_least)
