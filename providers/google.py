"""Google's Gemini API: https://ai.google.dev/gemini-api/docs, pages on rate limits and errors.

Tokens a minute are those of prompts alone: --max_input_tokens_per_minute. Limits are a project's,
not a key's. In its own shape the key has a header; at the compatible endpoint it is a bearer's.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote

from request_engine.provider import Profile

from .gemini import Gemini
from .google_errors import GoogleErrors
from .json_asked import BY_SCHEMA

_COMPATIBLE = "/v1beta/openai"
_EMBEDDED = 100
_root = re.compile(r"(.*?)(?:/(?:models|tunedModels|openai)(?:/.*)?)?/*").fullmatch


class Google(Gemini):
    """Its own shape. The key never goes into the URL, where logs would show it."""

    name = "google"
    aliases = ("gemini", "google_ai_studio")
    hosts = ("generativelanguage.googleapis.com",)
    key_variables = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    base_url = "https://generativelanguage.googleapis.com/v1beta"
    profile = Profile(inputs_per_request=_EMBEDDED)

    def matches(self, url: SplitResult) -> bool:
        return super().matches(url) and not _is_compatible(url)

    def path(self, base: str, endpoint: str, body: Mapping[str, Any]) -> str:
        found = _root(base)
        root = (found[1] if found else "") or "/v1beta"
        if endpoint not in self.native:
            # Not confirmed: whether the compatible endpoint takes the key in this header.
            return f"{root}/openai/{endpoint}"
        model = str(body.get("model") or "")
        named = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
        return self.native_path(f"{root}/{quote(named)}", endpoint)

    def headers(self, api_key: str | None) -> dict[str, str]:
        return {"x-goog-api-key": api_key} if api_key else {}


class GoogleOpenAI(GoogleErrors):
    """Its endpoint for OpenAI's shapes."""

    name = "google_openai"
    aliases = ("gemini_openai",)
    hosts = Google.hosts
    key_variables = Google.key_variables
    base_url = f"https://generativelanguage.googleapis.com{_COMPATIBLE}"
    endpoints = ("chat/completions", "embeddings")
    streams = ("chat/completions",)
    json_forms = BY_SCHEMA
    profile = Google.profile

    def matches(self, url: SplitResult) -> bool:
        return super().matches(url) and _is_compatible(url)


def _is_compatible(url: SplitResult) -> bool:
    return f"{url.path}/".startswith(f"{_COMPATIBLE}/")
