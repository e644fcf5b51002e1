"""Sums by hour, by day and by tool in PostgreSQL: read, added to and written back, one recorder at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from lunaroute.sinks.tables.columns import HourRow, LatencyRow, ToolDayRow
from lunaroute.sinks.tables.rollups import Rollups
from lunaroute.sinks.tables.sums import add_row
from lunaroute.stats import histogram

from .schema import KEYS
from .upsert import upsert

_Row = TypeVar("_Row", bound=HourRow | LatencyRow | ToolDayRow)

_LOCK: Final = 0x6C756E62
_HISTOGRAMS: Final = frozenset(("latency_histogram", "ttft_histogram", "execution_histogram"))


async def add_rollups(connection: Any, rollups: Rollups) -> None:
    """Last in the transaction: other recorders wait from here to its end. Raises asyncpg.PostgresError."""
    sums: list[tuple[str, list[Any]]] = [
        ("hourly_stats", list(rollups.hours)),
        ("daily_stats", list(rollups.days())),
        ("hourly_latencies", list(rollups.latencies)),
        ("daily_latencies", list(rollups.latency_days())),
        ("daily_tool_stats", list(rollups.tools)),
    ]
    if not any(rows for _, rows in sums):
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    for table, rows in sums:
        await _add(connection, table, rows)


async def _add(connection: Any, table: str, rows: Iterable[_Row]) -> None:
    by_key = {_key(table, row): row for row in rows}
    if not by_key:
        return
    key = KEYS[table]
    kind = type(next(iter(by_key.values())))
    amounts = kind.__struct_fields__[4:]
    joined = " AND ".join(f"t.{name} = k.{name}" for name in key)
    places = ", ".join(f"${number}::text[]" for number in range(1, len(key) + 1))
    found = await connection.fetch(
        f"SELECT {', '.join(f't.{name}' for name in (*key, *amounts))} FROM {table} t"
        f" JOIN unnest({places}) AS k ({', '.join(key)}) ON {joined}",
        *([values[number] for values in by_key] for number in range(len(key))),
    )
    for values in found:
        add_row(by_key[tuple(values)[: len(key)]], _stored(kind, amounts, tuple(values)[len(key) :]))
    written = [(*values, *(_to_store(name, getattr(row, name)) for name in amounts)) for values, row in by_key.items()]
    await upsert(connection, table, (*key, *amounts), written)


def _key(table: str, row: HourRow | LatencyRow | ToolDayRow) -> tuple[str, ...]:
    # A day's sums stand in the row of an hour whose name is the day.
    return tuple(getattr(row, name) for name in row.__struct_fields__[: len(KEYS[table])])


def _to_store(name: str, amount: Any) -> object:
    return histogram.pack(amount) if name in _HISTOGRAMS else amount


def _stored(kind: type[_Row], names: tuple[str, ...], found: tuple[Any, ...]) -> _Row:
    values = {
        name: histogram.unpack(amount) if name in _HISTOGRAMS else amount
        for name, amount in zip(names, found, strict=True)
    }
    return msgspec.structs.replace(kind("", "", "", ""), **values)
