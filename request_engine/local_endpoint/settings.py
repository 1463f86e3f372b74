"""What a local endpoint is told before it starts, checked once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from ..errors import BadInput
from .faults import FAULTS
from .limiters import LIMITERS

HINTS = ("openai", "azure", "seconds", "date", "text", "none")
CHARGES = ("max_tokens", "usage")
DEFAULT_PORT = 8642


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The same names as the flags; without any it answers everything at once."""

    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = field(default=None, repr=False)
    models: tuple[str, ...] = ()
    context_length: int | None = None

    limiter: str | None = None
    max_requests_per_minute: int | None = None
    max_tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    burst: float = 60.0
    charge: str = "max_tokens"
    refund: bool = True
    hints: str = "openai"
    lockout: float = 0.0

    latency: float = 0.0
    latency_jitter: float = 0.0
    tokens_per_second: float | None = None
    answer_tokens: int = 30
    slow_seconds: float = 5.0

    fault: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    ledger: str | None = None
    ledger_memory: int = 100_000

    def __post_init__(self) -> None:
        self._check_host()
        self._check_choices()
        self._check_numbers()
        self._check_faults()
        self._check_limiter()

    @property
    def chosen_limiter(self) -> str:
        if self.limiter is not None:
            return self.limiter
        limits = (self.max_requests_per_minute, self.max_tokens_per_minute)
        if any(limit is not None for limit in limits):
            return "sliding_window"
        return "none" if self.max_concurrent is None else "concurrency"

    def _check_host(self) -> None:
        if not is_loopback(self.host):
            raise BadInput(
                f"--host must be a loopback address such as 127.0.0.1, but got {self.host!r}: "
                "the local endpoint serves this machine only"
            )
        if not 0 <= self.port <= 65535:
            raise BadInput(f"--port must be from 0 to 65535, but got {self.port}")

    def _check_choices(self) -> None:
        _one_of("--limiter", self.chosen_limiter, LIMITERS)
        _one_of("--charge", self.charge, CHARGES)
        _one_of("--hints", self.hints, HINTS)

    def _check_numbers(self) -> None:
        positive = "max_requests_per_minute", "max_tokens_per_minute", "max_concurrent", "burst"
        for name in (*positive, "context_length", "tokens_per_second", "answer_tokens"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise BadInput(f"--{name} must be above 0, but got {value}")
        for name in ("lockout", "latency", "latency_jitter", "slow_seconds", "ledger_memory"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"--{name} must be 0 or more, but got {value}")

    def _check_faults(self) -> None:
        for name, probability in self.fault.items():
            _one_of("--fault", name, [fault.name for fault in FAULTS])
            if not 0 <= probability <= 1:
                raise BadInput(
                    f"--fault {name} needs a probability from 0 to 1, but got {probability}"
                )
        if (total := sum(self.fault.values())) > 1 + 1e-9:
            raise BadInput(f"the probabilities of --fault add up to {total:g}, which is above 1")

    def _check_limiter(self) -> None:
        limits = (self.max_requests_per_minute, self.max_tokens_per_minute)
        if self.chosen_limiter == "concurrency" and self.max_concurrent is None:
            raise BadInput("--limiter concurrency needs --max_concurrent")
        if self.chosen_limiter not in ("concurrency", "none") and limits == (None, None):
            raise BadInput(
                f"--limiter {self.limiter} needs --max_requests_per_minute "
                "or --max_tokens_per_minute"
            )


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _one_of(flag: str, value: str, known: tuple[str, ...] | list[str]) -> None:
    if value not in known:
        raise BadInput(f"{flag} must be one of {', '.join(known)}, but got {value!r}")
