"""Azure OpenAI: https://learn.microsoft.com/azure/ai-foundry/openai, quotas and troubleshooting."""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, answer, error, refused
from services.openai import ANSWERED_EMBEDDINGS, ANSWERED_RESPONSES, OUT_OF_MONEY

RATE_LIMIT, CONTENT_FILTER = Kind.RATE_LIMIT, Kind.CONTENT_FILTER

CHAT = (
    '{"choices": [{"content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}, '
    '"finish_reason": "stop", "index": 0, "message": {"content": "ok", "role": "assistant"}}], '
    '"prompt_filter_results": [{"prompt_index": 0}], "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"completion_tokens": 33, "prompt_tokens": 557, "total_tokens": 590}}'
)
RESPONSIBLE = {"code": "ResponsibleAIPolicyViolation"}
FILTERED = "The response was filtered due to the prompt triggering content management policy."
RATE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 "
    "have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 7 "
    "seconds."
)
AGAIN_IN_30 = {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 30 seconds."}

SERVICE = Service(
    urls=(
        "https://lab.openai.azure.com/openai/deployments/gpt-4o/chat/completions"
        "?api-version=2024-10-21",
        "https://lab.openai.azure.com/openai/v1/chat/completions",
        "https://lab.cognitiveservices.azure.com/openai/v1/embeddings",
        "https://lab.services.ai.azure.com/openai/v1/responses",
    ),
    look_alikes=(
        "https://openai.azure.com/openai/v1/chat/completions",
        "https://lab.openai.azure.com.evil.example/openai/v1/chat/completions",
        "https://labopenai.azure.com/openai/v1/chat/completions",
    ),
    example_urls={"azure": "https://lab.openai.azure.com"},
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(557, 33)),
        ANSWERED_EMBEDDINGS,
        ANSWERED_RESPONSES,
    ),
    refusals=(
        refused(400, error("content_filter", FILTERED), CONTENT_FILTER),
        refused(
            400,
            {"error": {"message": FILTERED, "code": "400", "innererror": RESPONSIBLE}},
            CONTENT_FILTER,
        ),
        refused(400, {"error": {"message": "no", "inner_error": RESPONSIBLE}}, CONTENT_FILTER),
        refused(
            400, {"code": "content_filter", "message": FILTERED, "status": 400}, CONTENT_FILTER
        ),
        refused(400, {"message": FILTERED, "innererror": RESPONSIBLE}, CONTENT_FILTER),
        refused(400, error("BadRequest", "Unrecognized request argument"), Kind.BAD_REQUEST),
        refused(401, error("401", "Access denied due to invalid subscription key"), Kind.AUTH),
        refused(401, {"statusCode": 401, "message": "Unauthorized"}, Kind.AUTH),
        refused(403, error("403", "Access denied due to Virtual Network rules"), Kind.AUTH),
        refused(404, error("DeploymentNotFound"), Kind.MODEL_CONFIG),
        refused(404, error("404", "Resource not found"), Kind.MODEL_CONFIG),
        refused(429, error("429", RATE), RATE_LIMIT, wait=7.0, limit=Limit.TOKENS),
        refused(429, error("RateLimitReached", RATE), RATE_LIMIT, wait=7.0, limit=Limit.TOKENS),
        refused(
            429,
            error("429", RATE),
            RATE_LIMIT,
            headers={"retry-after-ms": "250"},
            wait=0.25,
            limit=Limit.TOKENS,
        ),
        refused(429, error("429", "Please retry after 86400 seconds."), RATE_LIMIT, wait=86_400.0),
        refused(429, error("429", "The system is currently experiencing high demand"), RATE_LIMIT),
        refused(429, error("429", "Temporary reduction of your limit"), RATE_LIMIT),
        refused(429, error("429", "max_tokens is larger than the limit leaves"), RATE_LIMIT),
        refused(
            429,
            error("insufficient_quota", OUT_OF_MONEY),
            RATE_LIMIT,
        ),
        refused(429, {"statusCode": 429, "message": "Rate limit is exceeded."}, RATE_LIMIT),
        refused(429, AGAIN_IN_30, RATE_LIMIT, wait=30.0),
        refused(500, error("InternalServerError"), Kind.TRANSIENT),
        refused(503, error("503"), Kind.TRANSIENT),
        refused(200, answer("content_filter"), CONTENT_FILTER),
    ),
)
