"""[pure] Events → the two halves of a row of `session_stats`."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import msgspec

from lunaroute.events.figures import Context, Cost, StreamEvent
from lunaroute.events.types import RequestRecorded, ResponseRecorded

from .columns import COST_COLUMNS
from .rows import Values, new_call_count

EXCHANGE_COST_COLUMNS = (*COST_COLUMNS, "cost_per_1k_tokens", "price_version", "unpriced_requests")
_exchange_costs: Callable[[Cost], Values] = attrgetter(*EXCHANGE_COST_COLUMNS)


def request_values(event: RequestRecorded, at: str) -> Values:
    """In the order of REQUEST_COLUMNS."""
    stats = event.stats
    return (
        event.session_id,
        event.request_id,
        at,
        event.provider,
        event.listener,
        event.dialect,
        event.method,
        event.target,
        event.model_requested,
        event.is_streaming,
        stats.request_size_bytes,
        stats.message_count,
        stats.has_system_prompt,
        stats.has_tools,
        stats.tool_count,
        event.estimated_tokens,
        event.body_sha256,
        event.is_body_complete,
        event.is_prewarm,
        event.websocket.connection_id if event.websocket else None,
        event.thread_id,
        event.parent_thread_id,
        event.thread_kind,
        event.retry_of,
        None if event.identity is None else event.identity.rule,
        None if event.identity is None else event.identity.evidence,
        None if event.client is None else event.client.name,
        None if event.client is None else event.client.version,
        event.agent,
        event.project,
        event.tenant,
        stats.new_bytes,
        stats.resent_bytes,
        stats.new_message_count,
    )


def response_values(event: ResponseRecorded, at: str, model_name: str | None) -> Values:
    """In the order of RESPONSE_COLUMNS."""
    stats = event.stats
    error = event.error
    return (
        model_name,
        at,
        event.model_used,
        event.status_code,
        event.outcome,
        event.success,
        event.finish_reason,
        error.type if error else None,
        error.message if error else None,
        event.provider_request_id,
        event.response_id,
        stats.provider_latency_ms,
        stats.time_to_first_byte_ms,
        stats.time_to_first_token_ms,
        stats.pre_processing_ms,
        stats.post_processing_ms,
        stats.total_proxy_overhead_ms,
        stats.total_duration_ms,
        # The fields of Tokens are TOKEN_COLUMNS and the three columns after them, in this order.
        *msgspec.structs.astuple(stats.tokens),
        new_call_count(stats),
        len(stats.server_tool_calls),
        stats.response_size_bytes,
        len(stats.content_blocks),
        stats.has_refusal,
        # So are the fields of StreamingStats.
        *(msgspec.structs.astuple(stats.streaming) if stats.streaming else (None,) * 8),
        *exchange_cost_values(stats.estimated_cost),
        event.body_sha256,
        *_context_values(stats.context),
        _milestones(stats.stream_events),
    )


def _milestones(events: list[StreamEvent]) -> str | None:
    """JSON: [[event_type, event_index, offset_ms, content] …], which the view `stream_events` takes apart."""
    if not events:
        return None
    return msgspec.json.encode([msgspec.structs.astuple(event) for event in events]).decode()


def _context_values(context: Context | None) -> Values:
    if context is None:
        return (None,) * 10
    miss = context.cache_miss
    return (
        context.new_input_tokens,
        context.resent_input_tokens,
        context.cache_read_share,
        # The fields of CacheMiss, in this order.
        *((None,) * 7 if miss is None else msgspec.structs.astuple(miss)),
    )


def unanswered_values(model_name: str | None, column_count: int) -> Values:
    """The response half of a row while there is no response."""
    return (model_name, *(None,) * (column_count - 1))


def exchange_cost_values(cost: Cost | None) -> Values:
    """In the order of EXCHANGE_COST_COLUMNS."""
    if cost is None:
        return (None,) * len(EXCHANGE_COST_COLUMNS)
    return _exchange_costs(cost)
