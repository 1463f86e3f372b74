"""Volcengine Ark, and ModelArk of BytePlus: https://www.volcengine.com/docs/82379/1299023

A model is named by its id or by that of an endpoint, ep-...; a plan for coding has a base of its
own, /api/coding/v3.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine.encodings import Encode
from request_engine.provider import Profile
from request_engine.records import Kind, Limit

from .json_asked import STRICTLY
from .openai_compatible import CHAT, EMBEDDINGS, OpenAICompatible

BATCH, MULTIMODAL = "batch/chat/completions", "embeddings/multimodal"
_RISKS = [
    f"{way}{what}{word}"
    for way in ("input", "output")
    for what in ("text", "image")
    for word in ("riskdetection", "sensitivecontentdetected")
]


class Volcengine(OpenAICompatible):
    """Limits are an endpoint's, a model's or the account's, each with a code of its own."""

    name = "volcengine"
    aliases = ("ark", "doubao", "byteplus")
    hosts = ("ark.cn-beijing.volces.com", "ark.ap-southeast.bytepluses.com")
    key_variables = ("ARK_API_KEY", "VOLCENGINE_API_KEY")
    base_url = "https://ark.cn-beijing.volces.com/api/v3"
    # Not confirmed: the most texts of one embeddings request.
    profile = Profile(base64_vectors=True)
    endpoints = (BATCH, MULTIMODAL, *OpenAICompatible.endpoints)
    json_forms = {**STRICTLY, BATCH: STRICTLY[CHAT]}
    limits_named: ClassVar[Mapping[str, Limit]] = {
        "ratelimitexceeded.endpointrpmexceeded": Limit.REQUESTS,
        "ratelimitexceeded.endpointtpmexceeded": Limit.TOKENS,
        "ratelimitexceeded.foundationmodelrpmexceeded": Limit.REQUESTS,
        "ratelimitexceeded.foundationmodeltpmexceeded": Limit.TOKENS,
        "modelaccountrpmratelimitexceeded": Limit.REQUESTS,
        "modelaccounttpmratelimitexceeded": Limit.TOKENS,
        "apiaccountrpmratelimitexceeded": Limit.REQUESTS,
        "inflightbatchsizeexceeded": Limit.CONCURRENCY,
        "requestbursttoofast": Limit.GROWTH,
    }
    codes: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(limits_named, Kind.RATE_LIMIT),
        "modelaccountipmratelimitexceeded": Kind.RATE_LIMIT,  # images
        "accountratelimitexceeded": Kind.RATE_LIMIT,
        "serveroverloaded": Kind.RATE_LIMIT,  # told with 429
        "internalserviceerror": Kind.TRANSIENT,
        "accountoverdueerror": Kind.QUOTA,
        "operationdenied.serviceoverdue": Kind.QUOTA,
        # Not confirmed: a 429 that lasts until somebody pays, or lifts a limit of their own.
        "setlimitexceeded": Kind.QUOTA,
        "quotaexceeded": Kind.QUOTA,
        "authenticationerror": Kind.AUTH,
        "accessdenied": Kind.AUTH,
        "invalidendpoint.closedendpoint": Kind.MODEL_CONFIG,
        "invalidendpoint.notfound": Kind.MODEL_CONFIG,
        "invalidendpointormodel.notfound": Kind.MODEL_CONFIG,
        "invalidendpointormodel.modelidaccessdisabled": Kind.MODEL_CONFIG,
        "modelnotopen": Kind.MODEL_CONFIG,
        "sensitivecontentdetected": Kind.CONTENT_FILTER,
        "sensitivecontentdetected.severeviolation": Kind.CONTENT_FILTER,
        "sensitivecontentdetected.violence": Kind.CONTENT_FILTER,
        **dict.fromkeys(_RISKS, Kind.CONTENT_FILTER),
    }

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        return super().prompt_tokens(body, _shape(endpoint), encode)

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        return super().completion_tokens(body, _shape(endpoint))


def _shape(endpoint: str) -> str:
    return EMBEDDINGS if endpoint == MULTIMODAL else endpoint
