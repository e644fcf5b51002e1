"""Clients' own transcripts become sessions, once."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.errors import LunarouteError
from lunaroute.events.types import ResponseRecorded, Started
from lunaroute.pricing import Pricer
from lunaroute.sinks import alone
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.importing.report import ImportReport
from lunaroute.sinks.importing.transcripts import CLAUDE_CODE, CODEX, Client, import_transcripts
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.reprice import reprice
from lunaroute.sinks.session_file import read_events, zstd
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import SessionScript
from tests.unit.sinks.test_reindex import dump
from tests.unit.transcripts import rows
from tests.unit.transcripts.rows import SESSION, TEN_OCLOCK, block, lines, result, text, tool_use, user

TOLD = (
    user(0, "list the files"),
    block(1, "msg_1", text("I look.")),
    block(2, "msg_1", tool_use("toolu_1", "Bash", command="ls"), output=40, stop_reason="tool_use"),
    result(3, "toolu_1", "notes.txt"),
    block(4, "msg_2", text("One file."), output=12, stop_reason="end_turn"),
)
LATER = (user(90, "thank you"), block(91, "msg_3", text("Gladly."), output=5, stop_reason="end_turn"))


class Home:
    """A home to import into, and the folder of a client beside it."""

    def __init__(self, folder: Path) -> None:
        self.sessions_dir = folder / "home" / "sessions"
        self.sessions_dir.mkdir(parents=True)
        self.database = self.sessions_dir / "sessions.db"
        self.projects = folder / "projects"

    def write(self, name: str, *told: Any, tail: bytes = b"") -> Path:
        path = self.projects / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines(*told)) + tail)
        return path

    def bring_in(self, client: Client = CLAUDE_CODE, root: Path | None = None) -> ImportReport:
        return import_transcripts(
            client,
            root or self.projects,
            self.sessions_dir,
            self.database,
            pricer=Pricer(),
            idle_timeout_ns=1_800_000_000_000,
        )

    def record(self, script: SessionScript) -> None:
        for sink in (JsonlSink(self.sessions_dir), SqliteSink(self.database, self.sessions_dir)):
            sink.open()
            sink.write_batch(script.events)
            sink.close()

    def query(self, sql: str) -> list[Any]:
        connection = sqlite3.connect(self.database)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def numbers(report: ImportReport) -> tuple[int, int, int]:
    return report.session_count, report.exchange_count, report.known_count


def on_the_wire(*response_ids: str, conversation_id: str = SESSION) -> SessionScript:
    """A session of one exchange for each id, recorded from ten o'clock on."""
    script = SessionScript("wire", TEN_OCLOCK)
    for _ in response_ids:
        script.turn("hello", "hi")
    script.complete()
    ids = iter(response_ids)
    for at, event in enumerate(script.events):
        if isinstance(event, Started):
            script.events[at] = msgspec.structs.replace(event, conversation_id=conversation_id)
        elif isinstance(event, ResponseRecorded):
            script.events[at] = msgspec.structs.replace(event, response_id=next(ids))
    return script


def test_a_transcript_becomes_a_session_that_says_where_it_is_from(home: Home) -> None:
    home.write(f"-home-ada-notes/{SESSION}.jsonl", *TOLD)
    assert numbers(home.bring_in()) == (1, 2, 0)
    ((session_id, path),) = session_files(home.sessions_dir)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert home.query(
        "SELECT session_id, source, conversation_id, client_name, client_version, project, request_count,"
        " tool_call_count, input_tokens, output_tokens, provider, first_text FROM sessions"
    ) == [
        (
            *(session_id, "transcript", SESSION, "claude-code", "2.1.5", "/home/ada/notes"),
            *(2, 1, 1000, 52, "anthropic", "list the files"),
        )
    ]
    assert home.query("SELECT value FROM session_facets WHERE kind = 'source'") == [("transcript",)]
    started = next(read_events(path, lambda bad: pytest.fail(str(bad))))
    assert isinstance(started, Started)
    assert started.source == "transcript"


def test_the_index_is_the_one_that_a_reindex_makes_of_the_files(home: Home) -> None:
    home.write(f"p/{SESSION}.jsonl", *TOLD, *LATER)
    home.bring_in()
    live = dump(home.database)
    home.database.unlink()
    reindex(home.sessions_dir, home.database)
    assert dump(home.database) == live


def test_importing_again_changes_nothing(home: Home) -> None:
    home.write(f"p/{SESSION}.jsonl", *TOLD)
    home.bring_in()
    before = dump(home.database)
    assert numbers(home.bring_in()) == (0, 0, 2)
    assert dump(home.database) == before


def test_what_came_since_becomes_a_session_that_continues_the_one_before(home: Home) -> None:
    home.write(f"p/{SESSION}.jsonl", *TOLD[:3])
    home.bring_in()
    home.write(f"p/{SESSION}.jsonl", *TOLD, *LATER)
    assert numbers(home.bring_in()) == (1, 2, 1)
    first, second = home.query("SELECT session_id, continues, request_count FROM sessions ORDER BY started_at")
    assert (first[1:], second[1:]) == ((None, 1), (first[0], 2))
    assert home.query("SELECT tool_call_id, success, session_id FROM tool_call_executions") == [
        ("toolu_1", 1, first[0])
    ]


def test_what_the_wire_has_is_passed_over_in_whatever_conversation(home: Home) -> None:
    home.record(on_the_wire("msg_1", "msg_2", conversation_id="another"))
    home.write(f"p/{SESSION}.jsonl", *TOLD, *LATER)
    assert numbers(home.bring_in()) == (1, 1, 2)
    assert home.query("SELECT response_id FROM session_stats ORDER BY response_id") == [
        ("msg_1",),
        ("msg_2",),
        ("msg_3",),
    ]


def test_a_copy_in_another_file_counts_once(home: Home) -> None:
    one = home.write("p/one.jsonl", *TOLD)
    os.utime(one, (1, 1))
    home.write("p/two.jsonl", *({**row, "sessionId": "resumed"} for row in (*TOLD, *LATER)))
    assert numbers(home.bring_in()) == (2, 3, 2)


def test_sub_agents_in_files_of_their_own_belong_to_the_session_that_started_them(home: Home) -> None:
    home.write(f"p/{SESSION}.jsonl", *TOLD)
    side = {"isSidechain": True, "agentId": "a2271d1"}
    home.write(
        f"p/{SESSION}/subagents/agent-a2271d1.jsonl",
        user(2.2, "count them", **side),
        block(2.8, "msg_9", text("Two."), **side),
    )
    assert numbers(home.bring_in()) == (1, 3, 0)
    assert home.query("SELECT thread_id, parent_thread_id, thread_kind FROM session_stats ORDER BY started_at") == [
        (SESSION, None, "main"),
        ("a2271d1", SESSION, "subagent"),
        (SESSION, None, "main"),
    ]


def test_bad_lines_and_files_stop_nothing(home: Home) -> None:
    home.write(f"p/{SESSION}.jsonl", b"no json", *TOLD, tail=b'{"type":"assistant","mess')
    damaged = home.write("p/damaged.jsonl.zst")
    damaged.write_bytes(zstd.compress(b"\n".join(lines(*LATER)))[:-9])
    home.write("p/empty.jsonl")
    report = home.bring_in()
    assert numbers(report) == (1, 2, 0)
    assert [bad.line_number for bad in report.bad_lines] == [1, 7]
    assert len(report.problems) == 1
    assert str(damaged) in report.problems[0]


def test_an_import_that_was_cut_off_before_the_rows_were_written_is_made_good(home: Home) -> None:
    home.write(f"p/{SESSION}.jsonl", *TOLD)
    home.bring_in()
    whole = dump(home.database)
    connection = sqlite3.connect(home.database)
    for table in (name for name, found in whole.items() if found and not name.startswith(("sqlite", "schema"))):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("INSERT INTO text_search (text_search) VALUES ('rebuild')")
    connection.commit()
    connection.close()
    assert numbers(home.bring_in()) == (1, 2, 0)
    assert dump(home.database) == whole


def test_a_recorder_may_be_at_work(home: Home) -> None:
    script = on_the_wire("msg_8")
    recorder = SqliteSink(home.database, home.sessions_dir)
    recorder.open()
    recorder.write_batch(script.events[:2])
    home.write(f"p/{SESSION}.jsonl", *TOLD)
    home.bring_in()
    recorder.write_batch(script.events)
    recorder.close()
    assert home.query("SELECT source, request_count FROM sessions ORDER BY source") == [("transcript", 2), ("wire", 1)]


def test_nobody_else_may_be_rewriting_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "_PATIENCE_S", 0.05)
    with rewriting_alone(home.sessions_dir), pytest.raises(LunarouteError, match="another command"):
        home.bring_in()


def test_rollouts_are_known_by_response_ids_calls_and_times(home: Home) -> None:
    wire = on_the_wire("resp_1")
    home.record(wire)
    first = wire.events[2]
    assert isinstance(first, ResponseRecorded)
    home.write(
        "2026/11/20/rollout-2026-11-20T10-00-00-x.jsonl",
        rows.meta(),
        rows.said(0.2, "user", "hello"),
        rows.said(0.9, "assistant", "hi"),
        rows.counts(1, (5, 0, 5, 0)),
        rows.said(30, "user", "and the files?"),
        rows.shell_call(31, "call_1"),
        rows.record(31, "resp_1", 5, 0, 5, 0),
        rows.shell_output(32, "call_1"),
        rows.said(33, "assistant", "One."),
        rows.record(33, "resp_2", 9, 4, 7, 0),
    )
    assert numbers(home.bring_in(CODEX)) == (1, 1, 2)
    assert numbers(home.bring_in(CODEX)) == (0, 0, 3)
    assert home.query(
        "SELECT input_tokens, cache_read_tokens, output_tokens FROM session_stats WHERE response_id = 'resp_2'"
    ) == [(9, 4, 7)]


def test_a_single_file_will_do(home: Home) -> None:
    path = home.write("anywhere.jsonl", *TOLD)
    home.write("not-this-one.jsonl", *LATER)
    assert numbers(home.bring_in(root=path)) == (1, 2, 0)


def test_costs_computed_again_are_the_same(home: Home) -> None:
    """Also that there is none where nobody knows how much was generated."""
    home.write(f"p/{SESSION}.jsonl", *TOLD, user(9, "and?"), block(10, "msg_4", text("That is all.")))
    home.bring_in()
    before = dump(home.database)
    report = reprice(home.sessions_dir, home.database, Pricer())
    assert (report.session_count, report.changed_count) == (1, 0)
    assert dump(home.database) == before
    assert home.query("SELECT unpriced_requests FROM sessions") == [(1,)]
