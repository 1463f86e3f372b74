"""What the service of own_provider.py is known to answer; read by the exam only."""

from services import Answered, Refused, Service, error

from request_engine.records import Kind, Limit, Usage

CHAT = (
    '{"id": "1", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": '
    '"assistant", "content": "Hi!"}}], "x": 1.10, "y": 12345678901234567890, '
    '"usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}'
)

SERVICE = Service(
    urls=("https://api.example.com/v1/chat/completions",),
    look_alikes=("https://api.example.com.evil.example/v1/chat/completions",),
    answers=(Answered(what="chat", text=CHAT, usage=Usage(9, 3)),),
    refusals=(
        Refused(
            what="no money",
            status=403,
            body=error(None, "Your wallet is empty."),
            kind=Kind.QUOTA,
        ),
        Refused(
            what="too fast",
            status=429,
            body=error("rate_limit_exceeded", "60 requests per minute are allowed"),
            headers={"Retry-After": "7"},
            kind=Kind.RATE_LIMIT,
            wait=7.0,
            limit=Limit.REQUESTS,
        ),
    ),
)
