"""How many connections the system lets this process have."""

_KEPT = 64
"""Descriptors for files, pipes and the loop itself."""


def most_connections(wanted: int) -> int:
    """*wanted*, or fewer if even the raised limit on open files does not allow as many."""
    try:
        import resource
    except ImportError:  # Windows has no such limit on sockets
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _KEPT
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        except (ValueError, OSError):
            pass
        return max(1, min(wanted, soft - _KEPT))
    return wanted
