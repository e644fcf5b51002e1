"""Any question in SQL, and nothing but questions.

In: a statement. Out: its rows, as many as are wanted, or one line that says what is wrong. Three locks: the file is
open read-only, `PRAGMA query_only` is on, and an authorizer lets through nothing but reading. Time and the size of a
value are limited, so that a slip cannot take the machine.
"""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Final

import msgspec

from lunaroute.errors import SqlRefused

from .grammar import did_you_mean

DEFAULT_ROWS: Final = 1000
DEFAULT_SECONDS: Final = 10.0

_MAX_VALUE_BYTES = 64 * 1024 * 1024
_STEPS_BETWEEN_LOOKS = 10_000
_READING = {
    *(sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE),
}
_ASKING_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "data_version"}
"""`data_version` is what full-text search asks itself."""
_VIRTUAL_TABLES = (
    *("text_search", "json_each", "json_tree", "pragma_table_info", "pragma_table_xinfo", "pragma_table_list"),
    *("pragma_index_list", "pragma_index_info", "pragma_index_xinfo"),
)
"""They declare their columns when they are first named, which the authorizer would take for making a table."""
_HARMFUL_FUNCTIONS = {"load_extension", "fts3_tokenizer"}
_NO_SUCH = re.compile(r"no such (column|table): (?:[^.]*\.)?(.+)")


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    columns: list[str]
    rows: list[tuple[object, ...]]
    is_cut: bool
    """There were more rows than were wanted."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    columns: list[str]


def list_tables(connection: sqlite3.Connection) -> list[Table]:
    """What there is to ask, but for the insides of full-text search. Raises sqlite3.Error."""
    rows = connection.execute(
        "SELECT t.name, group_concat(c.name, ' ') FROM pragma_table_list t, pragma_table_info(t.name) c"
        " WHERE t.schema = 'main' AND t.type <> 'shadow' AND t.name NOT LIKE 'sqlite%'"
        " GROUP BY t.name ORDER BY t.name"
    )
    return [Table(name=name, columns=columns.split()) for name, columns in rows]


def run_sql(
    connection: sqlite3.Connection,
    statement: str,
    *,
    max_rows: int = DEFAULT_ROWS,
    max_seconds: float = DEFAULT_SECONDS,
) -> SqlResult:
    """What one reading statement answers. Leaves the connection locked to reading. Raises SqlRefused."""
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for table in _VIRTUAL_TABLES:
        connection.execute(f"SELECT 1 FROM {table} LIMIT 0")
    connection.set_authorizer(_authorize)
    deadline = time.monotonic() + max_seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        cursor = connection.execute(statement)
        rows = cursor.fetchmany(max_rows + 1)
    except (sqlite3.Error, sqlite3.Warning, UnicodeError) as error:
        raise SqlRefused(_explain(connection, error, max_seconds)) from error
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)
    if cursor.description is None:
        raise SqlRefused("that asks nothing; say SELECT …")
    columns = [column[0] for column in cursor.description]
    cursor.close()
    return SqlResult(columns=columns, rows=rows[:max_rows], is_cut=len(rows) > max_rows)


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action in _READING and second not in _HARMFUL_FUNCTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _ASKING_PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _explain(connection: sqlite3.Connection, error: Exception, max_seconds: float) -> str:
    text = " ".join(str(error).split())
    if text == "interrupted":
        return f"it took longer than {max_seconds:g} s and was stopped; narrow it, or allow more time"
    if text.startswith(("not authorized", "attempt to write", "authoriz")) or "prohibited" in text:
        return "only reading is possible here: SELECT, WITH … SELECT, EXPLAIN, PRAGMA table_info(…)"
    if "one statement at a time" in text:
        return "one statement at a time"
    missing = _NO_SUCH.match(text)
    if missing:
        kind, name = missing.groups()
        return f"there is no {kind} {name!r}{did_you_mean(name, _names(connection, kind))}"
    return text


def _names(connection: sqlite3.Connection, kind: str) -> list[str]:
    connection.set_authorizer(None)
    connection.set_progress_handler(None, 0)
    if kind == "table":
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
    else:
        rows = connection.execute(
            "SELECT DISTINCT c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        )
    return [row[0] for row in rows]
