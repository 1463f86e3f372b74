"""one-api: middleware and relay of https://github.com/songquanpeng/one-api"""

from request_engine.records import Kind
from services import Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS
from services.openai_compatible import ONE_API, ZHIPU_AND_VOLCENGINE

SERVICE = Service(
    answers=(ANSWERED_CHAT, ANSWERED_EMBEDDINGS),
    refusals=(
        *ONE_API,
        *ZHIPU_AND_VOLCENGINE,
        refused(400, error("invalid_request_error", kind="one_api_error"), Kind.BAD_REQUEST),
        refused(401, error("invalid_api_key", kind="upstream_error"), Kind.AUTH),
    ),
)
