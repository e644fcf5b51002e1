"""Running totals of everything recorded, for those who watch the system: counters that only ever go up.

In: events, each once. Out: sums by provider and model, by tool, and of the relay's own time. The recorder keeps them in
its journal with the rest of its state, so that a restart neither loses nor doubles anything; they begin anew only where
the journal was lost. Model and tool names are the client's to choose, so there is a limit: later ones count as `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from .rate_limits import windows
from .types import Completed, Event, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
MOST_MODELS: Final = 200
MOST_TOOLS: Final = 200
LONG_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
"""Upper bounds of buckets; up to 81.92 those that OpenTelemetry advises for model calls."""
SHORT_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""Of an exchange; those that OpenTelemetry advises."""
PICODOLLARS: Final = 10**12
_LIMIT_IS_NEWS_S: Final = 60.0
"""Where the provider does not say when a limit's window ends."""
_MOST_WINDOWS: Final = 12


class Buckets(msgspec.Struct):
    """How many values fell where; `counts` has one more than there are bounds."""

    counts: list[int] = []
    sum: float = 0.0

    def add(self, value: float, bounds: tuple[float, ...]) -> None:
        if not self.counts:
            self.counts = [0] * (len(bounds) + 1)
        self.counts[bisect_left(bounds, value)] += 1
        self.sum += value


class RateLimit(msgspec.Struct, frozen=True):
    """What the provider last said of a limit."""

    used_share: float
    ends_at_s: float
    """Unix seconds: until then it is news."""

    def is_in_force(self, now_s: float) -> bool:
        return now_s < self.ends_at_s


class ModelTotals(msgspec.Struct):
    """Of one model of a provider."""

    outcomes: dict[str, int] = {}
    """Exchanges by how they ended."""
    duration: Buckets = msgspec.field(default_factory=Buckets)
    """From the first byte handed to the provider to the last of its answer; LONG_S, likewise the next: to the first
    byte of a stream, and to the first token."""
    ttfb: Buckets = msgspec.field(default_factory=Buckets)
    ttft: Buckets = msgspec.field(default_factory=Buckets)
    input_sizes: Buckets = msgspec.field(default_factory=Buckets)
    """Tokens by exchange, where the provider told; TOKENS, likewise the next."""
    output_sizes: Buckets = msgspec.field(default_factory=Buckets)
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_missed_tokens: int = 0
    cost_picodollars: int = 0
    unpriced_exchanges: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    rate_limits: dict[str, RateLimit] = {}
    """By window."""


class ToolTotals(msgspec.Struct):
    calls: int = 0
    results: int = 0
    errors: int = 0
    execution: Buckets = msgspec.field(default_factory=Buckets)
    """Of results whose time is known; LONG_S."""


class OpenedExchange(msgspec.Struct, frozen=True, array_like=True):
    """What only the request says."""

    provider: str
    model: str | None


class Totals(msgspec.Struct):
    """One per recorder; `add` each event."""

    began_at_s: float = 0.0
    """Unix seconds: when everything was zero."""
    models: dict[str, dict[str, ModelTotals]] = {}
    """Provider → model → its totals."""
    tools: dict[str, ToolTotals] = {}
    overhead: Buckets = msgspec.field(default_factory=Buckets)
    """The relay's own time, both ways; SHORT_S."""
    sessions_started: int = 0
    sessions_completed: dict[str, int] = {}
    """By reason."""
    open_exchanges: dict[str, OpenedExchange] = {}
    """Requests without a response yet, by request_id."""

    def add(self, event: Event) -> None:
        match event:
            case RequestRecorded():
                opened = OpenedExchange(event.provider, event.model_requested)
                self.open_exchanges[event.request_id] = opened
                self._of_model(opened, None).request_bytes += event.stats.request_size_bytes
            case ResponseRecorded():
                opened = self.open_exchanges.pop(event.request_id, OpenedExchange(UNKNOWN, None))
                self._add_response(self._of_model(opened, event.model_used), event)
            case ToolCallRecorded():
                self._add_result(event)
            case Started():
                self.sessions_started += 1
            case Completed():
                self.sessions_completed[event.reason] = self.sessions_completed.get(event.reason, 0) + 1
            case _:
                pass

    def _of_model(self, opened: OpenedExchange, model_used: str | None) -> ModelTotals:
        models = self.models.setdefault(opened.provider, {})
        name = opened.model or model_used or UNKNOWN
        found = models.get(name)
        if found is None:
            if sum(map(len, self.models.values())) >= MOST_MODELS:
                name = OTHER
            found = models.setdefault(name, ModelTotals())
        return found

    def _add_response(self, totals: ModelTotals, event: ResponseRecorded) -> None:
        stats = event.stats
        tokens = stats.tokens
        totals.outcomes[event.outcome] = totals.outcomes.get(event.outcome, 0) + 1
        if stats.provider_latency_ms is not None:
            totals.duration.add(stats.provider_latency_ms / 1000, LONG_S)
        if stats.is_streaming and stats.time_to_first_byte_ms is not None:
            totals.ttfb.add(stats.time_to_first_byte_ms / 1000, LONG_S)
        if stats.time_to_first_token_ms is not None:
            totals.ttft.add(stats.time_to_first_token_ms / 1000, LONG_S)
        self.overhead.add(stats.total_proxy_overhead_ms / 1000, SHORT_S)
        if tokens.input_tokens is not None:
            totals.input_sizes.add(tokens.input_tokens, TOKENS)
        if tokens.output_tokens is not None:
            totals.output_sizes.add(tokens.output_tokens, TOKENS)
        totals.input_tokens += tokens.input_tokens or 0
        totals.output_tokens += tokens.output_tokens or 0
        totals.thinking_tokens += tokens.thinking_tokens or 0
        totals.cache_read_tokens += tokens.cache_read_tokens or 0
        totals.cache_creation_tokens += tokens.cache_creation_tokens or 0
        totals.response_bytes += stats.response_size_bytes
        if stats.context is not None and stats.context.cache_miss is not None:
            totals.cache_missed_tokens += stats.context.cache_miss.missed_tokens
        if stats.estimated_cost is not None:
            totals.cost_picodollars += round((stats.estimated_cost.total_cost_usd or 0.0) * PICODOLLARS)
            totals.unpriced_exchanges += stats.estimated_cost.unpriced_requests
        if event.rate_limits is not None or any(name.startswith("x-codex-") for name, _ in event.response_headers):
            totals.rate_limits.update(_rate_limits(event))
        for call in stats.tool_calls:
            if not call.is_repeated:
                self._of_tool(call.tool_name).calls += 1

    def _add_result(self, event: ToolCallRecorded) -> None:
        totals = self._of_tool(event.tool_name)
        totals.results += 1
        totals.errors += event.success is False
        if event.execution_time_ms is not None:
            totals.execution.add(event.execution_time_ms / 1000, LONG_S)

    def _of_tool(self, name: str) -> ToolTotals:
        found = self.tools.get(name)
        if found is None:
            found = self.tools.setdefault(name if len(self.tools) < MOST_TOOLS else OTHER, ToolTotals())
        return found


def _rate_limits(event: ResponseRecorded) -> dict[str, RateLimit]:
    seen_at_s = datetime.fromisoformat(event.timestamp).timestamp()
    fields = [*(event.rate_limits or {}).items(), *((name.lower(), value) for name, value in event.response_headers)]
    found = windows(fields, seen_at_s)
    return {
        name: RateLimit(window.used_share, window.resets_at_s or seen_at_s + _LIMIT_IS_NEWS_S)
        for name, window in islice(found.items(), _MOST_WINDOWS)
    }
