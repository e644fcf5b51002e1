"""The tables as data are the tables that SQLite makes."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from lunaroute.sinks.sqlite.migrations import migrate
from lunaroute.sinks.tables.described import TABLES

_TYPES = {"text": "TEXT", "integer": "INTEGER", "real": "REAL", "blob": "BLOB", "moment": "TEXT", "flag": "INTEGER"}


def test_every_column_is_described() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as index:
        migrate(index)
        for table, columns in TABLES.items():
            made = index.execute(f"PRAGMA table_info({table})").fetchall()
            assert [(one.name, _TYPES[one.kind]) for one in columns] == [(row[1], row[2]) for row in made]
            assert [one.is_required for one in columns] == [bool(row[3] or row[5]) for row in made]


def test_moments_and_truth_values_are_told_from_text_and_numbers() -> None:
    kinds = {one.name: one.kind for one in TABLES["session_stats"]}
    assert {name for name, kind in kinds.items() if kind == "moment"} == {"started_at", "completed_at"}
    assert kinds["success"] == kinds["is_streaming"] == kinds["has_refusal"] == "flag"
    assert kinds["status_code"] == "integer"
