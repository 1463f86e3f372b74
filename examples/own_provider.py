"""A provider of your own, in a file of your own:

    --provider examples/own_provider.py:ExampleCloud

Beside it may stand own_provider.jsonl, requests for it, and own_provider_service.py, what the
service is known to answer; both are for the exam:

    sh run_tests.sh tests/test_every_provider.py --provider examples/own_provider.py:ExampleCloud
"""

from api_request_parallel_processor import OpenAICompatible
from request_engine.provider import Profile
from request_engine.records import Kind


class ExampleCloud(OpenAICompatible):
    """A compatible service that allows 32 requests in flight, and tells in words what is wrong."""

    name = "example_cloud"
    hosts = ("api.example.com",)
    key_variables = ("EXAMPLE_CLOUD_API_KEY",)
    base_url = "https://api.example.com/v1"
    profile = Profile(max_concurrent=32)
    phrases = (("wallet is empty", Kind.QUOTA),)
