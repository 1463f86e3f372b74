"""Zhipu: https://docs.bigmodel.cn/cn/api/api-code"""

from request_engine.records import Kind, Limit, Usage
from services import STREAM, Answered, Service, answer, error, refused
from services.openai import ANSWERED_EMBEDDINGS

CHAT = (
    '{"choices": [{"finish_reason": "stop", "index": 0, "message": {"content": "\u4f60\u597d", '
    '"reasoning_content": "...", "role": "assistant"}}], "created": 12345678901234567890, '
    '"id": "20250713", "model": "glm-4.6", "request_id": "20250713", "x": 1.10, "usage": '
    '{"completion_tokens": 13, "prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}, '
    '"total_tokens": 23}}'
)
CONCURRENT = "您当前使用该API的并发数过高，请降低并发，或联系客服增加限额。"
FREQUENT = "您的账户已达到速率限制，请您控制请求频率"
CAPPED = "Usage limit reached for 5 hour. Your limit will reset at 2026-09-13 10:00:36"


def rows(status: int, kind: Kind, *codes: str):
    return [refused(status, error(code), kind) for code in codes]


TABLE = (
    *rows(401, Kind.AUTH, "1000", "1001", "1002", "1003", "1004", "1005"),
    *rows(429, Kind.AUTH, "1110", "1111", "1112", "1120", "1121"),
    refused(429, error("1113"), Kind.QUOTA),
    refused(429, error("1113", "您的账户已欠费，请充值后重试"), Kind.QUOTA),
    refused(429, error("1113", "Insufficient balance or no resource package."), Kind.QUOTA),
    *rows(500, Kind.TRANSIENT, "500", "1200", "1230", "1234"),
    *rows(400, Kind.BAD_REQUEST, "1210", "1212", "1213", "1214", "1215", "1261"),
    *rows(400, Kind.MODEL_CONFIG, "1211", "1221", "1222"),
    refused(403, error("1220", "You do not have permission to access it"), Kind.AUTH),
    refused(
        400, error("1301", "系统检测到输入或生成内容可能包含不安全或敏感内容"), Kind.CONTENT_FILTER
    ),
    refused(429, error("1302", CONCURRENT), Kind.RATE_LIMIT, limit=Limit.CONCURRENCY),
    refused(429, error("1302", FREQUENT), Kind.RATE_LIMIT, limit=Limit.CONCURRENCY),
    refused(429, error("1303"), Kind.RATE_LIMIT, limit=Limit.REQUESTS),
    refused(429, error("1303", "频率过高"), Kind.RATE_LIMIT, limit=Limit.REQUESTS),
    refused(429, error("1304", "已达到今日调用次数限额"), Kind.QUOTA),
    refused(429, error("1305", "该模型当前访问量过大，请您稍后再试"), Kind.TRANSIENT, wait=30.0),
    refused(429, error("1312", "overloaded"), Kind.TRANSIENT, wait=30.0),
    refused(429, error("1305"), Kind.TRANSIENT, headers={"Retry-After": "9"}, wait=9.0),
    refused(200, error("1305", "The service may be overloaded"), Kind.TRANSIENT, wait=30.0),
    refused(429, error("1308", CAPPED), Kind.QUOTA),
    *rows(429, Kind.QUOTA, "1309", "1310", "1313", "1315"),
    *rows(429, Kind.MODEL_CONFIG, "1311"),
    refused(429, {"type": "error", "error": {"type": "1308", "message": CAPPED}}, Kind.QUOTA),
)

SERVICE = Service(
    urls=(
        "https://open.bigmodel.cn/api/paas/v4/chat/completions",
        "https://open.bigmodel.cn/api/coding/paas/v4/chat/completions",
        "https://open.bigmodel.cn/api/paas/v4/embeddings",
    ),
    look_alikes=(
        "https://open.bigmodel.cn.evil.example/api/paas/v4/chat/completions",
        "https://bigmodel.cn/api/paas/v4/chat/completions",
    ),
    answers=(Answered(what="chat", text=CHAT, usage=Usage(10, 13)), ANSWERED_EMBEDDINGS),
    refusals=(
        *TABLE,
        refused(200, answer("sensitive", ""), Kind.CONTENT_FILTER),
        refused(200, answer("network_error", "par"), Kind.TRANSIENT),
        refused(
            200,
            b'data: {"error": {"code": "1302", "message": "no"}}\n\n',
            Kind.RATE_LIMIT,
            headers=STREAM,
            limit=Limit.CONCURRENCY,
        ),
    ),
)
