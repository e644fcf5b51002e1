"""Lists and prefixes, from connections that cannot write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lunaroute.errors import AmbiguousPrefix, IndexTooNew, LunarouteError, NoSuchSession
from lunaroute.query.filters import SessionFilter
from lunaroute.query.index import find_session, list_sessions, open_index
from tests.builders import TEN_OCLOCK, SessionScript

from .conftest import record

Scripts = dict[str, SessionScript]


@pytest.fixture
def connection(home: Path) -> Iterator[sqlite3.Connection]:
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


def _names(connection: sqlite3.Connection, scripts: Scripts, wanted: SessionFilter) -> list[str]:
    names = {script.session_id: name for name, script in scripts.items()}
    return [names[one.session_id] for one in list_sessions(connection, wanted)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (SessionFilter(), ["live", "failed", "old"]),
        (SessionFilter(since=TEN_OCLOCK), ["live", "failed"]),
        (SessionFilter(until=TEN_OCLOCK), ["old"]),
        (SessionFilter(since=TEN_OCLOCK, until=TEN_OCLOCK + timedelta(minutes=1)), ["failed"]),
        (SessionFilter(provider="openai"), ["failed"]),
        (SessionFilter(provider="open"), []),
        (SessionFilter(model="SONNET"), ["live", "old"]),
        (SessionFilter(model="%"), []),
        (SessionFilter(model="' OR 1 --"), []),
        (SessionFilter(client="code"), ["failed", "old"]),
        (SessionFilter(client="codex", provider="anthropic"), []),
    ],
    ids=str,
)
def test_filters_choose(
    connection: sqlite3.Connection, scripts: Scripts, wanted: SessionFilter, names: list[str]
) -> None:
    assert _names(connection, scripts, wanted) == names


def test_a_limit_keeps_the_newest(connection: sqlite3.Connection, scripts: Scripts) -> None:
    (newest,) = list_sessions(connection, limit=1)
    assert newest.session_id == scripts["live"].session_id


def test_a_summary_says_what_the_session_was(connection: sqlite3.Connection, scripts: Scripts) -> None:
    one = find_session(connection, scripts["old"].session_id)
    assert (one.request_count, one.tool_call_count, one.total_tokens, one.tags) == (2, 2, 2600, ["nightly"])
    assert one.total_cost_usd == pytest.approx(0.0223)
    assert (one.first_text, one.success) == ("what do the notes say?", True)


def test_a_connection_for_reading_cannot_write(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM sessions")


def test_a_unique_prefix_is_enough(connection: sqlite3.Connection, scripts: Scripts) -> None:
    wanted = scripts["failed"].session_id
    assert find_session(connection, wanted[:13].upper()).session_id == wanted


def test_a_prefix_of_several_names_them(connection: sqlite3.Connection, scripts: Scripts) -> None:
    with pytest.raises(AmbiguousPrefix, match=scripts["live"].session_id):
        find_session(connection, scripts["live"].session_id[:3])


def test_a_prefix_of_very_many_names_a_few(tmp_path: Path) -> None:
    record(tmp_path, *[SessionScript(f"s{number}") for number in range(9)])
    connection = open_index(tmp_path / "sessions" / "sessions.db")
    assert connection is not None
    with pytest.raises(AmbiguousPrefix, match=r"or more$") as caught:
        find_session(connection, "0")
    connection.close()
    assert str(caught.value).count("-7") >= 5


@pytest.mark.parametrize("prefix", ["ffff", "", "%", "xyz", "0' OR '1", "a" * 37])
def test_a_prefix_of_nothing_is_an_error(connection: sqlite3.Connection, prefix: str) -> None:
    with pytest.raises(NoSuchSession):
        find_session(connection, prefix)


def test_no_index_and_no_files_is_nothing_recorded(tmp_path: Path) -> None:
    assert open_index(tmp_path / "sessions" / "sessions.db") is None


def test_a_missing_index_beside_files_says_what_to_do(home: Path) -> None:
    (home / "sessions" / "sessions.db").unlink()
    with pytest.raises(LunarouteError, match="run `lunaroute reindex`"):
        open_index(home / "sessions" / "sessions.db")


def test_a_damaged_index_says_what_to_do(home: Path) -> None:
    (home / "sessions" / "sessions.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(LunarouteError, match="`lunaroute reindex` makes it anew"):
        open_index(home / "sessions" / "sessions.db")


def test_a_newer_index_is_refused(home: Path) -> None:
    database = sqlite3.connect(home / "sessions" / "sessions.db")
    database.execute("UPDATE schema_version SET version = 2")
    database.commit()
    database.close()
    with pytest.raises(IndexTooNew):
        open_index(home / "sessions" / "sessions.db")
