"""SGLang: --max-queued-requests. Not confirmed: the shape of its other errors."""

from request_engine.records import Kind, Limit
from services import STREAM, Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS

FULL = "The request queue is full."
FULL_STREAM = b'data: {"error": {"message": "The request queue is full."}, "code": 503}\n\n'

SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        refused(400, {"object": "error", "message": "too long", "code": 400}, Kind.BAD_REQUEST),
        refused(401, {"error": "Unauthorized"}, Kind.AUTH),
        refused(500, error(500), Kind.TRANSIENT),
        refused(503, error(503, FULL), Kind.RATE_LIMIT, limit=Limit.CONCURRENCY),
        refused(200, FULL_STREAM, Kind.RATE_LIMIT, limit=Limit.CONCURRENCY, headers=STREAM),
        refused(503, error(503, "The server is shutting down."), Kind.TRANSIENT),
    ),
)
