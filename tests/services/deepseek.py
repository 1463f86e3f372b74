"""DeepSeek: https://api-docs.deepseek.com/quick_start/error_codes"""

from request_engine.records import Kind, Usage
from services import Answered, Refused, Service, error

CHAT = (
    '{"id": "930c60df", "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": '
    '"Hello!", "reasoning_content": "...", "role": "assistant"}}], "x": 1.10, '
    '"y": 12345678901234567890, "usage": {"completion_tokens": 30, "prompt_tokens": 16, '
    '"total_tokens": 46, "prompt_cache_hit_tokens": 10, "prompt_cache_miss_tokens": 6}}'
)
CUT_SHORT = {
    "choices": [{"message": {"content": "o"}, "finish_reason": "insufficient_system_resource"}]
}

SERVICE = Service(
    urls=(
        "https://api.deepseek.com/chat/completions",
        "https://api.deepseek.com/v1/chat/completions",
        "https://api.deepseek.com/beta/completions",
    ),
    look_alikes=(
        "https://evil.example/api.deepseek.com/chat/completions",
        "https://api-deepseek.com/chat/completions",
    ),
    answers=(Answered(what="chat", text=CHAT, usage=Usage(16, 30)),),
    refusals=(
        Refused(what="format", status=400, body=error(), kind=Kind.BAD_REQUEST),
        Refused(what="key", status=401, body=error(), kind=Kind.AUTH),
        Refused(
            what="no money", status=402, body=error(None, "Insufficient Balance"), kind=Kind.QUOTA
        ),
        Refused(what="too many in flight", status=429, body=error(), kind=Kind.RATE_LIMIT),
        Refused(what="out of resources", status=200, body=CUT_SHORT, kind=Kind.TRANSIENT),
    ),
)
