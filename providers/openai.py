"""OpenAI: https://developers.openai.com/api/docs, errors in its guide "error codes"."""

from collections.abc import Mapping
from typing import Any

from .openai_compatible import EMBEDDINGS, RESPONSES, OpenAICompatible


class OpenAI(OpenAICompatible):
    """Chat, completions, embeddings and Responses. The shared codes are its own."""

    name = "openai"
    hosts = ("api.openai.com", ".api.openai.com")
    key_variables = ("OPENAI_API_KEY",)
    base_url = "https://api.openai.com/v1"

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        endpoint = super().endpoint_of_body(body)
        if endpoint == EMBEDDINGS and "embedding" not in str(body.get("model")):
            return RESPONSES
        return endpoint
