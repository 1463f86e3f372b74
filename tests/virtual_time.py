"""The event loop of tests, on which time passes only when everything waits."""

from benchmarks.simulator.virtual_time import VirtualTimeLoop, run

__all__ = ["VirtualTimeLoop", "run"]
