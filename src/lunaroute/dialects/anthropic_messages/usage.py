"""Anthropic's token counts → the inclusive rule of CONTRACT §3. The only place where they are summed.

The provider's rule: `input_tokens` excludes what was read from and written to the cache; all three are input.
`output_tokens` includes thinking; `output_tokens_details.thinking_tokens` says how much of it, and is often absent,
which means unknown. In a stream, `message_delta.usage` is cumulative and overrides `message_start`'s field by field.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import Billing, SideUsage, Usage
from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text

_SIDE_KINDS = ("compaction", "advisor_message")
"""Iterations that the top-level counts never hold (WIRE B: `usage.iterations`)."""


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
        raw=raw,
    )


def billing_of(raw: Any, *, is_refused: bool) -> Billing:
    """What the usage object says beside the counts. A refusal before any output is not billed."""
    fields = as_dict(raw)
    searches = as_int(as_dict(fields.get("server_tool_use")).get("web_search_requests"))
    return Billing(
        service_tier=as_text(fields.get("service_tier")),
        speed=as_text(fields.get("speed")),
        inference_geo=as_text(fields.get("inference_geo")),
        web_searches=max(0, searches or 0),
        is_free=is_refused and fields.get("output_tokens") == 0,
        side_usages=_side_usages(fields),
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
    """The passes that are billed on top, each by its own model.

    Where a fallback model served the request, the top-level counts are its own; a model that declined before it stands
    in a `message` entry, and is billed as far as it had begun to answer."""
    iterations = [as_dict(iteration) for iteration in as_list(raw.get("iterations"))]
    serving = next((one.get("model") for one in iterations if one.get("type") == "fallback_message"), None)
    found = []
    for one in iterations:
        is_declined = one.get("type") == "message" and serving is not None and one.get("model") not in (None, serving)
        if one.get("type") in _SIDE_KINDS or (is_declined and as_int(one.get("output_tokens"))):
            found.append(_side_usage(one))
    return found


def _side_usage(fields: dict[str, Any]) -> SideUsage:
    cache_read = as_int(fields.get("cache_read_input_tokens"))
    cache_creation = as_int(fields.get("cache_creation_input_tokens"))
    by_lifetime = as_dict(fields.get("cache_creation"))
    return SideUsage(
        kind=fields["type"],
        model=as_text(fields.get("model")),
        input_tokens=_inclusive(as_int(fields.get("input_tokens")), cache_read, cache_creation),
        output_tokens=as_int(fields.get("output_tokens")),
        cache_read_tokens=cache_read,
        cache_creation_tokens=cache_creation,
        cache_creation_5m_tokens=as_int(by_lifetime.get("ephemeral_5m_input_tokens")),
        cache_creation_1h_tokens=as_int(by_lifetime.get("ephemeral_1h_input_tokens")),
    )
