"""An index that is built before anybody reads it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from lunaroute.sinks.sqlite.schema import INDEXES
from lunaroute.sinks.sqlite.scratch import finish_scratch, open_scratch
from lunaroute.sinks.sqlite.store import write_events
from tests.builders import SessionScript


class _WithoutTemporaryFiles:
    """A connection that can sort in memory only, or not at all."""

    def __init__(self, connection: sqlite3.Connection, *, has_memory: bool) -> None:
        self._connection = connection
        self._has_memory = has_memory

    def execute(self, statement: str) -> sqlite3.Cursor:
        is_in_memory = self._connection.execute("PRAGMA temp_store").fetchone() == (2,)
        if statement.startswith("CREATE INDEX") and not (is_in_memory and self._has_memory):
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _indexes(connection: sqlite3.Connection) -> int:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    return int(connection.execute(query).fetchone()[0])


def _scratch(folder: Path) -> sqlite3.Connection:
    connection = open_scratch(folder / "scratch.db")
    write_events(connection, SessionScript().turn().complete().events, lambda event, why: pytest.fail(why))
    return connection


def test_what_only_questions_need_is_there_at_the_end(tmp_path: Path) -> None:
    with closing(_scratch(tmp_path)) as connection:
        assert _indexes(connection) == 0
        finish_scratch(connection)
        finish_scratch(connection)  # as when the first time was not followed by what comes after it
        assert _indexes(connection) == len(INDEXES)


def test_where_there_is_no_room_for_temporary_files_memory_does(tmp_path: Path) -> None:
    with closing(_scratch(tmp_path)) as connection:
        finish_scratch(cast(sqlite3.Connection, _WithoutTemporaryFiles(connection, has_memory=True)))
        assert _indexes(connection) == len(INDEXES)


def test_where_there_is_no_room_at_all_it_says_so_and_the_rows_stay(tmp_path: Path) -> None:
    with closing(_scratch(tmp_path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="full"):
            finish_scratch(cast(sqlite3.Connection, _WithoutTemporaryFiles(connection, has_memory=False)))
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
