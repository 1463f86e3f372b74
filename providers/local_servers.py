"""Servers of OpenAI's dialect that people run themselves. None has a host by which to know it:
each is chosen by its name, and its base URL is the one that it listens at unless told otherwise.

Where such a server only queues what it has no room for, the window that serves best is learned.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.records import Kind, Limit

from .openai_compatible import OpenAICompatible


class VLLM(OpenAICompatible):
    """https://docs.vllm.ai: refuses nothing for speed."""

    name = "vllm"
    key_variables = ("VLLM_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:8000/v1"


class SGLang(OpenAICompatible):
    """https://docs.sglang.ai: refuses (503) what goes beyond --max-queued-requests, if that is set.

    Not confirmed: the rest of its errors, which are judged by the shared tables.
    """

    name = "sglang"
    key_variables = ("SGLANG_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:30000/v1"
    overruling = (("the request queue is full", Kind.RATE_LIMIT),)
    only_limit = Limit.CONCURRENCY


class LlamaCpp(OpenAICompatible):
    """https://github.com/ggml-org/llama.cpp, llama-server: answers 503 while its model loads."""

    name = "llama_cpp"
    aliases = ("llamacpp", "llama_server")
    key_variables = ("LLAMA_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:8080/v1"
    patience: ClassVar[Mapping[str, float]] = {"unavailable_error": 30.0}
    overruling = (
        # A text to embed that is longer than the batch, said with 500.
        ("too large to process", Kind.BAD_REQUEST),
    )


class LMStudio(OpenAICompatible):
    """https://lmstudio.ai/docs: answers four at a time unless told otherwise, and queues the rest.

    Not confirmed: the shape of its errors; any is understood.
    """

    name = "lm_studio"
    aliases = ("lmstudio",)
    key_variables = ("LM_API_TOKEN", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:1234/v1"
