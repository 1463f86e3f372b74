"""What images cost on each model: https://platform.openai.com/docs/guides/images-vision

The guide's tables, with litellm's token_counter for what the guide no longer lists. Where
sources disagree (the patch budget of gpt-4.1-mini is 1,536 or 6,144) the larger number stands,
since it is for reserving. gpt-5.3 and the small gpt-5.4 models are taken to be as their siblings.
"""

from functools import lru_cache

from request_engine.image_tokens import PatchRule, Rule, TileRule

GPT_4O = TileRule(85, 170)
_REASONING = TileRule(75, 150)
_WITHIN_2048 = PatchRule(1.2, 6144, longest_side=2048)
_WITH_ORIGINAL = PatchRule(1.2, 2500, longest_side=2048, low_side=512, original_budget=10_000)

IMAGE_RULES: tuple[tuple[str, Rule], ...] = (
    ("gpt-4o", GPT_4O),
    ("gpt-4o-mini", TileRule(2833, 5667)),
    ("gpt-4.1", GPT_4O),
    ("gpt-4.1-mini", PatchRule(1.62, 6144, longest_side=2048)),
    ("gpt-4.1-nano", PatchRule(2.46, 1536)),
    ("gpt-4.5", GPT_4O),
    ("o1", _REASONING),
    ("o3", _REASONING),
    ("o4-mini", PatchRule(1.72, 1536)),
    ("computer-use", TileRule(65, 129)),
    ("gpt-5", TileRule(70, 140)),
    ("gpt-5-mini", PatchRule(1.62, 1536)),
    ("gpt-5-nano", PatchRule(2.46, 1536)),
    ("gpt-5.2", _WITHIN_2048),
    ("gpt-5.3", _WITHIN_2048),
    ("gpt-5.4", _WITH_ORIGINAL),
    ("gpt-5.4-mini", PatchRule(1.62, 1536)),
    ("gpt-5.4-nano", PatchRule(2.46, 1536)),
    ("gpt-5.5", _WITH_ORIGINAL),
    ("gpt-5.6", _WITH_ORIGINAL),
)
"""(model prefix, rule)."""


@lru_cache(maxsize=1_000)
def rule_for(model: str | None) -> Rule:
    """The rule of the longest prefix that fits; gpt-4o's for every other model."""
    name = (model or "").lower().rpartition("/")[2].removeprefix("ft:")
    fitting = [(len(prefix), rule) for prefix, rule in IMAGE_RULES if name.startswith(prefix)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else GPT_4O
