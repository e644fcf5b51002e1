"""The rows of a finished session with other costs.

In: an open index, and what the session's events are to say about cost. Out: the rows that a re-index of such a file
would give, in one transaction: `session_stats` of its exchanges, its row of `sessions`, and the sums of the days.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from lunaroute.events.repricing import Recost
from lunaroute.events.types import Completed

from .rows import EXCHANGE_COST_COLUMNS, SESSION_COST_COLUMNS, add_usd, exchange_cost_values, session_cost_values

_UNKNOWN = "unknown"
_OLD_EXCHANGE = (
    "SELECT substr(started_at, 1, 10), provider, model_name, total_cost_usd, unpriced_requests"
    " FROM session_stats WHERE request_id = ?"
)
_HAS_PRICED = (
    "SELECT 1 FROM session_stats WHERE started_at >= ? AND started_at < ? || '~'"
    " AND ifnull(provider, 'unknown') = ? AND ifnull(model_name, 'unknown') = ? AND total_cost_usd IS NOT NULL LIMIT 1"
)
_SELECT_DAY = (
    "SELECT total_cost_usd, unpriced_requests FROM daily_stats WHERE day = ? AND provider = ? AND model_name = ?"
)
_UPDATE_DAY = (
    "UPDATE daily_stats SET total_cost_usd = ?, unpriced_requests = ? WHERE day = ? AND provider = ? AND model_name = ?"
)

_Day = tuple[str, str, str]


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
        unpriced_days = set()
        for recost in recosts:
            table, columns, key, values = _row_of(recost)
            if not isinstance(recost.event, Completed):
                day = _move_day(index, recost)
                if day is not None and recost.new.total_cost_usd is None:
                    unpriced_days.add(day)
            assigned = ", ".join(f"{name} = ?" for name in columns)
            index.execute(f"UPDATE {table} SET {assigned} WHERE {key[0]} = ?", (*values, key[1]))
        for day in unpriced_days:
            _clear_day(index, day)
        index.execute("COMMIT")
    except BaseException:
        index.execute("ROLLBACK")
        raise


def _row_of(recost: Recost) -> tuple[str, tuple[str, ...], tuple[str, str], tuple[Any, ...]]:
    """(table, columns, (key, its value), values) of the row that an event's cost stands in."""
    event = recost.event
    if isinstance(event, Completed):
        return "sessions", SESSION_COST_COLUMNS, ("session_id", event.session_id), session_cost_values(recost.new)
    return "session_stats", EXCHANGE_COST_COLUMNS, ("request_id", event.request_id), exchange_cost_values(recost.new)


def _move_day(index: sqlite3.Connection, recost: Recost) -> _Day | None:
    """Take an exchange's old cost out of the sums of its day, and put the new one in; None where it has no row."""
    found = index.execute(_OLD_EXCHANGE, (recost.event.request_id,)).fetchone()
    if found is None:
        return None
    day: _Day = (found[0], found[1] or _UNKNOWN, found[2] or _UNKNOWN)
    sums = index.execute(_SELECT_DAY, day).fetchone()
    if sums is None:
        return None
    old_usd, old_unpriced = found[3], found[4] or 0
    without = add_usd(sums[0], None if old_usd is None else -old_usd)
    total = add_usd(without, recost.new.total_cost_usd)
    index.execute(_UPDATE_DAY, (total, sums[1] - old_unpriced + recost.new.unpriced_requests, *day))
    return day


def _clear_day(index: sqlite3.Connection, day: _Day) -> None:
    """A sum of nothing is NULL and not zero."""
    if index.execute(_HAS_PRICED, (day[0], *day)).fetchone() is None:
        index.execute(
            "UPDATE daily_stats SET total_cost_usd = NULL WHERE day = ? AND provider = ? AND model_name = ?", day
        )
