"""Responses token counts → the inclusive rule of CONTRACT §3. The only place where they are interpreted.

The provider's rule: `input_tokens` includes `input_tokens_details.cached_tokens`, `output_tokens` includes
`output_tokens_details.reasoning_tokens`; deviations of compatible providers are told by `total_tokens`.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import Usage
from lunaroute.dialects.loose import as_int
from lunaroute.dialects.openai_usage import first_count, with_outside_parts


def usage_of(raw: Any, input_details: Any = None) -> Usage | None:
    """Usage out of a `usage` object; None where there is none. `input_details` where they stand under another name."""
    if not isinstance(raw, dict) or not raw:
        return None
    details, output_details = input_details or raw.get("input_tokens_details"), raw.get("output_tokens_details")
    thinking = first_count((output_details, "reasoning_tokens"), (raw, "reasoning_tokens"))
    audio_input = first_count((details, "audio_tokens"))
    input_tokens, output_tokens = with_outside_parts(
        as_int(raw.get("input_tokens")),
        as_int(raw.get("output_tokens")),
        thinking,
        audio_input,
        as_int(raw.get("total_tokens")),
    )
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=thinking,
        cache_read_tokens=first_count((details, "cached_tokens"), (raw, "cached_tokens")),
        cache_creation_tokens=first_count((details, "cache_write_tokens")),
        audio_input_tokens=audio_input,
        audio_output_tokens=first_count((output_details, "audio_tokens")),
        raw=raw,
    )
