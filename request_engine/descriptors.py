"""How many connections the system lets this process have."""

import os

_KEPT = 64
"""Descriptors left for files, pipes, name look-ups and the loop; where there are few, half."""
_OPEN_AT_LEAST = 16
"""Descriptors taken to be open where the system does not list them."""


def most_connections(wanted: int) -> int:
    """*wanted*, or fewer if even the raised limit on open files does not allow as many."""
    try:
        import resource
    except ImportError:  # Windows has no such limit on sockets
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _KEPT + _open()
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    except (ValueError, OSError):
        pass
    free = max(0, soft - _open())
    return max(1, min(wanted, free - min(_KEPT, free // 2)))


def shortage(possible: int, wanted: int) -> str:
    """What to tell who asked for *wanted* connections and gets *possible*."""
    needed = wanted + _KEPT + _OPEN_AT_LEAST
    return (
        f"only {possible:,} requests are in flight at once, not {wanted:,}: the system allows so "
        f"few open files; `ulimit -n {needed}` before the run may allow more"
    )


def _open() -> int:
    """How many descriptors are open now."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # without the one that lists them
    except OSError:
        return _OPEN_AT_LEAST
