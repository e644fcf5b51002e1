"""[pure] Sums that lists and charts read instead of the single exchanges: by hour, by day, by tool.

In: what a batch counts. Out: what it adds to the rows of `hourly_stats`, `hourly_latencies`, `daily_stats`,
`daily_latencies` and `daily_tool_stats`; the store adds it in the transaction of the batch. What an event adds depends
on that event, its request and its session's beginning alone, and adding is the same in any order: a re-index gets the
very same rows.

Everything is counted once, by hour and client, and all exchanges of a row at once; the rows of the day are sums of
those. A batch costs one read and one write for each row it touches, however many exchanges it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from lunaroute.events.types import ToolCallRecorded

from .columns import HourRow, LatencyRow, ToolDayRow
from .rows import Values
from .sums import add_row, add_to_tool, sums_of_hour

_UNKNOWN = "unknown"
_Key = tuple[str, str, str, str]
_Row = TypeVar("_Row", HourRow, LatencyRow, ToolDayRow)


class Rollups:
    """What a batch adds."""

    def __init__(self) -> None:
        self._uncounted: dict[_Key, list[Values]] = {}
        """Amounts of exchanges that are not in their hour's rows yet."""
        self._hours: dict[_Key, HourRow] = {}
        self._latencies: dict[_Key, LatencyRow] = {}
        self._tools: dict[_Key, ToolDayRow] = {}
        self._durations_ms: dict[_Key, list[float]] = {}
        """Of calls that are not in their tool's row yet."""

    def add_exchange(
        self, amounts: Values, started_at: str, provider: str | None, model: str | None, client: str | None
    ) -> None:
        """`amounts` as `amounts_of` gives them, `started_at` as `sql_time` does: an exchange belongs to the hour in
        which it began."""
        key = (f"{started_at[:13]}:00:00", provider or _UNKNOWN, model or _UNKNOWN, client or _UNKNOWN)
        self._uncounted.setdefault(key, []).append(amounts)

    def add_calls(self, names: Iterable[str], called_at: str, model: str | None, client: str | None) -> None:
        """Calls belong to the day on which the model asked for them."""
        for name in names:
            self._tool(_tool_key(called_at, model, client, name)).call_count += 1

    def add_result(self, event: ToolCallRecorded, returned_at: str, client: str | None) -> None:
        """Results, errors and times belong to the day on which the result came, and to the client that sent it."""
        key = _tool_key(returned_at, event.model_name, client, event.tool_name)
        row = self._tool(key)
        row.result_count += 1
        row.error_count += event.success is False
        if event.execution_time_ms is not None:
            self._durations_ms.setdefault(key, []).append(event.execution_time_ms)

    def add_rows(self, hours: Iterable[HourRow], latencies: Iterable[LatencyRow], tools: Iterable[ToolDayRow]) -> None:
        """Rows of `hourly_stats`, `hourly_latencies` and `daily_tool_stats`, as `rows_of` gives them."""
        for hour in hours:
            key = (hour.hour, hour.provider, hour.model_name, hour.client_name)
            _add(self._hours, key, hour)
        for latency in latencies:
            key = (latency.hour, latency.provider, latency.model_name, latency.client_name)
            _add(self._latencies, key, latency)
        for tool in tools:
            _add(self._tools, (tool.day, tool.model_name, tool.client_name, tool.tool_name), tool)

    @property
    def hours(self) -> Iterable[HourRow]:
        """Rows of `hourly_stats`."""
        self._count()
        return self._hours.values()

    @property
    def latencies(self) -> Iterable[LatencyRow]:
        """Rows of `hourly_latencies`."""
        self._count()
        return self._latencies.values()

    @property
    def tools(self) -> Iterable[ToolDayRow]:
        """Rows of `daily_tool_stats`."""
        self._count()
        return self._tools.values()

    def days(self) -> Iterable[HourRow]:
        """Rows of `daily_stats`: the hours' sums."""
        days: dict[tuple[str, str, str], HourRow] = {}
        for row in self.hours:
            key = (row.hour[:10], row.provider, row.model_name)
            add_row(days.setdefault(key, HourRow(*key, "")), row)
        return days.values()

    def latency_days(self) -> Iterable[LatencyRow]:
        """Rows of `daily_latencies`: the hours' histograms together."""
        days: dict[_Key, LatencyRow] = {}
        for row in self.latencies:
            key = (row.hour[:10], row.provider, row.model_name, row.client_name)
            add_row(days.setdefault(key, LatencyRow(*key)), row)
        return days.values()

    def _count(self) -> None:
        for key, exchanges in self._uncounted.items():
            hour, latency = sums_of_hour(key, exchanges)
            _add(self._hours, key, hour)
            _add(self._latencies, key, latency)
        self._uncounted.clear()
        for key, durations_ms in self._durations_ms.items():
            add_to_tool(self._tools[key], durations_ms)
        self._durations_ms.clear()

    def _tool(self, key: _Key) -> ToolDayRow:
        row = self._tools.get(key)
        if row is None:
            row = self._tools[key] = ToolDayRow(*key)
        return row


def _add(rows: dict[_Key, _Row], key: _Key, more: _Row) -> None:
    row = rows.setdefault(key, more)
    if row is not more:
        add_row(row, more)


def _tool_key(at: str, model: str | None, client: str | None, name: str) -> _Key:
    return at[:10], model or _UNKNOWN, client or _UNKNOWN, name
