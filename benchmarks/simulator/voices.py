"""How a service says no, and what its headers tell: in every form that real ones have, or none."""

import json
from dataclasses import dataclass

from multidict import CIMultiDict

from request_engine.local_endpoint import hints
from request_engine.local_endpoint.limiters import Limits, Refusal
from request_engine.records import Reply

MODEL = "m"
GROWTH = "growth"
"""What a refusal for a rate that grew too fast is about."""
_GROWS = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client "
    "logic to scale requests more smoothly over time."
)


@dataclass(frozen=True, slots=True)
class Voice:
    """The spelling of one service."""

    spelling: str
    """`openai`: headers and words; `azure`: milliseconds, and limits of ten seconds; `text`: words
    alone; `none`: words without a time; `bare`: nothing but the status."""

    def answer(self, prompt: int, output: int, limits: Limits, now: float) -> Reply:
        """A success with its usage."""
        content = (
            b'{"choices":[{"message":{"content":"."},"finish_reason":"stop"}],"usage":'
            b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'
            % (prompt, output, prompt + output)
        )
        return Reply(200, self._headers(limits, now), content)

    def refusal(self, refusal: Refusal, limits: Limits, now: float) -> Reply:
        """A 429."""
        if self.spelling == "bare":
            return Reply(429, CIMultiDict(), b'{"error":{"message":"Too Many Requests"}}')
        headers = self._headers(limits, now)
        headers.extend(hints.wait_headers(self.spelling, refusal.wait, now))
        error = hints.refusal_error(self.spelling, refusal, MODEL)
        if refusal.what == GROWTH:
            error = {"message": _GROWS, "type": "limit_burst_rate", "code": "limit_burst_rate"}
        return Reply(429, headers, json.dumps({"error": error}).encode())

    def failure(self, status: int) -> Reply:
        """A 5xx."""
        message = {500: "The server had an error while processing your request"}.get(
            status, "The service is temporarily unable to handle your request"
        )
        error = {"message": message, "type": "server_error", "code": None}
        return Reply(status, CIMultiDict(), json.dumps({"error": error}).encode())

    def _headers(self, limits: Limits, now: float) -> CIMultiDict[str]:
        return CIMultiDict(hints.limit_headers(self.spelling, limits, now))
