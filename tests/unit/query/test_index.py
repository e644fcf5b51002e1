"""Lists and prefixes, from connections that cannot write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lunaroute.errors import AmbiguousPrefix, FilterError, IndexTooNew, LunarouteError, NoSuchSession
from lunaroute.query.grammar import parse_filter
from lunaroute.query.index import open_index
from lunaroute.query.sessions import Order, find_session, list_sessions
from tests.builders import TEN_OCLOCK, SessionScript, tokens

from .conftest import record

Scripts = dict[str, SessionScript]


@pytest.fixture
def connection(home: Path) -> Iterator[sqlite3.Connection]:
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


NOW = TEN_OCLOCK + timedelta(hours=2)


def _names(connection: sqlite3.Connection, scripts: Scripts, text: str) -> list[str]:
    names = {script.session_id: name for name, script in scripts.items()}
    return [names[one.session_id] for one in list_sessions(connection, parse_filter(text, NOW)).items]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["live", "failed", "old"]),
        ("since:2026-11-22T10:00", ["live", "failed"]),
        ("since:2026-11-22T10:00:01", ["live", "failed"]),
        ("until:2026-11-22T10:00", ["old"]),
        ("since:1d until:2026-11-22T10:01", ["failed"]),
        ("provider:openai", ["failed"]),
        ("-provider:openai", ["live", "old"]),
        ("provider:zzz", []),
        ("model:SONNET", ["live", "old"]),
        ("model:claude-*,gpt-5", ["live", "failed", "old"]),
        ("model:*2025*", ["old"]),
        ("model:%", []),
        ('model:"\' OR 1 --"', []),
        ("client:code", ["failed", "old"]),
        ("client:codex provider:anthropic", []),
        ("tool:Bash", ["old"]),
        ("tool:Bash,Read error:false", ["old"]),
        ("tag:nightly", ["old"]),
        ("error:true", ["failed"]),
        ("status:529 outcome:http_error", ["failed"]),
        ("live:true", ["live"]),
        ("cost:>0.02", ["old"]),
        ("cost:0.01..0.03 tokens:>2k requests:2 tools:>=2", ["old"]),
        ("-cost:>0.02", ["live", "failed"]),
        ("latency:<=100ms -live:true", ["failed", "old"]),
        ("notes", ["old"]),
        ('"do the notes"', ["old"]),
        ('"notes the do"', []),
        ("-notes", ["live", "failed"]),
        ('"no such target"', ["old"]),
        ("100%", ["failed"]),
    ],
)
def test_filters_choose(connection: sqlite3.Connection, scripts: Scripts, text: str, names: list[str]) -> None:
    assert _names(connection, scripts, text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model:claude-sonet-4-5", "did you mean 'claude-sonnet-4-5'"),
        ("tool:Bsh", "did you mean 'Bash'"),
        ("kind:user", "is no filter of"),
    ],
)
def test_a_slip_in_a_name_is_told(connection: sqlite3.Connection, text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        list_sessions(connection, parse_filter(text, NOW))


@pytest.mark.parametrize("order", ["newest", "cost", "tokens", "duration", "requests", "errors"])
def test_pages_follow_each_other_without_gap_or_repetition(tmp_path: Path, order: Order) -> None:
    scripts = [SessionScript(f"s{n}", TEN_OCLOCK + timedelta(hours=n)) for n in range(9)]
    for n, script in enumerate(scripts):
        for _ in range(n % 3):
            script.turn(tokens=tokens(n % 4, 1), cost_usd=0.1 * (n % 2), latency_ms=n)
    record(tmp_path, *scripts)
    connection = open_index(tmp_path / "sessions" / "sessions.db")
    assert connection is not None
    whole = [one.session_id for one in list_sessions(connection, order=order, limit=None).items]
    found, after = [], None
    for _ in range(5):
        page = list_sessions(connection, order=order, limit=2, after=after)
        found += [one.session_id for one in page.items]
        after = page.next
    connection.close()
    assert found == whole
    assert (len(found), after) == (9, None)


def test_a_cursor_that_is_none_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(FilterError, match="no place to go on from"):
        list_sessions(connection, after="nonsense")


def test_a_limit_keeps_the_newest(connection: sqlite3.Connection, scripts: Scripts) -> None:
    (newest,) = list_sessions(connection, limit=1).items
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
