"""Fireworks: https://docs.fireworks.ai/guides/inference-error-codes, and its rate-limit page.

It limits the tokens of prompts and of answers apart (--max_input_tokens_per_minute,
--max_output_tokens_per_minute), and lets both grow with steady use.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.records import Kind

from .json_asked import BY_SCHEMA
from .openai_compatible import OpenAICompatible


class Fireworks(OpenAICompatible):
    """412 is an account suspended for its bills, or an adapter of a model that cannot be loaded."""

    name = "fireworks"
    aliases = ("fireworks_ai",)
    hosts = ("api.fireworks.ai",)
    key_variables = ("FIREWORKS_API_KEY",)
    base_url = "https://api.fireworks.ai/inference/v1"
    json_forms = BY_SCHEMA
    phrases = (("lora", Kind.MODEL_CONFIG),)
    statuses: ClassVar[Mapping[int, Kind]] = {412: Kind.QUOTA}
    # Not confirmed: whether x-ratelimit-limit-tokens-prompt and -generated are a second's.
