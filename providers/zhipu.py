"""Zhipu and Z.ai: https://docs.bigmodel.cn/cn/api/api-code, https://docs.z.ai/api-reference/api-code

Two sites with accounts, keys and prices of their own, and one interface. The coding plan's is under
/api/coding/paas/v4.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.records import Kind, Limit

from .json_asked import JSON_OBJECT
from .openai_compatible import OpenAICompatible


class Zhipu(OpenAICompatible):
    """Limits how many are in flight, by model and account level. Nearly all it refuses is a 429."""

    name = "zhipu"
    aliases = ("bigmodel", "zhipuai")
    hosts = ("open.bigmodel.cn",)
    key_variables: ClassVar[tuple[str, ...]] = ("ZHIPUAI_API_KEY", "BIGMODEL_API_KEY")
    base_url = "https://open.bigmodel.cn/api/paas/v4"
    json_forms = JSON_OBJECT
    # Not confirmed: the most texts of one embeddings request.
    codes: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("1000", "1001", "1002", "1003", "1004", "1005"), Kind.AUTH),
        **dict.fromkeys(("1110", "1111", "1112", "1120", "1121"), Kind.AUTH),  # account locked
        "1113": Kind.QUOTA,  # in arrears
        **dict.fromkeys(("1200", "1230", "1234"), Kind.TRANSIENT),
        **dict.fromkeys(("1210", "1212", "1213", "1214", "1215", "1261"), Kind.BAD_REQUEST),
        "1211": Kind.MODEL_CONFIG,
        "1220": Kind.AUTH,
        **dict.fromkeys(("1221", "1222"), Kind.MODEL_CONFIG),  # no such interface any more
        "1301": Kind.CONTENT_FILTER,
        **dict.fromkeys(("1302", "1303"), Kind.RATE_LIMIT),
        # The platform or the model is overloaded: a lower rate of ours is no cure.
        **dict.fromkeys(("1305", "1312"), Kind.TRANSIENT),
        "1304": Kind.QUOTA,  # calls of a day
        **dict.fromkeys(("1308", "1310"), Kind.QUOTA),  # a plan's five hours, a plan's week
        **dict.fromkeys(("1309", "1313", "1315"), Kind.QUOTA),  # plan ended, or misused
        "1311": Kind.MODEL_CONFIG,  # not in the plan
    }
    limits_named: ClassVar[Mapping[str, Limit]] = {
        "1302": Limit.CONCURRENCY,
        "1303": Limit.REQUESTS,
    }
    patience: ClassVar[Mapping[str, float]] = {"1305": 30.0, "1312": 30.0}
    finish_reasons: ClassVar[Mapping[str, Kind]] = {
        **OpenAICompatible.finish_reasons,
        "sensitive": Kind.CONTENT_FILTER,
        "network_error": Kind.TRANSIENT,
    }


class Zai(Zhipu):
    """The international site."""

    name = "zai"
    aliases = ("z_ai", "z.ai")
    hosts = ("api.z.ai",)
    key_variables = ("ZAI_API_KEY",)
    base_url = "https://api.z.ai/api/paas/v4"
