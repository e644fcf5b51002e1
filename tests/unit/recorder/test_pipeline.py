"""The pipeline: exchanges in, events out; deterministic, restorable, and not to be brought down."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import pytest

from lunaroute.assemble.exchange import Assembled, RecordingGap, RunEnded, RunStarted
from lunaroute.events import Event, encode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import (
    Completed,
    RequestRecorded,
    ResponseRecorded,
    Started,
    StatsSnapshot,
    ToolCallRecorded,
)
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import EVENT_STREAM, JSON, MS, START_WALL_NS, ExchangeScript
from tests.support.broken_reader import break_readers
from tests.traffic import MODEL, anthropic_request, anthropic_response, anthropic_stream, both, exchange_of

SETTINGS = PipelineSettings()
IDLE_MS = SETTINGS.idle_timeout_ns // MS
RATE_LIMITED = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
E = TypeVar("E")


def wall_ns(at_ms: int) -> int:
    return START_WALL_NS + at_ms * MS


def run(items: Sequence[Assembled], pipeline: Pipeline | None = None) -> list[Event]:
    """The events of these items, none of which breaks a stage."""
    pipeline = pipeline or Pipeline(SETTINGS)
    events = [event for item in items for event in pipeline.feed(item)]
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    return events


def run_poisoned(items: Sequence[Assembled], pipeline: Pipeline) -> list[Event]:
    return [event for item in items for event in pipeline.feed(item)]


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def only(events: Sequence[Event], kind: type[E]) -> E:
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def agent_run() -> list[Assembled]:
    """Two turns of one agent: a tool call, its result; then the server stops."""
    first = exchange_of(
        1, anthropic_request("list files"), anthropic_response("sure", calls=["toolu_1"], input_tokens=100), at_ms=0
    )
    second = exchange_of(
        2,
        anthropic_request("", results=[("toolu_1", "a.txt")]),
        anthropic_response("there is a.txt", input_tokens=200, output_tokens=7, response_id="msg_2"),
        at_ms=1000,
    )
    return [*both(first), *both(second), RunEnded(wall_ns(2000))]


def test_a_run_of_an_agent_is_one_session_from_started_to_completed() -> None:
    events = run(agent_run())
    assert kinds(events) == [
        "Started",
        "RequestRecorded",
        "ResponseRecorded",
        "ToolCallRecorded",
        "RequestRecorded",
        "ResponseRecorded",
        "Completed",
    ]
    assert [event.seq for event in events] == list(range(7))
    assert len({event.session_id for event in events}) == 1


def test_started_says_whose_session_it_is() -> None:
    started = only(run(agent_run()), Started)
    assert started.conversation_id == "run-1"
    assert started.identity.rule == "client_header"
    assert started.identity.evidence == "x-claude-code-session-id=run-1"
    assert (started.provider, started.dialect, started.model_requested) == ("anthropic", "anthropic_messages", MODEL)
    assert started.metadata.credential == "fp1"
    assert started.timestamp == "2026-11-21T22:26:40.000000Z"


def test_requests_and_responses_have_their_numbers() -> None:
    events = run(agent_run())
    request = next(event for event in events if isinstance(event, RequestRecorded))
    response = next(event for event in events if isinstance(event, ResponseRecorded))
    assert request.request_text == "list files"
    assert request.thread_id == "run-1"
    assert (request.stats.message_count, request.stats.request_size_bytes) == (1, len(request_bytes(request)))
    assert response.response_text == "sure"
    assert (response.outcome, response.success, response.finish_reason) == ("completed", True, "tool_use")
    stats = response.stats
    assert (stats.provider_latency_ms, stats.time_to_first_byte_ms, stats.total_duration_ms) == (100.0, 90.0, 200.0)
    assert (stats.tokens.input_tokens, stats.tokens.output_tokens, stats.tokens.total_tokens) == (100, 5, 105)
    assert stats.tokens.tokens_per_second == 50.0
    assert stats.estimated_cost is not None
    assert stats.estimated_cost.total_cost_usd == pytest.approx(100e-6 + 25e-6)
    assert [(call.tool_name, call.tool_call_id) for call in stats.tool_calls] == [("Bash", "toolu_1")]


def test_a_tool_call_is_recorded_when_its_result_arrives() -> None:
    events = run(agent_run())
    call = only(events, ToolCallRecorded)
    first, second = (event for event in events if isinstance(event, RequestRecorded))
    assert (call.request_id, call.call_request_id) == (second.request_id, first.request_id)
    assert (call.tool_name, call.output_text, call.success) == ("Bash", "a.txt", True)
    assert call.execution_time_ms == 1000 - 110
    assert call.model_name == MODEL


def test_completed_sums_the_session_up() -> None:
    completed = only(run(agent_run()), Completed)
    stats = completed.final_stats
    assert (completed.reason, completed.success, completed.finish_reason) == ("shutdown", True, "end_turn")
    assert (stats.request_count, stats.error_count, stats.total_duration_ms) == (2, 0, 1200.0)
    assert (stats.total_tokens.input, stats.total_tokens.output, stats.total_tokens.total) == (300, 12, 312)
    assert stats.total_tokens.by_model[MODEL].total_tokens == 312
    assert stats.tool_summary.by_tool["Bash"].call_count == 1
    assert stats.tool_summary.total_tool_time_ms == 890.0
    assert stats.performance.p50_latency_ms == 100.0
    assert stats.estimated_cost.total_cost_usd == pytest.approx(300e-6 + 60e-6)
    assert stats.estimated_cost.unpriced_requests == 0


def test_a_stream_is_rebuilt_timed_and_kept_byte_for_byte() -> None:
    chunks = anthropic_stream("hello", output_tokens=8)
    response = only(run(both(exchange_of(1, anthropic_request("hi", stream=True), chunks, at_ms=0))), ResponseRecorded)
    assert response.response_text == "hello"
    assert b'"hello"' in bytes(response.response_json)
    assert response_bytes(response) == b"".join(chunks)
    assert response.response_body is not None
    assert response.response_body.chunks is not None
    assert response.response_body.chunks[0] == (100.0, len(chunks[0]))
    assert response.stats.is_streaming
    assert response.stats.time_to_first_token_ms == 120.0
    assert response.stats.tokens.tokens_per_second == pytest.approx(8 / 0.030)
    assert [event.event_type for event in response.stats.stream_events] == [
        "first_byte",
        "block_start",
        "first_token",
        "block_stop",
        "completion",
    ]


def test_every_body_is_proven_by_its_hash() -> None:
    for event in run(agent_run()):
        if isinstance(event, RequestRecorded):
            assert hashlib.sha256(request_bytes(event)).hexdigest() == event.body_sha256
        if isinstance(event, ResponseRecorded):
            assert hashlib.sha256(response_bytes(event)).hexdigest() == event.body_sha256


def test_a_compressed_exchange_is_read_and_kept_as_it_was() -> None:
    squeezed = [gzip(anthropic_request("hi")), gzip(anthropic_response("hello"))]
    script = ExchangeScript(1, body=squeezed[0], headers=[(b"Content-Encoding", b"gzip")])
    script.answer(200, at_ms=100, headers=[*JSON, (b"content-encoding", b"gzip")])
    script.chunk(squeezed[1][:20], at_ms=110)
    script.chunk(squeezed[1][20:], at_ms=120)
    script.close(at_ms=200)
    events = run(both(script))
    request, response = only(events, RequestRecorded), only(events, ResponseRecorded)
    assert [request_bytes(request), response_bytes(response)] == squeezed
    assert (request.request_text, response.response_text) == ("hi", "hello")
    assert bytes(response.response_json) == anthropic_response("hello")


def gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(data) + compressor.flush()


def test_a_stream_that_ends_early_as_if_it_were_whole_is_no_success() -> None:
    chunks = anthropic_stream("hello")
    whole = exchange_of(1, anthropic_request("hi", stream=True), chunks, at_ms=0)
    early = exchange_of(2, anthropic_request("hi", stream=True), chunks[:-2], at_ms=300, session="run-2")
    events = run([*both(whole), *both(early), RunEnded(wall_ns(900))])
    first, second = (event for event in events if isinstance(event, ResponseRecorded))
    assert (first.outcome, first.success, first.error) == ("completed", True, None)
    assert (second.outcome, second.success, second.response_text) == ("upstream_cut", False, "hello")
    assert second.error is not None
    assert "without its last event" in (second.error.message or "")


@pytest.mark.parametrize(("missing", "expected"), [(0, "completed"), (1, "client_cancelled")])
def test_a_client_that_leaves_after_the_last_event_has_cancelled_nothing(missing: int, expected: str) -> None:
    chunks = anthropic_stream("hello")
    script = ExchangeScript(1, body=anthropic_request("hi", stream=True))
    script.answer(200, at_ms=100, headers=EVENT_STREAM)
    for n, chunk in enumerate(chunks[: len(chunks) - missing]):
        script.chunk(chunk, at_ms=110 + n)
    script.close(at_ms=200, outcome="client_cancelled", detail="the client closed the connection")
    response = only(run([*both(script), RunEnded(wall_ns(300))]), ResponseRecorded)
    is_whole = missing == 0
    assert (response.outcome, response.success, response.error is None) == (expected, is_whole, is_whole)


@pytest.mark.parametrize(
    ("outcome", "status", "body", "expected", "error_type"),
    [
        ("completed", 429, RATE_LIMITED, "http_error", "rate_limit_error"),
        ("completed", 502, b"<html>", "http_error", None),
        ("upstream_cut", 200, b'{"id":"msg', "upstream_cut", "upstream_cut"),
        ("client_cancelled", 200, b"", "client_cancelled", "client_cancelled"),
    ],
)
def test_every_ending_is_recorded_with_its_outcome(
    outcome: Any, status: int, body: bytes, expected: str, error_type: str | None
) -> None:
    script = ExchangeScript(1, body=anthropic_request("hi"))
    script.answer(status, at_ms=100)
    if body:
        script.chunk(body, at_ms=110)
    script.close(at_ms=200, outcome=outcome, detail="why")
    events = run([*both(script), RunEnded(wall_ns(300))])
    response, completed = only(events, ResponseRecorded), only(events, Completed)
    assert (response.outcome, response.success) == (expected, False)
    assert response.error is not None
    assert response.error.type == error_type or error_type is None
    assert response.stats.estimated_cost is None
    assert (completed.success, completed.final_stats.error_count) == (False, 1)
    assert completed.error
    assert completed.final_stats.estimated_cost.unpriced_requests == 0
    assert response_bytes(response) == body


def test_a_request_that_never_reached_the_provider_is_recorded() -> None:
    script = ExchangeScript(1, body=anthropic_request("hi"), sent_ms=None)
    script.close(at_ms=50, outcome="upstream_unreachable", detail="connection refused")
    response = only(run(both(script)), ResponseRecorded)
    assert (response.status_code, response.outcome) == (None, "upstream_unreachable")
    assert response.stats.provider_latency_ms is None
    assert response.error is not None
    assert response.error.message == "connection refused"


def test_an_error_event_in_a_stream_is_a_stream_error() -> None:
    chunks = anthropic_stream("he")[:3]
    chunks.append(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n')
    response = only(run(both(exchange_of(1, anthropic_request("hi", stream=True), chunks, at_ms=0))), ResponseRecorded)
    assert (response.outcome, response.success, response.status_code) == ("stream_error", False, 200)
    assert response.error is not None
    assert response.error.type == "overloaded_error"
    assert response.response_text == "he"


def test_an_unknown_model_has_no_price_and_is_counted() -> None:
    items = both(exchange_of(1, anthropic_request("hi"), anthropic_response("hello"), at_ms=0, provider="my-gateway"))
    events = run([*items, RunEnded(wall_ns(300))])
    cost = only(events, ResponseRecorded).stats.estimated_cost
    assert cost is not None
    assert (cost.total_cost_usd, cost.unpriced_requests) == (None, 1)
    total = only(events, Completed).final_stats.estimated_cost
    assert (total.total_cost_usd, total.unpriced_requests) == (None, 1)


def test_a_non_model_exchange_is_recorded_and_owes_nothing() -> None:
    script = ExchangeScript(1, method="GET", path="/v1/models")
    script.answer(200, at_ms=100)
    script.chunk(b'{"data":[]}', at_ms=110)
    script.close(at_ms=200)
    events = run([*both(script), RunEnded(wall_ns(300))])
    assert only(events, ResponseRecorded).stats.estimated_cost is None
    assert only(events, Completed).final_stats.estimated_cost.total_cost_usd == 0


# ---- grouping


def test_an_idle_session_completes_before_the_exchange_that_notices_it() -> None:
    late_ms = 2 * IDLE_MS
    first = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0)
    second = exchange_of(2, anthropic_request("c"), anthropic_response("d"), at_ms=late_ms)
    events = run([*both(first), *both(second)])
    assert kinds(events)[3:5] == ["Completed", "Started"]
    completed = only(events, Completed)
    starts = [event for event in events if isinstance(event, Started)]
    assert completed.reason == "idle"
    assert completed.timestamp == "2026-11-21T22:56:40.200000Z"
    assert [start.continues for start in starts] == [None, starts[0].session_id]
    assert [start.conversation_id for start in starts] == ["run-1", "run-1"]


def test_an_agent_without_session_signal_is_followed_by_its_tool_calls() -> None:
    first = exchange_of(1, anthropic_request("a"), anthropic_response("b", calls=["toolu_1"]), at_ms=0, session=None)
    second = exchange_of(
        2, anthropic_request("", results=[("toolu_1", "out")]), anthropic_response("d"), at_ms=1000, session=None
    )
    stranger = exchange_of(3, anthropic_request("x"), anthropic_response("y"), at_ms=2000, session=None)
    events = run([*both(first), *both(second), *both(stranger)])
    starts = [event for event in events if isinstance(event, Started)]
    assert [start.identity.rule for start in starts] == ["new", "new"]
    assert starts[0].conversation_id == starts[0].session_id
    assert sum(event.session_id == starts[0].session_id for event in events) == 6


def test_the_same_session_id_under_another_credential_is_another_session() -> None:
    ours = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0, credential="one")
    theirs = exchange_of(2, anthropic_request("a"), anthropic_response("b"), at_ms=500, credential="two")
    assert kinds(run([*both(ours), *both(theirs)])).count("Started") == 2


def test_the_same_session_id_of_another_tenant_is_another_session_and_both_say_whose_they_are() -> None:
    ours = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0, tenant="one")
    theirs = exchange_of(2, anthropic_request("a"), anthropic_response("b"), at_ms=500, tenant="two")
    settings = msgspec.structs.replace(SETTINGS, node="pod-1")
    events = run([*both(ours), *both(theirs)], Pipeline(settings))
    starts = [event for event in events if isinstance(event, Started)]
    assert [(start.tenant, start.node) for start in starts] == [("one", "pod-1"), ("two", "pod-1")]
    assert [event.tenant for event in events if isinstance(event, RequestRecorded)] == ["one", "two"]


def test_overlapping_exchanges_of_a_session_keep_it_open_and_its_seq_gapless() -> None:
    one = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0)
    two = exchange_of(2, anthropic_request("c"), anthropic_response("d"), at_ms=50)
    events = run([one.received, two.received, two.ended, one.ended, RunEnded(wall_ns(400))])
    assert [event.seq for event in events] == list(range(6))
    assert only(events, Completed).final_stats.request_count == 2


def test_what_a_killed_run_left_open_is_recovered_by_the_next() -> None:
    pipeline = Pipeline(SETTINGS)
    run([RunStarted("one", wall_ns(-10)), *both(agent_exchange(1))], pipeline)
    [completed] = pipeline.feed(RunStarted("two", wall_ns(60_000)))
    assert isinstance(completed, Completed)
    assert completed.reason == "recovered"


def test_a_session_can_be_ended_by_hand() -> None:
    pipeline = Pipeline(SETTINGS)
    events = run(both(agent_exchange(1)), pipeline)
    [completed] = pipeline.end_session(events[0].session_id, wall_ns(999))
    assert isinstance(completed, Completed)
    assert completed.reason == "ended"
    assert pipeline.end_session(events[0].session_id, wall_ns(1000)) == []


def agent_exchange(number: int, at_ms: int = 0) -> ExchangeScript:
    return exchange_of(number, anthropic_request("a"), anthropic_response("b"), at_ms=at_ms)


def test_long_sessions_get_snapshots_by_count_and_by_time() -> None:
    pipeline = Pipeline(PipelineSettings(snapshot_every_exchanges=3, snapshot_every_ns=60_000 * MS))
    counted = run([item for n in range(7) for item in both(agent_exchange(n, n * 1000))], pipeline)
    snapshots = [event.stats.request_count for event in counted if isinstance(event, StatsSnapshot)]
    assert snapshots == [3, 6]
    timed = only(run(both(agent_exchange(8, 70_000)), pipeline), StatsSnapshot)
    assert (timed.stats.request_count, timed.stats.total_input_tokens) == (8, 80)


def test_a_gap_in_the_recording_is_no_event_of_a_session() -> None:
    pipeline = Pipeline(SETTINGS)
    run(both(agent_exchange(1)), pipeline)
    assert pipeline.feed(RecordingGap(wall_ns(300), wall_ns(400), 5, "disk full")) == []
    assert kinds(pipeline.feed(RecordingGap(wall_ns(0), wall_ns(2 * IDLE_MS), 5, "disk full"))) == ["Completed"]


# ---- determinism and state


def story() -> list[Assembled]:
    """Sessions of every kind, overlapping, with tool calls, failures, an idle end, a recovery and a shutdown."""
    items: list[Assembled] = [RunStarted("one", wall_ns(-10)), *agent_run()[:-1]]
    one = exchange_of(11, anthropic_request("x"), anthropic_response("y", calls=["toolu_9"]), at_ms=3000, session=None)
    two = exchange_of(12, anthropic_request("z", stream=True), anthropic_stream("w"), at_ms=3050, session="run-2")
    items += [one.received, two.received, one.ended, two.ended]
    items += both(
        exchange_of(
            13, anthropic_request("", results=[("toolu_9", "no")], errors=["toolu_9"]), b"{}", at_ms=4000, session=None
        )
    )
    items += both(exchange_of(14, b"\xff\xfe", b"<html>", at_ms=5000, status=502, session="run-2"))
    late = IDLE_MS + 4100
    open_late = exchange_of(15, anthropic_request("late"), anthropic_response("l"), at_ms=late, session="run-2")
    items += [open_late.received]
    items += both(exchange_of(16, anthropic_request("back"), anthropic_response("b"), at_ms=late + 10))
    items += [RunStarted("two", wall_ns(late + 300)), open_late.ended]
    items += both(exchange_of(17, anthropic_request("back"), anthropic_response("b"), at_ms=late + 400))
    return [*items, RunEnded(wall_ns(late + 1000))]


def lines(events: Sequence[Event]) -> list[bytes]:
    return [encode_event(event) for event in events]


def test_the_same_input_gives_the_same_events() -> None:
    assert lines(run(story())) == lines(run(story()))


def test_every_session_is_one_gapless_file_from_started_to_completed() -> None:
    sessions: dict[str, list[Event]] = {}
    for event in run(story()):
        sessions.setdefault(event.session_id, []).append(event)
    for events in sessions.values():
        assert [event.seq for event in events] == list(range(len(events)))
        assert kinds(events)[0] == "Started"
        assert kinds(events)[-1] == "Completed"
        assert kinds(events).count("Completed") == 1


@pytest.mark.parametrize("cut", range(len(story()) + 1))
def test_a_pipeline_restored_at_any_point_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    items = story()
    stored: dict[str, bytes] = {}
    pipeline = Pipeline(SETTINGS)
    before: list[Event] = []
    for item in items[:cut]:
        before += pipeline.feed(item)
        changes = pipeline.take_changes()
        stored.update(changes.put)
        for key in changes.deleted:
            stored.pop(key, None)
        assert not changes.put.keys() & changes.deleted
    after = run(items[cut:], Pipeline.restore(SETTINGS, stored))
    assert lines([*before, *after]) == lines(run(items))


def test_no_state_of_finished_sessions_stays_behind_but_how_to_continue_them() -> None:
    pipeline = Pipeline(SETTINGS)
    run(story(), pipeline)
    kept = {key.partition(":")[0] for key in pipeline.take_changes().put}
    assert kept == {"g", "c", "l", "a", "r"}


# ---- poison


def test_a_request_that_breaks_a_stage_is_recorded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(SETTINGS)
    run(both(agent_exchange(1)), pipeline)
    break_readers(monkeypatch, "request")
    poison = exchange_of(2, anthropic_request("poison"), anthropic_response("y"), at_ms=300)
    events = run_poisoned(both(poison), pipeline)
    monkeypatch.undo()
    assert kinds(events) == ["RequestRecorded", "ResponseRecorded"]
    request, response = only(events, RequestRecorded), only(events, ResponseRecorded)
    assert (request.dialect, request.request_text) == ("unknown", "")
    assert request_bytes(request) == anthropic_request("poison")
    assert response_bytes(response) == anthropic_response("y")
    [poisoned] = pipeline.take_poisoned()
    assert poisoned.exchange is poison.exchange
    assert "RuntimeError: a bug" in poisoned.reason
    assert pipeline.take_poisoned() == []
    assert [event.seq for event in run(both(agent_exchange(3, 600)), pipeline)] == [5, 6]


def test_a_response_that_breaks_a_stage_is_recorded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    break_readers(monkeypatch, "response", error=ValueError("a bug"))
    pipeline = Pipeline(SETTINGS)
    script = exchange_of(1, anthropic_request("hi", stream=True), anthropic_stream("hello"), at_ms=0)
    events = run_poisoned([*both(script), RunEnded(wall_ns(300))], pipeline)
    response, completed = only(events, ResponseRecorded), only(events, Completed)
    assert response_bytes(response) == script.exchange.response_body
    assert response.stats.is_streaming
    assert response.stats.provider_latency_ms is not None
    assert completed.final_stats.request_count == 1
    assert [poison.reason for poison in pipeline.take_poisoned()] == ["response: ValueError: a bug"]


def test_an_end_without_its_beginning_is_still_recorded() -> None:
    events = run([agent_exchange(1).ended])
    assert kinds(events) == ["Started", "RequestRecorded", "ResponseRecorded"]


def test_a_request_cut_short_says_so() -> None:
    script = ExchangeScript(1, body=b'{"model":"cl', is_request_complete=False)
    script.close(at_ms=50, outcome="client_cancelled")
    request = only(run(both(script)), RequestRecorded)
    assert not request.is_body_complete
    assert request_bytes(request) == b'{"model":"cl'
