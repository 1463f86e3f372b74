"""A provider of the program's own: the one import works however the engine is installed."""

from api_request_parallel_processor import OpenAICompatible


class OwnCloud(OpenAICompatible):
    name = "own_cloud"
