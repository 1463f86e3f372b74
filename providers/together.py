"""Together: https://docs.together.ai/docs/error-codes, and its page on rate limits."""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind

from .json_asked import BY_SCHEMA
from .openai_compatible import OpenAICompatible


class Together(OpenAICompatible):
    """403 is one line's prompt and max_tokens above the context. Limits follow steady traffic."""

    name = "together"
    aliases = ("together_ai", "togetherai")
    hosts = ("api.together.ai", "api.together.xyz")
    key_variables = ("TOGETHER_API_KEY",)
    base_url = "https://api.together.ai/v1"
    profile = Profile(burst_seconds=0.0)  # its limits, in headers too, are a second's
    json_forms = BY_SCHEMA
    statuses: ClassVar[Mapping[int, Kind]] = {403: Kind.BAD_REQUEST}
