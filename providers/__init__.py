"""The services, in order of choice; the last one takes every URL that no other claims.

To add one: write its file here (`deepseek.py` is the pattern for a compatible service), put an
instance into PROVIDERS, and add `examples/<name>.jsonl`. Every entry then sits the exam in
`tests/test_every_provider.py`.
"""

from request_engine.provider import Provider

from .aliyun import Aliyun
from .anthropic import Anthropic
from .any_other import AnyOther
from .azure import Azure
from .deepinfra import DeepInfra
from .deepseek import DeepSeek
from .fireworks import Fireworks
from .gateways import LiteLLM, NewApi, OneApi
from .google import Google, GoogleOpenAI
from .groq import Groq
from .infinigence import Infinigence
from .lab_gateway import LabGateway
from .local_servers import VLLM, LlamaCpp, LMStudio, SGLang
from .mistral import Mistral
from .moonshot import Moonshot
from .ollama import Ollama
from .openai import OpenAI
from .openrouter import OpenRouter
from .siliconflow import SiliconFlow
from .together import Together
from .vertex import Vertex
from .volcengine import Volcengine
from .xai import XAI
from .zhipu import Zai, Zhipu

PROVIDERS: tuple[Provider, ...] = (
    OpenAI(),
    Azure(),
    Aliyun(),
    DeepInfra(),
    DeepSeek(),
    Anthropic(),
    Google(),
    GoogleOpenAI(),
    Vertex(),
    Mistral(),
    Moonshot(),
    OpenRouter(),
    Groq(),
    Together(),
    Fireworks(),
    XAI(),
    Zhipu(),
    Zai(),
    SiliconFlow(),
    Volcengine(),
    Infinigence(),
    LabGateway(),
    VLLM(),
    SGLang(),
    LlamaCpp(),
    Ollama(),
    LMStudio(),
    LiteLLM(),
    OneApi(),
    NewApi(),
    AnyOther(),
)
