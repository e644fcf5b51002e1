"""What `verify` says of the index: each row that is not what the files say."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.repriced import record

from .conftest import Store, traffic


def _execute(store: Store, *statements: str) -> None:
    with closing(sqlite3.connect(store.database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


TABLES = (
    *("sessions", "session_stats", "tool_calls", "tool_call_executions", "session_facets", "texts"),
    *("daily_stats", "hourly_stats", "hourly_latencies", "daily_latencies", "daily_tool_stats"),
)


def test_every_table_is_compared(store: Store) -> None:
    with closing(sqlite3.connect(store.database)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    search = {name for name in names if name.startswith("text_search")}
    assert names - search - {"schema_version"} == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_row_is_named(store: Store, table: str) -> None:
    with closing(sqlite3.connect(store.database)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert count, "the store has one"
    column = "text_id" if table == "texts" else "rowid"
    key = {"tool_calls": "request_id", "session_facets": "value", "daily_stats": "day", "hourly_stats": "hour"}
    column = key.get(table, column)
    _execute(store, f"DELETE FROM {table} WHERE {column} = (SELECT min({column}) FROM {table})")
    problems = store.index_problems()
    assert problems
    assert all(problem.startswith(f"{table} ") and problem.endswith("the row is missing") for problem in problems)


def test_a_changed_value_is_named_with_the_one_it_should_have(store: Store) -> None:
    session_id = json.loads(store.lines()[0])["session_id"]
    _execute(
        store,
        f"UPDATE sessions SET output_tokens = 7, model_used = 'other' WHERE session_id = '{session_id}'",
        "UPDATE daily_stats SET requests = requests + 1",
    )
    changed, day = store.index_problems()
    assert changed.startswith(f"sessions {session_id}: model_used is 'other', the files say ")
    assert changed.endswith("output_tokens is 7, the files say 30")
    assert day.endswith("requests is 7, the files say 6")


def test_a_row_of_nothing_is_named(store: Store) -> None:
    _execute(store, "INSERT INTO session_facets VALUES ('tool', 'Nothing', 'nobody')")
    assert store.index_problems() == ["session_facets nobody tool Nothing: the row is of nothing in the files"]


def test_a_row_that_is_there_twice_is_named(store: Store) -> None:
    _execute(
        store,
        "CREATE TEMP TABLE copy AS SELECT * FROM texts LIMIT 1",
        "UPDATE copy SET text_id = 9999",
        "INSERT INTO texts SELECT * FROM copy",
    )
    (problem,) = store.index_problems()
    assert problem.endswith("rows is 2, the files say 1")


def test_a_session_whose_file_is_gone_is_named(store: Store) -> None:
    session_id = store.files[0].stem
    store.files[0].unlink()
    assert f"sessions {session_id}: the row is of nothing in the files" in store.index_problems()


def test_a_search_index_that_lost_its_words_is_named(store: Store) -> None:
    _execute(store, "INSERT INTO text_search (text_search) VALUES ('delete-all')")
    assert "search: the word 'question' is there 0 times, the files have it 6 times" in store.index_problems()


def test_words_that_nobody_said_are_named(store: Store) -> None:
    _execute(store, "INSERT INTO text_search (rowid, content) VALUES (999, 'forged')")
    assert store.index_problems() == ["search: the word 'forged' is there 1 times, the files have it 0 times"]


def test_a_missing_index_is_named(store: Store) -> None:
    store.database.unlink()
    assert store.index_problems() == ["is missing; `lunaroute reindex` makes it anew"]


def test_a_damaged_index_is_named(store: Store) -> None:
    data = bytearray(store.database.read_bytes())
    data[2000:30_000] = bytes(28_000)
    store.database.write_bytes(data)
    assert store.index_problems()


def test_with_a_recorder_at_work_open_sessions_are_no_problem(tmp_path: Path) -> None:
    record(tmp_path / "sessions", traffic(is_ended=False), {})
    store = Store(tmp_path)
    assert [problem for problem in store.problems() if "has no `completed`" in problem] == store.problems()
    assert len(store.problems()) == 2
    store.lock.parent.mkdir()
    fd = os.open(store.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        report = store.verify()
        assert (report.problems, report.open_count) == ([], 2)
        _execute(store, "UPDATE sessions SET output_tokens = 7")  # of sessions that are not over: about to change
        assert store.verify().problems == []
    finally:
        os.close(fd)
