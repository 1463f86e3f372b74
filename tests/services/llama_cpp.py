"""llama.cpp's server: tools/server/README.md"""

from request_engine.records import Kind
from services import Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS

TOO_LONG = "the request exceeds the available context size. try increasing the context size"
TOO_LARGE = "input (949 tokens) is too large to process. increase the physical batch size"

SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS),
    refusals=(
        refused(400, error(400, TOO_LONG, kind="exceed_context_size_error"), Kind.BAD_REQUEST),
        refused(400, error(400, "no", kind="invalid_request_error"), Kind.BAD_REQUEST),
        refused(401, error(401, "Invalid API Key", kind="authentication_error"), Kind.AUTH),
        # By a proxy before it, since it refuses nothing for speed itself.
        refused(429, b"<html><title>429 Too Many Requests</title></html>", Kind.RATE_LIMIT),
        refused(500, error(500, TOO_LARGE, kind="server_error"), Kind.BAD_REQUEST),
        *(
            refused(500, error(500, message, kind="server_error"), Kind.BAD_REQUEST)
            for message in (
                'Failed to parse messages: Missing \'role\' in message: {"content":"x"}',
                "Failed to parse tools: Missing tool function: {}",
                "image input is not supported - hint: you may need to provide the mmproj",
            )
        ),
        refused(
            501,
            error(501, "This server does not support embeddings.", kind="not_supported_error"),
            Kind.MODEL_CONFIG,
        ),
        refused(500, error(500, "Compute error.", kind="server_error"), Kind.TRANSIENT),
        refused(
            503, error(503, "Loading model", kind="unavailable_error"), Kind.TRANSIENT, wait=30.0
        ),
    ),
)
