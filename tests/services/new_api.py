"""new-api: types/error.go of https://github.com/QuantumNous/new-api"""

from request_engine.records import Kind
from services import Service, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS
from services.openai_compatible import NEW_API, new_api

PASSING = (
    "channel:no_available_key",
    "channel:invalid_key",
    "channel:param_override_invalid",
    "channel:header_override_invalid",
    "channel:model_mapped_error",
    "channel:aws_client_error",
    "channel:response_time_exceeded",
    "get_channel_failed",
    "do_request_failed",
    "read_response_body_failed",
    "bad_response",
    "bad_response_body",
    "empty_response",
)

SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        *NEW_API,
        # The same, whatever the status.
        *(refused(400, new_api(code), Kind.TRANSIENT) for code in PASSING),
        refused(503, new_api("model_not_found"), Kind.MODEL_CONFIG),
        # The status is that of the service behind it.
        refused(400, new_api("bad_response_status_code"), Kind.BAD_REQUEST),
        refused(429, new_api("bad_response_status_code"), Kind.RATE_LIMIT),
        refused(502, new_api("bad_response_status_code"), Kind.TRANSIENT),
    ),
)
