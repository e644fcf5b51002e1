"""[pure] What exchanges come to: sums of a session, of an hour, of a day.

In: the response halves of rows of `session_stats`. Out: what they add to the rows that sum them up. A batch's exchanges
are added column by column, all those of a row at once: one by one, looking at each amount costs more than the sum.

Sums over an hour or a day are whole numbers of a grain finer than any price or clock, so that they do not depend on the
order of additions: a re-index, which goes session by session, gets the very same rows as the live index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import add, itemgetter
from typing import Any, Final

from lunaroute.stats import histogram

from .columns import COST_COLUMNS, TOKEN_COLUMNS, HourRow, LatencyRow, SessionRow, ToolDayRow
from .exchange_columns import RESPONSE_COLUMNS
from .rows import SHORTEST_MS, Values

Sums = HourRow | LatencyRow | ToolDayRow

_KEY_COLUMNS: Final = 4
_USD_GRAINS: Final = 1e10
_MS_GRAINS: Final = 1e6

_AMOUNTS: Final = (
    *TOKEN_COLUMNS,
    *COST_COLUMNS,
    "unpriced_requests",
    "tool_call_count",
    "provider_latency_ms",
    "total_proxy_overhead_ms",
    "total_duration_ms",
    "time_to_first_token_ms",
    "success",
    "thinking_is_estimated",
    "completed_at",
)
_OVERHEAD_AT: Final = _AMOUNTS.index("total_proxy_overhead_ms")
_SESSION_SUMS: Final = (*_AMOUNTS[:_OVERHEAD_AT], "proxy_overhead_ms")
"""The columns of `sessions` that are sums of the first amounts."""

amounts_of: Callable[[Values], Values] = itemgetter(*map(RESPONSE_COLUMNS.index, _AMOUNTS))
"""RESPONSE_COLUMNS → what of an exchange goes into sums."""


def add_to_session(row: SessionRow, exchanges: Sequence[Values]) -> None:
    """`exchanges` are amounts, in the order of the session: its costs are not in grains, and depend on it."""
    columns = _columns(exchanges)
    for name, column in zip(_SESSION_SUMS, columns.values(), strict=False):
        known = _known(column)
        if known:
            # Not `sum`, which since Python 3.12 is more exact the more it has to add.
            setattr(row, name, reduce(add, known, getattr(row, name) or 0))
    row.error_count += columns["success"].count(False)
    row.thinking_is_estimated |= any(columns["thinking_is_estimated"])
    row.max_latency_ms = max(_known((row.max_latency_ms, *columns["provider_latency_ms"])), default=None)
    row.max_ttft_ms = max(_known((row.max_ttft_ms, *columns["time_to_first_token_ms"])), default=None)
    lasted_ms = _ms_between(row.started_at, max(columns["completed_at"]))
    row.total_duration_ms = max(row.total_duration_ms or 0.0, lasted_ms, SHORTEST_MS, *columns["total_duration_ms"])


def sums_of_hour(key: tuple[str, str, str, str], exchanges: Sequence[Values]) -> tuple[HourRow, LatencyRow]:
    """`exchanges` are amounts, in any order; `key` are the rows' first columns."""
    columns = _columns(exchanges)
    failures = columns["success"].count(False)
    hour = HourRow(*key, len(exchanges), len(exchanges) - failures, failures)
    for name in TOKEN_COLUMNS:
        known = _known(columns[name])
        if known:
            setattr(hour, name, sum(known))
    costs = _known(columns["total_cost_usd"])
    hour.total_cost_usd = _in_grains(costs, _USD_GRAINS) if costs else None
    hour.unpriced_requests = sum(_known(columns["unpriced_requests"]))
    hour.tool_call_count = sum(columns["tool_call_count"])
    hour.provider_latency_ms = _in_grains(_known(columns["provider_latency_ms"]), _MS_GRAINS)
    hour.proxy_overhead_ms = _in_grains(columns["total_proxy_overhead_ms"], _MS_GRAINS)
    hour.total_duration_ms = _in_grains(columns["total_duration_ms"], _MS_GRAINS)
    latency = LatencyRow(
        *key,
        histogram.of(_known(columns["provider_latency_ms"])),
        histogram.of(_known(columns["time_to_first_token_ms"])),
    )
    return hour, latency


def add_to_tool(row: ToolDayRow, durations_ms: Sequence[float]) -> None:
    """How long calls took, in any order."""
    row.total_execution_time_ms = _in_grains((row.total_execution_time_ms, *durations_ms), _MS_GRAINS)
    row.execution_histogram += histogram.of(durations_ms)


def add_row(row: Sums, more: Sums) -> None:
    """Add the amounts of a row of the same table, key columns apart."""
    for name in row.__struct_fields__[_KEY_COLUMNS:]:
        amount = getattr(more, name)
        if amount is None:
            continue
        if name == "total_cost_usd":
            total = add_usd(getattr(row, name), amount)
        elif type(amount) is float:
            total = _in_grains((getattr(row, name), amount), _MS_GRAINS)
        else:
            total = (getattr(row, name) or 0) + amount
        setattr(row, name, total)


def add_usd(total: float | None, amount: float | None) -> float | None:
    """A sum of a day and another amount, to the grain of such sums; None + None is None."""
    return total if amount is None else _in_grains((total or 0.0, amount), _USD_GRAINS)


def _columns(exchanges: Sequence[Values]) -> dict[str, Values]:
    return dict(zip(_AMOUNTS, zip(*exchanges, strict=True), strict=True))


def _ms_between(earlier: str, later: str) -> float:
    seconds = (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    return round(seconds * 1000, 3)


def _known(column: Iterable[Any]) -> list[Any]:
    return [amount for amount in column if amount is not None]


def _in_grains(amounts: Iterable[float], grains: float) -> float:
    """Their sum, each of them being rounded to a grain, of which there are so many in one."""
    return sum([round(amount * grains) for amount in amounts]) / grains
