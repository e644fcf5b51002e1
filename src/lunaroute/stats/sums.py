"""Sums of a session: the numbers of its exchanges and tool results in, one at a time; totals out.

Every total is the sum of what the single events say; percentiles are over all exchanges (latencies are kept, eight
bytes each).
"""

from __future__ import annotations

from array import array

from .counts import TokenCounts
from .session_sums import ExchangeNumbers, ModelSums, SessionSums, ToolSums
from .tokens import add_counts


def add_exchange(sums: SessionSums, numbers: ExchangeNumbers) -> None:
    """An exchange has ended."""
    timing = numbers.timing
    latency_ns, ttft_ns = timing.latency_ns, timing.ttft_ns
    sums.request_count += 1
    sums.error_count += not numbers.is_success
    sums.duration_ns = max(sums.duration_ns, numbers.span_ns)
    sums.pre_processing_ns += timing.pre_processing_ns
    sums.post_processing_ns += timing.post_processing_ns
    if latency_ns is not None:
        sums.provider_ns += latency_ns
        _append(sums.latencies, latency_ns / 1e6)
    if ttft_ns is not None:
        _append(sums.ttfts, ttft_ns / 1e6)
    add_counts(sums.tokens, numbers.tokens)
    if numbers.tokens.total_tokens is not None:
        _add_to_model(sums, numbers)
    for tool_name in numbers.tool_names:
        _tool(sums, tool_name).call_count += 1


def add_tool_result(sums: SessionSums, tool_name: str, execution_ns: int, success: bool | None) -> None:
    """A call has its result; None = nobody said whether it is an error."""
    tool = _tool(sums, tool_name)
    tool.timed_count += 1
    tool.execution_ns += execution_ns
    tool.error_count += success is False


def add_context(sums: SessionSums, new_bytes: int, resent_bytes: int) -> None:
    """What a request sent."""
    sums.new_bytes += new_bytes
    sums.resent_bytes += resent_bytes


def add_miss(sums: SessionSums, missed_tokens: int, picodollars: int | None) -> None:
    """A cache hit that was possible; None = its price is not known."""
    sums.cache_miss_count += 1
    sums.cache_missed_tokens += missed_tokens
    if picodollars is not None:
        sums.cache_miss_picodollars += picodollars
        sums.priced_miss_count += 1


def _add_to_model(sums: SessionSums, numbers: ExchangeNumbers) -> None:
    name = numbers.model_name or "unknown"
    model = sums.by_model.get(name)
    if model is None:
        model = sums.by_model[name] = ModelSums(TokenCounts())
    tokens, generation_ns = numbers.tokens, numbers.timing.generation_ns
    add_counts(model.tokens, tokens)
    if tokens.output_tokens and generation_ns:
        model.generated_tokens += tokens.output_tokens
        model.generation_ns += generation_ns


def _tool(sums: SessionSums, tool_name: str) -> ToolSums:
    tool = sums.by_tool.get(tool_name)
    if tool is None:
        tool = sums.by_tool[tool_name] = ToolSums()
    return tool


def samples(packed: bytearray) -> list[float]:
    """The values of a packed series, ascending."""
    values = array("d")
    values.frombytes(packed)
    return sorted(values)


def _append(packed: bytearray, value: float) -> None:
    packed += array("d", (value,)).tobytes()
