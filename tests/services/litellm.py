"""LiteLLM's proxy: litellm/exceptions.py and litellm/proxy"""

from request_engine.records import Kind, Limit
from services import STREAM, Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS
from services.openai_compatible import LITELLM

LIMITED = (
    "Rate limit exceeded for api_key: 88dc. Limit type: {}. Current limit: 100, Remaining: 0. "
    "Limit resets at: 2026-01-01 00:00:00 UTC"
)
NAMED = (
    "litellm.BadRequestError: litellm.{}: litellm.BadRequestError: OpenAIException - no. "
    "Received Model Group=m Available Model Group Fallbacks=None"
)
NO_MODEL = "/chat/completions: Invalid model name passed in model=m. Call `/v1/models` to view"
COOLING = "No deployments available for selected model, Try again in 5 seconds. Passed model=m."


def limited(kind: str, limit: Limit):
    return refused(
        429,
        error("429", LIMITED.format(kind), kind="throttling_error"),
        Kind.RATE_LIMIT,
        headers={"retry-after": "60", "rate_limit_type": kind},
        wait=60.0,
        limit=limit,
    )


SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        *LITELLM,
        limited("requests", Limit.REQUESTS),
        limited("tokens", Limit.TOKENS),
        limited("max_parallel_requests", Limit.CONCURRENCY),
        refused(429, error("429", COOLING), Kind.RATE_LIMIT, wait=5.0),
        refused(400, error("400", NAMED.format("ContextWindowExceededError")), Kind.BAD_REQUEST),
        refused(
            400, error("400", "ExceededBudget: User=u over budget.", kind="auth_error"), Kind.QUOTA
        ),
        refused(
            400, error("400", NAMED.format("ContentPolicyViolationError")), Kind.CONTENT_FILTER
        ),
        refused(400, error("400", NO_MODEL), Kind.MODEL_CONFIG),
        refused(400, error("400", "Budget has been exceeded! Current cost: 2"), Kind.QUOTA),
        refused(429, error("429", "No deployments available - crossed budget: x"), Kind.QUOTA),
        refused(
            200,
            b'data: {"error": {"message": "litellm.RateLimitError: no", "code": "429"}}\n\n',
            Kind.RATE_LIMIT,
            headers=STREAM,
        ),
    ),
)
