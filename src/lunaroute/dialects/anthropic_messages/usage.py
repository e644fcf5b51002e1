"""Anthropic's token counts → the inclusive rule of CONTRACT §3. The only place where they are summed.

The provider's rule: `input_tokens` excludes what was read from and written to the cache; all three are input.
`output_tokens` includes thinking; `output_tokens_details.thinking_tokens` says how much of it, and is often absent,
which means unknown. In a stream, `message_delta.usage` is cumulative and overrides `message_start`'s field by field.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import SideUsage, Usage
from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text

_SIDE_KINDS = ("compaction", "advisor_message")
"""Iterations that the top-level counts do not hold (WIRE B: `usage.iterations`)."""


def usage_of(raw: Any) -> Usage | None:
    """Usage out of a `usage` object; None where there is none."""
    if not isinstance(raw, dict):
        return None
    cache_read = as_int(raw.get("cache_read_input_tokens"))
    by_lifetime = as_dict(raw.get("cache_creation"))
    write_5m = as_int(by_lifetime.get("ephemeral_5m_input_tokens"))
    write_1h = as_int(by_lifetime.get("ephemeral_1h_input_tokens"))
    cache_creation = as_int(raw.get("cache_creation_input_tokens"))
    if cache_creation is None and (write_5m is not None or write_1h is not None):
        cache_creation = (write_5m or 0) + (write_1h or 0)
    return Usage(
        input_tokens=_inclusive(as_int(raw.get("input_tokens")), cache_read, cache_creation),
        output_tokens=as_int(raw.get("output_tokens")),
        thinking_tokens=as_int(as_dict(raw.get("output_tokens_details")).get("thinking_tokens")),
        cache_read_tokens=cache_read,
        cache_creation_tokens=cache_creation,
        cache_creation_5m_tokens=write_5m,
        cache_creation_1h_tokens=write_1h,
        side_usages=_side_usages(raw),
        raw=raw,
    )


def merge_usage(into: dict[str, Any], update: Any) -> None:
    """Apply a later, cumulative usage object; fields it leaves out or sets to null keep their value."""
    for key, value in as_dict(update).items():
        if value is not None or key not in into:
            into[key] = value


def _inclusive(uncached: int | None, cache_read: int | None, cache_creation: int | None) -> int | None:
    if uncached is None:
        return None
    return uncached + (cache_read or 0) + (cache_creation or 0)


def _side_usages(raw: dict[str, Any]) -> list[SideUsage]:
    found = []
    for iteration in as_list(raw.get("iterations")):
        fields = as_dict(iteration)
        if fields.get("type") not in _SIDE_KINDS:
            continue
        cache_read = as_int(fields.get("cache_read_input_tokens"))
        cache_creation = as_int(fields.get("cache_creation_input_tokens"))
        side = SideUsage(
            kind=fields["type"],
            model=as_text(fields.get("model")),
            input_tokens=_inclusive(as_int(fields.get("input_tokens")), cache_read, cache_creation),
            output_tokens=as_int(fields.get("output_tokens")),
            cache_read_tokens=cache_read,
            cache_creation_tokens=cache_creation,
        )
        found.append(side)
    return found
