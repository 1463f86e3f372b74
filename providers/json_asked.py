"""How the dialect's services are asked for JSON, for each to choose from (`json_forms`).

What only some models of a service take gets the older `json_object`, which all of them do.
"""

from request_engine.json_forms import (
    STRICT,
    JsonForm,
    json_object,
    response_format,
    text_format,
)
from request_engine.turns import RESPONSES_TURNS

from .openai_compatible import CHAT, RESPONSES, OpenAICompatible

IN_PROMPT = OpenAICompatible.json_forms
JSON_OBJECT = {**IN_PROMPT, CHAT: JsonForm(place=json_object)}
BY_SCHEMA = {**IN_PROMPT, CHAT: JsonForm(place=response_format)}
"""A grammar that the model is bound by, and does not see."""
STRICTLY = {**IN_PROMPT, CHAT: JsonForm(place=response_format, subset=STRICT, loosely=True)}
UNTOLD = {
    **IN_PROMPT,
    CHAT: JsonForm(place=response_format, subset=STRICT, loosely=True, told=False),
    RESPONSES: JsonForm(
        turns=RESPONSES_TURNS, place=text_format, subset=STRICT, loosely=True, told=False
    ),
}
"""The service shows the schema to the model itself."""
