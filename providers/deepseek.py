"""DeepSeek: https://api-docs.deepseek.com"""

from request_engine.provider import Profile
from request_engine.records import Kind, Limit

from .json_asked import JSON_OBJECT
from .openai_compatible import OpenAICompatible


class DeepSeek(OpenAICompatible):
    """Limits concurrency only, by account and model; 402 is an empty account."""

    name = "deepseek"
    hosts = ("api.deepseek.com",)
    key_variables = ("DEEPSEEK_API_KEY",)
    base_url = "https://api.deepseek.com"
    json_forms = JSON_OBJECT
    profile = Profile(max_concurrent=500)
    only_limit = Limit.CONCURRENCY
    finish_reasons = {
        **OpenAICompatible.finish_reasons,
        "insufficient_system_resource": Kind.TRANSIENT,
    }
    may_be_empty = False  # its JSON mode sometimes gives an empty answer
