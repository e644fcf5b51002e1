"""A question in somebody's own SQL, to whatever store: reading only, with limits of rows and time."""

from __future__ import annotations

import sqlite3

from .sql import DEFAULT_ROWS, DEFAULT_SECONDS, SqlResult, Table, list_tables, run_sql
from .stores.base import AskingIndex, Index

_MOST_COLUMNS = 10_000


def ask_sql(
    index: Index, statement: str, *, max_rows: int = DEFAULT_ROWS, max_seconds: float = DEFAULT_SECONDS
) -> SqlResult:
    """What one reading statement answers, in the store's own SQL. Raises SqlRefused, StoreUnavailable."""
    if isinstance(index, sqlite3.Connection):
        return run_sql(index, statement, max_rows=max_rows, max_seconds=max_seconds)
    assert isinstance(index, AskingIndex)
    columns, rows = index.ask(statement, max_rows + 1, max_seconds)
    return SqlResult(columns=columns, rows=rows[:max_rows], is_cut=len(rows) > max_rows)


def tables_of(index: Index) -> list[Table]:
    """What there is to ask. Raises SqlRefused, StoreUnavailable, sqlite3.Error."""
    if isinstance(index, sqlite3.Connection):
        return list_tables(index)
    assert isinstance(index, AskingIndex)
    _, rows = index.ask(index.schema_sql, _MOST_COLUMNS, DEFAULT_SECONDS)
    columns: dict[str, list[str]] = {}
    for table, column, *_ in rows:
        columns.setdefault(str(table), []).append(str(column))
    return [Table(name=name, columns=names) for name, names in columns.items()]
