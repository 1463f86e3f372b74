"""DeepInfra: https://deepinfra.com/docs

OpenAI-compatible under /v1/openai, native under /v1/inference/MODEL.
"""

from collections.abc import Mapping
from typing import Any

from request_engine import tokens
from request_engine.encodings import Encode
from request_engine.provider import Profile, number
from request_engine.records import Kind, Usage

from .json_asked import JSON_OBJECT
from .openai_compatible import UNBOUNDED, OpenAICompatible, usage_of

INFERENCE = "inference"


class DeepInfra(OpenAICompatible):
    """200 requests in flight a model. Natively the model is in the path and `input` is raw."""

    name = "deepinfra"
    hosts = ("api.deepinfra.com",)
    key_variables = ("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN")
    base_url = "https://api.deepinfra.com/v1/openai"
    profile = Profile(max_concurrent=200)
    json_forms = JSON_OBJECT

    def endpoint_of_path(self, path: str) -> str | None:
        return INFERENCE if "/v1/inference/" in path else super().endpoint_of_path(path)

    def prompt_tokens(self, body: Mapping[str, Any], endpoint: str, encode: Encode) -> int:
        if endpoint != INFERENCE:
            return super().prompt_tokens(body, endpoint, encode)
        return tokens.prompt_tokens(body.get("input", body.get("inputs")), encode)

    def completion_tokens(self, body: Mapping[str, Any], endpoint: str) -> int:
        if endpoint != INFERENCE:
            return super().completion_tokens(body, endpoint)
        if "input" not in body:
            return 0  # native embeddings
        return tokens.choices(body) * (tokens.completion_ceiling(body) or UNBOUNDED)

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        if isinstance(payload.get("usage"), dict):
            return usage_of(payload["usage"])
        if "num_tokens" in payload or "input_tokens" in payload:
            prompt = payload.get("num_input_tokens", payload.get("input_tokens"))
            return Usage(number(prompt), number(payload.get("num_tokens")))
        return None

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        if payload.get("results") or payload.get("embeddings"):
            return None
        return super().judge_answer(payload)
