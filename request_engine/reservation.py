"""The right to send one attempt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from request_engine.allowance import Spending
from request_engine.records import Usage
from request_engine.sizes import Size

if TYPE_CHECKING:
    from request_engine.target import Target


class Reservation:
    """What is held for one attempt, to be settled when its reply is in."""

    __slots__ = ("at", "episode", "held", "paced", "settled", "size", "spendings", "target")

    def __init__(self, size: Size, held: Usage, paced: int, episode: int, at: float) -> None:
        self.size = size
        self.held = held
        """Tokens that are held for it."""
        self.paced = paced
        """Tokens that the service is thought to count for it until it is settled."""
        self.episode = episode
        self.at = at
        """The loop's time when it was granted."""
        self.spendings: Sequence[Spending | None] = ()
        self.settled = False
        self.target: Target
        """Where it is for."""
