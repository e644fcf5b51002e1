"""The calls of tools of a batch, and their results, as rows.

In: what `EventRows` has of them. Out: rows of `tool_call_executions`, one for each call, and of `tool_calls`, their
sums by request and tool. A call and its result mostly come in the same batch, and then are one row from the start; but
a result can come in any later batch, or before its call, and the rows are the same in the end.
"""

from __future__ import annotations

import sqlite3

from lunaroute.sinks.tables.rows import Values

from . import statements as sql
from .inserting import insert_many

_Key = tuple[str, str]
"""Request and tool: a row of `tool_calls`."""

_SAME_IN_ANY_ORDER = 2
"""So many durations have one sum, however they are added up; the sum of more is left to SQLite."""


def write_tool_calls(
    connection: sqlite3.Connection, tool_calls: list[Values], executions: list[Values], results: list[Values]
) -> None:
    """Values as `tables.rows` gives them. Raises sqlite3.Error."""
    result_of = {(values[1], values[5]): sql.result_part(values) for values in results}
    rows = [values + result_of.get((values[1], values[4]), sql.NO_RESULT) for values in executions]
    are_new = _insert_calls(connection, rows)
    called = {(values[1], values[4]) for values in executions}
    of_others = [values for values in results if (values[1], values[5]) not in called]
    connection.executemany(sql.INSERT_RESULT, of_others)
    unsure = {(values[1], values[4]) for values in of_others}
    durations_ms, errors = _outcomes(rows)
    summed = []
    for values in tool_calls:
        key = (values[1], values[3])
        known_ms = durations_ms.get(key, [])
        if len(known_ms) > _SAME_IN_ANY_ORDER or not are_new:
            unsure.add(key)
        summed.append(values + _sums(known_ms, errors.get(key, 0)))
    connection.executemany(sql.INSERT_TOOL_CALL, summed)
    connection.executemany(sql.UPDATE_TOOL_CALL, unsure)


def _insert_calls(connection: sqlite3.Connection, rows: list[Values]) -> bool:
    """Whether none of them was there, as the row of a result that came first."""
    if not rows:
        return True
    before = _last_execution(connection)
    insert_many(connection, sql.INSERT_EXECUTION, rows)
    return _last_execution(connection) - before == len({(row[1], row[4]) for row in rows})


def _last_execution(connection: sqlite3.Connection) -> int:
    found: tuple[int] = connection.execute(sql.SELECT_LAST_EXECUTION).fetchone()
    return found[0]


def _outcomes(rows: list[Values]) -> tuple[dict[_Key, list[float]], dict[_Key, int]]:
    """How long the calls of each request and tool took, and how many failed."""
    durations_ms: dict[_Key, list[float]] = {}
    errors: dict[_Key, int] = {}
    for row in rows:
        duration_ms, success = row[sql.DURATION_AT], row[sql.SUCCESS_AT]
        if duration_ms is not None:
            durations_ms.setdefault((row[1], row[3]), []).append(duration_ms)
        if success is False:
            key = (row[1], row[3])
            errors[key] = errors.get(key, 0) + 1
    return durations_ms, errors


def _sums(durations_ms: list[float], error_count: int) -> Values:
    if not durations_ms:
        return None, None, error_count
    total_ms = sum(durations_ms)
    return total_ms, total_ms / len(durations_ms), error_count
