"""The lab gateway's envelope: username and request in; raw answer, credits and an echo out."""

from dataclasses import dataclass
from typing import Any

from . import complaints
from .calls import parsed
from .complaints import Complaint
from .spelling import dumps

PRICE_OF_A_TOKEN = 0.000_005
CREDITS_TOTAL = "20.0$"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What came, opened; *echo* is the whole of it, which the gateway sends back."""

    username: str
    request: str
    echo: str

    def around(self, raw: str, tokens: int) -> str:
        return dumps(
            {
                "raw": raw,
                "credits_consumed": f"{tokens * PRICE_OF_A_TOKEN:.6f}$",
                "credits_total": CREDITS_TOTAL,
                "request": self.echo,
            }
        )


def opened(content: bytes) -> Envelope | Complaint:
    outer = parsed(content)
    if isinstance(outer, Complaint):
        return outer
    for name in ("username", "request"):
        if name not in outer:
            return complaints.missing(name)
        if not isinstance(outer[name], str):
            return complaints.wrong_type(name, "a string")
    return Envelope(outer["username"], outer["request"], content.decode("utf-8", "replace"))


def endpoint_of(body: dict[str, Any]) -> str:
    """The gateway tells embeddings from chat by the body."""
    embeds = "input" in body or "embedding" in str(body.get("model"))
    return "embeddings" if embeds else "chat/completions"
