"""Any other service that speaks OpenAI's dialect: vLLM, Ollama, LM Studio, one-api, LiteLLM, ..."""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import SplitResult

from request_engine.records import Limit

from .openai_compatible import OpenAICompatible


class AnyOther(OpenAICompatible):
    """For every URL that no other provider claims. It has a key of its own, and no known one's."""

    name = "openai_compatible"
    aliases = ("generic", "vllm", "ollama", "lm_studio", "one_api", "litellm")
    key_variables = ("OPENAI_COMPATIBLE_API_KEY",)
    limits_named: ClassVar[Mapping[str, Limit]] = {
        # Zhipu
        "1302": Limit.CONCURRENCY,
        "1303": Limit.REQUESTS,
        # Volcengine
        "ratelimitexceeded.endpointrpmexceeded": Limit.REQUESTS,
        "ratelimitexceeded.endpointtpmexceeded": Limit.TOKENS,
        "modelaccountrpmratelimitexceeded": Limit.REQUESTS,
        "modelaccounttpmratelimitexceeded": Limit.TOKENS,
        "apiaccountrpmratelimitexceeded": Limit.REQUESTS,
        "inflightbatchsizeexceeded": Limit.CONCURRENCY,
        "requestbursttoofast": Limit.GROWTH,
    }

    def matches(self, url: SplitResult) -> bool:
        return True
