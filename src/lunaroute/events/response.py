"""A response → its `response_recorded`, for every exchange however it ended, and what it adds to its session.

Everything is given; nothing here knows the clock.
"""

from __future__ import annotations

from collections.abc import Collection

from lunaroute.assemble.wall_time import wall_ns_at
from lunaroute.capture.records import Outcome
from lunaroute.dialects.facts import ResponseFacts, ToolCall
from lunaroute.dialects.portable import is_portable
from lunaroute.stats import StreamPoint, chunk_gaps, stream_points

from .bodies import chunk_offsets, embed_body, embed_stream
from .embedded import EmbeddedBody
from .figures import (
    StreamEvent,
    StreamingStats,
)
from .headers import provider_request_id, rate_limits, response_fields
from .numbers import exchange_tokens, maybe_ms, to_ms
from .timestamps import timestamp
from .types import (
    Error,
    ResponseRecorded,
    ResponseStats,
    ToolCallSummary,
)
from .understood import ReadResponse

_EARLY_END = "the stream ended without its last event"


def refine_outcome(outcome: Outcome, status_code: int | None, facts: ResponseFacts, is_streaming: bool) -> Outcome:
    """How the exchange ended, by what the response says as well: the relay only saw bytes come and go."""
    has_last_word = is_streaming and any(one.event_type in ("completion", "error") for one in facts.milestones)
    if outcome == "client_cancelled" and has_last_word:
        # Codex, for one, closes as soon as it has the last event, without waiting for the body to end.
        outcome = "completed"
    if outcome != "completed":
        return outcome
    if status_code is not None and status_code >= 400:
        return "http_error"
    if is_streaming and facts.error is not None:
        return "stream_error"
    # A stream may end as if it were whole, in the middle of the message; only its terminal event tells.
    return "completed" if facts.is_finished or not is_streaming else "upstream_cut"


def response_event(
    response: ReadResponse, session_id: str, seq: int, repeated_calls: Collection[str] = ()
) -> ResponseRecorded:
    """`repeated_calls` are ids of tool calls that the session has had already."""
    exchange, facts, headers = response.exchange, response.facts, response.headers
    closed = exchange.closed
    if closed is None:
        raise ValueError("the exchange has not ended")
    status_code = None if exchange.response is None else exchange.response.status_code
    outcome = refine_outcome(closed.outcome, status_code, facts, response.is_streaming)
    detail = closed.detail if closed.outcome in (outcome, "completed") else None
    error = _error(facts, outcome, status_code, detail)
    body = _embed(response)
    return ResponseRecorded(
        session_id=session_id,
        request_id=exchange.request_id,
        timestamp=timestamp(wall_ns_at(exchange, closed.t_ns)),
        seq=seq,
        response_text=facts.text,
        thinking_text=facts.thinking_text,
        response_json=body.json,
        response_body=body.copy,
        body_sha256=body.sha256,
        model_used=facts.model,
        status_code=facts.error_status if exchange.socket is not None and facts.error_status else status_code,
        outcome=outcome,
        success=outcome == "completed" and error is None,
        finish_reason=facts.finish_reason,
        error=error,
        provider_request_id=provider_request_id(headers),
        response_id=facts.response_id,
        rate_limits=rate_limits(headers),
        response_headers=response_fields(headers),
        stats=_stats(response, repeated_calls),
        redaction=response.redaction,
    )


def _embed(response: ReadResponse) -> EmbeddedBody:
    if not response.is_streaming:
        return embed_body(response.body, response.content_encoding, response.decoded)
    chunks = chunk_offsets(response.exchange.response_chunks, response.timing.sent_ns)
    return embed_stream(response.body, response.content_encoding, response.facts.message, chunks)


def _error(facts: ResponseFacts, outcome: Outcome, status_code: int | None, detail: str | None) -> Error | None:
    """What went wrong, in the provider's words where it said something, else in ours."""
    if facts.error is not None:
        return Error(type=facts.error.type, message=facts.error.message, status_code=facts.error.status_code)
    if outcome == "http_error":
        return Error(type=outcome, message=detail or f"HTTP status {status_code}")
    if outcome == "upstream_cut" and detail is None:
        detail = _EARLY_END
    if outcome == "completed":
        # What passed in order, and still was not what the client had asked for: a refused upgrade.
        return None if detail is None else Error(type="upgrade_refused", message=detail)
    return Error(type=outcome, message=detail)


def _stats(response: ReadResponse, repeated_calls: Collection[str]) -> ResponseStats:
    facts, timing, usage = response.facts, response.timing, response.facts.usage
    return ResponseStats(
        provider_latency_ms=maybe_ms(timing.latency_ns),
        time_to_first_byte_ms=maybe_ms(timing.ttfb_ns),
        time_to_first_token_ms=maybe_ms(timing.ttft_ns),
        pre_processing_ms=to_ms(timing.pre_processing_ns),
        post_processing_ms=to_ms(timing.post_processing_ns),
        total_proxy_overhead_ms=to_ms(timing.overhead_ns),
        total_duration_ms=to_ms(timing.total_ns),
        tokens=exchange_tokens(response.tokens, timing),
        context=response.context,
        billing=response.billing,
        usage_raw=usage.raw if usage is not None and is_portable(usage.raw) else None,
        tool_calls=_summaries(response, repeated_calls),
        server_tool_calls=[_summary(call) for call in facts.server_tool_calls],
        response_size_bytes=len(response.body),
        content_blocks=facts.content_blocks,
        has_refusal=facts.has_refusal,
        is_streaming=response.is_streaming,
        streaming=_streaming(response) if response.is_streaming else None,
        estimated_cost=response.cost,
        stream_events=_stream_events(response) if response.is_streaming else [],
        unknown_events=facts.unknown_events,
    )


def _summaries(response: ReadResponse, repeated_calls: Collection[str]) -> list[ToolCallSummary]:
    return [_summary(call, is_repeated=call.tool_call_id in repeated_calls) for call in response.facts.tool_calls]


def _summary(call: ToolCall, *, is_repeated: bool = False) -> ToolCallSummary:
    return ToolCallSummary(
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
        call_type=call.call_type,
        item_id=call.item_id,
        arguments=call.arguments,
        execution_time_ms=None,
        input_size_bytes=call.input_size_bytes,
        output_size_bytes=None,
        success=None,
        is_repeated=is_repeated,
    )


def _streaming(response: ReadResponse) -> StreamingStats:
    chunks = response.exchange.response_chunks
    gaps = chunk_gaps(chunks)
    return StreamingStats(
        chunk_count=len(chunks),
        streaming_duration_ms=to_ms(response.timing.streaming_ns),
        chunk_gap_avg_ms=gaps.avg_ms,
        chunk_gap_p50_ms=gaps.p50_ms,
        chunk_gap_p95_ms=gaps.p95_ms,
        chunk_gap_p99_ms=gaps.p99_ms,
        chunk_gap_max_ms=gaps.max_ms,
        chunk_gap_min_ms=gaps.min_ms,
    )


def _stream_events(response: ReadResponse) -> list[StreamEvent]:
    points = stream_points(response.exchange, response.facts.milestones)
    return [_stream_event(index, point, response.timing.sent_ns) for index, point in enumerate(points)]


def _stream_event(index: int, point: StreamPoint, sent_ns: int) -> StreamEvent:
    return StreamEvent(
        event_type=point.type,
        event_index=index,
        offset_ms=to_ms(max(0, point.t_ns - sent_ns)),
        content=point.content,
    )
