"""Google Cloud's Agent Platform, formerly Vertex AI: https://docs.cloud.google.com/vertex-ai.

The base URL is https://HOST/v1/projects/PROJECT/locations/LOCATION. Capacity is shared: there is
no limit a minute to know, and 429 "Resource exhausted" says that others were faster.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote

from request_engine.provider import number
from request_engine.records import Kind, Usage

from .gemini import Gemini

PREDICT = "predict"
_root = re.compile(r"(.*?/locations/[^/]+)(?:/.*)?").fullmatch


class Vertex(Gemini):
    """Takes only tokens of OAuth, which live for an hour: they are renewed in mid-run."""

    name = "vertex"
    aliases = ("vertex_ai", "agent_platform")
    hosts = ("aiplatform.googleapis.com",)
    key_variables = ("GOOGLE_OAUTH_ACCESS_TOKEN",)
    key_command = "gcloud auth print-access-token"
    native = (*Gemini.native, PREDICT)
    endpoints = (*native, *Gemini.endpoints)

    def matches(self, url: SplitResult) -> bool:
        """A location is part of the host's name, before a hyphen."""
        return super().matches(url) or (url.hostname or "").endswith("-aiplatform.googleapis.com")

    def endpoint_of_body(self, body: Mapping[str, Any]) -> str:
        return PREDICT if "instances" in body else super().endpoint_of_body(body)

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        found = _root(base)
        root = found[1] if found else base.rstrip("/")
        if endpoint not in self.native:
            return f"{root}/endpoints/openapi/{endpoint}"
        return self.native_path(f"{root}/{quote(_named(body.get('model')))}", endpoint)

    def usage(self, payload: Mapping[str, Any]) -> Usage | None:
        predictions = payload.get("predictions")
        if not isinstance(predictions, list):
            return super().usage(payload)
        return Usage(sum(map(_counted, predictions)))

    def judge_answer(self, payload: dict[str, Any]) -> tuple[Kind, str] | None:
        return None if payload.get("predictions") else super().judge_answer(payload)


def _named(model: Any) -> str:
    """MODEL and PUBLISHER/MODEL, as the compatible endpoint calls it, in the words of a path."""
    name = str(model or "")
    if name.startswith(("publishers/", "endpoints/")):
        return name
    publisher, slash, rest = name.partition("/")
    return f"publishers/{publisher}/models/{rest}" if slash else f"publishers/google/models/{name}"


def _counted(prediction: Any) -> int:
    """Tokens of one embedded text."""
    for name in ("embeddings", "statistics"):
        prediction = prediction.get(name) if isinstance(prediction, dict) else None
    return number(prediction.get("token_count")) if isinstance(prediction, dict) else 0
