"""What exchanges come to does not depend on how they are put into batches, nor, for hours, on their order."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.sinks.tables.columns import COST_COLUMNS, TOKEN_COLUMNS, SessionRow, ToolDayRow
from lunaroute.sinks.tables.exchange_columns import RESPONSE_COLUMNS
from lunaroute.sinks.tables.rollups import Rollups
from lunaroute.sinks.tables.rows import Values
from lunaroute.sinks.tables.sums import add_row, add_to_session, add_to_tool, amounts_of
from lunaroute.stats import histogram

_STARTED: Final = "2026-11-22 10:00:00.000000"


def _invented(dice: Random) -> list[Values]:
    """The amounts of up to twelve exchanges. One drawn number each: drawing every amount takes seconds."""
    return [_exchange(dice) for _ in range(dice.randint(1, 12))]


def _exchange(dice: Random) -> Values:
    found: dict[str, Any] = dict.fromkeys(RESPONSE_COLUMNS)
    for name in TOKEN_COLUMNS:
        found[name] = dice.choice((None, dice.randrange(10**6)))
    for name in COST_COLUMNS:
        found[name] = dice.choice((None, dice.uniform(0, 100)))
    for name in ("provider_latency_ms", "time_to_first_token_ms"):
        found[name] = dice.choice((None, dice.uniform(0, 1e6)))
    for name in ("total_proxy_overhead_ms", "total_duration_ms"):
        found[name] = dice.uniform(0, 1e6)
    found["unpriced_requests"] = dice.choice((None, 0, 1))
    found["tool_call_count"] = dice.randrange(5)
    found["success"], found["thinking_is_estimated"] = dice.random() < 0.8, dice.random() < 0.2
    found["completed_at"] = f"2026-11-22 10:00:{dice.randrange(60):02}.000000"
    return amounts_of(tuple(found.values()))


def _session() -> SessionRow:
    return SessionRow(session_id="s", request_id="r", started_at=_STARTED, last_active_at=_STARTED)


def _sums(exchanges: list[Values]) -> Rollups:
    rollups = Rollups()
    for amounts in exchanges:
        rollups.add_exchange(amounts, _STARTED, "anthropic", "opus", None)
    return rollups


@given(st.integers())
def test_a_session_is_the_same_in_any_batches(seed: int) -> None:
    dice = Random(seed)
    exchanges = _invented(dice)
    at = dice.randint(0, len(exchanges))
    together, apart = _session(), _session()
    add_to_session(together, exchanges)
    for part in (exchanges[:at], exchanges[at:]):
        if part:
            add_to_session(apart, part)
    assert apart == together


@given(st.integers())
def test_an_hour_is_the_same_in_any_order_and_batches(seed: int) -> None:
    dice = Random(seed)
    exchanges = _invented(dice)
    at = dice.randint(0, len(exchanges))
    [together], [latencies] = _sums(exchanges).hours, _sums(exchanges).latencies
    other = dice.sample(exchanges, len(exchanges))
    first, second = _sums(other[:at]), _sums(other[at:])
    first.add_rows(second.hours, second.latencies, [])
    assert [*first.hours] == [together]
    assert [*first.latencies] == [latencies]
    assert (together.requests, together.successes + together.failures) == (len(exchanges), len(exchanges))


def test_a_session_has_the_sums_the_longest_and_what_nobody_said() -> None:
    row = _session()
    first = dict.fromkeys(RESPONSE_COLUMNS) | {
        "input_tokens": 10,
        "total_cost_usd": 0.25,
        "unpriced_requests": 1,
        "tool_call_count": 2,
        "total_proxy_overhead_ms": 1.5,
        "total_duration_ms": 90.0,
        "time_to_first_token_ms": 7.0,
        "success": True,
        "thinking_is_estimated": False,
        "completed_at": "2026-11-22 10:00:05.000000",
    }
    second = first | {"input_tokens": None, "provider_latency_ms": 80.0, "success": False, "total_cost_usd": None}
    add_to_session(row, [amounts_of(tuple(one.values())) for one in (first, second)])
    assert msgspec.structs.replace(row, session_id="") == SessionRow(
        session_id="",
        request_id="r",
        started_at=_STARTED,
        last_active_at=_STARTED,
        input_tokens=10,
        total_cost_usd=0.25,
        unpriced_requests=2,
        tool_call_count=4,
        proxy_overhead_ms=3.0,
        provider_latency_ms=80.0,
        max_latency_ms=80.0,
        max_ttft_ms=7.0,
        total_duration_ms=5000.0,
        error_count=1,
    )


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_a_tool_is_the_same_call_by_call(durations_ms: list[float]) -> None:
    together, apart = ToolDayRow("d", "m", "c", "Bash"), ToolDayRow("d", "m", "c", "Bash")
    add_to_tool(together, durations_ms)
    for duration_ms in durations_ms:
        one = ToolDayRow("d", "m", "c", "Bash")
        add_to_tool(one, [duration_ms])
        add_row(apart, one)
    assert apart == together
    assert sum(count for _, count in histogram.buckets(together.execution_histogram)) == len(durations_ms)
