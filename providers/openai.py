"""OpenAI: https://developers.openai.com/api/docs, errors in its guide "error codes"."""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind, Limit

from .json_asked import UNTOLD
from .openai_compatible import EMBEDDINGS, RESPONSES, OpenAICompatible

_BAD_IMAGE = (
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_base64_image",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "image_file_too_large",
    "image_file_not_found",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
)
"""Why a response failed inside a 200, where the line's own image is at fault."""


class OpenAI(OpenAICompatible):
    """Chat, completions, embeddings and Responses. The shared codes are its own."""

    name = "openai"
    hosts = ("api.openai.com", ".api.openai.com")
    key_variables = ("OPENAI_API_KEY",)
    header_variables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "OpenAI-Organization": ("OPENAI_ORG_ID",),
        "OpenAI-Project": ("OPENAI_PROJECT_ID",),
    }
    base_url = "https://api.openai.com/v1"
    profile = Profile(
        inputs_per_request=2_048,
        tokens_per_input=8_192,
        tokens_per_request=300_000,
        base64_vectors=True,
    )
    limit_headers: ClassVar[Mapping[str, str]] = {
        **OpenAICompatible.limit_headers,
        "x-ratelimit-limit-project-tokens": "tokens",
    }
    remaining_headers: ClassVar[Mapping[str, Limit]] = {
        **OpenAICompatible.remaining_headers,
        "x-ratelimit-remaining-project-tokens": Limit.TOKENS,
    }
    json_forms = UNTOLD
    codes: ClassVar[Mapping[str, Kind]] = {
        "resource_unavailable": Kind.TRANSIENT,  # the flex tier has no room, and charges nothing
        **dict.fromkeys(_BAD_IMAGE, Kind.BAD_REQUEST),
        "image_content_policy_violation": Kind.CONTENT_FILTER,
    }

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        endpoint = super().endpoint_of_body(body)
        if endpoint == EMBEDDINGS and "embedding" not in str(body.get("model")):
            return RESPONSES
        return endpoint
