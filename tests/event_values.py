"""Parts of events for `tests.builders`: tokens, costs, calls, and sums over them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lunaroute.events.figures import (
    Cost,
    StreamEvent,
    StreamingStats,
    Tokens,
    TotalTokens,
)
from lunaroute.events.types import (
    ResponseStats,
    ToolCallSummary,
)

MODEL = "claude-sonnet-4-5"


class Call(msgspec.Struct, frozen=True):
    """A tool call of a turn."""

    tool_name: str
    tool_call_id: str | None
    arguments: str = "{}"


def tokens(input_tokens: int, output_tokens: int, thinking_tokens: int | None = None, **more: int) -> Tokens:
    return Tokens(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=thinking_tokens,
        total_tokens=input_tokens + output_tokens,
        **more,
    )


def cost(total_usd: float | None, model: str = MODEL) -> Cost:
    """A quarter of the total is input, the rest output."""
    is_known = total_usd is not None
    return Cost(
        total_cost_usd=total_usd,
        input_cost_usd=total_usd * 0.25 if total_usd is not None else None,
        output_cost_usd=total_usd * 0.75 if total_usd is not None else None,
        thinking_cost_usd=0.0 if is_known else None,
        cache_read_cost_usd=0.0 if is_known else None,
        cache_creation_cost_usd=0.0 if is_known else None,
        cost_per_1k_tokens=None,
        by_model={model: total_usd} if total_usd is not None else {},
        price_version="2026-11-01" if is_known else None,
        unpriced_requests=0 if is_known else 1,
    )


def response_stats(
    tokens: Tokens, estimated: Cost, calls: Sequence[Call], latency_ms: float, overhead_ms: float
) -> ResponseStats:
    return ResponseStats(
        provider_latency_ms=latency_ms,
        time_to_first_byte_ms=latency_ms / 4,
        time_to_first_token_ms=latency_ms / 2,
        pre_processing_ms=overhead_ms / 2,
        post_processing_ms=overhead_ms / 2,
        total_proxy_overhead_ms=overhead_ms,
        total_duration_ms=latency_ms + overhead_ms,
        tokens=tokens,
        usage_raw=None,
        tool_calls=[
            ToolCallSummary(
                tool_name=call.tool_name,
                tool_call_id=call.tool_call_id,
                arguments=call.arguments,
                execution_time_ms=None,
                input_size_bytes=len(call.arguments),
                output_size_bytes=None,
                success=None,
            )
            for call in calls
        ],
        server_tool_calls=[],
        response_size_bytes=1234,
        content_blocks=["text", *["tool_use" for _ in calls]],
        has_refusal=False,
        is_streaming=True,
        streaming=StreamingStats(
            chunk_count=3,
            streaming_duration_ms=latency_ms / 2,
            chunk_gap_avg_ms=2.0,
            chunk_gap_p50_ms=2.0,
            chunk_gap_p95_ms=3.0,
            chunk_gap_p99_ms=3.0,
            chunk_gap_max_ms=3.0,
            chunk_gap_min_ms=1.0,
        ),
        estimated_cost=estimated,
        stream_events=[
            StreamEvent(event_type="first_byte", event_index=0, offset_ms=latency_ms / 4, content=None),
            StreamEvent(event_type="completion", event_index=1, offset_ms=latency_ms, content="end_turn"),
        ],
        unknown_events={},
    )


def total_tokens_of(all_tokens: Sequence[Tokens], model: str) -> TotalTokens:
    def total(name: str) -> int | None:
        known = [getattr(one, name) for one in all_tokens if getattr(one, name) is not None]
        return sum(known) if known else None

    read, created = total("cache_read_tokens"), total("cache_creation_tokens")
    return TotalTokens(
        input=total("input_tokens"),
        output=total("output_tokens"),
        thinking=total("thinking_tokens"),
        cache_read=read,
        cache_creation=created,
        cached=None if read is None and created is None else (read or 0) + (created or 0),
        audio_input=total("audio_input_tokens"),
        audio_output=total("audio_output_tokens"),
        total=total("total_tokens"),
        by_model={model: Tokens(total_tokens=total("total_tokens"))},
    )


def sum_known(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
