"""The numbers in events: of one exchange, and of a session so far or when it is over.

The rules of `types` hold: null = nobody said, `*_ms` from a monotonic clock, cache counts are parts of the input.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lunaroute.stats.caching import Reason


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all nested values."""


# ---- one exchange


class Tokens(Value, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    total_tokens: int | None = None
    thinking_percentage: float | None = None
    """100 * thinking / output."""
    tokens_per_second: float | None = None
    """Output tokens per second of generation (first token → last byte; whole latency when not streamed)."""
    thinking_is_estimated: bool = False


class StreamingStats(Value, frozen=True):
    chunk_count: int
    streaming_duration_ms: float
    """First to last byte of the response body."""
    chunk_gap_avg_ms: float | None
    chunk_gap_p50_ms: float | None
    chunk_gap_p95_ms: float | None
    chunk_gap_p99_ms: float | None
    chunk_gap_max_ms: float | None
    chunk_gap_min_ms: float | None


class Cost(Value, frozen=True):
    """US dollars. Null = the price or the usage is not known. The parts add up to the total:
    `input` is uncached input, `output` excludes what `thinking` holds."""

    total_cost_usd: float | None
    input_cost_usd: float | None
    output_cost_usd: float | None
    thinking_cost_usd: float | None
    cache_read_cost_usd: float | None
    cache_creation_cost_usd: float | None
    cost_per_1k_tokens: float | None
    by_model: dict[str, float]
    price_version: str | None
    unpriced_requests: int


class StreamEvent(Value, frozen=True):
    """A milestone of a stream, one row of the `stream_events` table."""

    event_type: Literal["first_byte", "first_token", "block_start", "block_stop", "stall", "error", "completion"]
    event_index: int
    offset_ms: float
    """Since the request was sent."""
    content: str | None


class CacheMiss(Value, frozen=True):
    """A prompt-cache hit that was possible and did not happen: the thread's answer before had left enough in the cache,
    and at least 1,024 tokens of it were paid for again."""

    missed_tokens: int
    """Input that could have been read from the cache."""
    reason: Reason
    """The first thing that is not as it was, or `expired`: nobody asked for longer than the cache keeps;
    `too_many_new_blocks`: more than Anthropic looks back over; `unknown`: nothing tells."""
    message_index: int | None
    """Of the first message that is not as it was; null where it is no message, or none differs."""
    block_kind: str | None
    """Of the first block that is not as it was, in the client's words."""
    block_excerpt: str | None
    """Its beginning."""
    idle_s: float
    """Since the end of the thread's answer before."""
    cost_usd: float | None
    """What reading it from the cache would have saved, at the exchange's prices; null = not known."""


class Context(Value, frozen=True):
    """Where an exchange's input came from, against the prompt that its thread had answered before."""

    new_input_tokens: int | None
    """Input that the prompt before did not have; null where that one does not stand unchanged in this one."""
    resent_input_tokens: int | None
    """The rest of the input."""
    cache_read_share: float | None
    """Cache reads in the input, from 0 to 1."""
    cache_miss: CacheMiss | None = None
    """Null where none was missed, as far as the provider says."""


# ---- sessions


class SnapshotStats(Value, frozen=True):
    request_count: int
    total_input_tokens: int
    total_output_tokens: int
    total_thinking_tokens: int
    total_tool_calls: int
    unique_tools: int
    cumulative_latency_ms: float
    cumulative_proxy_overhead_ms: float


class TotalTokens(Value, frozen=True):
    """Sums over the session's exchanges; null only if no exchange said."""

    input: int | None
    output: int | None
    thinking: int | None
    cache_read: int | None
    cache_creation: int | None
    cached: int | None
    """cache_read + cache_creation."""
    audio_input: int | None
    audio_output: int | None
    total: int | None
    by_model: dict[str, Tokens]


class ToolUse(Value, frozen=True):
    call_count: int
    total_execution_time_ms: float
    avg_execution_time_ms: float | None
    error_count: int


class ToolSummary(Value, frozen=True):
    total_calls: int
    unique_tools: int
    total_tool_time_ms: float
    """Sum over the calls."""
    tool_error_count: int
    by_tool: dict[str, ToolUse]
    tool_wait_ms: float = 0.0
    """The same with the calls of one response, which ran side by side, counted once."""


class Performance(Value, frozen=True):
    avg_provider_latency_ms: float | None
    p50_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None
    max_latency_ms: float | None
    min_latency_ms: float | None
    avg_pre_processing_ms: float | None
    avg_post_processing_ms: float | None
    proxy_overhead_percentage: float | None
    p50_ttft_ms: float | None
    p95_ttft_ms: float | None


class ContextSums(Value, frozen=True):
    """Sums over the exchanges."""

    new_bytes: int
    """Of requests: what their thread had not sent before."""
    resent_bytes: int
    """Of requests: what it had."""
    cache_miss_count: int
    """Exchanges in which a cache hit was possible and missed."""
    cache_missed_tokens: int
    """Input that was paid for again."""
    cache_miss_cost_usd: float | None
    """Null where there were misses and no price for any."""


class FinalStats(Value, frozen=True):
    total_duration_ms: float
    """First exchange's start → last exchange's end."""
    provider_time_ms: float
    proxy_overhead_ms: float
    overhead_percentage: float | None
    """100 * proxy_overhead_ms / total_duration_ms."""
    request_count: int
    error_count: int
    total_tokens: TotalTokens
    tool_summary: ToolSummary
    performance: Performance
    estimated_cost: Cost
    context: ContextSums | None = None
    """New and re-sent, and what missed cache hits cost."""
