"""Azure OpenAI, with deployments in the URL or in its newer v1 style.

https://learn.microsoft.com/azure/ai-foundry/openai: limits are checked over 1 or 10 seconds, and
every one of its kinds of 429 passes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind

from .json_asked import UNTOLD
from .openai_compatible import OpenAICompatible


class Azure(OpenAICompatible):
    """The user's own resource: a URL or a base URL is always needed."""

    name = "azure"
    aliases = ("azure_openai",)
    hosts = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
    key_variables = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
    json_forms = UNTOLD
    profile = Profile(
        burst_seconds=1.0,
        charges_ceiling=True,
        # Not confirmed: that what OpenAI takes at once is taken here.
        inputs_per_request=2_048,
        tokens_per_input=8_192,
        tokens_per_request=300_000,
        base64_vectors=True,
    )
    codes: ClassVar[Mapping[str, Kind]] = {
        "insufficient_quota": Kind.RATE_LIMIT,  # every one of its kinds of 429 passes
    }

    def headers(self, api_key: str | None) -> dict[str, str]:
        """A resource's key has a header of its own; a token of Entra is a bearer's."""
        if api_key and api_key.count(".") == 2:
            return super().headers(api_key)
        return {"api-key": api_key} if api_key else {}

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        """A resource alone is taken in the v1 style, with the deployment as the model."""
        if not base.rstrip("/"):
            base = "/openai/v1"
        return super().path(base, endpoint, body)
