"""Running totals of everything recorded, for those who watch the system: counters that only ever go up.

In: events, each once. Out: sums by provider and model, by tool, and of the relay's own time. The recorder keeps them in
its journal with the rest of its state, so that a restart neither loses nor doubles anything; they begin anew only where
the journal was lost. Model and tool names are the client's to choose, so there is a limit: later ones count as `other`.
"""

from __future__ import annotations

from typing import Final

import msgspec

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


class Buckets(msgspec.Struct):
    """How many values fell where; `counts` has one more than there are bounds."""

    counts: list[int] = []
    sum: float = 0.0


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
    """One per recorder; they grow by `totalling`."""

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
