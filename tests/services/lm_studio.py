"""LM Studio. Not confirmed: the shape of its errors, so several are tried."""

from request_engine.records import Kind
from services import Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS

SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        refused(400, {"error": "The number of tokens to keep is too large"}, Kind.BAD_REQUEST),
        refused(400, error(None, "no"), Kind.BAD_REQUEST),
        refused(401, error(None, "no"), Kind.AUTH),
        refused(404, error("model_not_found", "no"), Kind.MODEL_CONFIG),
        # By a proxy before it, since it refuses nothing for speed itself.
        refused(429, b"<html><title>429 Too Many Requests</title></html>", Kind.RATE_LIMIT),
        refused(500, {"error": "The model has crashed"}, Kind.TRANSIENT),
    ),
)
