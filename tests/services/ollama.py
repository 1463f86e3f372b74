"""Ollama: https://docs.ollama.com/api"""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, error, refused
from services.openai import ANSWERED_CHAT, ANSWERED_EMBEDDINGS

CHAT = (
    '{"model": "llama3.2", "created_at": "2023-12-12T14:13:43.416799Z", "message": {"role": '
    '"assistant", "content": "Hello!"}, "done": true, "done_reason": "stop", "x": 1.10, '
    '"total_duration": 12345678901234567890, "prompt_eval_count": 26, "eval_count": 298}'
)
GENERATE = (
    '{"model": "llama3.2", "response": "Because", "done": true, "done_reason": "length", '
    '"context": [1, 2, 3], "prompt_eval_count": 26, "eval_count": 290, "x": 1.10}'
)
CACHED = '{"message": {"role": "assistant", "content": ""}, "done": true, "eval_count": 3}'
EMBED = (
    '{"model": "all-minilm", "embeddings": [[0.010071, -0.0, 1.10]], "total_duration": 14143917, '
    '"prompt_eval_count": 8}'
)
OLDER_EMBED = '{"embedding": [0.5670403838157654, 1.10, -0.0]}'
BUSY = "server busy, please try again.  maximum pending requests exceeded"
TOO_LONG = "the input length exceeds the context length"
NO_MODEL = 'model "m" not found, try pulling it first'

SERVICE = Service(
    example_urls={
        "ollama_native": "http://localhost:11434/api/chat",
        "ollama_native_generate": "http://localhost:11434/api/generate",
        "ollama_native_embeddings": "http://localhost:11434/api/embed",
    },
    answers=(
        ANSWERED_CHAT,
        ANSWERED_EMBEDDINGS,
        Answered(what="native chat", text=CHAT, usage=Usage(26, 298)),
        Answered(what="native generate", text=GENERATE, usage=Usage(26, 290)),
        Answered(what="native chat with a cached prompt", text=CACHED, usage=Usage(0, 3)),
        Answered(what="native embed", text=EMBED, usage=Usage(8, 0)),
        Answered(what="older native embeddings", text=OLDER_EMBED, usage=None),
    ),
    refusals=(
        refused(400, {"error": "invalid options: temperature"}, Kind.BAD_REQUEST),
        refused(400, {"error": TOO_LONG}, Kind.BAD_REQUEST),
        refused(500, {"error": TOO_LONG}, Kind.BAD_REQUEST),
        refused(401, {"error": "unauthorized"}, Kind.AUTH),
        refused(404, {"error": NO_MODEL}, Kind.MODEL_CONFIG),
        refused(404, error(None, NO_MODEL, kind="not_found_error"), Kind.MODEL_CONFIG),
        refused(500, {"error": "llama runner process has terminated"}, Kind.TRANSIENT),
        refused(503, {"error": BUSY}, Kind.RATE_LIMIT, limit=Limit.CONCURRENCY),
        refused(503, error(None, BUSY), Kind.RATE_LIMIT, limit=Limit.CONCURRENCY),
        refused(200, {"error": "the model failed"}, Kind.BAD_ANSWER),
        refused(200, {"message": {"content": "He"}, "done": False}, Kind.BAD_ANSWER),
        refused(200, {"model": "m", "embeddings": []}, Kind.BAD_ANSWER),
    ),
)
