"""A session's totals made again from its events: for a session of which an exchange was read anew.

In: all events of a finished session. Out: the `completed` that they add up to. Times that no single event says, the
session's length and the wait for tools, stay what they were.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lunaroute.pricing.adding import add_parts
from lunaroute.pricing.cost import PICODOLLARS, CostParts, CostSums
from lunaroute.stats.counts import COUNTED, TokenCounts
from lunaroute.stats.session_sums import ExchangeNumbers, SessionSums
from lunaroute.stats.sums import add_context, add_exchange, add_miss, add_tool_result
from lunaroute.stats.times import Timing

from .figures import Cost, Tokens
from .numbers import final_stats
from .types import Completed, Event, RequestRecorded, ResponseRecorded, ToolCallRecorded


def recounted(events: Sequence[Event]) -> Completed:
    """The session's last event with other totals. Raises ValueError where the session is not over."""
    old = events[-1] if events else None
    if not isinstance(old, Completed):
        raise ValueError("the session is not over")
    sums, costs = SessionSums(), CostSums()
    models: dict[str, str | None] = {}
    last: ResponseRecorded | None = None
    for event in events:
        match event:
            case RequestRecorded():
                models[event.request_id] = event.model_requested
                add_context(sums, event.stats.new_bytes or 0, event.stats.resent_bytes or 0)
            case ToolCallRecorded():
                add_tool_result(sums, event.tool_name, to_ns(event.execution_time_ms or 0.0), event.success)
            case ResponseRecorded():
                last = event
                _add_response(sums, event, models.get(event.request_id))
                _add_cost(costs, event)
    sums.duration_ns = to_ns(old.final_stats.total_duration_ms)
    sums.tool_wait_ns = to_ns(old.final_stats.tool_summary.tool_wait_ms)
    return msgspec.structs.replace(
        old,
        success=old.success if last is None else last.success,
        error=old.error if last is None else _error_of(last),
        finish_reason=old.finish_reason if last is None else last.finish_reason,
        final_stats=final_stats(sums, costs),
    )


def to_ns(ms: float) -> int:
    """The nanoseconds that were divided by a million."""
    return round(ms * 1e6)


def _maybe_ns(ms: float | None) -> int | None:
    return None if ms is None else to_ns(ms)


def _error_of(event: ResponseRecorded) -> str | None:
    return None if event.error is None else event.error.message or event.error.type


def _add_response(sums: SessionSums, event: ResponseRecorded, model_requested: str | None) -> None:
    add_exchange(
        sums,
        ExchangeNumbers(
            timing=_timing(event),
            tokens=_counts(event.stats.tokens),
            model_name=event.model_used or model_requested,
            tool_names=[call.tool_name for call in event.stats.tool_calls if not call.is_repeated],
            is_success=event.success,
            span_ns=0,
        ),
    )
    miss = None if event.stats.context is None else event.stats.context.cache_miss
    if miss is not None:
        add_miss(sums, miss.missed_tokens, None if miss.cost_usd is None else _picodollars(miss.cost_usd))


def _timing(event: ResponseRecorded) -> Timing:
    stats, per_second = event.stats, event.stats.tokens.tokens_per_second
    return Timing(
        sent_ns=0,
        latency_ns=_maybe_ns(stats.provider_latency_ms),
        ttfb_ns=_maybe_ns(stats.time_to_first_byte_ms),
        ttft_ns=_maybe_ns(stats.time_to_first_token_ms),
        generation_ns=round((stats.tokens.output_tokens or 0) * 1e9 / per_second) if per_second else None,
        streaming_ns=0,
        pre_processing_ns=to_ns(stats.pre_processing_ms),
        post_processing_ns=to_ns(stats.post_processing_ms),
        total_ns=to_ns(stats.total_duration_ms),
    )


def _counts(tokens: Tokens) -> TokenCounts:
    counts = {name: getattr(tokens, name) for name in COUNTED}
    return TokenCounts(**counts, thinking_is_estimated=tokens.thinking_is_estimated)


def _add_cost(costs: CostSums, event: ResponseRecorded) -> None:
    cost = event.stats.estimated_cost
    if cost is None:
        return
    if cost.total_cost_usd is None:
        costs.unpriced_requests += 1
        return
    add_parts(costs.parts, _parts(cost))
    for model, amount in cost.by_model.items():
        costs.by_model[model] = costs.by_model.get(model, 0) + _picodollars(amount)
    costs.priced_requests += 1
    costs.priced_tokens += event.stats.tokens.total_tokens or 0
    costs.price_version = cost.price_version


def _parts(cost: Cost) -> CostParts:
    return CostParts(
        input=_picodollars(cost.input_cost_usd or 0),
        output=_picodollars(cost.output_cost_usd or 0),
        thinking=_picodollars(cost.thinking_cost_usd or 0),
        cache_read=_picodollars(cost.cache_read_cost_usd or 0),
        cache_creation=_picodollars(cost.cache_creation_cost_usd or 0),
    )


def _picodollars(usd: float) -> int:
    return round(usd * PICODOLLARS)
