"""vLLM: vllm/entrypoints/openai. It refuses nothing for speed."""

from request_engine.records import Kind
from services import Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS, CONTEXT


def older(code: int, message: str, kind: str) -> dict:
    """As its older versions spell an error."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_COMPLETION, ANSWERED_EMBEDDINGS),
    refusals=(
        refused(400, error(400, CONTEXT, kind="BadRequestError"), Kind.BAD_REQUEST),
        refused(400, older(400, CONTEXT, "BadRequestError"), Kind.BAD_REQUEST),
        refused(401, {"error": "Unauthorized"}, Kind.AUTH),
        refused(404, error(404, "The model `m` does not exist."), Kind.MODEL_CONFIG),
        refused(
            404, older(404, "The model `m` does not exist.", "NotFoundError"), Kind.MODEL_CONFIG
        ),
        # By a proxy before it, since it refuses nothing for speed itself.
        refused(429, b"<html><title>429 Too Many Requests</title></html>", Kind.RATE_LIMIT),
        refused(500, error(500, "", kind="InternalServerError"), Kind.TRANSIENT),
        refused(503, b"", Kind.TRANSIENT),
    ),
)
