"""Any other service that speaks OpenAI's dialect, at a URL that nobody knows beforehand."""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import SplitResult

from request_engine.records import Limit

from .openai_compatible import OpenAICompatible
from .volcengine import Volcengine
from .zhipu import Zhipu


class AnyOther(OpenAICompatible):
    """For every URL that no other provider claims. It has a key of its own, and no known one's."""

    name = "openai_compatible"
    aliases = ("generic",)
    key_variables = ("OPENAI_COMPATIBLE_API_KEY",)
    limits_named: ClassVar[Mapping[str, Limit]] = {
        # Gateways pass these on, and each means one thing wherever it comes from.
        **Zhipu.limits_named,
        **Volcengine.limits_named,
    }

    def matches(self, url: SplitResult) -> bool:
        return True
