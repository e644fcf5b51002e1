"""The pipeline: exchanges in, events out, with their numbers, bodies and endings."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest

from lunaroute.assemble.exchange import RunEnded
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import (
    Completed,
    RequestRecorded,
    ResponseRecorded,
    Started,
    ToolCallRecorded,
)
from tests.exchanges import EVENT_STREAM, JSON, ExchangeScript
from tests.traffic import MODEL, anthropic_request, anthropic_response, anthropic_stream, both, exchange_of
from tests.unit.recorder.pipelines import (
    agent_run,
    kinds,
    only,
    run,
    wall_ns,
)

RATE_LIMITED = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'


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
