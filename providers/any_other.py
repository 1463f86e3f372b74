"""Any other service that speaks OpenAI's dialect: vLLM, Ollama, LM Studio, one-api, LiteLLM, ..."""

from urllib.parse import SplitResult

from .openai_compatible import OpenAICompatible


class AnyOther(OpenAICompatible):
    """For every URL that no other provider claims. It has a key of its own, and no known one's."""

    name = "openai_compatible"
    aliases = ("generic", "vllm", "ollama", "lm_studio", "one_api", "litellm")
    key_variables = ("OPENAI_COMPATIBLE_API_KEY",)

    def matches(self, url: SplitResult) -> bool:
        return True
