"""Google's endpoint for OpenAI's shapes: https://ai.google.dev/gemini-api/docs/openai."""

from request_engine.records import Kind
from services import Service, answer, refused
from services.google import HOST, SHARED
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS

SERVICE = Service(
    urls=(
        f"{HOST}/v1beta/openai",
        f"{HOST}/v1beta/openai/",
        f"{HOST}/v1beta/openai/chat/completions",
        f"{HOST}/v1beta/openai/embeddings",
    ),
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(*SHARED, refused(200, answer("content_filter"), Kind.CONTENT_FILTER)),
)
