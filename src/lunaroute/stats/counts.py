"""Token counts of one response, or of many."""

from __future__ import annotations

import msgspec

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


class TokenCounts(msgspec.Struct, kw_only=True, gc=False):
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
