"""Sums that lists and charts read instead of the single exchanges: by hour, by day, by tool.

In: what a batch counts. Out, at `flush`: the rows of `hourly_stats`, `hourly_latencies`, `daily_stats` and
`daily_tool_stats` with it added, in the transaction of the batch. What an event adds depends on that event, its request
and its session's beginning alone, and adding is the same in any order: a re-index gets the very same rows.

Everything is counted once, by hour and client; the rows of the day are sums of those. So an exchange costs one
addition, and a batch one read and one write for each row it touches, however many exchanges it has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from lunaroute.events.types import ResponseRecorded, ToolCallRecorded
from lunaroute.stats import histogram

from . import statements as sql
from .columns import HourRow, LatencyRow, ToolDayRow
from .rows import add_row, count_hour, count_tool_result

_UNKNOWN = "unknown"
_Row = TypeVar("_Row", bound=HourRow | LatencyRow | ToolDayRow)


class Rollups:
    """What a batch adds. Nothing is read or written before `flush`."""

    def __init__(self) -> None:
        self._hours: dict[tuple[str, str, str, str], HourRow] = {}
        self._latencies: dict[tuple[str, str, str, str], LatencyRow] = {}
        self._tools: dict[tuple[str, str, str, str], ToolDayRow] = {}

    def add_response(
        self, event: ResponseRecorded, started_at: str, provider: str | None, model: str | None, client: str | None
    ) -> None:
        """`started_at` as `sql_time` gives it: an exchange belongs to the hour in which it began."""
        stats = event.stats
        key = (f"{started_at[:13]}:00:00", provider or _UNKNOWN, model or _UNKNOWN, client or _UNKNOWN)
        hour = self._hours.get(key)
        if hour is None:
            hour = self._hours[key] = HourRow(*key)
            self._latencies[key] = LatencyRow(*key)
        count_hour(hour, event)
        latency = self._latencies[key]
        if stats.provider_latency_ms is not None:
            latency.latency_histogram += histogram.one(stats.provider_latency_ms)
        if stats.time_to_first_token_ms is not None:
            latency.ttft_histogram += histogram.one(stats.time_to_first_token_ms)

    def add_calls(self, names: Iterable[str], called_at: str, model: str | None, client: str | None) -> None:
        """Calls belong to the day on which the model asked for them."""
        for name in names:
            self._tool(called_at, model, client, name).call_count += 1

    def add_result(self, event: ToolCallRecorded, returned_at: str, client: str | None) -> None:
        """Results, errors and times belong to the day on which the result came, and to the client that sent it."""
        count_tool_result(self._tool(returned_at, event.model_name, client, event.tool_name), event)

    def add_rows(self, hours: Iterable[HourRow], latencies: Iterable[LatencyRow], tools: Iterable[ToolDayRow]) -> None:
        """Rows of `hourly_stats`, `hourly_latencies` and `daily_tool_stats`, as `rows_of` gives them."""
        for hour in hours:
            key = (hour.hour, hour.provider, hour.model_name, hour.client_name)
            add_row(self._hours.setdefault(key, HourRow(*key)), hour)
        for latency in latencies:
            key = (latency.hour, latency.provider, latency.model_name, latency.client_name)
            add_row(self._latencies.setdefault(key, LatencyRow(*key)), latency)
        for tool in tools:
            key = (tool.day, tool.model_name, tool.client_name, tool.tool_name)
            add_row(self._tools.setdefault(key, ToolDayRow(*key)), tool)

    def flush(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.Error."""
        days: dict[tuple[str, str, str], HourRow] = {}
        for (hour, provider, model, _), row in self._hours.items():
            key = (hour[:10], provider, model)
            add_row(days.setdefault(key, HourRow(*key, "")), row)
        _flush(connection, sql.HOURLY, self._hours.values())
        _flush(connection, sql.DAILY, days.values())
        _flush(connection, sql.LATENCIES, self._latencies.values())
        _flush(connection, sql.TOOL_DAYS, self._tools.values())

    def _tool(self, at: str, model: str | None, client: str | None, name: str) -> ToolDayRow:
        key = (at[:10], model or _UNKNOWN, client or _UNKNOWN, name)
        row = self._tools.get(key)
        if row is None:
            row = self._tools[key] = ToolDayRow(*key)
        return row


def _flush(connection: sqlite3.Connection, table: sql.RollupSql, rows: Iterable[_Row]) -> None:
    written: list[list[object]] = []
    for row in rows:
        key: list[str] = [getattr(row, name) for name in table.key]
        found = connection.execute(table.select, key).fetchone()
        if found is not None:
            add_row(row, _stored(type(row), table.amounts, found))
        written.append([*key, *(_to_store(name, getattr(row, name)) for name in table.amounts)])
    connection.executemany(table.upsert, written)


def rows_of(connection: sqlite3.Connection) -> tuple[list[HourRow], list[LatencyRow], list[ToolDayRow]]:
    """All sums of an index, those of days apart, which follow from those of hours. Raises sqlite3.Error."""

    def read(kind: type[_Row], table: str, sums: sql.RollupSql) -> list[_Row]:
        found = connection.execute(f"SELECT {', '.join((*sums.key, *sums.amounts))} FROM {table}")
        return [
            msgspec.structs.replace(
                _stored(kind, sums.amounts, row[len(sums.key) :]), **dict(zip(sums.key, row, strict=False))
            )
            for row in found
        ]

    return (
        read(HourRow, "hourly_stats", sql.HOURLY),
        read(LatencyRow, "hourly_latencies", sql.LATENCIES),
        read(ToolDayRow, "daily_tool_stats", sql.TOOL_DAYS),
    )


def _to_store(name: str, amount: Any) -> object:
    return histogram.pack(amount) if name in sql.HISTOGRAMS else amount


def _stored(kind: type[_Row], names: tuple[str, ...], found: tuple[Any, ...]) -> _Row:
    values = {
        name: histogram.unpack(amount) if name in sql.HISTOGRAMS else amount
        for name, amount in zip(names, found, strict=True)
    }
    return msgspec.structs.replace(kind("", "", "", ""), **values)
