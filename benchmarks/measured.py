"""A process from its start to its end: on which cores it runs, and what it needed."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SAID = 4_000
"""Characters of a failed process's last words that are repeated."""
PREPARED = "prepared"
"""A file a process may write: the seconds of CPU it spent before what is measured began."""
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
# What would make a process slower than it is for its user, or send its requests elsewhere.
_DROPPED = ("PYTHONDONTWRITEBYTECODE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Needed:
    """What one process, with its children, needed."""

    started: float
    """The monotonic clock just before it was started."""
    seconds: float
    cpu: float
    peak: int
    """Bytes of memory of the largest of them."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where things run; empty sets mean anywhere."""

    client: frozenset[int]
    server: frozenset[int]
    both: frozenset[int]
    said: str


def cores() -> Cores:
    """The first core for the client, the second for the server, if they can be chosen."""
    anywhere: frozenset[int] = frozenset()
    if not hasattr(os, "sched_setaffinity"):
        said = "processes cannot be pinned on this system: client and server run anywhere"
        return Cores(anywhere, anywhere, anywhere, said)
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        said = "this machine has one core: client and server share it, which flatters neither"
        return Cores(anywhere, anywhere, anywhere, said)
    client, server, *_ = usable
    said = f"the client on core {client}, the server on core {server}"
    return Cores(frozenset({client}), frozenset({server}), frozenset({client, server}), said)


@contextmanager
def on_cores(chosen: Collection[int]) -> Iterator[None]:
    """What is started within stays on *chosen*; nothing is changed if that is empty."""
    if not chosen:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def environment() -> dict[str, str]:
    """This process's, without what would make a measurement another one."""
    return {name: value for name, value in os.environ.items() if name.upper() not in _DROPPED}


def raise_descriptors() -> None:
    """As many files and connections as the system allows, for every process started from now on."""
    import resource  # which Windows does not have

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measured(
    command: Sequence[str],
    chosen: Collection[int] = (),
    *,
    folder: Path | None = None,
) -> Needed:
    """Run *command* on *chosen* cores, in *folder*.

    One that fails ends the benchmark, with its last words.
    """
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        with on_cores(chosen):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environment(),
                cwd=folder,
            )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace")[-_SAID:]
            raise SystemExit(f"{Path(command[1]).name} ended with {process.returncode}:\n{words}")
    cpu = used.ru_utime + used.ru_stime
    if folder is not None and (prepared := folder / PREPARED).exists():
        cpu -= float(prepared.read_text())
    return Needed(started, seconds, cpu, used.ru_maxrss * _RSS_UNIT)
