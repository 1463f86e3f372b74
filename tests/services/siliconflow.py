"""SiliconFlow: https://docs.siliconflow.cn/cn/userguide/rate-limits/rate-limit-and-upgradation"""

from request_engine.records import Kind, Limit
from services import Service, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS


def flat(code: object, message: str = "no") -> dict:
    return {"code": code, "message": message, "data": None}


def reached(what: str) -> dict:
    return flat(None, f"Request was rejected due to rate limiting. Details: {what} limit reached.")


POOR = "Sorry, your account balance is insufficient"

SERVICE = Service(
    urls=(
        "https://api.siliconflow.cn/v1/chat/completions",
        "https://api.siliconflow.com/v1/chat/completions",
        "https://api.siliconflow.cn/v1/embeddings",
    ),
    look_alikes=(
        "https://api.siliconflow.cn.evil.example/v1/chat/completions",
        "https://siliconflow.cn/v1/chat/completions",
    ),
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        refused(400, flat(20015, "The parameter is invalid"), Kind.BAD_REQUEST),
        refused(400, flat(20012, "Model does not exist"), Kind.MODEL_CONFIG),
        refused(401, "Invalid token", Kind.AUTH),
        refused(401, b"Invalid token", Kind.AUTH),
        refused(402, flat(30001, POOR), Kind.QUOTA),
        refused(403, flat(30001, POOR), Kind.QUOTA),
        refused(403, flat(None, POOR), Kind.QUOTA),
        refused(403, flat(30001), Kind.QUOTA),
        refused(403, "账户余额为零", Kind.QUOTA),
        refused(403, flat(30003, "Model disabled"), Kind.MODEL_CONFIG),
        refused(403, flat(None, "Please verify your identity first"), Kind.AUTH),
        refused(404, b"404 page not found", Kind.MODEL_CONFIG),
        refused(429, reached("RPM"), Kind.RATE_LIMIT, limit=Limit.REQUESTS),
        refused(429, reached("TPM"), Kind.RATE_LIMIT, limit=Limit.TOKENS),
        refused(429, reached("RPM")["message"], Kind.RATE_LIMIT, limit=Limit.REQUESTS),
        refused(429, reached("RPD"), Kind.QUOTA),
        refused(429, reached("TPD"), Kind.QUOTA),
        refused(500, flat(50603), Kind.TRANSIENT),
        refused(503, flat(50505, "Model service overloaded. Try again later."), Kind.TRANSIENT),
        refused(504, "timeout", Kind.TRANSIENT),
    ),
)
