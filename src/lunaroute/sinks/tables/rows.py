"""[pure] Events → column values.

In: one event, and the row it changes where it changes one. Out: tuples in the order of the tables' columns, or the
changed row. `at` is the event's time as `sql_time` gives it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from lunaroute.capture.ids import own_call_id
from lunaroute.events.figures import Cost
from lunaroute.events.types import (
    Completed,
    RequestRecorded,
    ResponseRecorded,
    ResponseStats,
    Started,
    ToolCallRecorded,
    ToolCallSummary,
)

from .columns import COST_COLUMNS, SessionRow

Values = tuple[Any, ...]

SESSION_COST_COLUMNS = (*COST_COLUMNS, "price_version", "unpriced_requests")

_session_costs: Callable[[Cost], Values] = attrgetter(*SESSION_COST_COLUMNS)

_EXCERPT_CHARS = 300
SHORTEST_MS = 0.001
"""The grain of timestamps: an exchange that is over has lasted, and queries divide by its duration."""


def sql_time(timestamp: str) -> str:
    """`2026-11-22T10:00:00.123456Z` → `2026-11-22 10:00:00.123456`. Raises ValueError on any other shape."""
    if len(timestamp) != 27 or timestamp[10] != "T" or timestamp[26] != "Z":
        raise ValueError(f"not an RFC 3339 UTC time with microseconds: {timestamp!r}")
    return f"{timestamp[:10]} {timestamp[11:26]}"


# ---- sessions --------------------------------------------------------------------------------------------


def start_session(row: SessionRow, event: Started) -> None:
    meta = event.metadata
    row.source = event.source
    row.conversation_id = event.conversation_id
    row.continues = event.continues
    row.forked_from = event.forked_from
    row.provider = event.provider
    row.listener = event.listener
    row.dialect = event.dialect
    row.model_requested = event.model_requested
    row.is_streaming = event.is_streaming
    row.client_name = meta.client.name
    row.client_version = meta.client.version
    row.client_ip = meta.client_ip
    row.user_agent = meta.user_agent
    row.api_version = meta.api_version
    row.credential = meta.credential
    row.tags = msgspec.json.encode(meta.session_tags).decode()
    row.identity_rule = event.identity.rule
    row.identity_evidence = event.identity.evidence
    row.tenant = event.tenant
    row.node = event.node


def count_request(row: SessionRow, event: RequestRecorded) -> None:
    row.request_count += 1
    row.provider = row.provider or event.provider
    row.listener = row.listener or event.listener
    row.dialect = row.dialect or event.dialect
    row.model_requested = row.model_requested or event.model_requested
    row.thread_count += event.is_new_thread
    row.agent = row.agent or event.agent
    row.project = row.project or event.project
    row.tenant = row.tenant or event.tenant
    row.new_bytes += event.stats.new_bytes or 0
    row.resent_bytes += event.stats.resent_bytes or 0
    row.bodies_deleted |= event.bodies_deleted
    _note_text(row, event.request_text)


def note_response(row: SessionRow, event: ResponseRecorded) -> None:
    """Everything but what follows from all of the session's exchanges (`sums.add_to_session`)."""
    stats = event.stats
    row.model_used = event.model_used or row.model_used
    row.success = event.success
    row.error_message = None if event.success or event.error is None else event.error.message
    row.finish_reason = event.finish_reason
    if stats.estimated_cost is not None:
        row.price_version = stats.estimated_cost.price_version or row.price_version
    miss = None if stats.context is None else stats.context.cache_miss
    if miss is not None:
        row.cache_miss_count += 1
        row.cache_missed_tokens += miss.missed_tokens
        if miss.cost_usd is not None:
            row.cache_miss_cost_usd = (row.cache_miss_cost_usd or 0.0) + miss.cost_usd
    if event.response_text:
        row.last_text = _excerpt(event.response_text) or row.last_text


def complete_session(row: SessionRow, event: Completed, at: str) -> None:
    """The event's own sums are exact and final: they replace the running ones."""
    final = event.final_stats
    tokens, cost = final.total_tokens, final.estimated_cost
    row.completed_at = at
    row.completion_reason = event.reason
    row.success = event.success
    row.error_message = event.error
    row.finish_reason = event.finish_reason
    row.request_count = final.request_count
    row.error_count = final.error_count
    row.total_duration_ms = max(final.total_duration_ms, SHORTEST_MS)
    row.provider_latency_ms = final.provider_time_ms
    row.proxy_overhead_ms = final.proxy_overhead_ms
    row.tool_call_count = final.tool_summary.total_calls
    row.tool_error_count = final.tool_summary.tool_error_count
    row.input_tokens = tokens.input
    row.output_tokens = tokens.output
    row.thinking_tokens = tokens.thinking
    row.cache_read_tokens = tokens.cache_read
    row.cache_creation_tokens = tokens.cache_creation
    row.audio_input_tokens = tokens.audio_input
    row.audio_output_tokens = tokens.audio_output
    row.total_tokens = tokens.total
    if final.context is not None:
        context = final.context
        row.new_bytes, row.resent_bytes = context.new_bytes, context.resent_bytes
        row.cache_miss_count, row.cache_missed_tokens = context.cache_miss_count, context.cache_missed_tokens
        row.cache_miss_cost_usd = context.cache_miss_cost_usd if context.cache_miss_count else None
    for name, value in zip(SESSION_COST_COLUMNS, session_cost_values(cost), strict=True):
        setattr(row, name, value)


def session_cost_values(cost: Cost) -> Values:
    """In the order of SESSION_COST_COLUMNS."""
    return _session_costs(cost)


# ---- tools -----------------------------------------------------------------------------------------------


def new_calls(stats: ResponseStats) -> list[ToolCallSummary]:
    """The calls that are not counted with an earlier response."""
    if not stats.tool_calls:  # most responses
        return []
    return [call for call in stats.tool_calls if not call.is_repeated]


def new_call_count(stats: ResponseStats) -> int:
    return len(new_calls(stats))


def tool_call_values(event: ResponseRecorded, model_name: str | None) -> list[Values]:
    """(session_id, request_id, model_name, tool_name, call_count) of each tool the response calls."""
    counts: dict[str, int] = {}
    for call in new_calls(event.stats):
        counts[call.tool_name] = counts.get(call.tool_name, 0) + 1
    return [(event.session_id, event.request_id, model_name, name, count) for name, count in counts.items()]


def execution_values(event: ResponseRecorded, at: str, model_name: str | None) -> list[Values]:
    """One row of `tool_call_executions` for each call of the response, without its result."""
    return [
        (
            event.session_id,
            event.request_id,
            model_name,
            call.tool_name,
            call.tool_call_id or own_call_id(event.request_id, number),
            number,
            call.arguments,
            at,
            call.input_size_bytes,
        )
        for number, call in enumerate(event.stats.tool_calls, 1)
        if not call.is_repeated
    ]


def result_values(event: ToolCallRecorded, at: str) -> Values:
    """A call's row of `tool_call_executions` with its result."""
    return (
        event.session_id,
        event.call_request_id,
        event.request_id,
        event.model_name,
        event.tool_name,
        event.tool_call_id,
        event.arguments,
        at,
        event.execution_time_ms,
        event.is_shared_bound,
        event.input_size_bytes,
        event.output_size_bytes,
        event.success,
        event.error,
        event.exit_code,
        event.success_evidence,
        event.success_confidence,
        event.parallel_count,
    )


def _note_text(row: SessionRow, text: str) -> None:
    excerpt = _excerpt(text) if text else ""
    if excerpt:
        row.first_text = row.first_text or excerpt
        row.last_text = excerpt


def _excerpt(text: str) -> str:
    return text.strip()[:_EXCERPT_CHARS]
