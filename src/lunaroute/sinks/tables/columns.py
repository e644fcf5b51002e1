"""[pure] The rows that grow with every event, as values; their fields are the columns of their tables, in order."""

from __future__ import annotations

from typing import Final

import msgspec

TOKEN_COLUMNS: Final = (
    "input_tokens",
    "output_tokens",
    "thinking_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "cache_creation_5m_tokens",
    "cache_creation_1h_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "total_tokens",
)
"""The same names in `events.types.Tokens`, `session_stats`, `sessions` and `daily_stats`."""

COST_COLUMNS: Final = (
    "total_cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "thinking_cost_usd",
    "cache_read_cost_usd",
    "cache_creation_cost_usd",
)
"""The same names in `events.types.Cost`, `session_stats` and `sessions`."""


class SessionRow(msgspec.Struct, kw_only=True):
    """A row of `sessions`."""

    session_id: str
    request_id: str
    source: str = "wire"
    conversation_id: str | None = None
    continues: str | None = None
    started_at: str
    last_active_at: str
    completed_at: str | None = None
    completion_reason: str | None = None
    provider: str | None = None
    listener: str | None = None
    dialect: str | None = None
    model_requested: str | None = None
    model_used: str | None = None
    success: bool | None = None
    error_message: str | None = None
    finish_reason: str | None = None
    is_streaming: bool | None = None
    request_count: int = 0
    error_count: int = 0
    tool_call_count: int = 0
    tool_error_count: int = 0
    total_duration_ms: float | None = None
    provider_latency_ms: float = 0.0
    proxy_overhead_ms: float = 0.0
    max_latency_ms: float | None = None
    max_ttft_ms: float | None = None
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
    thinking_is_estimated: bool = False
    total_cost_usd: float | None = None
    input_cost_usd: float | None = None
    output_cost_usd: float | None = None
    thinking_cost_usd: float | None = None
    cache_read_cost_usd: float | None = None
    cache_creation_cost_usd: float | None = None
    price_version: str | None = None
    unpriced_requests: int = 0
    first_text: str | None = None
    last_text: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    api_version: str | None = None
    credential: str | None = None
    tags: str = "[]"
    identity_rule: str | None = None
    identity_evidence: str | None = None
    forked_from: str | None = None
    thread_count: int = 0
    agent: str | None = None
    project: str | None = None
    tenant: str | None = None
    node: str | None = None
    new_bytes: int = 0
    resent_bytes: int = 0
    cache_miss_count: int = 0
    cache_missed_tokens: int = 0
    cache_miss_cost_usd: float | None = None
    bodies_deleted: bool = False
    last_seq: int = -1


class HourRow(msgspec.Struct):
    """A row of `hourly_stats`, and of `daily_stats`, which has no client. The hour is that of the start."""

    hour: str
    provider: str
    model_name: str
    client_name: str
    requests: int = 0
    successes: int = 0
    failures: int = 0
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
    total_cost_usd: float | None = None
    unpriced_requests: int = 0
    tool_call_count: int = 0
    provider_latency_ms: float = 0.0
    proxy_overhead_ms: float = 0.0
    total_duration_ms: float = 0.0


class LatencyRow(msgspec.Struct):
    """A row of `hourly_latencies` or, its hour then being a day, of `daily_latencies`; the histograms as
    `stats.histogram` makes them."""

    hour: str
    provider: str
    model_name: str
    client_name: str
    latency_histogram: int = 0
    ttft_histogram: int = 0


class ToolDayRow(msgspec.Struct):
    """A row of `daily_tool_stats`."""

    day: str
    model_name: str
    client_name: str
    tool_name: str
    call_count: int = 0
    result_count: int = 0
    error_count: int = 0
    total_execution_time_ms: float = 0.0
    execution_histogram: int = 0
