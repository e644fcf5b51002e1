"""Gemini's token counts → the inclusive rule of CONTRACT §3. The only place where they are interpreted.

The provider's rule: `promptTokenCount` includes `cachedContentTokenCount`; what tools put into the prompt
(`toolUsePromptTokenCount`) comes on top. `candidatesTokenCount` excludes `thoughtsTokenCount`; both are output.
`totalTokenCount` is the sum of all four. A count of zero is left out, so where the answer's is missing the total tells
it. In a stream the object is cumulative and the last one counts, even where a count of it is smaller than before.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import Billing, Usage
from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text

_AUDIO = ("AUDIO", 4)
_IMAGE = ("IMAGE", 2)
"""Vertex AI's Python client sends the names of modalities as numbers."""


def usage_of(raw: Any) -> Usage | None:
    """Usage out of a `usageMetadata` object; None where it counts nothing."""
    if not isinstance(raw, dict) or not raw:
        return None
    prompt, tool_prompt = as_int(raw.get("promptTokenCount")), as_int(raw.get("toolUsePromptTokenCount"))
    thoughts = as_int(raw.get("thoughtsTokenCount"))
    total = as_int(raw.get("totalTokenCount"))
    input_tokens = None if prompt is None and tool_prompt is None else (prompt or 0) + (tool_prompt or 0)
    answer = as_int(raw.get("candidatesTokenCount"))
    output_tokens = None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
    if answer is None and total is not None and input_tokens is not None and total >= input_tokens:
        output_tokens = total - input_tokens
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=thoughts,
        cache_read_tokens=as_int(raw.get("cachedContentTokenCount")),
        audio_input_tokens=_of_modality(raw.get("promptTokensDetails"), _AUDIO),
        audio_output_tokens=_of_modality(raw.get("candidatesTokensDetails"), _AUDIO),
        raw=raw,
    )


def billing_of(raw: Any, web_searches: int) -> Billing:
    fields = as_dict(raw)
    return Billing(
        service_tier=_service_tier(fields),
        web_searches=web_searches,
        image_input_tokens=_of_modality(fields.get("promptTokensDetails"), _IMAGE) or 0,
        image_output_tokens=_of_modality(fields.get("candidatesTokensDetails"), _IMAGE) or 0,
    )


def _service_tier(fields: dict[str, Any]) -> str | None:
    """`serviceTier` of the Gemini API, or `trafficType` of Vertex AI (`ON_DEMAND_FLEX`), in lower case."""
    tier = as_text(fields.get("serviceTier"))
    if tier is None:
        traffic = as_text(fields.get("trafficType")) or ""
        tier = traffic.removeprefix("ON_DEMAND_") if traffic.startswith("ON_DEMAND_") else None
    return None if tier is None else tier.lower()


def _of_modality(details: Any, names: tuple[str, int]) -> int | None:
    """The count of one modality; None where the provider states none."""
    counts = [
        as_int(as_dict(one).get("tokenCount")) for one in as_list(details) if as_dict(one).get("modality") in names
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
