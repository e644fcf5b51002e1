"""The index made again from the files is the index that grew with them."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reindex import Progress, reindex
from lunaroute.sinks.session_file import zstd
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens

Dump = dict[str, list[tuple[Any, ...]]]


def dump(database: Path) -> Dump:
    """Every row of every table; `text_id` is a row number and left out."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: "*" for name in names if not name.startswith("text_search")}
        columns["texts"] = "session_id, request_id, kind, content"
        return {
            name: sorted(connection.execute(f"SELECT {what} FROM {name}"), key=repr) for name, what in columns.items()
        }
    finally:
        connection.close()


def schema(database: Path) -> set[tuple[Any, ...]]:
    """Everything a database is made of, and how it is kept."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        found = set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
        pragmas = ("journal_mode", "auto_vacuum", "page_size", "user_version")
        return found | {(name, *connection.execute(f"PRAGMA {name}").fetchone()) for name in pragmas}
    finally:
        connection.close()


def live_index(folder: Path) -> Path:
    """An empty one, as a recorder begins it."""
    database = folder / "live" / "sessions.db"
    sink = SqliteSink(database, folder / "live")
    sink.open()
    sink.close()
    return database


def _scripts() -> list[SessionScript]:
    """Sessions that overlap, share days and models, continue each other and end in every way."""
    scripts = []
    for number in range(12):
        start = TEN_OCLOCK + timedelta(hours=3 * number)
        script = SessionScript(f"s{number}", start, model=("opus", "haiku")[number % 2])
        call = Call("Read", f"call_{number}", f'{{"n":{number}}}')
        script.turn(f"question {number}", "answer", tokens=tokens(10 * number, 3, 1), cost_usd=0.1, calls=[call])
        script.result(call, "output", execution_ms=1 / 3 + number, success=number % 3 != 0)
        script.turn(cost_usd=0.2 + number * 1e-7, latency_ms=1 / 7, tokens=tokens(1, 1)).snapshot()
        script.turn(cost_usd=None, outcome="upstream_cut")
        if number % 4:
            script.complete()
        else:
            script.ask("still waiting")
        scripts.append(script)
    return scripts


def _in_turns(scripts: list[SessionScript]) -> list[Event]:
    """The first events of all sessions, then the second ones …: not the order of the files."""
    longest = max(len(script.events) for script in scripts)
    return [script.events[at] for at in range(longest) for script in reversed(scripts) if at < len(script.events)]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder recorded by both sinks, live, in small batches."""
    files, index = JsonlSink(tmp_path), SqliteSink(tmp_path / "sessions.db", tmp_path)
    files.open()
    index.open()
    events = _in_turns(_scripts())
    for start in range(0, len(events), 7):
        files.write_batch(events[start : start + 7])
        index.write_batch(events[start : start + 7])
    files.close()
    index.close()
    return tmp_path


def _compress(path: Path) -> None:
    path.with_suffix(".jsonl.zst").write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()


def test_a_reindex_gives_the_same_rows_as_live(recorded: Path) -> None:
    live = dump(recorded / "sessions.db")
    assert sum(len(rows) for rows in live.values()) > 200
    (recorded / "sessions.db").unlink()
    report = reindex(recorded, recorded / "sessions.db")
    again = dump(recorded / "sessions.db")
    for table, rows in live.items():
        assert again[table] == rows, table
    assert again.keys() == live.keys()
    assert (report.session_count, report.bad_lines, report.rejected) == (12, [], [])


def test_a_reindex_reads_compressed_files_unasked(recorded: Path) -> None:
    live = dump(recorded / "sessions.db")
    for number, (_, path) in enumerate(list(session_files(recorded))):
        if number % 2:
            _compress(path)
    reindex(recorded, recorded / "sessions.db")
    assert dump(recorded / "sessions.db") == live


def test_a_session_whose_compression_was_interrupted_counts_once(recorded: Path) -> None:
    live = dump(recorded / "sessions.db")
    _, path = next(session_files(recorded))
    path.with_suffix(".jsonl.zst").write_bytes(zstd.compress(path.read_bytes())[:-20])
    reindex(recorded, recorded / "sessions.db")
    assert dump(recorded / "sessions.db") == live


def test_the_search_index_agrees_with_its_texts(recorded: Path) -> None:
    reindex(recorded, recorded / "sessions.db")
    connection = sqlite3.connect(recorded / "sessions.db")
    connection.execute("INSERT INTO text_search (text_search, rank) VALUES ('integrity-check', 1)")
    found = connection.execute("SELECT count(*) FROM text_search WHERE text_search MATCH 'question'").fetchone()
    connection.close()
    assert found == (12,)


def test_a_result_read_before_its_call_still_meets_it(tmp_path: Path) -> None:
    """The session that carries the result can have started before the one that made the call."""
    call = Call("Read", "call_1", "{}")
    later = SessionScript("later", TEN_OCLOCK + timedelta(hours=1)).turn(calls=[call])
    helper = SessionScript("later", TEN_OCLOCK + timedelta(hours=1)).turn(calls=[call]).result(call, execution_ms=5)
    earlier = SessionScript("earlier").turn()
    result = helper.events[-1]
    moved = type(result)(
        **{name: getattr(result, name) for name in result.__struct_fields__}
        | {"session_id": earlier.session_id, "seq": 3, "request_id": earlier.events[1].request_id}
    )
    earlier.events.append(moved)
    files, index = JsonlSink(tmp_path), SqliteSink(tmp_path / "sessions.db", tmp_path)
    files.open()
    index.open()
    for events in (earlier.events[:3], later.events, [moved]):
        files.write_batch(events)
        index.write_batch(events)
    files.close()
    index.close()
    live = dump(tmp_path / "sessions.db")
    assert [row[5:] for row in live["tool_calls"]] == [(5.0, 5.0, 0)]
    reindex(tmp_path, tmp_path / "sessions.db")
    assert dump(tmp_path / "sessions.db") == live


def test_corrupt_lines_are_named_by_file_and_line_and_cost_only_themselves(recorded: Path) -> None:
    _, path = next(session_files(recorded))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b'{"type":"wha\n', *lines[4:], b"{}\n", b'{"type":"sta']))
    report = reindex(recorded, recorded / "sessions.db")
    assert [str(bad).partition(": ")[0] for bad in report.bad_lines] == [f"{path}:4", f"{path}:{len(lines) + 1}"]
    assert len(dump(recorded / "sessions.db")["sessions"]) == 12
    assert report.event_count == sum(len(script.events) for script in _scripts()) - 1


def test_a_cut_compressed_file_gives_what_it_still_holds(recorded: Path) -> None:
    _, path = next(session_files(recorded))
    packed = path.with_suffix(".jsonl.zst")
    packed.write_bytes(zstd.compress(path.read_bytes())[:-10])
    path.unlink()
    report = reindex(recorded, recorded / "sessions.db")
    assert [bad.path for bad in report.bad_lines] == [packed]
    assert "damaged" in report.bad_lines[0].reason


def test_an_event_in_a_foreign_file_is_left_out(recorded: Path) -> None:
    (_, first), (_, second) = list(session_files(recorded))[:2]
    with first.open("ab") as file:
        file.write(second.read_bytes().splitlines(keepends=True)[0])
    report = reindex(recorded, recorded / "sessions.db")
    assert len(report.rejected) == 1
    assert str(first) in report.rejected[0]


def _interrupt_after(sessions: int) -> Progress:
    def interrupt(done: int, _total: int) -> None:
        if done == sessions:
            raise KeyboardInterrupt

    return interrupt


def test_a_reindex_that_is_interrupted_leaves_the_old_index_and_goes_on_later(recorded: Path) -> None:
    database = recorded / "sessions.db"
    live = dump(database)
    before = database.read_bytes()
    monkey = pytest.MonkeyPatch()
    monkey.setattr("lunaroute.sinks.reindex._BATCH_EVENTS", 5)
    for sessions in (3, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            reindex(recorded, database, _interrupt_after(sessions))
        assert database.read_bytes() == before
    seen: list[int] = []
    reindex(recorded, database, lambda _done, total: seen.append(total))
    monkey.undo()
    assert max(seen) < 12
    assert [path.name for path in recorded.iterdir() if path.is_file()] == ["sessions.db"]
    assert dump(database) == live


_KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from lunaroute.sinks import reindex

commits_left = int(sys.argv[2])
open_scratch = reindex.open_scratch

def on_statement(statement: str) -> None:
    global commits_left
    commits_left -= statement == "COMMIT"
    if commits_left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def opened(path: Path) -> sqlite3.Connection:
    connection = open_scratch(path)
    connection.execute("PRAGMA cache_size = 8")  # most of a transaction is in the file when it is committed
    connection.set_trace_callback(on_statement)
    return connection

reindex._BATCH_EVENTS = 5
reindex.open_scratch = opened
folder = Path(sys.argv[1])
reindex.reindex(folder, folder / "sessions.db")
"""


def test_a_reindex_that_is_killed_goes_on_later(recorded: Path) -> None:
    database = recorded / "sessions.db"
    live = dump(database)
    for commits in (7, 5, 6):
        killed = subprocess.run([sys.executable, "-c", _KILLED, str(recorded), str(commits)], timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert dump(database) == live
        journal = recorded / "sessions.db.unfinished-journal"
        assert journal.stat().st_size > 0, "there is something to take back"
    seen: list[int] = []
    reindex(recorded, database, lambda _done, total: seen.append(total))
    assert max(seen) < 12
    assert dump(database) == live
    assert schema(database) == schema(live_index(recorded))


def test_a_reindex_that_dies_when_all_is_built_only_has_to_put_it_in_place(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = recorded / "sessions.db"
    live = dump(database)
    with monkeypatch.context() as patch:
        patch.setattr("lunaroute.sinks.reindex.fsync_path", _fail)
        with pytest.raises(OSError, match="full"):
            reindex(recorded, database)
    seen: list[int] = []
    reindex(recorded, database, lambda _done, total: seen.append(total))
    assert max(seen) < 12
    assert dump(database) == live
    assert schema(database) == schema(live_index(recorded))


def _fail(_path: Path) -> None:
    raise OSError("the disk is full")


def test_what_cannot_be_stored_is_told_once_and_costs_only_itself(recorded: Path) -> None:
    """In a batch with the events of many files, each of which is read again to find it."""
    live = dump(recorded / "sessions.db")
    for number in (2, 7):
        _, path = list(session_files(recorded))[number]
        lines = path.read_bytes().splitlines(keepends=True)
        lines[2] = re.sub(rb'("timestamp":"[^"T]*)T', rb"\1 ", lines[2])
        path.write_bytes(b"".join(lines))
    report = reindex(recorded, recorded / "sessions.db")
    again = dump(recorded / "sessions.db")
    assert [rejected.partition(": ")[2][:10] for rejected in report.rejected] == ["not an RFC"] * 2
    assert len(again["sessions"]) == 12
    assert len(again["session_stats"]) == len(live["session_stats"])
    assert [row[-1] for row in again["sessions"]] == [row[-1] for row in live["sessions"]], "all events were seen"
    unanswered = [row for row in again["session_stats"] if row not in live["session_stats"]]
    assert len(unanswered) == 2


def test_what_was_left_is_not_used_when_a_file_is_gone(recorded: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        reindex(recorded, recorded / "sessions.db", _interrupt_after(11))
    session_id, path = next(session_files(recorded))
    path.unlink()
    reindex(recorded, recorded / "sessions.db")
    assert session_id not in {row[0] for row in dump(recorded / "sessions.db")["sessions"]}


def test_what_was_left_is_not_used_when_a_finished_file_was_rewritten(recorded: Path) -> None:
    """As `reprice` does, and compression with other settings."""
    with pytest.raises(KeyboardInterrupt):
        reindex(recorded, recorded / "sessions.db", _interrupt_after(11))
    _, path = list(session_files(recorded))[1]
    path.write_bytes(path.read_bytes().replace(b'"question 1"', b'"another one"'))
    later_ns = time.time_ns() + 10**9
    os.utime(path, ns=(later_ns, later_ns))
    reindex(recorded, recorded / "sessions.db")
    assert "another one" in {row[3] for row in dump(recorded / "sessions.db")["texts"]}


@pytest.mark.parametrize("damage", [b"nonsense" * 1000, b""])
def test_what_was_left_damaged_is_thrown_away(recorded: Path, damage: bytes) -> None:
    live = dump(recorded / "sessions.db")
    (recorded / "sessions.db.unfinished").write_bytes(damage)
    reindex(recorded, recorded / "sessions.db")
    assert dump(recorded / "sessions.db") == live


def test_two_at_once_are_refused(recorded: Path) -> None:
    def again(_done: int, _total: int) -> None:
        with pytest.raises(LunarouteError, match="being built already"):
            reindex(recorded, recorded / "sessions.db")

    reindex(recorded, recorded / "sessions.db", again)


def test_a_progress_that_fails_ends_it(recorded: Path) -> None:
    """With what an event that cannot be stored raises too: standard error may be closed."""

    def fail(done: int, _total: int) -> None:
        if done == 5:
            raise ValueError("I/O operation on closed file")

    live = dump(recorded / "sessions.db")
    with pytest.raises(ValueError, match="closed file"):
        reindex(recorded, recorded / "sessions.db", fail)
    reindex(recorded, recorded / "sessions.db")
    assert dump(recorded / "sessions.db") == live


def test_progress_goes_from_none_to_all(recorded: Path) -> None:
    seen: list[tuple[int, int]] = []
    reindex(recorded, recorded / "sessions.db", lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(13)]


def test_the_new_index_is_private_and_alone(recorded: Path) -> None:
    reindex(recorded, recorded / "sessions.db")
    assert os.stat(recorded / "sessions.db").st_mode & 0o077 == 0
    assert [path.name for path in recorded.iterdir() if path.is_file()] == ["sessions.db"]


def test_no_files_make_an_empty_index(tmp_path: Path) -> None:
    report = reindex(tmp_path, tmp_path / "sessions.db")
    assert (report.session_count, report.event_count) == (0, 0)
    assert dump(tmp_path / "sessions.db")["sessions"] == []
