"""Infinigence GenStudio: https://docs.infini-ai.com/gen-studio/api/maas.html"""

from request_engine.records import Kind

from .openai_compatible import OpenAICompatible


class Infinigence(OpenAICompatible):
    """Not confirmed: its error codes, limits, headers and embeddings cap.

    So the shared tables judge, and any word of the account's balance counts as being out of money.
    """

    name = "infinigence"
    aliases = ("infini", "genstudio")
    hosts = ("cloud.infini-ai.com",)
    key_variables = ("INFINI_API_KEY", "GENSTUDIO_API_KEY")
    base_url = "https://cloud.infini-ai.com/maas/v1"
    phrases = (("余额", Kind.QUOTA), ("balance", Kind.QUOTA))
