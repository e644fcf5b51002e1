"""Numbers of the stats and pricing stages → the values nested in events: ns become ms, picodollars dollars."""

from __future__ import annotations

from lunaroute.pricing.adding import add_parts, total_of
from lunaroute.pricing.cost import PICODOLLARS, CostParts, CostSums
from lunaroute.stats.counts import TokenCounts
from lunaroute.stats.percentile import percentile
from lunaroute.stats.session_sums import SessionSums
from lunaroute.stats.sums import samples
from lunaroute.stats.times import Timing

from .figures import (
    ContextSums,
    Cost,
    FinalStats,
    Performance,
    SnapshotStats,
    Tokens,
    ToolSummary,
    ToolUse,
    TotalTokens,
)


def to_ms(ns: int) -> float:
    return ns / 1e6


def maybe_ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def exchange_tokens(counts: TokenCounts, timing: Timing) -> Tokens:
    """The token counts of one exchange."""
    generation_ns = timing.generation_ns
    per_second = None
    if counts.output_tokens is not None and generation_ns:
        per_second = counts.output_tokens * 1e9 / generation_ns
    return _tokens(counts, per_second)


def _tokens(counts: TokenCounts, tokens_per_second: float | None) -> Tokens:
    return Tokens(
        input_tokens=counts.input_tokens,
        output_tokens=counts.output_tokens,
        thinking_tokens=counts.thinking_tokens,
        cache_read_tokens=counts.cache_read_tokens,
        cache_creation_tokens=counts.cache_creation_tokens,
        cache_creation_5m_tokens=counts.cache_creation_5m_tokens,
        cache_creation_1h_tokens=counts.cache_creation_1h_tokens,
        audio_input_tokens=counts.audio_input_tokens,
        audio_output_tokens=counts.audio_output_tokens,
        total_tokens=counts.total_tokens,
        thinking_percentage=counts.thinking_percentage,
        tokens_per_second=tokens_per_second,
        thinking_is_estimated=counts.thinking_is_estimated,
    )


# ---- cost


def unpriced_cost() -> Cost:
    """Of an exchange that cost something we do not know."""
    return _cost(None, {}, 0, None, 1)


def exchange_cost(by_model: dict[str, CostParts], total_tokens: int, price_version: str) -> Cost:
    """Of one priced exchange."""
    if len(by_model) == 1:
        (parts,) = by_model.values()
    else:
        parts = CostParts()
        for model_parts in by_model.values():
            add_parts(parts, model_parts)
    return _cost(parts, {name: total_of(cost) for name, cost in by_model.items()}, total_tokens, price_version, 0)


def session_cost(sums: CostSums) -> Cost:
    """Of a session: the sum of what is known. Zero where nothing was to be paid, null where nothing is known."""
    is_unknown = sums.priced_requests == 0 and sums.unpriced_requests > 0
    parts = None if is_unknown else sums.parts
    return _cost(parts, sums.by_model, sums.priced_tokens, sums.price_version, sums.unpriced_requests)


def _cost(
    parts: CostParts | None,
    by_model: dict[str, int],
    total_tokens: int,
    price_version: str | None,
    unpriced_requests: int,
) -> Cost:
    total_usd = None if parts is None else to_usd(total_of(parts))
    return Cost(
        total_cost_usd=total_usd,
        input_cost_usd=None if parts is None else to_usd(parts.input),
        output_cost_usd=None if parts is None else to_usd(parts.output),
        thinking_cost_usd=None if parts is None else to_usd(parts.thinking),
        cache_read_cost_usd=None if parts is None else to_usd(parts.cache_read),
        cache_creation_cost_usd=None if parts is None else to_usd(parts.cache_creation),
        cost_per_1k_tokens=None if total_usd is None or not total_tokens else total_usd * 1000 / total_tokens,
        by_model={name: to_usd(amount) for name, amount in by_model.items()},
        price_version=price_version,
        unpriced_requests=unpriced_requests,
    )


def to_usd(picodollars: int) -> float:
    return picodollars / PICODOLLARS


# ---- sessions


def snapshot_stats(sums: SessionSums) -> SnapshotStats:
    """A session so far."""
    return SnapshotStats(
        request_count=sums.request_count,
        total_input_tokens=sums.tokens.input_tokens or 0,
        total_output_tokens=sums.tokens.output_tokens or 0,
        total_thinking_tokens=sums.tokens.thinking_tokens or 0,
        total_tool_calls=sums.tool_call_count,
        unique_tools=len(sums.by_tool),
        cumulative_latency_ms=to_ms(sums.provider_ns),
        cumulative_proxy_overhead_ms=to_ms(sums.overhead_ns),
    )


def final_stats(sums: SessionSums, cost: CostSums) -> FinalStats:
    """A session when it is over."""
    return FinalStats(
        total_duration_ms=to_ms(sums.duration_ns),
        provider_time_ms=to_ms(sums.provider_ns),
        proxy_overhead_ms=to_ms(sums.overhead_ns),
        overhead_percentage=_percentage(sums.overhead_ns, sums.duration_ns),
        request_count=sums.request_count,
        error_count=sums.error_count,
        total_tokens=_total_tokens(sums),
        tool_summary=_tool_summary(sums),
        performance=_performance(sums),
        estimated_cost=session_cost(cost),
        context=_context(sums),
    )


def _context(sums: SessionSums) -> ContextSums:
    return ContextSums(
        new_bytes=sums.new_bytes,
        resent_bytes=sums.resent_bytes,
        cache_miss_count=sums.cache_miss_count,
        cache_missed_tokens=sums.cache_missed_tokens,
        cache_miss_cost_usd=miss_cost_usd(sums),
    )


def miss_cost_usd(sums: SessionSums) -> float | None:
    """Of a session's missed cache hits: the sum of what is known; None where there were some and nothing is known."""
    is_unknown = sums.cache_miss_count > 0 and sums.priced_miss_count == 0
    return None if is_unknown else to_usd(sums.cache_miss_picodollars)


def _total_tokens(sums: SessionSums) -> TotalTokens:
    counts = sums.tokens
    return TotalTokens(
        input=counts.input_tokens,
        output=counts.output_tokens,
        thinking=counts.thinking_tokens,
        cache_read=counts.cache_read_tokens,
        cache_creation=counts.cache_creation_tokens,
        cached=counts.cached_tokens,
        audio_input=counts.audio_input_tokens,
        audio_output=counts.audio_output_tokens,
        total=counts.total_tokens,
        by_model={name: _tokens(model.tokens, model.tokens_per_second) for name, model in sums.by_model.items()},
    )


def _tool_summary(sums: SessionSums) -> ToolSummary:
    return ToolSummary(
        total_calls=sums.tool_call_count,
        unique_tools=len(sums.by_tool),
        total_tool_time_ms=to_ms(sum(tool.execution_ns for tool in sums.by_tool.values())),
        tool_error_count=sum(tool.error_count for tool in sums.by_tool.values()),
        by_tool={
            name: ToolUse(
                call_count=tool.call_count,
                total_execution_time_ms=to_ms(tool.execution_ns),
                avg_execution_time_ms=to_ms(tool.execution_ns) / tool.timed_count if tool.timed_count else None,
                error_count=tool.error_count,
            )
            for name, tool in sums.by_tool.items()
        },
        tool_wait_ms=to_ms(sums.tool_wait_ns),
    )


def _performance(sums: SessionSums) -> Performance:
    latencies, ttfts = samples(sums.latencies), samples(sums.ttfts)
    count = sums.request_count
    return Performance(
        avg_provider_latency_ms=sum(latencies) / len(latencies) if latencies else None,
        p50_latency_ms=percentile(latencies, 50),
        p95_latency_ms=percentile(latencies, 95),
        p99_latency_ms=percentile(latencies, 99),
        max_latency_ms=latencies[-1] if latencies else None,
        min_latency_ms=latencies[0] if latencies else None,
        avg_pre_processing_ms=to_ms(sums.pre_processing_ns) / count if count else None,
        avg_post_processing_ms=to_ms(sums.post_processing_ns) / count if count else None,
        proxy_overhead_percentage=_percentage(sums.overhead_ns, sums.duration_ns),
        p50_ttft_ms=percentile(ttfts, 50),
        p95_ttft_ms=percentile(ttfts, 95),
    )


def _percentage(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
