"""Events into running totals, each once."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from itertools import islice
from typing import Final

from .rate_limits import windows
from .totals import (
    LONG_S,
    MOST_MODELS,
    MOST_TOOLS,
    OTHER,
    PICODOLLARS,
    SHORT_S,
    TOKENS,
    UNKNOWN,
    Buckets,
    ModelTotals,
    OpenedExchange,
    RateLimit,
    ToolTotals,
    Totals,
)
from .types import Completed, Event, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded

_LIMIT_IS_NEWS_S: Final = 60.0
"""Where the provider does not say when a limit's window ends."""
_MOST_WINDOWS: Final = 12


def add_event(totals: Totals, event: Event) -> None:
    match event:
        case RequestRecorded():
            opened = OpenedExchange(event.provider, event.model_requested)
            totals.open_exchanges[event.request_id] = opened
            _of_model(totals, opened, None).request_bytes += event.stats.request_size_bytes
        case ResponseRecorded():
            opened = totals.open_exchanges.pop(event.request_id, OpenedExchange(UNKNOWN, None))
            _add_response(totals, _of_model(totals, opened, event.model_used), event)
        case ToolCallRecorded():
            _add_result(totals, event)
        case Started():
            totals.sessions_started += 1
        case Completed():
            totals.sessions_completed[event.reason] = totals.sessions_completed.get(event.reason, 0) + 1
        case _:
            pass


def _of_model(totals: Totals, opened: OpenedExchange, model_used: str | None) -> ModelTotals:
    models = totals.models.setdefault(opened.provider, {})
    name = opened.model or model_used or UNKNOWN
    found = models.get(name)
    if found is None:
        if sum(map(len, totals.models.values())) >= MOST_MODELS:
            name = OTHER
        found = models.setdefault(name, ModelTotals())
    return found


def _add_response(totals: Totals, model: ModelTotals, event: ResponseRecorded) -> None:
    stats = event.stats
    tokens = stats.tokens
    model.outcomes[event.outcome] = model.outcomes.get(event.outcome, 0) + 1
    if stats.provider_latency_ms is not None:
        _count(model.duration, stats.provider_latency_ms / 1000, LONG_S)
    if stats.is_streaming and stats.time_to_first_byte_ms is not None:
        _count(model.ttfb, stats.time_to_first_byte_ms / 1000, LONG_S)
    if stats.time_to_first_token_ms is not None:
        _count(model.ttft, stats.time_to_first_token_ms / 1000, LONG_S)
    _count(totals.overhead, stats.total_proxy_overhead_ms / 1000, SHORT_S)
    if tokens.input_tokens is not None:
        _count(model.input_sizes, tokens.input_tokens, TOKENS)
    if tokens.output_tokens is not None:
        _count(model.output_sizes, tokens.output_tokens, TOKENS)
    model.input_tokens += tokens.input_tokens or 0
    model.output_tokens += tokens.output_tokens or 0
    model.thinking_tokens += tokens.thinking_tokens or 0
    model.cache_read_tokens += tokens.cache_read_tokens or 0
    model.cache_creation_tokens += tokens.cache_creation_tokens or 0
    model.response_bytes += stats.response_size_bytes
    if stats.context is not None and stats.context.cache_miss is not None:
        model.cache_missed_tokens += stats.context.cache_miss.missed_tokens
    if stats.estimated_cost is not None:
        model.cost_picodollars += round((stats.estimated_cost.total_cost_usd or 0.0) * PICODOLLARS)
        model.unpriced_exchanges += stats.estimated_cost.unpriced_requests
    if event.rate_limits is not None or any(name.startswith("x-codex-") for name, _ in event.response_headers):
        model.rate_limits.update(_rate_limits(event))
    for call in stats.tool_calls:
        if not call.is_repeated:
            _of_tool(totals, call.tool_name).calls += 1


def _add_result(totals: Totals, event: ToolCallRecorded) -> None:
    tool = _of_tool(totals, event.tool_name)
    tool.results += 1
    tool.errors += event.success is False
    if event.execution_time_ms is not None:
        _count(tool.execution, event.execution_time_ms / 1000, LONG_S)


def _of_tool(totals: Totals, name: str) -> ToolTotals:
    found = totals.tools.get(name)
    if found is None:
        found = totals.tools.setdefault(name if len(totals.tools) < MOST_TOOLS else OTHER, ToolTotals())
    return found


def _count(buckets: Buckets, value: float, bounds: tuple[float, ...]) -> None:
    if not buckets.counts:
        buckets.counts = [0] * (len(bounds) + 1)
    buckets.counts[bisect_left(bounds, value)] += 1
    buckets.sum += value


def _rate_limits(event: ResponseRecorded) -> dict[str, RateLimit]:
    seen_at_s = datetime.fromisoformat(event.timestamp).timestamp()
    fields = [*(event.rate_limits or {}).items(), *((name.lower(), value) for name, value in event.response_headers)]
    found = windows(fields, seen_at_s)
    return {
        name: RateLimit(window.used_share, window.resets_at_s or seen_at_s + _LIMIT_IS_NEWS_S)
        for name, window in islice(found.items(), _MOST_WINDOWS)
    }
