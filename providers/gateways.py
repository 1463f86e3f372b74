"""Gateways in OpenAI's dialect that people run themselves, in front of other services.

None has a host by which to know it: each is chosen by its name, and its base URL is the one that it
listens at unless told otherwise.
"""

from collections.abc import Mapping
from typing import ClassVar

from request_engine.records import Kind

from .any_other import AnyOther
from .openai_compatible import OpenAICompatible


class LiteLLM(OpenAICompatible):
    """https://docs.litellm.ai/docs/proxy: a message begins with the name of its own exception.

    Statuses are those of the service behind it, but its codes are the same statuses in digits.
    """

    name = "litellm"
    aliases = ("litellm_proxy",)
    key_variables = ("LITELLM_PROXY_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    base_url = "http://localhost:4000/v1"
    phrases = (
        ("litellm.contentpolicyviolationerror", Kind.CONTENT_FILTER),
        ("invalid model name passed in", Kind.MODEL_CONFIG),  # a 400
        # Out of money, in versions and places that do not say so with `budget_exceeded`.
        ("budget has been exceeded", Kind.QUOTA),
        ("exceededbudget", Kind.QUOTA),
    )


class OneApi(OpenAICompatible):
    """https://github.com/songquanpeng/one-api: gives every 429 from behind it the same new words.

    "No channel" (503) is worth another attempt: it switches channels off and on by itself.
    """

    name = "one_api"
    aliases = ("oneapi",)
    key_variables = ("ONE_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    keyless_locally = False
    base_url = "http://localhost:3000/v1"
    limits_named = AnyOther.limits_named


class NewApi(OneApi):
    """https://github.com/QuantumNous/new-api: has codes. Not confirmed: the status of each."""

    name = "new_api"
    aliases = ("newapi",)
    key_variables = ("NEW_API_KEY", "OPENAI_COMPATIBLE_API_KEY")
    codes: ClassVar[Mapping[str, Kind]] = {
        # A fault of one channel, or on the way to it: the next attempt may take another.
        "channel:no_available_key": Kind.TRANSIENT,
        "channel:invalid_key": Kind.TRANSIENT,
        "channel:param_override_invalid": Kind.TRANSIENT,
        "channel:header_override_invalid": Kind.TRANSIENT,
        "channel:model_mapped_error": Kind.TRANSIENT,
        "channel:aws_client_error": Kind.TRANSIENT,
        "channel:response_time_exceeded": Kind.TRANSIENT,
        "get_channel_failed": Kind.TRANSIENT,
        "do_request_failed": Kind.TRANSIENT,
        "read_response_body_failed": Kind.TRANSIENT,
        "bad_response": Kind.TRANSIENT,
        "bad_response_body": Kind.TRANSIENT,
        "empty_response": Kind.TRANSIENT,
        "access_denied": Kind.AUTH,
    }
