"""The console reads, and does nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.errors import SqlRefused
from lunaroute.query.index import open_index
from lunaroute.query.sql import run_sql


@pytest.fixture
def connection(home: Path) -> Iterator[sqlite3.Connection]:
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT provider, count(*) FROM sessions GROUP BY 1 ORDER BY 1",
        "WITH x AS (SELECT 1 AS a, 2) SELECT * FROM x",
        "SELECT content, rowid FROM text_search WHERE text_search MATCH 'milk'",
        "EXPLAIN QUERY PLAN SELECT 1",
        "SELECT session_id, tag.value FROM sessions, json_each(sessions.tags) AS tag",
        "SELECT name, type FROM pragma_table_info('sessions')",
        "PRAGMA table_info(sessions)",
        "VALUES (1, 2)",
    ],
)
def test_questions_are_answered(connection: sqlite3.Connection, statement: str) -> None:
    result = run_sql(connection, statement)
    assert len(result.rows) >= 1
    assert len(result.columns) >= 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM sessions",
        "INSERT INTO schema_version VALUES (2)",
        "UPDATE sessions SET success = 1",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "DROP TABLE sessions",
        "ATTACH ':memory:' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = ON",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('x')",
        "INSERT INTO text_search (text_search) VALUES ('optimize')",
    ],
)
def test_nothing_else_is(connection: sqlite3.Connection, home: Path, statement: str) -> None:
    before = (home / "sessions" / "sessions.db").read_bytes()
    with pytest.raises(SqlRefused, match="only reading is possible") as caught:
        run_sql(connection, statement)
    assert "\n" not in str(caught.value)
    assert (home / "sessions" / "sessions.db").read_bytes() == before
    assert [
        path.name for path in (home / "sessions").iterdir() if path.is_file() and "sessions.db" not in path.name
    ] == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT totl_cost_usd FROM sessions", "there is no column 'totl_cost_usd'; did you mean 'total_cost_usd'"),
        ("SELECT * FROM sesions", "there is no table 'sesions'; did you mean 'sessions'"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELEC 1", "syntax error"),
        ("", "that asks nothing"),
    ],
)
def test_slips_are_one_line_with_the_nearest_right_thing(
    connection: sqlite3.Connection, statement: str, said: str
) -> None:
    with pytest.raises(SqlRefused, match=said):
        run_sql(connection, statement)


def test_time_is_limited(connection: sqlite3.Connection) -> None:
    endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(SqlRefused, match=r"longer than 0\.1 s"):
        run_sql(connection, endless, max_seconds=0.1)
    assert run_sql(connection, "SELECT 1, 2").rows == [(1, 2)]


def test_rows_are_limited(connection: sqlite3.Connection) -> None:
    endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    result = run_sql(connection, endless, max_rows=5)
    assert (result.rows, result.is_cut) == ([(1,), (2,), (3,), (4,), (5,)], True)


def test_a_value_cannot_fill_the_memory(connection: sqlite3.Connection) -> None:
    with pytest.raises(SqlRefused, match="too big"):
        run_sql(connection, "SELECT length(randomblob(1000000000))")
