"""Sums by hour, by day and by tool, as the index keeps them: one read and one write for each row a batch touches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from lunaroute.sinks.tables.columns import HourRow, LatencyRow, ToolDayRow
from lunaroute.sinks.tables.rollups import Rollups
from lunaroute.sinks.tables.sums import add_row
from lunaroute.stats import histogram

from . import statements as sql

_Row = TypeVar("_Row", bound=HourRow | LatencyRow | ToolDayRow)


def add_rollups(connection: sqlite3.Connection, rollups: Rollups) -> None:
    """Add to the rows there are, in the transaction of the caller. Raises sqlite3.Error."""
    # Before what is stored is added to the hours.
    days, latency_days = rollups.days(), rollups.latency_days()
    _flush(connection, sql.HOURLY, rollups.hours)
    _flush(connection, sql.DAILY, days)
    _flush(connection, sql.LATENCIES, rollups.latencies)
    _flush(connection, sql.LATENCY_DAYS, latency_days)
    _flush(connection, sql.TOOL_DAYS, rollups.tools)


def _flush(connection: sqlite3.Connection, table: sql.RollupSql, rows: Iterable[_Row]) -> None:
    written: list[list[object]] = []
    for row in rows:
        key: list[str] = [getattr(row, name) for name in row.__struct_fields__[: len(table.key)]]
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
