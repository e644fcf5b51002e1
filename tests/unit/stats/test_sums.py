"""Session sums, and that they survive being stored."""

from __future__ import annotations

import msgspec
import pytest

from lunaroute.stats import (
    ExchangeNumbers,
    SessionSums,
    Timing,
    TokenCounts,
    add_exchange,
    add_tool_result,
    samples,
)

MS = 1_000_000


def numbers(
    latency_ms: int | None = 100,
    *,
    model: str | None = "m",
    tools: tuple[str, ...] = (),
    success: bool = True,
    span_ms: int = 100,
    tokens: TokenCounts | None = None,
    generation_ms: int | None = 50,
) -> ExchangeNumbers:
    latency_ns = None if latency_ms is None else latency_ms * MS
    return ExchangeNumbers(
        timing=Timing(
            sent_ns=0,
            latency_ns=latency_ns,
            ttfb_ns=None,
            ttft_ns=latency_ns,
            generation_ns=None if generation_ms is None else generation_ms * MS,
            streaming_ns=0,
            pre_processing_ns=2 * MS,
            post_processing_ns=1 * MS,
            total_ns=0,
        ),
        tokens=tokens or TokenCounts(input_tokens=10, output_tokens=5),
        model_name=model,
        tool_names=list(tools),
        is_success=success,
        span_ns=span_ms * MS,
    )


def test_sums_add_up() -> None:
    sums = SessionSums()
    add_exchange(sums, numbers(100, tools=("Bash", "Bash", "Read"), span_ms=100))
    add_exchange(sums, numbers(300, success=False, span_ms=900))
    add_exchange(sums, numbers(None, span_ms=500))
    assert (sums.request_count, sums.error_count, sums.duration_ns) == (3, 1, 900 * MS)
    assert (sums.provider_ns, sums.overhead_ns) == (400 * MS, 9 * MS)
    assert samples(sums.latencies) == [100.0, 300.0]
    assert sums.tokens.total_tokens == 45
    assert sums.tool_call_count == 3
    assert sums.by_tool["Bash"].call_count == 2


def test_models_are_summed_apart_and_exchanges_without_tokens_name_none() -> None:
    sums = SessionSums()
    add_exchange(sums, numbers(model="a"))
    add_exchange(sums, numbers(model="a", generation_ms=None))
    add_exchange(sums, numbers(model=None))
    add_exchange(sums, numbers(model="silent", tokens=TokenCounts()))
    assert {name: model.tokens.total_tokens for name, model in sums.by_model.items()} == {"a": 30, "unknown": 15}
    assert sums.by_model["a"].tokens_per_second == pytest.approx(100.0)


def test_a_model_nobody_timed_has_no_speed() -> None:
    sums = SessionSums()
    add_exchange(sums, numbers(generation_ms=None))
    assert sums.by_model["m"].tokens_per_second is None


def test_tool_results_add_time_and_errors_that_were_told() -> None:
    sums = SessionSums()
    for success in (True, False, None):
        add_tool_result(sums, "Bash", 10 * MS, success)
    tool = sums.by_tool["Bash"]
    assert (tool.timed_count, tool.execution_ns, tool.error_count, tool.call_count) == (3, 30 * MS, 1, 0)


def test_stored_sums_go_on_adding() -> None:
    sums = SessionSums()
    add_exchange(sums, numbers(tools=("Bash",)))
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(sums), type=SessionSums)
    assert restored == sums
    for each in (sums, restored):
        add_exchange(each, numbers(300, tools=("Read",)))
    assert restored == sums
    assert samples(restored.latencies) == [100.0, 300.0]
