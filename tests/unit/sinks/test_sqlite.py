"""The index: what each table says, and what happens to bad events."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.events import Event
from lunaroute.events.figures import (
    StreamingStats,
    Tokens,
)
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.sinks.sqlite.statements import SESSION_COLUMNS
from lunaroute.sinks.tables import exchange_columns
from lunaroute.sinks.tables.columns import HourRow, LatencyRow, SessionRow, ToolDayRow
from tests.builders import MODEL, TEN_OCLOCK, Call, SessionScript, tokens

from .conftest import Index

# ---- sessions -----------------------------------------------------------------------------------


def test_a_running_session_is_a_row_already(index: Index) -> None:
    script = SessionScript(tags=["nightly"]).ask("count the files")
    index.write(script)
    assert index.query(
        "SELECT session_id, started_at, completed_at, request_count, total_duration_ms, success, total_tokens,"
        " first_text, client_name, client_version, tags, provider, conversation_id FROM sessions"
    ) == [
        (
            *(script.session_id, "2026-11-22 10:00:00.000000", None, 1, None, None, None),
            *("count the files", "claude-code", "2.0.1", '["nightly"]', "anthropic", "conversation-alpha"),
        )
    ]


def test_a_running_session_has_its_sums_so_far(index: Index) -> None:
    script = SessionScript()
    script.turn("one", "first", tokens=tokens(100, 20, 8), cost_usd=0.25, latency_ms=300, overhead_ms=2)
    script.turn("two", "second", tokens=tokens(50, 10), cost_usd=None, latency_ms=100, overhead_ms=1)
    index.write(script)
    assert index.query(
        "SELECT request_count, input_tokens, output_tokens, thinking_tokens, cache_read_tokens, total_tokens,"
        " total_cost_usd, unpriced_requests, provider_latency_ms, proxy_overhead_ms, total_duration_ms, success,"
        " finish_reason, model_used, first_text, last_text, error_count, completed_at FROM sessions"
    ) == [
        (
            *(2, 150, 30, 8, None, 180, 0.25, 1, 400.0, 3.0, 2000.0, 1, "end_turn"),
            *(f"{MODEL}-20250929", "one", "second", 0, None),
        )
    ]


def test_a_failed_exchange_shows_in_its_session(index: Index) -> None:
    index.write(SessionScript().turn().turn(outcome="http_error", error="Overloaded"))
    assert index.query("SELECT success, error_count, error_message FROM sessions") == [(0, 1, "Overloaded")]


def test_a_completed_session_has_the_final_numbers_to_the_last_digit(index: Index) -> None:
    script = SessionScript()
    for cost_usd in (0.1, 0.2, 0.7, 1e-13):
        script.turn(cost_usd=cost_usd, tokens=tokens(1, 1))
    script.complete("idle")
    index.write(script)
    assert index.query(
        "SELECT total_cost_usd, completed_at, completion_reason, success, total_tokens, total_duration_ms FROM sessions"
    ) == [(0.1 + 0.2 + 0.7 + 1e-13, "2026-11-22 10:00:04.000000", "idle", 1, 8, 4000.0)]


def test_a_session_is_never_of_no_duration_once_an_exchange_has_ended(index: Index) -> None:
    script = SessionScript()
    script.now -= timedelta(seconds=1)
    script.turn(latency_ms=0.0, overhead_ms=0.0)
    index.write(script)
    ((duration_ms,),) = index.query("SELECT total_duration_ms FROM sessions")
    assert duration_ms > 0
    index.write(script.complete())
    ((duration_ms,),) = index.query("SELECT total_duration_ms FROM sessions")
    assert duration_ms > 0


def test_a_session_without_any_exchange_is_completed_with_zeros(index: Index) -> None:
    index.write(SessionScript().complete("recovered"))
    assert index.query("SELECT request_count, total_tokens, total_cost_usd FROM sessions") == [(0, None, None)]


# ---- exchanges, tools, milestones, days, texts --------------------------------------------------


def test_every_number_of_an_exchange_has_its_column(index: Index) -> None:
    script = SessionScript().turn("hi", "hello", tokens=tokens(100, 20, 5), cost_usd=0.5, latency_ms=80, overhead_ms=2)
    index.write(script)
    connection = sqlite3.connect(index.database)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM session_stats").fetchone())
    connection.close()
    known = {
        "model_name": f"{MODEL}-20250929",
        "model_requested": MODEL,
        "started_at": "2026-11-22 10:00:00.000000",
        "completed_at": "2026-11-22 10:00:01.000000",
        "status_code": 200,
        "outcome": "completed",
        "finish_reason": "end_turn",
        "provider_latency_ms": 80.0,
        "time_to_first_byte_ms": 20.0,
        "time_to_first_token_ms": 40.0,
        "pre_processing_ms": 1.0,
        "post_processing_ms": 1.0,
        "total_proxy_overhead_ms": 2.0,
        "total_duration_ms": 82.0,
        "input_tokens": 100,
        "output_tokens": 20,
        "thinking_tokens": 5,
        "total_tokens": 120,
        "cache_read_tokens": None,
        "thinking_is_estimated": 0,
        "total_cost_usd": 0.5,
        "input_cost_usd": 0.125,
        "output_cost_usd": 0.375,
        "price_version": "2026-11-01",
        "unpriced_requests": 0,
        "request_size_bytes": 15,
        "response_size_bytes": 1234,
        "message_count": 1,
        "tool_count": 2,
        "has_refusal": 0,
        "is_streaming": 1,
        "chunk_count": 3,
        "chunk_gap_p95_ms": 3.0,
        "chunk_gap_min_ms": 1.0,
        "content_block_count": 1,
    }
    assert {name: row[name] for name in known} == known


def test_an_exchange_without_response_is_a_row_that_the_response_completes(index: Index) -> None:
    script = SessionScript().ask("hi")
    index.write(script)
    assert index.query("SELECT model_name, outcome, completed_at FROM session_stats") == [(MODEL, None, None)]
    index.write(script.answer(tokens=tokens(3, 4)))
    assert index.query("SELECT model_name, outcome, total_tokens, method FROM session_stats") == [
        (f"{MODEL}-20250929", "completed", 7, "POST")
    ]


def test_calls_are_counted_by_request_and_tool_and_timed_when_results_come(index: Index) -> None:
    read, read_too, bash = Call("Read", "c1", '{"a":1}'), Call("Read", "c2"), Call("Bash", "c3", '{"cmd":"ls"}')
    script = SessionScript().turn(calls=[read, read_too, bash])
    index.write(script)
    counted = "SELECT tool_name, call_count, avg_execution_time_ms, error_count FROM tool_calls ORDER BY tool_name"
    assert index.query(counted) == [("Bash", 1, None, 0), ("Read", 2, None, 0)]
    script.result(read, execution_ms=10).result(bash, "boom", execution_ms=7, success=False)
    script.result(read_too, execution_ms=30)
    index.write(script)
    assert index.query(counted) == [("Bash", 1, 7.0, 1), ("Read", 2, 20.0, 0)]
    assert index.query(
        "SELECT tool_call_id, arguments, execution_time_ms, success, error, called_at, request_id <> result_request_id"
        " FROM tool_call_executions ORDER BY tool_call_id"
    ) == [
        ("c1", '{"a":1}', 10.0, 1, None, "2026-11-22 10:00:01.000000", 1),
        ("c2", "{}", 30.0, 1, None, "2026-11-22 10:00:01.000000", 1),
        ("c3", '{"cmd":"ls"}', 7.0, 0, "boom", "2026-11-22 10:00:01.000000", 1),
    ]
    assert index.query("SELECT tool_call_count, tool_error_count FROM sessions") == [(3, 1)]


def test_calls_without_ids_are_kept_apart(index: Index) -> None:
    index.write(SessionScript().turn(calls=[Call("Read", None), Call("Read", None)]))
    ids = index.query("SELECT tool_call_id = request_id || '#' || row_number() OVER () FROM tool_call_executions")
    assert ids == [(1,), (1,)]


def test_stream_milestones_are_rows_in_order(index: Index) -> None:
    index.write(SessionScript().turn(latency_ms=80))
    assert index.query("SELECT event_index, event_type, offset_ms, content FROM stream_events ORDER BY 1") == [
        (0, "first_byte", 20.0, None),
        (1, "completion", 80.0, "end_turn"),
    ]


def test_a_day_sums_what_began_on_it_by_provider_and_model(index: Index) -> None:
    late = SessionScript("late", datetime(2026, 11, 22, 23, 59, 59, 500_000, tzinfo=UTC))
    late.turn(tokens=tokens(10, 1), cost_usd=0.5).turn(tokens=tokens(20, 2), outcome="stream_error")
    other = SessionScript("other", model="gpt-5", provider="openai").turn(tokens=tokens(7, 7), cost_usd=0.25)
    index.write(late, other)
    assert index.query(
        "SELECT day, provider, model_name, requests, successes, failures, total_tokens, total_cost_usd,"
        " unpriced_requests, provider_latency_ms FROM daily_stats ORDER BY day, provider"
    ) == [
        ("2026-11-22", "anthropic", f"{MODEL}-20250929", 1, 1, 0, 11, 0.5, 0, 100.0),
        ("2026-11-22", "openai", "gpt-5-20250929", 1, 1, 0, 14, 0.25, 0, 100.0),
        ("2026-11-23", "anthropic", MODEL, 1, 0, 1, 22, None, 1, 100.0),
    ]


def test_new_text_of_every_kind_is_found_by_its_words(index: Index) -> None:
    call = Call("Grep", "c1", '{"pattern":"arguments-needle"}')
    script = SessionScript().turn("user-needle please", "assistant-needle", calls=[call])
    index.write(script.result(call, "result-needle"))
    found = index.query(
        "SELECT kind, texts.content FROM text_search JOIN texts ON text_id = text_search.rowid"
        " WHERE text_search MATCH 'needle' ORDER BY kind"
    )
    assert [kind for kind, _ in found] == ["assistant", "tool_arguments", "tool_result", "user"]


# ---- bad events ---------------------------------------------------------------------------------


def _with(script: SessionScript, seq: int, **changed: Any) -> SessionScript:
    script.events[seq] = msgspec.structs.replace(script.events[seq], **changed)
    return script


@pytest.mark.parametrize(
    "changed",
    [
        {"estimated_tokens": 2**70},
        {"request_text": "half a surrogate \ud800"},
        {"timestamp": "yesterday"},
        {"target": {"not": "text"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_bad_event_is_rejected_and_its_neighbours_are_stored(index: Index, changed: dict[str, Any]) -> None:
    bad = _with(SessionScript("bad").turn().turn(tokens=tokens(5, 5)), 1, **changed)
    good = SessionScript("good", TEN_OCLOCK + timedelta(seconds=1)).turn().complete()
    index.write(bad, good)
    assert [(session, seq) for session, seq, _ in index.rejected] == [(bad.session_id, 1)]
    assert index.query("SELECT count(*), sum(completed_at IS NOT NULL) FROM sessions") == [(2, 1)]
    assert index.query("SELECT last_seq, total_tokens FROM sessions WHERE session_id = ?", bad.session_id) == [(4, 10)]


def test_a_rejected_event_that_comes_again_is_not_rejected_again(index: Index) -> None:
    script = _with(SessionScript().turn(), 2, model_used={"not": "text"})
    index.write(script)
    index.write(script)
    assert [seq for _, seq, _ in index.rejected] == [2]


def test_a_session_whose_start_was_bad_is_still_there(index: Index) -> None:
    script = _with(SessionScript().turn("hi", tokens=tokens(1, 2)), 0, continues={"not": "text"})
    index.write(script)
    assert [seq for _, seq, _ in index.rejected] == [0]
    assert index.query("SELECT provider, first_text, total_tokens FROM sessions") == [("anthropic", "hi", 3)]


def test_a_response_whose_request_was_bad_still_counts(index: Index) -> None:
    script = _with(SessionScript().turn(tokens=tokens(1, 2)), 1, target={"not": "text"})
    index.write(script)
    assert index.query("SELECT total_tokens, provider FROM session_stats") == [(3, None)]
    assert index.query("SELECT day, provider, total_tokens FROM daily_stats") == [("2026-11-22", "anthropic", 3)]


def test_a_request_id_of_another_session_is_rejected(index: Index) -> None:
    first, second = SessionScript("first").turn(), SessionScript("second").turn()
    _with(second, 1, request_id=first.events[1].request_id)
    index.write(first, second)
    assert [(session, seq) for session, seq, _ in index.rejected] == [(second.session_id, 1)]


def test_when_the_rejection_cannot_be_noted_nothing_is_stored(tmp_path: Path) -> None:
    def fail(_event: Event, _reason: str) -> None:
        raise OSError("no room for dead letters")

    sink = SqliteSink(tmp_path / "sessions.db", tmp_path, fail)
    sink.open()
    script = _with(SessionScript().turn(), 1, target={"not": "text"})
    with pytest.raises(OSError, match="dead letters"):
        sink.write_batch(script.events)
    sink.close()
    connection = sqlite3.connect(tmp_path / "sessions.db")
    assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    connection.close()


# ---- the schema ---------------------------------------------------------------------------------


def _columns(index: Index, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in index.query(f"PRAGMA table_info({table})"))


def test_rows_in_memory_have_the_columns_of_their_tables(index: Index) -> None:
    assert _columns(index, "sessions") == SESSION_COLUMNS == SessionRow.__struct_fields__
    assert _columns(index, "hourly_stats") == HourRow.__struct_fields__
    assert _columns(index, "daily_stats") == (
        "day",
        *(n for n in HourRow.__struct_fields__ if n not in {"hour", "client_name"}),
    )
    assert _columns(index, "hourly_latencies") == LatencyRow.__struct_fields__
    assert _columns(index, "daily_latencies") == ("day", *LatencyRow.__struct_fields__[1:])
    assert _columns(index, "daily_tool_stats") == ToolDayRow.__struct_fields__
    halves = (exchange_columns.REQUEST_COLUMNS, exchange_columns.RESPONSE_COLUMNS)
    assert set(_columns(index, "session_stats")) == {name for half in halves for name in half}


def test_the_columns_of_tokens_and_streaming_are_the_fields_of_the_events() -> None:
    columns = exchange_columns.RESPONSE_COLUMNS
    at = columns.index("input_tokens")
    assert columns[at : at + len(Tokens.__struct_fields__)] == Tokens.__struct_fields__
    at = columns.index("chunk_count")
    assert columns[at : at + len(StreamingStats.__struct_fields__)] == StreamingStats.__struct_fields__


def test_the_last_day_is_found_through_the_index_on_time(index: Index) -> None:
    (plan,) = index.query(
        "EXPLAIN QUERY PLAN SELECT model_name, sum(total_cost_usd) FROM session_stats"
        " WHERE started_at > datetime('now', '-1 day') GROUP BY model_name"
    )[:1]
    assert "session_stats_by_time (started_at>?)" in plan[3]
    assert "COVERING" in plan[3]


def test_the_index_is_in_wal_mode_and_of_version_1(index: Index) -> None:
    assert index.query("PRAGMA journal_mode") == [("wal",)]
    assert index.query("SELECT * FROM schema_version") == [(1,)]
