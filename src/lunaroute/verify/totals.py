"""A session's totals, added up from its events a second time, by code of its own.

In: the events of one session, in order. Out: every figure of `final_stats` that is not their sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lunaroute.events.figures import FinalStats
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.stats.percentile import percentile

_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "thinking": "thinking_tokens",
    "cache_read": "cache_read_tokens",
    "cache_creation": "cache_creation_tokens",
    "audio_input": "audio_input_tokens",
    "audio_output": "audio_output_tokens",
    "total": "total_tokens",
}
"""Name in `final_stats.total_tokens` → name in an exchange's `tokens`."""

_TOLERANCE = 1e-9
"""Of sums of floats, which depend on the order of additions."""


class Totals:
    """add(event)*, then `differences`."""

    def __init__(self) -> None:
        self._requests = 0
        self._errors = 0
        self._overhead_ms = 0.0
        self._latencies_ms: list[float] = []
        self._tokens: dict[str, int | None] = dict.fromkeys(_TOKENS)
        self._cost_usd: float | None = None
        self._unpriced = 0
        self._calls: dict[str, int] = {}
        self._tool_ms = 0.0
        self._tool_errors = 0
        self._new_bytes = self._resent_bytes = 0
        self._misses = self._missed_tokens = 0

    def add_request(self, event: RequestRecorded) -> None:
        self._new_bytes += event.stats.new_bytes or 0
        self._resent_bytes += event.stats.resent_bytes or 0

    def add_response(self, event: ResponseRecorded) -> None:
        stats = event.stats
        self._requests += 1
        self._errors += not event.success
        self._overhead_ms += stats.total_proxy_overhead_ms
        if stats.provider_latency_ms is not None:
            self._latencies_ms.append(stats.provider_latency_ms)
        for name, of_exchange in _TOKENS.items():
            self._tokens[name] = _sum(self._tokens[name], getattr(stats.tokens, of_exchange))
        for call in stats.tool_calls:
            if not call.is_repeated:
                self._calls[call.tool_name] = self._calls.get(call.tool_name, 0) + 1
        if stats.estimated_cost is not None:
            self._cost_usd = _sum(self._cost_usd, stats.estimated_cost.total_cost_usd)
            self._unpriced += stats.estimated_cost.unpriced_requests
        if stats.context is not None and stats.context.cache_miss is not None:
            self._misses += 1
            self._missed_tokens += stats.context.cache_miss.missed_tokens

    def add_result(self, event: ToolCallRecorded) -> None:
        self._calls.setdefault(event.tool_name, 0)
        self._tool_ms += event.execution_time_ms or 0.0
        self._tool_errors += event.success is False

    def differences(self, final: FinalStats) -> Iterator[str]:
        """One line for each figure that is not what the session's exchanges add up to."""
        for name, said, wanted in self._figures(final):
            if not _is_same(said, wanted):
                yield f"final_stats.{name} is {said}, its exchanges add up to {wanted}"

    def _figures(self, final: FinalStats) -> Iterator[tuple[str, Any, Any]]:
        """(name, what is said, what it must be)."""
        yield "request_count", final.request_count, self._requests
        yield "error_count", final.error_count, self._errors
        yield "provider_time_ms", final.provider_time_ms, sum(self._latencies_ms)
        yield "proxy_overhead_ms", final.proxy_overhead_ms, self._overhead_ms
        for name, count in self._tokens.items():
            yield f"total_tokens.{name}", getattr(final.total_tokens, name), count
        summary = final.tool_summary
        yield "tool_summary.total_calls", summary.total_calls, sum(self._calls.values())
        yield "tool_summary.unique_tools", summary.unique_tools, len(self._calls)
        yield "tool_summary.total_tool_time_ms", summary.total_tool_time_ms, self._tool_ms
        yield "tool_summary.tool_error_count", summary.tool_error_count, self._tool_errors
        for tool, count in self._calls.items():
            use = summary.by_tool.get(tool)
            yield f"tool_summary.by_tool.{tool}.call_count", None if use is None else use.call_count, count
        latencies = sorted(self._latencies_ms)
        for percent in (50, 95, 99):
            name = f"p{percent}_latency_ms"
            yield f"performance.{name}", getattr(final.performance, name), percentile(latencies, percent)
        cost = final.estimated_cost
        # Where nothing was to be paid, no exchange says so, and the session says zero.
        wanted = 0.0 if self._cost_usd is None and not self._unpriced else self._cost_usd
        yield "estimated_cost.total_cost_usd", cost.total_cost_usd, wanted
        yield "estimated_cost.unpriced_requests", cost.unpriced_requests, self._unpriced
        if final.context is not None:
            yield "context.new_bytes", final.context.new_bytes, self._new_bytes
            yield "context.resent_bytes", final.context.resent_bytes, self._resent_bytes
            yield "context.cache_miss_count", final.context.cache_miss_count, self._misses
            yield "context.cache_missed_tokens", final.context.cache_missed_tokens, self._missed_tokens


def _sum(total: Any, amount: Any) -> Any:
    """None only while nobody has said anything."""
    return total if amount is None else (total or 0) + amount


def _is_same(said: Any, wanted: Any) -> bool:
    if isinstance(said, float) and isinstance(wanted, int | float):
        return math.isclose(said, wanted, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(said == wanted)
