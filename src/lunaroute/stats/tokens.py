"""Token counts of one response: what the provider reported in, what we count out.

The inclusive rule holds (cache counts are parts of the input, thinking of the output, total = input + output), and
None stays None: the only number made up here is an estimate of thinking tokens, and it says that it is one.
"""

from __future__ import annotations

import msgspec

from lunaroute.dialects.facts import Billing, SideUsage, Usage

from .counts import COUNTED, TokenCounts

BYTES_PER_TOKEN = 4
"""Of English text and code, roughly, in every provider's tokenizer."""

COUNT_LIMIT = 1 << 53
"""No response has as many tokens; a count from here on (or below zero) is a provider's bug and not a number to add
up. It also is where JSON readers with doubles stop being exact."""


def add_counts(total: TokenCounts, other: TokenCounts) -> None:
    """Take the counts of another exchange into a total; a sum is None only while nobody said anything."""
    # Written out: once compiled this is direct access, where a loop over COUNTED would look each name up.
    if (count := other.input_tokens) is not None:
        total.input_tokens = (total.input_tokens or 0) + count
    if (count := other.output_tokens) is not None:
        total.output_tokens = (total.output_tokens or 0) + count
    if (count := other.thinking_tokens) is not None:
        total.thinking_tokens = (total.thinking_tokens or 0) + count
    if (count := other.cache_read_tokens) is not None:
        total.cache_read_tokens = (total.cache_read_tokens or 0) + count
    if (count := other.cache_creation_tokens) is not None:
        total.cache_creation_tokens = (total.cache_creation_tokens or 0) + count
    if (count := other.cache_creation_5m_tokens) is not None:
        total.cache_creation_5m_tokens = (total.cache_creation_5m_tokens or 0) + count
    if (count := other.cache_creation_1h_tokens) is not None:
        total.cache_creation_1h_tokens = (total.cache_creation_1h_tokens or 0) + count
    if (count := other.audio_input_tokens) is not None:
        total.audio_input_tokens = (total.audio_input_tokens or 0) + count
    if (count := other.audio_output_tokens) is not None:
        total.audio_output_tokens = (total.audio_output_tokens or 0) + count
    if other.thinking_is_estimated:
        total.thinking_is_estimated = True


def count_tokens(usage: Usage | None, thinking_text: str) -> TokenCounts:
    """The counts of one response. Thinking is estimated where there is a text of it and no count."""
    counts = TokenCounts() if usage is None else _reported(usage)
    if thinking_text and counts.thinking_tokens is None:
        estimate = estimate_tokens(len(thinking_text.encode("utf-8", "surrogatepass")))
        output = counts.output_tokens
        counts.thinking_tokens = estimate if output is None else min(estimate, output)
        counts.thinking_is_estimated = True
    return counts


def estimate_tokens(size_bytes: int) -> int:
    """A rough number of tokens in a text of this size."""
    return -(-size_bytes // BYTES_PER_TOKEN)


def plausible_billing(billing: Billing) -> Billing:
    """Without counts that cannot be true."""
    if not any(
        (
            billing.web_searches,
            billing.file_searches,
            billing.image_input_tokens,
            billing.image_output_tokens,
            billing.side_usages,
        )
    ):
        return billing
    return msgspec.structs.replace(
        billing,
        web_searches=_plausible(billing.web_searches) or 0,
        file_searches=_plausible(billing.file_searches) or 0,
        image_input_tokens=_plausible(billing.image_input_tokens) or 0,
        image_output_tokens=_plausible(billing.image_output_tokens) or 0,
        side_usages=[_plausible_side(side) for side in billing.side_usages],
    )


def _plausible_side(side: SideUsage) -> SideUsage:
    counts = {name: _plausible(getattr(side, name)) for name in COUNTED if hasattr(side, name)}
    return msgspec.structs.replace(side, **counts)


def _reported(usage: Usage) -> TokenCounts:
    return TokenCounts(
        input_tokens=_plausible(usage.input_tokens),
        output_tokens=_plausible(usage.output_tokens),
        thinking_tokens=_plausible(usage.thinking_tokens),
        cache_read_tokens=_plausible(usage.cache_read_tokens),
        cache_creation_tokens=_plausible(usage.cache_creation_tokens),
        cache_creation_5m_tokens=_plausible(usage.cache_creation_5m_tokens),
        cache_creation_1h_tokens=_plausible(usage.cache_creation_1h_tokens),
        audio_input_tokens=_plausible(usage.audio_input_tokens),
        audio_output_tokens=_plausible(usage.audio_output_tokens),
    )


def _plausible(count: int | None) -> int | None:
    return count if count is not None and 0 <= count < COUNT_LIMIT else None
