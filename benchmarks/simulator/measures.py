"""Figures of a run, from what its service saw and what its jobs sent."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from benchmarks.simulator.play import Client, Run

MINUTE = 60
_SETTLED = 30
"""Seconds for which a halved limit must be kept before it counts as obeyed."""


def by_second(moments: Iterable[float], amounts: Iterable[float] | None = None) -> list[float]:
    """What happened in each second; each moment counts 1, or its amount."""
    counts: list[float] = []
    given = iter(amounts) if amounts is not None else None
    for moment in moments:
        second = int(moment)
        if second >= len(counts):
            counts.extend([0.0] * (second + 1 - len(counts)))
        counts[second] += next(given) if given is not None else 1.0
    return counts


def most_within(counts: Sequence[float], seconds: int) -> float:
    """The most in any so many seconds in a row."""
    sums = [0.0, *accumulate(counts)]
    if len(sums) <= seconds:
        return sums[-1]
    return max(after - before for before, after in zip(sums, sums[seconds:], strict=False))


def refusals(run: Run) -> float:
    """429s for each request."""
    return len(run.service.seen.refused_at) / sum(one.work.count for one in run.clients)


def excess(run: Run) -> tuple[float, float]:
    """How far admissions went above the user's limits in any minute: requests, and tokens.

    As shares of the limit, 0 where it was kept. Tokens are those really used, counted when their
    request was let in.
    """
    worst = [0.0, 0.0]
    for client, one in enumerate(run.clients):
        lines = _admitted(run, client)
        moments = [at for at, _ in lines]
        used = [float(one.work.used(number)) for _, number in lines]
        for which, amounts in enumerate((None, used)):
            limit = run.limits[which]
            if limit is not None:
                most = most_within(by_second(moments, amounts), MINUTE)
                worst[which] = max(worst[which], most / limit - 1.0)
    return worst[0], worst[1]


def failed(run: Run) -> int:
    """Rows without an answer."""
    return sum(one.failed for one in run.clients)


def wasted(run: Run) -> int:
    """Tokens of requests that were let in once more after they had been already."""
    return sum(
        sum(one.work.used(number) for _, number in lines)
        - sum(one.work.used(number) for number in {number for _, number in lines})
        for client, one in enumerate(run.clients)
        for lines in (_admitted(run, client),)
    )


def locked_out(run: Run, lockout: float) -> float:
    """Seconds for which a service let nobody in that locks out for *lockout* s."""
    until = total = 0.0
    for at in run.service.seen.refused_at:
        if at >= until:
            until = at + lockout
            total += min(until, run.makespan) - at
    return total


def longest_gap(client: Client, since: float) -> float:
    """The longest time without an attempt, from *since* to the end of the job."""
    moments = [since, *(at for at in client.offered_at if at > since), client.ended]
    return max(after - before for before, after in pairwise(moments))


def used_after(run: Run, change: float, per_minute: float) -> float:
    """Seconds from a *change* until a limit of *per_minute* was first used, to 90 % over 15 s."""
    moments = [at for at in run.service.seen.admitted_at if at >= change - 15.0]
    needed = 0.9 * per_minute * 15.0 / MINUTE
    for count, at in enumerate(moments, 1):
        if at >= change and count - bisect_left(moments, at - 15.0) >= needed:
            return at - change
    return float("inf")


def obeyed_after(run: Run, change: float, per_minute: float) -> float:
    """Seconds from a *change* until a limit of *per_minute* was kept, to 110 % over 10 s, for 30 s.

    By what was sent, refused or not.
    """
    moments = sorted(at for one in run.clients for at in one.offered_at)
    most = 1.1 * per_minute * 10.0 / MINUTE
    kept_since, end = change, run.makespan
    for tenth in range(int(10 * (end - change))):
        now = change + tenth / 10
        if bisect_right(moments, now) - bisect_right(moments, now - 10.0) > most:
            kept_since = now
        elif now - kept_since >= _SETTLED:
            break
    return kept_since - change


def fairness(run: Run) -> float:
    """Jain's index of what each job was let in for while all of them ran: 1 is equal shares."""
    start = max(one.started for one in run.clients)
    end = min(one.ended for one in run.clients)
    shares = [0] * len(run.clients)
    for at, client in zip(run.service.seen.admitted_at, run.service.seen.clients, strict=True):
        shares[client] += start <= at < end
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares) or 1)


def _admitted(run: Run, client: int) -> list[tuple[float, int]]:
    seen = run.service.seen
    lines = zip(seen.admitted_at, seen.admitted, seen.clients, strict=True)
    return [(at, number) for at, number, whose in lines if whose == client]
