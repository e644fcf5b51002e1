"""Bedrock's token counts → the inclusive rule of CONTRACT §3. The only place where they are interpreted.

The provider's rule: `inputTokens` excludes what was read from and written to the cache; all three are input. The counts
of the cache have two names (`cacheReadInputTokens`, and with `Count` behind it); `cacheDetails` says how long what was
written lives.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import Usage
from lunaroute.dialects.loose import as_dict, as_int, as_list
from lunaroute.dialects.openai_usage import first_count


def usage_of(raw: Any) -> Usage | None:
    """Usage out of a `usage` object; None where there is none."""
    if not isinstance(raw, dict) or not raw:
        return None
    uncached = as_int(raw.get("inputTokens"))
    cache_read = first_count((raw, "cacheReadInputTokens"), (raw, "cacheReadInputTokenCount"))
    cache_write = first_count((raw, "cacheWriteInputTokens"), (raw, "cacheWriteInputTokenCount"))
    return Usage(
        input_tokens=None if uncached is None else uncached + (cache_read or 0) + (cache_write or 0),
        output_tokens=as_int(raw.get("outputTokens")),
        cache_read_tokens=cache_read,
        cache_creation_tokens=cache_write,
        cache_creation_5m_tokens=_written(raw, "5m"),
        cache_creation_1h_tokens=_written(raw, "1h"),
        raw=raw,
    )


def _written(raw: dict[str, Any], life: str) -> int | None:
    counts = [
        as_int(as_dict(detail).get("inputTokens"))
        for detail in as_list(raw.get("cacheDetails"))
        if as_dict(detail).get("ttl") == life
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
