"""Volcengine Ark: https://www.volcengine.com/docs/82379/1299023"""

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, answer, error, refused
from services.openai import ANSWERED_EMBEDDINGS

CHAT = (
    '{"choices": [{"finish_reason": "stop", "index": 0, "logprobs": null, "message": {"content": '
    '"Hi", "role": "assistant"}}], "created": 12345678901234567890, "id": "0217", "model": '
    '"doubao-1-5-pro-32k-250115", "service_tier": "default", "object": "chat.completion", "x": '
    '1.10, "usage": {"completion_tokens": 9, "prompt_tokens": 19, "total_tokens": 28, '
    '"prompt_tokens_details": {"cached_tokens": 0}}}'
)
MULTIMODAL = (
    '{"created": 12345678901234567890, "data": {"embedding": [-0.0, 1.10], "object": "embedding"}, '
    '"id": "0217", "model": "doubao-embedding-vision", "object": "list", '
    '"usage": {"prompt_tokens": 26, "total_tokens": 26}}'
)
RISKY = ("InputText", "InputImage", "OutputText", "OutputImage")
TPM = "The Tokens Per Minute (TPM) limit of the associated endpoint for your account is exceeded."


def limited(code: str, limit: Limit | None = None):
    return refused(429, error(code, kind="TooManyRequests"), Kind.RATE_LIMIT, limit=limit)


def rows(status: int, kind: Kind, *codes: str):
    return [refused(status, error(code), kind) for code in codes]


SERVICE = Service(
    urls=(
        "https://ark.cn-beijing.volces.com/api/v3/chat/completions",
        "https://ark.cn-beijing.volces.com/api/v3/batch/chat/completions",
        "https://ark.cn-beijing.volces.com/api/coding/v3/chat/completions",
        "https://ark.ap-southeast.bytepluses.com/api/v3/embeddings/multimodal",
    ),
    look_alikes=(
        "https://ark.cn-beijing.volces.com.evil.example/api/v3/chat/completions",
        "https://bucket.tos-cn-beijing.volces.com/api/v3/chat/completions",
    ),
    answers=(
        Answered(what="chat", text=CHAT, usage=Usage(19, 9)),
        Answered(what="multimodal embedding", text=MULTIMODAL, usage=Usage(26, 0)),
        ANSWERED_EMBEDDINGS,
    ),
    example_urls={
        "volcengine_multimodal_embeddings": (
            "https://ark.cn-beijing.volces.com/api/v3/embeddings/multimodal"
        )
    },
    refusals=(
        *rows(400, Kind.BAD_REQUEST, "MissingParameter", "InvalidParameter"),
        *rows(400, Kind.MODEL_CONFIG, "InvalidEndpoint.ClosedEndpoint"),
        *rows(
            400,
            Kind.CONTENT_FILTER,
            *(
                one + word
                for one in RISKY
                for word in ("RiskDetection", "SensitiveContentDetected")
            ),
            "SensitiveContentDetected",
            "SensitiveContentDetected.SevereViolation",
            "SensitiveContentDetected.Violence",
        ),
        *rows(401, Kind.AUTH, "AuthenticationError"),
        *rows(403, Kind.AUTH, "AccessDenied"),
        *rows(403, Kind.QUOTA, "AccountOverdueError", "OperationDenied.ServiceOverdue"),
        *rows(
            404,
            Kind.MODEL_CONFIG,
            "InvalidEndpoint.NotFound",
            "InvalidEndpointOrModel.NotFound",
            "InvalidEndpointOrModel.ModelIDAccessDisabled",
            "ModelNotOpen",
        ),
        *rows(429, Kind.QUOTA, "SetLimitExceeded", "QuotaExceeded"),
        limited("RateLimitExceeded.EndpointRPMExceeded", Limit.REQUESTS),
        limited("RateLimitExceeded.EndpointTPMExceeded", Limit.TOKENS),
        limited("RateLimitExceeded.FoundationModelRPMExceeded", Limit.REQUESTS),
        limited("RateLimitExceeded.FoundationModelTPMExceeded", Limit.TOKENS),
        limited("ModelAccountRpmRateLimitExceeded", Limit.REQUESTS),
        limited("ModelAccountTpmRateLimitExceeded", Limit.TOKENS),
        limited("ModelAccountIpmRateLimitExceeded"),
        limited("APIAccountRpmRateLimitExceeded", Limit.REQUESTS),
        limited("AccountRateLimitExceeded"),
        limited("InflightBatchsizeExceeded", Limit.CONCURRENCY),
        limited("RequestBurstTooFast", Limit.GROWTH),
        limited("ServerOverloaded"),
        refused(429, error(None, TPM), Kind.RATE_LIMIT, limit=Limit.TOKENS),
        *rows(500, Kind.TRANSIENT, "InternalServiceError"),
        refused(200, answer("content_filter", ""), Kind.CONTENT_FILTER),
        refused(
            200,
            b'data: {"error": {"code": "InternalServiceError", "message": "no"}}\n\n',
            Kind.TRANSIENT,
            headers=STREAM,
        ),
    ),
)
