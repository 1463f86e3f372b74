"""The services, in order of choice; the last one takes every URL that no other claims.

To add one: write its file here (`deepseek.py` is the pattern for a compatible service), put an
instance into PROVIDERS, and add `examples/<name>.jsonl`. Every entry then sits the exam in
`tests/test_every_provider.py`.
"""

from request_engine.provider import Provider

from .aliyun import Aliyun
from .any_other import AnyOther
from .azure import Azure
from .deepinfra import DeepInfra
from .deepseek import DeepSeek
from .lab_gateway import LabGateway
from .openai import OpenAI

PROVIDERS: tuple[Provider, ...] = (
    OpenAI(),
    Azure(),
    Aliyun(),
    DeepInfra(),
    DeepSeek(),
    LabGateway(),
    AnyOther(),
)
