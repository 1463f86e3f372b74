"""xAI: https://docs.x.ai/developers/debugging, and its page on rate limits.

Its error is a text beside a `code` of words; usage keeps the reasoning out of the completion.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind

from .json_asked import BY_SCHEMA
from .openai_compatible import OpenAICompatible


class XAI(OpenAICompatible):
    """A spent account is told in words, with 403, 429 or 200; a wrong key with 400."""

    name = "xai"
    aliases = ("grok", "x_ai")
    hosts = ("api.x.ai", ".api.x.ai")
    key_variables = ("XAI_API_KEY",)
    base_url = "https://api.x.ai/v1"
    json_forms = BY_SCHEMA
    profile = Profile(burst_seconds=0.0)  # a second's limit is a sixtieth of the minute's
    codes: ClassVar[Mapping[str, Kind]] = {"personal-team-blocked:spending-limit": Kind.QUOTA}
    phrases = (("content violates usage guidelines", Kind.CONTENT_FILTER),)
