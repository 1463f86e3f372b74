"""Infinigence. Not confirmed: its own errors; these are what any compatible service may say."""

from request_engine.records import Kind
from services import Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS

SERVICE = Service(
    urls=(
        "https://cloud.infini-ai.com/maas/v1/chat/completions",
        "https://cloud.infini-ai.com/maas/coding/v1/chat/completions",
        "https://cloud.infini-ai.com/maas/qwen2-72b-instruct/nvidia/chat/completions",
    ),
    look_alikes=("https://cloud.infini-ai.com.evil.example/maas/v1", "https://infini-ai.com/v1"),
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        refused(400, error(), Kind.BAD_REQUEST),
        refused(401, error(), Kind.AUTH),
        refused(403, error(None, "no permission"), Kind.AUTH),
        refused(403, error(None, "账户余额不够"), Kind.QUOTA),
        refused(403, error(None, "账户已欠费"), Kind.QUOTA),
        refused(404, error(), Kind.MODEL_CONFIG),
        refused(429, error(None, "Your balance is not enough"), Kind.QUOTA),
        refused(429, error(None, "Too many requests"), Kind.RATE_LIMIT),
        refused(500, error(None, "the load balancer failed"), Kind.TRANSIENT),
    ),
)
