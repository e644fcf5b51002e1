"""Turns → the events of sessions."""

from __future__ import annotations

import pytest

from lunaroute.events.types import Completed, Event, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded
from lunaroute.pricing import Pricer
from lunaroute.transcripts.claude_code import read_claude_code
from lunaroute.transcripts.recording import Recording, split_sessions
from lunaroute.transcripts.turn import Conversation, Turn

from .rows import SESSION, block, lines, result, text, tool_use, user

HALF_AN_HOUR_NS = 1_800_000_000_000


def conversation() -> Conversation:
    reading = read_claude_code(
        lines(
            user(0, "list the files"),
            block(1, "msg_1", text("I look.")),
            block(2, "msg_1", tool_use("toolu_1", "Bash", command="ls"), output=40, stop_reason="tool_use"),
            block(3, "msg_1", tool_use("toolu_2", "Bash", command="false"), output=40, stop_reason="tool_use"),
            result(4, "toolu_1", "notes.txt"),
            result(6, "toolu_2", "Exit code 1", is_error=True),
            block(8, "msg_2", text("One file.")),
        )
    )
    assert reading.conversation_id is not None
    return Conversation(
        client_name="claude-code",
        conversation_id=reading.conversation_id,
        evidence=f"sessionId={SESSION}",
        turns=reading.turns,
    )


def told(turns: list[Turn] | None = None) -> list[Event]:
    one = conversation()
    return Recording(one, Pricer()).session_events(turns or one.turns, None)


def test_a_session_of_a_transcript_has_the_order_of_a_recorded_one() -> None:
    events = told()
    assert [type(event) for event in events] == [
        *(Started, RequestRecorded, ResponseRecorded),
        *(ToolCallRecorded, ToolCallRecorded, RequestRecorded, ResponseRecorded, Completed),
    ]
    assert [event.seq for event in events] == list(range(8))
    assert sorted(event.timestamp for event in events) == [event.timestamp for event in events]
    started = events[0]
    assert isinstance(started, Started)
    assert (started.source, started.conversation_id) == ("transcript", SESSION)


def test_only_what_the_client_knew_is_told() -> None:
    answers = [event for event in told() if isinstance(event, ResponseRecorded)]
    first, second = answers
    assert (first.stats.tokens.input_tokens, first.stats.tokens.output_tokens) == (500, 40)
    assert first.stats.estimated_cost is not None
    assert first.stats.estimated_cost.total_cost_usd == pytest.approx(
        10 * 5e-6 + 400 * 6.25e-6 + 90 * 0.5e-6 + 40 * 25e-6
    )
    assert (second.stats.tokens.input_tokens, second.stats.tokens.output_tokens) == (500, None)
    assert second.stats.estimated_cost is not None
    assert second.stats.estimated_cost.total_cost_usd is None
    assert [answer.stats.provider_latency_ms for answer in answers] == [None, None]
    assert [answer.status_code for answer in answers] == [None, None]
    completed = told()[-1]
    assert isinstance(completed, Completed)
    final = completed.final_stats
    assert (final.total_tokens.input, final.total_tokens.output, final.request_count) == (1000, 40, 2)
    assert (final.estimated_cost.unpriced_requests, final.total_duration_ms) == (1, 8000.0)
    assert final.performance.p50_latency_ms is None


def test_calls_get_their_results_and_the_times_that_the_client_wrote_down() -> None:
    events = told()
    calls = [event for event in events if isinstance(event, ToolCallRecorded)]
    assert [(call.tool_call_id, call.execution_time_ms, call.success, call.exit_code) for call in calls] == [
        ("toolu_1", 2000.0, True, None),
        ("toolu_2", 3000.0, False, 1),
    ]
    assert {call.call_request_id for call in calls} == {events[1].request_id}
    completed = events[-1]
    assert isinstance(completed, Completed)
    assert completed.final_stats.tool_summary.tool_wait_ms == 3000.0


def test_a_result_may_answer_a_call_that_is_recorded_already() -> None:
    one = conversation()
    recording = Recording(one, Pricer())
    recording.remember(one.turns[0])
    events = recording.session_events(one.turns[1:], "the-session-before")
    calls = [event for event in events if isinstance(event, ToolCallRecorded)]
    assert {call.call_request_id for call in calls} == {told()[1].request_id}
    assert isinstance(events[0], Started)
    assert events[0].continues == "the-session-before"


def test_the_same_turns_give_the_same_events() -> None:
    assert told() == told()


def test_silence_parts_sessions() -> None:
    reading = read_claude_code(
        lines(
            user(0, "a"),
            block(1, "msg_1", text("b")),
            user(1700, "c"),
            block(1701, "msg_2", text("d")),
            user(4000, "e"),
            block(4001, "msg_3", text("f")),
        )
    )
    sessions = list(split_sessions(reading.turns, HALF_AN_HOUR_NS))
    assert [[turn.key for turn in session] for session in sessions] == [["msg_1", "msg_2"], ["msg_3"]]
