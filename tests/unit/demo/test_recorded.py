"""The demo's view of a recording: what it waits for, and what it says when numbers differ."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lunaroute.demo.recorded import NotRecordedError, disagreements, read_sessions, wait_until_recorded
from lunaroute.demo.run import AgentSummary
from lunaroute.sinks.sqlite import schema

SINCE = "2026-01-01 00:00:00.000000"
AGENT = AgentSummary(
    name="one",
    dialect="openai_chat",
    model="m",
    request_count=2,
    error_count=0,
    input_tokens=100,
    output_tokens=20,
    thinking_tokens=5,
    cache_read_tokens=0,
    cache_creation_tokens=0,
    tool_call_count=1,
    answer="",
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.db"
    connection = sqlite3.connect(path)
    for table in (schema._SESSIONS, schema._SESSION_STATS):
        connection.execute(table)
    connection.close()
    return path


def insert(database: Path, table: str, **values: Any) -> None:
    connection = sqlite3.connect(database)
    columns = {row[1]: row for row in connection.execute(f"PRAGMA table_info({table})")}
    row = {name: 0 for name, info in columns.items() if info[3]} | values
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    connection.commit()
    connection.close()


def record(database: Path, outcomes: list[str | None], **values: Any) -> None:
    session = {
        "session_id": "s1",
        "tags": '["one"]',
        "started_at": "2026-01-01 12:00:00.000000",
        "request_count": len(outcomes),
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_tokens": 0,
    }
    insert(database, "sessions", **session | values)
    for n, outcome in enumerate(outcomes):
        insert(
            database,
            "session_stats",
            session_id="s1",
            request_id=f"r{n}",
            outcome=outcome,
            provider_latency_ms=100.0 * n,
        )


def test_a_session_is_read_with_its_mean_latency(database: Path) -> None:
    record(database, ["completed", "completed"])
    (session,) = read_sessions(database, SINCE)
    assert (session.tags, session.latency_ms, session.answered) == (["one"], 50.0, 2)


def test_sessions_from_before_the_demo_are_left_out(database: Path) -> None:
    record(database, ["completed"], started_at="2025-12-31 23:59:59.999999")
    assert read_sessions(database, SINCE) == []


def test_no_database_and_no_tables_yet_mean_no_sessions(tmp_path: Path) -> None:
    assert read_sessions(tmp_path / "none.db", SINCE) == []
    sqlite3.connect(tmp_path / "empty.db").close()
    assert read_sessions(tmp_path / "empty.db", SINCE) == []


def test_reading_does_not_create_a_database(tmp_path: Path) -> None:
    read_sessions(tmp_path / "none.db", SINCE)
    assert list(tmp_path.iterdir()) == []


def test_waiting_ends_when_every_response_is_there(database: Path) -> None:
    record(database, ["completed", "http_error"])
    assert len(wait_until_recorded(database, SINCE, [AGENT], timeout_s=0)) == 1


def test_a_request_without_its_response_is_not_recorded_yet(database: Path) -> None:
    record(database, ["completed", None])
    with pytest.raises(NotRecordedError, match="one 1 of 2 requests"):
        wait_until_recorded(database, SINCE, [AGENT], timeout_s=0)


def test_equal_numbers_disagree_in_nothing(database: Path) -> None:
    record(database, ["completed", "completed"])
    assert disagreements([AGENT], read_sessions(database, SINCE)) == []


def test_a_wrong_number_is_named(database: Path) -> None:
    record(database, ["completed", "completed"], output_tokens=21)
    assert disagreements([AGENT], read_sessions(database, SINCE)) == [
        "one: output_tokens is 21 in the recording, 20 in the SDK"
    ]
