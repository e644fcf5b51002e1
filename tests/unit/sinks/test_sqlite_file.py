"""The index as a file: too new, too old, damaged, deleted, replaced."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lunaroute.errors import IndexTooNew, LunarouteError
from lunaroute.query.index import open_index
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.sqlite import migrations
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import SessionScript, tokens

from .conftest import Index


def test_an_index_of_a_newer_program_is_refused_and_left_alone(index: Index) -> None:
    index.sink.close()
    connection = sqlite3.connect(index.database)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(IndexTooNew, match="version 99") as caught:
        index.sink.open()
    assert "\n" not in str(caught.value)
    assert index.query("SELECT version FROM schema_version") == [(99,)]


def test_an_older_index_is_taken_forward_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
    migrations.migrate(connection)
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 3)
    steps = {1: ["ALTER TABLE texts ADD COLUMN two"], 2: ["ALTER TABLE texts ADD COLUMN three"]}
    monkeypatch.setattr(migrations, "MIGRATIONS", steps)
    migrations.migrate(connection)
    names = [row[1] for row in connection.execute("PRAGMA table_info(texts)")]
    assert names[-2:] == ["two", "three"]
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(3,)]
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
    migrations.migrate(connection)
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(migrations, "MIGRATIONS", {1: ["ALTER TABLE texts ADD COLUMN two", "nonsense"]})
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        migrations.migrate(connection)
    assert "two" not in [row[1] for row in connection.execute("PRAGMA table_info(texts)")]
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
    connection.close()


def _recorded(index: Index, *scripts: SessionScript) -> None:
    files = JsonlSink(index.folder)
    files.open()
    for script in scripts:
        files.write_batch(script.events)
    files.close()
    index.write(*scripts)


@pytest.mark.parametrize("damage", [b"this is no database, not at all" * 10, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_kept_aside_and_made_anew(
    index: Index, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    _recorded(index, SessionScript().turn(tokens=tokens(3, 4)))
    index.sink.close()
    for number in (1, 2):
        index.database.write_bytes(damage)
        index.sink.open()
        assert index.query("SELECT total_tokens FROM sessions") == [(7,)]
        assert (index.folder / f"sessions.db.corrupt-{number}").read_bytes() == damage
        said = capsys.readouterr().err
        assert "is damaged" in said
        assert said.count("\n") == 1
        index.sink.close()


def test_a_deleted_index_is_made_anew_on_open(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    _recorded(index, SessionScript().turn().complete())
    index.sink.close()
    index.database.unlink()
    index.sink.open()
    assert index.query("SELECT request_count FROM sessions") == [(1,)]
    assert "is missing" in capsys.readouterr().err


def test_an_index_with_the_tables_of_another_program_is_made_anew(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables change within a version while nothing is released."""
    _recorded(index, SessionScript().turn(tokens=tokens(3, 4)))
    index.sink.close()
    connection = sqlite3.connect(index.database)
    connection.execute("ALTER TABLE sessions DROP COLUMN forked_from")
    connection.execute("PRAGMA user_version = 7")
    connection.commit()
    connection.close()
    with pytest.raises(LunarouteError, match="run `lunaroute reindex`"):
        open_index(index.database)
    index.sink.open()
    assert index.query("SELECT total_tokens, forked_from FROM sessions") == [(7, None)]
    assert "tables of another lunaroute" in capsys.readouterr().err
    index.write(SessionScript("next").turn(tokens=tokens(1, 1)))
    assert index.query("SELECT COUNT(*) FROM sessions") == [(2,)]
    index.sink.close()
    index.sink.open()
    assert capsys.readouterr().err == ""


def test_a_first_start_says_nothing(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    index.write(SessionScript())
    assert capsys.readouterr().err == ""


def test_an_index_replaced_while_recording_gets_what_was_recorded_since(index: Index) -> None:
    running = SessionScript("running").turn(tokens=tokens(1, 1))
    _recorded(index, running, SessionScript("done").turn().complete())
    reindex(index.folder, index.database)
    running.turn(tokens=tokens(2, 2)).ask()
    _recorded(index, running)
    assert index.query("SELECT last_seq, total_tokens FROM sessions WHERE session_id = ?", running.session_id) == [
        (5, 6)
    ]
    assert index.query("PRAGMA integrity_check") == [("ok",)]


def test_what_went_into_the_old_file_after_the_reindex_is_read_back_from_the_session_files(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = SessionScript().turn()
    _recorded(index, script)
    reindex(index.folder, index.database)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteSink, "_is_replaced", lambda _self: False)
        _recorded(index, script.turn())
    assert index.query("SELECT last_seq FROM sessions") == [(2,)]
    _recorded(index, SessionScript("next").turn())
    assert index.query("SELECT last_seq FROM sessions WHERE session_id = ?", script.session_id) == [(4,)]


def test_catching_up_that_fails_is_begun_again_with_the_next_batch(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, done = SessionScript("running").turn(), SessionScript("done").turn()
    _recorded(index, running, done)
    reindex(index.folder, index.database)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteSink, "_is_replaced", lambda _self: False)
        _recorded(index, done.complete())

    def fail(*_: object) -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("lunaroute.sinks.sqlite.sink.catch_up", fail)
        with pytest.raises(OSError, match="too many"):
            index.write(running)
    index.write(running.turn())
    assert index.query("SELECT request_count, completed_at IS NOT NULL FROM sessions ORDER BY 1") == [(1, 1), (2, 0)]


def test_an_index_deleted_while_recording_comes_back(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    script = SessionScript().turn()
    _recorded(index, script)
    index.database.unlink()
    _recorded(index, script.complete())
    assert index.query("SELECT request_count, completed_at IS NOT NULL FROM sessions") == [(1, 1)]
    assert "is missing" in capsys.readouterr().err


def test_a_reader_with_an_open_transaction_does_not_stop_the_recorder(index: Index) -> None:
    index.write(SessionScript("one"))
    reader = sqlite3.connect(f"{index.database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    index.write(SessionScript("two"))
    assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    reader.close()
    assert index.query("SELECT count(*) FROM sessions") == [(2,)]
