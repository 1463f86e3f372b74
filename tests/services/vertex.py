"""Google Cloud's Agent Platform: https://docs.cloud.google.com/vertex-ai/generative-ai/docs."""

from request_engine.records import Kind, Limit, Usage
from services import Answered, Service, refused
from services.google import ANSWERS, NATIVE, SHARED, said

EXHAUSTED = (
    "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."
)
PREDICTED = (
    '{"predictions": [{"embeddings": {"values": [1.10, -0.0], "statistics": {"truncated": false, '
    '"token_count": 7}}}, {"embeddings": {"statistics": {"token_count": 5}}}], '
    '"x": 12345678901234567890}'
)
PROJECT = "https://aiplatform.googleapis.com/v1/projects/lab/locations/global"

SERVICE = Service(
    urls=(
        PROJECT,
        f"{PROJECT}/endpoints/openapi/chat/completions",
        f"{PROJECT}/publishers/google/models/gemini-2.5-flash:generateContent",
        "https://us-central1-aiplatform.googleapis.com/v1/projects/lab/locations/us-central1",
    ),
    look_alikes=(
        "https://us-central1-aiplatform.googleapis.com.evil.example/v1/projects/lab",
        "https://evilaiplatform.googleapis.com/v1/projects/lab/locations/global",
        "https://evil.example/aiplatform.googleapis.com/v1/projects/lab",
    ),
    example_urls={"vertex": PROJECT, "vertex_native": PROJECT, "vertex_embeddings": PROJECT},
    answers=(*ANSWERS, Answered(what="predictions", text=PREDICTED, usage=Usage(12))),
    refusals=(
        *SHARED,
        *NATIVE,
        refused(429, said(429, "RESOURCE_EXHAUSTED", EXHAUSTED), Kind.RATE_LIMIT),
        refused(
            429,
            said(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for aiplatform.googleapis.com/"
                "generate_content_requests_per_minute_per_project_per_base_model",
            ),
            Kind.RATE_LIMIT,
            limit=Limit.REQUESTS,
        ),
    ),
)
