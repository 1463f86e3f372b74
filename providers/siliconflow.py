"""SiliconFlow: https://docs.siliconflow.cn, https://docs.siliconflow.com

Errors are a bare string, or {"code": 20015, "message": "...", "data": null}.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind

from .json_asked import JSON_OBJECT
from .openai_compatible import OpenAICompatible


class SiliconFlow(OpenAICompatible):
    """403 is an empty account or a missing permission, as its words say.

    Not confirmed: the table of codes, of which these were seen.
    """

    name = "siliconflow"
    aliases = ("silicon_flow",)
    hosts = ("api.siliconflow.cn", "api.siliconflow.com")
    key_variables = ("SILICONFLOW_API_KEY", "siliconflow_api_key")
    base_url = "https://api.siliconflow.cn/v1"
    profile = Profile(inputs_per_request=32, base64_vectors=True)
    json_forms = JSON_OBJECT
    overruling = (
        # A day's limit: it is not there again within any wait of ours.
        ("rpd limit reached", Kind.QUOTA),
        ("tpd limit reached", Kind.QUOTA),
    )
    codes: ClassVar[Mapping[str, Kind]] = {
        "20012": Kind.MODEL_CONFIG,
        "30001": Kind.QUOTA,
        "30003": Kind.MODEL_CONFIG,
    }
    phrases = (("余额", Kind.QUOTA), ("balance", Kind.QUOTA))
