"""Sums of a session: the numbers of its exchanges and tool results in, one at a time; totals out.

Every total is the sum of what the single events say; percentiles are over all exchanges (latencies are kept, eight
bytes each). Storable as MessagePack.
"""

from __future__ import annotations

from array import array

import msgspec

from .counts import TokenCounts
from .times import Timing
from .tokens import add_counts


class ExchangeNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """What one ended exchange adds to its session."""

    timing: Timing
    tokens: TokenCounts
    model_name: str | None
    tool_names: list[str]
    """Of the client-executed calls the response asked for."""
    is_success: bool
    span_ns: int
    """The session's first moment → the end of this exchange."""


class ModelSums(msgspec.Struct):
    tokens: TokenCounts
    generated_tokens: int = 0
    """Output of the exchanges whose generation time is known."""
    generation_ns: int = 0

    def add(self, tokens: TokenCounts, generation_ns: int | None) -> None:
        add_counts(self.tokens, tokens)
        if tokens.output_tokens and generation_ns:
            self.generated_tokens += tokens.output_tokens
            self.generation_ns += generation_ns

    @property
    def tokens_per_second(self) -> float | None:
        return self.generated_tokens * 1e9 / self.generation_ns if self.generation_ns else None


class ToolSums(msgspec.Struct):
    call_count: int = 0
    timed_count: int = 0
    execution_ns: int = 0
    error_count: int = 0


class SessionSums(msgspec.Struct):
    """The running totals of a session."""

    request_count: int = 0
    error_count: int = 0
    duration_ns: int = 0
    provider_ns: int = 0
    pre_processing_ns: int = 0
    post_processing_ns: int = 0
    latencies: bytearray = msgspec.field(default_factory=bytearray)
    """Packed float64, ms."""
    ttfts: bytearray = msgspec.field(default_factory=bytearray)
    tokens: TokenCounts = msgspec.field(default_factory=TokenCounts)
    by_model: dict[str, ModelSums] = msgspec.field(default_factory=dict)
    by_tool: dict[str, ToolSums] = msgspec.field(default_factory=dict)
    tool_wait_ns: int = 0
    """Calls of one response counted once."""
    new_bytes: int = 0
    resent_bytes: int = 0
    cache_miss_count: int = 0
    cache_missed_tokens: int = 0
    cache_miss_picodollars: int = 0
    priced_miss_count: int = 0

    @property
    def overhead_ns(self) -> int:
        return self.pre_processing_ns + self.post_processing_ns

    @property
    def tool_call_count(self) -> int:
        return sum(tool.call_count for tool in self.by_tool.values())

    def add_exchange(self, numbers: ExchangeNumbers) -> None:
        timing = numbers.timing
        self.request_count += 1
        self.error_count += not numbers.is_success
        self.duration_ns = max(self.duration_ns, numbers.span_ns)
        self.pre_processing_ns += timing.pre_processing_ns
        self.post_processing_ns += timing.post_processing_ns
        if timing.latency_ns is not None:
            self.provider_ns += timing.latency_ns
            _append(self.latencies, timing.latency_ns / 1e6)
        if timing.ttft_ns is not None:
            _append(self.ttfts, timing.ttft_ns / 1e6)
        add_counts(self.tokens, numbers.tokens)
        if numbers.tokens.total_tokens is not None:
            self._add_model(numbers)
        for tool_name in numbers.tool_names:
            self._tool(tool_name).call_count += 1

    def add_tool_result(self, tool_name: str, execution_ns: int, success: bool | None) -> None:
        tool = self._tool(tool_name)
        tool.timed_count += 1
        tool.execution_ns += execution_ns
        tool.error_count += success is False

    def add_context(self, new_bytes: int, resent_bytes: int) -> None:
        """What a request sent."""
        self.new_bytes += new_bytes
        self.resent_bytes += resent_bytes

    def add_miss(self, missed_tokens: int, picodollars: int | None) -> None:
        """A cache hit that was possible; None = its price is not known."""
        self.cache_miss_count += 1
        self.cache_missed_tokens += missed_tokens
        if picodollars is not None:
            self.cache_miss_picodollars += picodollars
            self.priced_miss_count += 1

    def _add_model(self, numbers: ExchangeNumbers) -> None:
        name = numbers.model_name or "unknown"
        model = self.by_model.get(name)
        if model is None:
            model = self.by_model[name] = ModelSums(TokenCounts())
        model.add(numbers.tokens, numbers.timing.generation_ns)

    def _tool(self, tool_name: str) -> ToolSums:
        tool = self.by_tool.get(tool_name)
        if tool is None:
            tool = self.by_tool[tool_name] = ToolSums()
        return tool


def samples(packed: bytearray) -> list[float]:
    """The values of a packed series, ascending."""
    values = array("d")
    values.frombytes(packed)
    return sorted(values)


def _append(packed: bytearray, value: float) -> None:
    packed += array("d", (value,)).tobytes()
