"""Of a large store, no more exchanges are read than the filter's rarest condition leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lunaroute.query import ways
from lunaroute.query.grammar import parse_filter
from lunaroute.query.index import open_index
from lunaroute.query.usage import ended_exchanges, is_rolled_up
from lunaroute.query.values import resolve
from tests.builders import TEN_OCLOCK, Call, SessionScript

from .conftest import record

NOW = TEN_OCLOCK + timedelta(days=90)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """90 exchanges in 30 sessions, a day apart; one session is rare in every respect."""
    home: Path = tmp_path_factory.mktemp("home")
    scripts = []
    for number in range(30):
        script = SessionScript(f"s{number}", TEN_OCLOCK + timedelta(days=number), tags=["nightly"] * (number == 7))
        outcome = "http_error" if number == 7 else "completed"
        first, second = [Call("Task" if number == 7 else "Read", f"c{number}")], [Call("Read", f"d{number}")]
        script.turn("hello", calls=first, outcome=outcome)  # type: ignore[arg-type]
        script.turn("again", calls=second).turn("and again")
        scripts.append(script)
    record(home, *scripts)
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "_FEW", 50)
    monkeypatch.setattr(ways, "TEXTS_LOOKED_AT", 20)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("cost:>0.5", "session_stats_by_time"),
        ("tag:nightly", "session_stats_by_session"),
        ("error:true", "session_stats_failed"),
        ("status:529", "session_stats_failed"),
        ("outcome:http_error", "session_stats_failed"),
        ("tool:Task", "sqlite_autoindex_session_stats_1"),
        ("hello", "sqlite_autoindex_session_stats_1"),
        ("tool:Read", "session_stats_by_time"),
        ("-tag:nightly", "session_stats_by_time"),
        ("-error:true", "session_stats_by_time"),
        ("outcome:completed", "session_stats_by_time"),
        ("status:200", "session_stats_by_time"),
        ("hello since:2026-11-22T10:00 until:2026-11-22T12:00", "session_stats_by_time"),
        ("tag:nightly tool:Read", "session_stats_by_session"),
    ],
)
def test_the_rarest_condition_leads(connection: sqlite3.Connection, text: str, index: str) -> None:
    source = ended_exchanges(connection, resolve(connection, parse_filter(text, NOW)), None)
    plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT e.request_id FROM {source.text}", source.parameters)
    (first, *_) = [row[3] for row in plan if " e " in f"{row[3]} "]
    assert index in first


def test_a_small_store_is_read_in_the_order_of_time(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "_FEW", 1000)
    assert ways.way_to_exchanges(connection, parse_filter("error:true", NOW)) == ways.BY_TIME


def test_the_source_that_every_session_has_is_no_condition(connection: sqlite3.Connection) -> None:
    assert is_rolled_up(resolve(connection, parse_filter("source:wire", NOW)))
    assert not is_rolled_up(resolve(connection, parse_filter("-source:wire", NOW)))
    assert not is_rolled_up(resolve(connection, parse_filter("source:transcript", NOW)))
