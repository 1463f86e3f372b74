"""Aliyun Model Studio: https://help.aliyun.com/zh/model-studio/error-code"""

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS, OUT_OF_MONEY

RATE_LIMIT, TRANSIENT, BAD_REQUEST = Kind.RATE_LIMIT, Kind.TRANSIENT, Kind.BAD_REQUEST
AUTH, QUOTA, MODEL_CONFIG = Kind.AUTH, Kind.QUOTA, Kind.MODEL_CONFIG
CONTENT_FILTER = Kind.CONTENT_FILTER

TEXT = (
    '{"status_code": 200, "request_id": "c1", "code": "", "message": "", "output": {"text": null, '
    '"finish_reason": null, "choices": [{"finish_reason": "stop", "message": {"role": '
    '"assistant", "content": "\u4f60\u597d"}}]}, "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"input_tokens": 22, "output_tokens": 17, "total_tokens": 39}}'
)
PLAIN_TEXT = (
    '{"output": {"finish_reason": "stop", "text": "ok"}, "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"total_tokens": 39, "output_tokens": 17, "input_tokens": 22}, "request_id": "c2"}'
)
EMBEDDINGS = (
    '{"status_code": 200, "request_id": "c3", "code": "", "message": "", "output": {"embeddings": '
    '[{"embedding": [-0.0260, 1.10], "text_index": 0}]}, "usage": {"total_tokens": 26}, '
    '"y": 12345678901234567890}'
)
FREE = "Free allocated quota exceeded."


def native(code: str, message: str = "no", said: str = "message") -> dict:
    """An error of the native interface, which is flat."""
    return {"code": code, said: message, "request_id": "7a"}


def streamed(code: str, status: int) -> bytes:
    """The same as an event, whose real status stands in a comment."""
    data = f'{{"code":"{code}","message":"no","request_id":"7a"}}'
    return f"id:1\nevent:error\n:HTTP_STATUS/{status}\ndata:{data}\n\n".encode()


CODES = (
    # (status, code, kind, limit), in the native and in the compatible spelling
    (400, "InvalidParameter", BAD_REQUEST, None),
    (400, "DataInspectionFailed", CONTENT_FILTER, None),
    (400, "data_inspection_failed", CONTENT_FILTER, None),
    (400, "Arrearage", QUOTA, None),
    (401, "InvalidApiKey", AUTH, None),
    (401, "NOT AUTHORIZED", AUTH, None),
    (403, "Workspace.AccessDenied", AUTH, None),
    (403, "AccessDenied.Unpurchased", MODEL_CONFIG, None),
    (403, "Model.AccessDenied", MODEL_CONFIG, None),
    (403, "AllocationQuota.FreeTierOnly", QUOTA, None),
    (404, "ModelNotFound", MODEL_CONFIG, None),
    (404, "model_not_supported", MODEL_CONFIG, None),
    (429, "Throttling", RATE_LIMIT, None),
    (429, "Throttling.RateQuota", RATE_LIMIT, Limit.REQUESTS),
    (429, "LimitRequests", RATE_LIMIT, Limit.REQUESTS),
    (429, "limit_requests", RATE_LIMIT, Limit.REQUESTS),
    (429, "Throttling.BurstRate", RATE_LIMIT, Limit.GROWTH),
    (429, "limit_burst_rate", RATE_LIMIT, Limit.GROWTH),
    (429, "Throttling.AllocationQuota", RATE_LIMIT, Limit.TOKENS),
    (429, "insufficient_quota", RATE_LIMIT, Limit.TOKENS),
    (429, "CommodityNotPurchased", QUOTA, None),
    (429, "PrepaidBillOverdue", QUOTA, None),
    (429, "PostpaidBillOverdue", QUOTA, None),
    (500, "InternalError", TRANSIENT, None),
)

SERVICE = Service(
    urls=(
        "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/embeddings",
        "https://dashscope-us.aliyuncs.com/compatible-mode/v1/chat/completions",
        "https://coding.dashscope.aliyuncs.com/v1/chat/completions",
        "https://coding-intl.dashscope.aliyuncs.com/v1/chat/completions",
        "https://llm-a1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1/embeddings",
        "https://llm-a1.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1",
        "https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation",
        "https://dashscope.aliyuncs.com/api/v1/services/embeddings/text-embedding/text-embedding",
    ),
    look_alikes=(
        "https://dashscope.aliyuncs.com.evil.example/compatible-mode/v1/chat/completions",
        "https://evildashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        "https://maas.aliyuncs.com/compatible-mode/v1/chat/completions",
    ),
    answers=(
        ANSWERED_CHAT,
        ANSWERED_EMBEDDINGS,
        Answered(what="native text", text=TEXT, usage=Usage(22, 17)),
        Answered(what="native plain text", text=PLAIN_TEXT, usage=Usage(22, 17)),
        Answered(what="native embeddings", text=EMBEDDINGS, usage=Usage(26, 0)),
    ),
    refusals=(
        *(refused(status, native(code), kind, limit=limit) for status, code, kind, limit in CODES),
        *(
            refused(200, streamed(code, status), kind, limit=limit, headers=STREAM)
            for status, code, kind, limit in CODES
        ),
        refused(400, error("invalid_parameter_error", kind="invalid_request_error"), BAD_REQUEST),
        refused(400, native("BadRequest.EmptyInput"), BAD_REQUEST),
        refused(400, native("InvalidURL.Timeout"), BAD_REQUEST),
        refused(400, native("InvalidParameter.DataInspection"), BAD_REQUEST),
        refused(400, error("data_inspection_failed"), CONTENT_FILTER),
        refused(400, native("Arrearage", "Access denied, is your account ok?"), QUOTA),
        refused(400, native("Arrearage", said="msg"), QUOTA),
        refused(400, native("Arrearage", ""), QUOTA),
        refused(400, error("Arrearage", kind="Arrearage"), QUOTA),
        refused(401, error("invalid_api_key"), AUTH),
        refused(403, native("AccessDenied"), AUTH),
        refused(404, error("model_not_found"), MODEL_CONFIG),
        refused(404, error("model_not_supported"), MODEL_CONFIG),
        refused(
            429,
            error("limit_requests", "You exceeded your current requests list."),
            RATE_LIMIT,
            limit=Limit.REQUESTS,
        ),
        refused(429, error("limit_burst_rate"), RATE_LIMIT, limit=Limit.GROWTH),
        refused(
            429,
            error("insufficient_quota", OUT_OF_MONEY, kind="insufficient_quota"),
            RATE_LIMIT,
            limit=Limit.TOKENS,
        ),
        refused(429, native("Throttling.AllocationQuota", FREE), QUOTA),
        refused(429, error("insufficient_quota", FREE), QUOTA),
        refused(500, native("InternalError.Algo", "list index out of range"), TRANSIENT),
        refused(500, native("InternalError.Timeout"), TRANSIENT),
        refused(500, native("SystemError"), TRANSIENT),
        refused(500, native("ModelServiceFailed"), TRANSIENT),
        refused(500, native("RequestTimeOut"), TRANSIENT),
        refused(500, native("ModelServingError"), TRANSIENT),
        refused(503, native("ModelServingError"), TRANSIENT),
        refused(503, native("ModelUnavailable"), TRANSIENT),
        refused(200, native("DataInspectionFailed"), CONTENT_FILTER),
        refused(200, {"output": {"choices": []}, "usage": {"total_tokens": 3}}, Kind.BAD_ANSWER),
    ),
)
