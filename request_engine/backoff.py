"""How long to wait before another attempt when the service gave no hint."""

import random

FIRST = 0.5
LONGEST = 60.0


def backoff(failures: int) -> float:
    """Seconds to wait after *failures* in a row: 0.5, 1, 2, ... at most 60, less up to a quarter.

    The doubling and the downward jitter are those of the official SDKs, with a longer ceiling:
    a bulk job outlives an outage, a person at a prompt does not.
    """
    longest = min(LONGEST, FIRST * 2.0 ** min(failures - 1, 20))
    return longest * (1 - random.random() / 4)
