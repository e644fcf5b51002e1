"""Many rows into a table at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from lunaroute.sinks.tables.rows import Values

from .statements import Insert

_MANY_ROWS = 100
"""From here on it pays to make a statement for the rows: SQLite takes as long over one of a hundred columns as over
twenty rows."""


def insert_many(connection: sqlite3.Connection, insert: Insert, rows: list[Values]) -> None:
    """Insert them in this order. Columns that are NULL in every row are left out, which are a third of them, and truth
    values are handed over as the numbers that SQLite makes of them: Python's sqlite3 takes five times as long over
    either as over a number. Raises sqlite3.Error."""
    if len(rows) < _MANY_ROWS:
        connection.executemany(insert.whole, rows)
        return
    kept, values = [], []
    for name, column in zip(insert.columns, zip(*rows, strict=True), strict=True):
        first = _first(column)
        if first is not None:
            kept.append(name)
            values.append(_as_numbers(column) if isinstance(first, bool) else column)
    connection.executemany(insert.of(kept), zip(*values, strict=True))


def _first(column: Sequence[Any]) -> Any:
    """Its first value that is not NULL."""
    for value in column:
        if value is not None:
            return value
    return None


def _as_numbers(column: Sequence[bool | None]) -> list[int | None]:
    return [None if value is None else 1 if value else 0 for value in column]
