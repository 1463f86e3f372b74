"""Servers of OpenAI's dialect that people run themselves. None has a host by which to know it:
each is chosen by its name, and its base URL is the one that it listens at unless told otherwise.

Where such a server only queues what it has no room for, the window that serves best is learned.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.provider import Profile
from request_engine.records import Kind, Limit

from .json_asked import BY_SCHEMA
from .openai_compatible import OpenAICompatible


class VLLM(OpenAICompatible):
    """https://docs.vllm.ai: refuses nothing for speed."""

    name = "vllm"
    key_variables = ("VLLM_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:8000/v1"
    profile = Profile(base64_vectors=True)
    json_forms = BY_SCHEMA


class SGLang(OpenAICompatible):
    """https://docs.sglang.ai: refuses (503) what goes beyond --max-queued-requests, if that is set.

    Not confirmed: the rest of its errors, which are judged by the shared tables.
    """

    name = "sglang"
    key_variables = ("SGLANG_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:30000/v1"
    json_forms = BY_SCHEMA
    overruling = (("the request queue is full", Kind.RATE_LIMIT),)
    only_limit = Limit.CONCURRENCY


class LlamaCpp(OpenAICompatible):
    """https://github.com/ggml-org/llama.cpp, llama-server: answers 503 while its model loads."""

    name = "llama_cpp"
    aliases = ("llamacpp", "llama_server")
    key_variables = ("LLAMA_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:8080/v1"
    json_forms = BY_SCHEMA
    patience: ClassVar[Mapping[str, float]] = {"unavailable_error": 30.0}
    codes: ClassVar[Mapping[str, Kind]] = {
        "not_supported_error": Kind.MODEL_CONFIG,  # 501: it was started for other work
    }
    overruling = (
        # Said with 500, and never otherwise: a text to embed that is longer than the batch, ...
        ("too large to process", Kind.BAD_REQUEST),
        # ... and bodies that its templates cannot make a prompt of.
        ("failed to parse messages", Kind.BAD_REQUEST),
        ("failed to parse tools", Kind.BAD_REQUEST),
        ("input is not supported", Kind.BAD_REQUEST),
    )


class LMStudio(OpenAICompatible):
    """https://lmstudio.ai/docs: answers four at a time unless told otherwise, and queues the rest.

    Not confirmed: the shape of its errors; any is understood.
    """

    name = "lm_studio"
    aliases = ("lmstudio",)
    key_variables = ("LM_API_TOKEN", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:1234/v1"
    json_forms = BY_SCHEMA
