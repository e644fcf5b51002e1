"""The rows of a finished session with other costs.

In: an open index, and what the session's events are to say about cost. Out: the rows that a re-index of such a file
would give, in one transaction: `session_stats` of its exchanges, its row of `sessions`, and the sums of the hours
and days.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lunaroute.events.repricing import Recost
from lunaroute.events.types import Completed
from lunaroute.sinks.tables.exchange_rows import EXCHANGE_COST_COLUMNS, exchange_cost_values
from lunaroute.sinks.tables.rows import SESSION_COST_COLUMNS, session_cost_values
from lunaroute.sinks.tables.sums import add_usd

_MISS_COLUMN = "cache_miss_cost_usd"
_UNKNOWN = "unknown"
_OLD_EXCHANGE = (
    "SELECT e.started_at, e.provider, e.model_name, s.client_name, e.total_cost_usd, e.unpriced_requests"
    " FROM session_stats e LEFT JOIN sessions s USING (session_id) WHERE e.request_id = ?"
)
_HAS_PRICED = (
    "SELECT 1 FROM session_stats e LEFT JOIN sessions s USING (session_id)"
    " WHERE e.started_at >= ? AND e.started_at < ? || '~' AND ifnull(e.provider, 'unknown') = ?"
    " AND ifnull(e.model_name, 'unknown') = ? AND coalesce(s.client_name, 'unknown')"
    " = coalesce(?, s.client_name, 'unknown')"
    " AND e.total_cost_usd IS NOT NULL LIMIT 1"
)
_DAY_KEY = "day = ? AND provider = ? AND model_name = ?"
_HOUR_KEY = "hour = ? AND provider = ? AND model_name = ? AND client_name = ?"


class _Sum(msgspec.Struct, frozen=True):
    """A row of sums that an exchange is part of."""

    table: str
    condition: str
    key: tuple[str, ...]

    @property
    def priced(self) -> tuple[str | None, ...]:
        """The parameters of _HAS_PRICED."""
        began, provider, model, *client = self.key
        # An hour's name ends where its minutes begin; its exchanges begin like the rest of it.
        began = began.removesuffix(":00:00")
        return (began, began, provider, model, client[0] if client else None)


def is_stale(index: sqlite3.Connection, recosts: Sequence[Recost]) -> bool:
    """Whether a row of the session says anything else than it is to say."""
    for recost in recosts:
        table, columns, key, values = _row_of(recost)
        found = index.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {key[0]} = ?", (key[1],)).fetchone()
        if found is not None and found != values:
            return True
    return False


def reprice_rows(index: sqlite3.Connection, recosts: Iterable[Recost]) -> None:
    """Write them. Raises sqlite3.Error, having changed nothing."""
    index.execute("BEGIN IMMEDIATE")
    try:
        unpriced: set[_Sum] = set()
        for recost in recosts:
            table, columns, key, values = _row_of(recost)
            if not isinstance(recost.event, Completed):
                moved = _move_cost(index, recost)
                if recost.new.total_cost_usd is None:
                    unpriced.update(moved)
            assigned = ", ".join(f"{name} = ?" for name in columns)
            index.execute(f"UPDATE {table} SET {assigned} WHERE {key[0]} = ?", (*values, key[1]))
        for one in unpriced:
            _clear_sum(index, one)
        index.execute("COMMIT")
    except BaseException:
        if index.in_transaction:  # a full disk has ended it already
            index.execute("ROLLBACK")
        raise


def _row_of(recost: Recost) -> tuple[str, tuple[str, ...], tuple[str, str], tuple[Any, ...]]:
    """(table, columns, (key, its value), values) of the row that an event's costs stand in."""
    event, cost, miss = recost.event, recost.new, recost.new_miss_usd
    if isinstance(event, Completed):
        columns, key = (*SESSION_COST_COLUMNS, _MISS_COLUMN), ("session_id", event.session_id)
        return "sessions", columns, key, (*session_cost_values(cost), miss)
    exchange_columns = (*EXCHANGE_COST_COLUMNS, _MISS_COLUMN)
    return "session_stats", exchange_columns, ("request_id", event.request_id), (*exchange_cost_values(cost), miss)


def _move_cost(index: sqlite3.Connection, recost: Recost) -> list[_Sum]:
    """Take an exchange's old cost out of the sums of its day and its hour, and put the new one in; which sums there
    are."""
    found = index.execute(_OLD_EXCHANGE, (recost.event.request_id,)).fetchone()
    if found is None:
        return []
    began, provider, model, client = found[0], *(name or _UNKNOWN for name in found[1:4])
    sums = [
        _Sum("daily_stats", _DAY_KEY, (began[:10], provider, model)),
        _Sum("hourly_stats", _HOUR_KEY, (f"{began[:13]}:00:00", provider, model, client)),
    ]
    return [one for one in sums if _change_sum(index, one, recost, found[4], found[5] or 0)]


def _change_sum(index: sqlite3.Connection, one: _Sum, recost: Recost, old_usd: float | None, old_unpriced: int) -> bool:
    query = f"SELECT total_cost_usd, unpriced_requests FROM {one.table} WHERE {one.condition}"
    sums = index.execute(query, one.key).fetchone()
    if sums is None:
        return False
    without = add_usd(sums[0], None if old_usd is None else -old_usd)
    total = add_usd(without, recost.new.total_cost_usd)
    unpriced = sums[1] - old_unpriced + recost.new.unpriced_requests
    update = f"UPDATE {one.table} SET total_cost_usd = ?, unpriced_requests = ? WHERE {one.condition}"
    index.execute(update, (total, unpriced, *one.key))
    return True


def _clear_sum(index: sqlite3.Connection, one: _Sum) -> None:
    """A sum of nothing is NULL and not zero."""
    if index.execute(_HAS_PRICED, one.priced).fetchone() is None:
        index.execute(f"UPDATE {one.table} SET total_cost_usd = NULL WHERE {one.condition}", one.key)
