"""Z.ai, the same interface on another site: https://docs.z.ai/api-reference/api-code"""

from request_engine.records import Usage
from services import Answered, Service
from services.zhipu import CHAT, TABLE

SERVICE = Service(
    urls=(
        "https://api.z.ai/api/paas/v4/chat/completions",
        "https://api.z.ai/api/coding/paas/v4/chat/completions",
        "https://api.z.ai/api/anthropic/v1/messages",
    ),
    look_alikes=("https://api.z.ai.evil.example/api/paas/v4", "https://z.ai/api/paas/v4"),
    answers=(Answered(what="chat", text=CHAT, usage=Usage(10, 13)),),
    refusals=TABLE,
)
