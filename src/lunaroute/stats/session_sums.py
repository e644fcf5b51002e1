"""Records of a session's running totals. Storable as MessagePack; they grow by `sums`."""

from __future__ import annotations

import msgspec

from .counts import TokenCounts
from .times import Timing


class ExchangeNumbers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one ended exchange adds to its session."""

    timing: Timing
    tokens: TokenCounts
    model_name: str | None
    tool_names: list[str]
    """Of the client-executed calls the response asked for."""
    is_success: bool
    span_ns: int
    """The session's first moment → the end of this exchange."""


class ModelSums(msgspec.Struct):
    tokens: TokenCounts
    generated_tokens: int = 0
    """Output of the exchanges whose generation time is known."""
    generation_ns: int = 0

    @property
    def tokens_per_second(self) -> float | None:
        return self.generated_tokens * 1e9 / self.generation_ns if self.generation_ns else None


class ToolSums(msgspec.Struct):
    call_count: int = 0
    timed_count: int = 0
    execution_ns: int = 0
    error_count: int = 0


class SessionSums(msgspec.Struct):
    """The running totals of a session."""

    request_count: int = 0
    error_count: int = 0
    duration_ns: int = 0
    provider_ns: int = 0
    pre_processing_ns: int = 0
    post_processing_ns: int = 0
    latencies: bytearray = msgspec.field(default_factory=bytearray)
    """Packed float64, ms."""
    ttfts: bytearray = msgspec.field(default_factory=bytearray)
    tokens: TokenCounts = msgspec.field(default_factory=TokenCounts)
    by_model: dict[str, ModelSums] = msgspec.field(default_factory=dict)
    by_tool: dict[str, ToolSums] = msgspec.field(default_factory=dict)
    tool_wait_ns: int = 0
    """Calls of one response counted once."""
    new_bytes: int = 0
    resent_bytes: int = 0
    cache_miss_count: int = 0
    cache_missed_tokens: int = 0
    cache_miss_picodollars: int = 0
    priced_miss_count: int = 0

    @property
    def overhead_ns(self) -> int:
        return self.pre_processing_ns + self.post_processing_ns

    @property
    def tool_call_count(self) -> int:
        return sum(tool.call_count for tool in self.by_tool.values())
