"""Chat Completions token counts → the inclusive rule of CONTRACT §3. The only place where they are interpreted.

The provider's rule: `prompt_tokens` includes `prompt_tokens_details.cached_tokens`, `completion_tokens` includes
`completion_tokens_details.reasoning_tokens`. Compatible providers state the same under other names (WIRE B): cached
tokens at top level (Together, Moonshot), as `prompt_cache_hit_tokens` (DeepSeek), `num_cached_tokens` (Mistral) or
`cache_read_input_tokens` (Vercel gateway); reasoning tokens at top level (Copilot); Groq the whole object as
`x_groq.usage`, Moonshot in the choice. In a stream the usage is cumulative: the last one counts, never the sum.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import Usage
from lunaroute.dialects.loose import as_dict, as_int, as_list
from lunaroute.dialects.openai_usage import first_count, with_outside_parts


def find_usage(body: dict[str, Any]) -> dict[str, Any] | None:
    """The usage object of a completion, or of one chunk of a stream, wherever the provider puts it."""
    places = [body.get("usage"), as_dict(body.get("x_groq")).get("usage")]
    places += [as_dict(choice).get("usage") for choice in as_list(body.get("choices"))]
    for usage in places:
        if isinstance(usage, dict) and usage:
            return usage
    return None


def usage_of(raw: dict[str, Any] | None) -> Usage | None:
    """Usage out of a usage object; None where there is none."""
    if raw is None:
        return None
    prompt, completion = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    lifetimes = raw.get("cache_creation")
    thinking = first_count((completion, "reasoning_tokens"), (raw, "reasoning_tokens"))
    audio_input = first_count((prompt, "audio_tokens"))
    input_tokens, output_tokens = with_outside_parts(
        as_int(raw.get("prompt_tokens")),
        as_int(raw.get("completion_tokens")),
        thinking,
        audio_input,
        as_int(raw.get("total_tokens")),
    )
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=thinking,
        cache_read_tokens=first_count(
            (prompt, "cached_tokens"),
            (raw, "cached_tokens"),
            (raw, "prompt_cache_hit_tokens"),
            (raw, "cache_read_input_tokens"),
            (raw, "num_cached_tokens"),
        ),
        cache_creation_tokens=first_count(
            (prompt, "cache_write_tokens"), (prompt, "cache_creation_tokens"), (raw, "cache_creation_input_tokens")
        ),
        cache_creation_5m_tokens=first_count((lifetimes, "ephemeral_5m_input_tokens")),
        cache_creation_1h_tokens=first_count((lifetimes, "ephemeral_1h_input_tokens")),
        audio_input_tokens=audio_input,
        audio_output_tokens=first_count((completion, "audio_tokens")),
        raw=raw,
    )
