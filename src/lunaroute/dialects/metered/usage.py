"""Token counts of metered calls → the inclusive rule of CONTRACT §3.

Each maker reports in the form of its dialect; this module finds the object and hands it to the reader of that form.
What has no reader elsewhere: Cohere (`tokens` is what was used, `billed_units` what is paid for), Voyage and rerankers
(`total_tokens` alone, all of it input), speech by its length (`seconds`), Bedrock's `invoke` metrics.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.bedrock_converse import usage as bedrock
from lunaroute.dialects.facts import Billing, Usage
from lunaroute.dialects.gemini import usage as gemini
from lunaroute.dialects.loose import as_dict, as_int
from lunaroute.dialects.openai_chat import usage as openai_chat
from lunaroute.dialects.openai_responses import usage as openai_responses
from lunaroute.dialects.openai_usage import first_count

_PLACES = ("usage", "usageMetadata", "meta", "metrics", "amazon-bedrock-invocationMetrics")


def find_usage(body: dict[str, Any]) -> dict[str, Any] | None:
    """The object that says what a call used, wherever the provider puts it."""
    for place in (body, as_dict(body.get("metadata")), as_dict(body.get("response"))):
        for name in _PLACES:
            usage = place.get(name)
            if isinstance(usage, dict) and usage:
                return usage
    return None


def usage_of(raw: dict[str, Any] | None) -> Usage | None:
    """Usage out of such an object; None where it counts no tokens."""
    if raw is None:
        return None
    if "promptTokenCount" in raw:
        return gemini.usage_of(raw)
    if "prompt_tokens" in raw:
        return openai_chat.usage_of(raw)
    if "input_tokens" in raw:
        # Transcriptions spell the details without an s.
        details = raw.get("input_tokens_details", raw.get("input_token_details"))
        return openai_responses.usage_of(raw, details)
    if "inputTokens" in raw:
        return bedrock.usage_of(raw)
    if "inputTokenCount" in raw:
        counts = as_int(raw.get("inputTokenCount")), as_int(raw.get("outputTokenCount"))
        return Usage(input_tokens=counts[0], output_tokens=counts[1], raw=raw)
    if "tokens" in raw or "billed_units" in raw:
        return _cohere(raw)
    total = as_int(raw.get("total_tokens"))
    return Usage(input_tokens=total, raw=raw) if total is not None or "seconds" in raw else None


def billing_of(raw: dict[str, Any] | None) -> Billing:
    """What is paid for otherwise than by plain tokens."""
    fields = as_dict(raw)
    details = fields.get("input_tokens_details", fields.get("input_token_details"))
    seconds = fields.get("seconds")
    return Billing(
        image_input_tokens=first_count((details, "image_tokens")) or 0,
        image_output_tokens=first_count((fields.get("output_tokens_details"), "image_tokens")) or 0,
        audio_seconds=float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else 0.0,
    )


def _cohere(raw: dict[str, Any]) -> Usage:
    used, billed = raw.get("tokens"), raw.get("billed_units")
    return Usage(
        input_tokens=first_count((used, "input_tokens"), (billed, "input_tokens")),
        output_tokens=first_count((used, "output_tokens"), (billed, "output_tokens")),
        cache_read_tokens=first_count((raw, "cached_tokens")),
        raw=raw,
    )
