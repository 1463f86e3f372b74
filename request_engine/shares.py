"""How long each reason kept the next request from being sent."""

from enum import StrEnum


class Binding(StrEnum):
    """What the next request waits for."""

    FILE = "the file"
    SERVICE = "the service"
    REQUESTS = "its turn among the requests a minute"
    TOKENS = "its turn among the tokens a minute"
    INPUT_TOKENS = "its turn among the input tokens a minute"
    OUTPUT_TOKENS = "its turn among the output tokens a minute"
    CONCURRENCY = "an answer, as no more may be in flight"
    SPACING = "the time between two sends"
    DISK = "room on the disk"
    PAUSE = "a pause to end"
    PROBE = "the answer to a probe"


SHORT = {
    Binding.FILE: "reading the file",
    Binding.SERVICE: "the last answers",
    Binding.REQUESTS: "requests a minute",
    Binding.TOKENS: "tokens a minute",
    Binding.INPUT_TOKENS: "input tokens a minute",
    Binding.OUTPUT_TOKENS: "output tokens a minute",
    Binding.CONCURRENCY: "requests in flight",
    Binding.SPACING: "time between sends",
    Binding.DISK: "the disk",
    Binding.PAUSE: "pauses after refusals",
    Binding.PROBE: "probes after pauses",
}
"""The same in a word or two, for a list."""


class Shares:
    """Seconds for each reason, of the loop's clock."""

    def __init__(self) -> None:
        self.binding = Binding.FILE
        self._seconds: dict[Binding, float] = {}
        self._since: float | None = None

    def bind(self, now: float, binding: Binding) -> None:
        """From *now* on it is *binding* that is waited for."""
        if binding is not self.binding or self._since is None:
            self._count(now)
            self.binding = binding

    def told(self, now: float) -> dict[Binding, float]:
        """The share of the time that each took, the largest first."""
        self._count(now)
        whole = sum(self._seconds.values())
        largest = sorted(self._seconds.items(), key=lambda one: -one[1])
        return {binding: seconds / whole for binding, seconds in largest if seconds > 0}

    def _count(self, now: float) -> None:
        if self._since is not None:
            self._seconds[self.binding] = self._seconds.get(self.binding, 0.0) + now - self._since
        self._since = now
