"""Aliyun Model Studio: https://help.aliyun.com/zh/model-studio, error-code and rate-limit pages.

OpenAI-compatible under /compatible-mode/v1; native text generation and embeddings under
/api/v1/services. Limits are also enforced by the second, at a sixtieth of the minute's.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from request_engine import tokens
from request_engine.encodings import Encode
from request_engine.json_forms import JsonForm
from request_engine.provider import Profile, number
from request_engine.records import Kind, Limit, Usage
from request_engine.turns import CHAT as CHAT_TURNS
from request_engine.turns import Within

from .json_asked import JSON_OBJECT
from .openai_compatible import UNBOUNDED, OpenAICompatible, image_tokens_of

TEXT, MULTIMODAL = "text-generation/generation", "multimodal-generation/generation"
TEXT_EMBEDDING = "text-embedding/text-embedding"
_SERVICES = {
    TEXT: "/api/v1/services/aigc/" + TEXT,
    MULTIMODAL: "/api/v1/services/aigc/" + MULTIMODAL,
    TEXT_EMBEDDING: "/api/v1/services/embeddings/" + TEXT_EMBEDDING,
}


class Aliyun(OpenAICompatible):
    """`insufficient_quota` is its word for too many tokens a minute, not for an empty account."""

    name = "aliyun"
    aliases = ("dashscope", "qwen", "model_studio", "bailian")
    hosts = (
        "dashscope.aliyuncs.com",
        "dashscope-intl.aliyuncs.com",
        "dashscope-us.aliyuncs.com",
        ".dashscope.aliyuncs.com",
        ".maas.aliyuncs.com",
    )
    key_variables = ("DASHSCOPE_API_KEY", "QWENCLOUD_API_KEY")
    base_url = "https://dashscope.aliyuncs.com/compatible-mode/v1"
    endpoints = (TEXT, MULTIMODAL, TEXT_EMBEDDING, *OpenAICompatible.endpoints)
    profile = Profile(burst_seconds=0.0, inputs_per_request=10)
    json_forms = {**JSON_OBJECT, TEXT: JsonForm(turns=Within("input", CHAT_TURNS))}
    overruling = (("free allocated quota", Kind.QUOTA),)
    codes: ClassVar[Mapping[str, Kind]] = {
        "throttling": Kind.RATE_LIMIT,
        "throttling.ratequota": Kind.RATE_LIMIT,
        "throttling.burstrate": Kind.RATE_LIMIT,
        "throttling.allocationquota": Kind.RATE_LIMIT,
        "limitrequests": Kind.RATE_LIMIT,
        "limit_requests": Kind.RATE_LIMIT,
        "limit_burst_rate": Kind.RATE_LIMIT,
        "insufficient_quota": Kind.RATE_LIMIT,
        "arrearage": Kind.QUOTA,
        "allocationquota.freetieronly": Kind.QUOTA,
        "commoditynotpurchased": Kind.QUOTA,
        "prepaidbilloverdue": Kind.QUOTA,
        "postpaidbilloverdue": Kind.QUOTA,
        "invalidapikey": Kind.AUTH,
        "not authorized": Kind.AUTH,
        "workspace.accessdenied": Kind.AUTH,
        "accessdenied.unpurchased": Kind.MODEL_CONFIG,
        "model.accessdenied": Kind.MODEL_CONFIG,
        "modelnotfound": Kind.MODEL_CONFIG,
        "model_not_supported": Kind.MODEL_CONFIG,
        "invalidparameter": Kind.BAD_REQUEST,  # an event of a stream has no status of its own
        "internalerror": Kind.TRANSIENT,
        "datainspectionfailed": Kind.CONTENT_FILTER,
        "data_inspection_failed": Kind.CONTENT_FILTER,
    }
    limits_named: ClassVar[Mapping[str, Limit]] = {
        "throttling.ratequota": Limit.REQUESTS,
        "throttling.burstrate": Limit.GROWTH,
        "throttling.allocationquota": Limit.TOKENS,
        "limitrequests": Limit.REQUESTS,
        "limit_requests": Limit.REQUESTS,
        "limit_burst_rate": Limit.GROWTH,
        "insufficient_quota": Limit.TOKENS,
    }

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        native = body.get("input")
        if not isinstance(native, dict):
            return super().endpoint_of_body(body)
        if "texts" in native:
            return TEXT_EMBEDDING
        return MULTIMODAL if _has_images(native.get("messages")) else TEXT

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        return _SERVICES.get(endpoint) or super().path(base, endpoint, body)

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        if endpoint not in _SERVICES:
            return super().prompt_tokens(body, endpoint, encode)
        native = body.get("input")
        if not isinstance(native, dict):
            return 0
        if "messages" in native:
            asked = {"messages": native["messages"], "tools": _parameters(body).get("tools")}
            return tokens.chat_tokens(asked, encode, image_tokens_of(body.get("model")))
        return tokens.prompt_tokens(native.get("texts", native.get("prompt")), encode)

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        if endpoint not in _SERVICES:
            return super().completion_tokens(body, endpoint)
        if endpoint == TEXT_EMBEDDING:
            return 0
        asked = _parameters(body)
        return tokens.choices(asked) * (tokens.completion_ceiling(asked) or UNBOUNDED)

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        counted = super().usage(payload)
        if counted is not None and not counted.total:
            # Native embeddings tell nothing else.
            return Usage(number(payload["usage"].get("total_tokens")))
        return counted

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        output = payload.get("output")
        if not isinstance(output, dict):
            return super().judge_answer(payload)
        if output.get("choices"):
            return super().judge_answer(output)
        if output.get("text") or output.get("embeddings"):
            return None
        return Kind.BAD_ANSWER, "there is no answer in the reply's output"


def _parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    given = body.get("parameters")
    return given if isinstance(given, dict) else {}


def _has_images(messages: Any) -> bool:
    if not isinstance(messages, list):
        return False
    return any(isinstance(one, dict) and isinstance(one.get("content"), list) for one in messages)
