"""DeepInfra: https://deepinfra.com/docs"""

from request_engine.records import Kind, Usage
from services import Answered, Service, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS

TEXT = (
    '{"request_id": "R7", "inference_status": {"status": "succeeded", "runtime_ms": 243, '
    '"cost": 2.436e-05, "tokens_generated": 16, "tokens_input": 14}, "results": '
    '[{"generated_text": "Hi there"}], "num_tokens": 16, "num_input_tokens": 14, "x": 1.10, '
    '"y": 12345678901234567890}'
)
EMBEDDINGS = (
    '{"embeddings": [[0.1, 1.10], [2, 3]], "input_tokens": 42, "request_id": null, '
    '"inference_status": {"status": "unknown"}, "y": 12345678901234567890}'
)
MISSING = {"detail": [{"loc": ["body", "input"], "msg": "field required"}]}

SERVICE = Service(
    urls=(
        "https://api.deepinfra.com/v1/openai/chat/completions",
        "https://api.deepinfra.com/v1/inference/meta-llama/Meta-Llama-3-8B-Instruct",
    ),
    look_alikes=("https://api.deepinfra.com.evil.example/v1/openai/chat/completions",),
    example_urls={
        "deepinfra_native": "https://api.deepinfra.com/v1/inference/meta-llama/Meta-Llama-3-8B"
    },
    answers=(
        ANSWERED_CHAT,
        ANSWERED_EMBEDDINGS,
        Answered(what="native text", text=TEXT, usage=Usage(14, 16)),
        Answered(what="native embeddings", text=EMBEDDINGS, usage=Usage(42, 0)),
    ),
    refusals=(
        refused(401, {"detail": "Not authenticated"}, Kind.AUTH),
        refused(402, {"error": "inference prohibited, please add a payment method"}, Kind.QUOTA),
        refused(403, {"error": "not allowed"}, Kind.AUTH),
        refused(404, {"error": "model not found"}, Kind.MODEL_CONFIG),
        refused(422, MISSING, Kind.BAD_REQUEST),
        refused(423, {"error": "locked"}, Kind.BAD_REQUEST),
        refused(429, {"error": "Rate limited"}, Kind.RATE_LIMIT),
        refused(429, {"detail": {"error": "Model busy, retry later"}}, Kind.RATE_LIMIT),
        refused(429, {"error": {"message": "Model busy, retry later"}}, Kind.RATE_LIMIT),
        refused(500, {"error": {"message": "inference exception"}}, Kind.TRANSIENT),
        refused(500, {"detail": "inference exception"}, Kind.TRANSIENT),
    ),
)
