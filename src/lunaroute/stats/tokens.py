"""Token counts of one response: what the provider reported in, what we count out.

The inclusive rule holds (cache counts are parts of the input, thinking of the output, total = input + output), and
None stays None: the only number made up here is an estimate of thinking tokens, and it says that it is one.
"""

from __future__ import annotations

import msgspec

from lunaroute.dialects.facts import Billing, SideUsage, Usage

BYTES_PER_TOKEN = 4
"""Of English text and code, roughly, in every provider's tokenizer."""

COUNT_LIMIT = 1 << 53
"""No response has as many tokens; a count from here on (or below zero) is a provider's bug and not a number to add
up. It also is where JSON readers with doubles stop being exact."""

COUNTED = (
    "input_tokens",
    "output_tokens",
    "thinking_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "cache_creation_5m_tokens",
    "cache_creation_1h_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
)
"""The fields of TokenCounts that add up over exchanges."""


class TokenCounts(msgspec.Struct, kw_only=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    thinking_is_estimated: bool = False

    @property
    def total_tokens(self) -> int | None:
        """Input + output; None where the provider said neither."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    @property
    def cached_tokens(self) -> int | None:
        if self.cache_read_tokens is None and self.cache_creation_tokens is None:
            return None
        return (self.cache_read_tokens or 0) + (self.cache_creation_tokens or 0)

    @property
    def thinking_percentage(self) -> float | None:
        """100 * thinking / output."""
        if self.thinking_tokens is None or not self.output_tokens:
            return None
        return 100 * self.thinking_tokens / self.output_tokens

    def add(self, other: TokenCounts) -> None:
        """Take the counts of another exchange in; a sum is None only while nobody said anything."""
        # The first fields are those that add up: a tuple of all is cheaper than a look at each.
        for name, count in zip(COUNTED, msgspec.structs.astuple(other), strict=False):
            if count is not None:
                setattr(self, name, (getattr(self, name) or 0) + count)
        self.thinking_is_estimated = self.thinking_is_estimated or other.thinking_is_estimated


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
