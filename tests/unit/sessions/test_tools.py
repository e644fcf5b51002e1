"""Tool calls and results: each pair once, with the right bound on the time."""

from __future__ import annotations

import pytest

from lunaroute.dialects.facts import ToolCall, ToolResult
from lunaroute.sessions import Instant, Session, pair_results, remember_calls, settle, succeeded
from lunaroute.sessions.tools import MAX_PENDING_CALLS

MS = 1_000_000


def at(t_ms: int, *, start: int = 1, wall_offset_ms: int = 0) -> Instant:
    return Instant("lane", start, t_ms * MS, (1_790_000_000_000 + t_ms + wall_offset_ms) * MS)


def new_session() -> Session:
    return Session("s", "scope", "c", "new", None, None, at(0), 0, "r0")


def call(tool_call_id: str | None, t_ms: int | None = None, name: str = "Bash") -> ToolCall:
    t_ns = None if t_ms is None else t_ms * MS
    return ToolCall(tool_call_id=tool_call_id, tool_name=name, arguments="{}", input_size_bytes=2, t_ns=t_ns)


def result(tool_call_id: str, *, is_error: bool | None = None, text: str = "out") -> ToolResult:
    return ToolResult(tool_call_id=tool_call_id, output_text=text, output_size_bytes=len(text), is_error=is_error)


def remember(session: Session, *calls: ToolCall, ended: Instant) -> None:
    remember_calls(session, list(calls), request_id="r1", model_name="m", response_ended=ended)


def test_a_result_is_paired_with_its_call_and_timed_from_the_blocks_end() -> None:
    session = new_session()
    remember(session, call("c1", t_ms=100), ended=at(150))
    [pair] = pair_results(session, [result("c1")], at(175))
    assert pair.execution_ns == 75 * MS
    assert (pair.call.tool_name, pair.call.call_request_id, pair.call.model_name) == ("Bash", "r1", "m")
    assert not pair.call.is_shared_bound


def test_without_a_block_end_the_responses_last_byte_counts() -> None:
    session = new_session()
    remember(session, call("c1"), ended=at(150))
    assert pair_results(session, [result("c1")], at(175))[0].execution_ns == 25 * MS


def test_parallel_calls_say_that_they_share_the_bound() -> None:
    session = new_session()
    remember(session, call("c1", 10), call("c2", 20), ended=at(20))
    pairs = pair_results(session, [result("c1"), result("c2")], at(50))
    assert [(pair.execution_ns // MS, pair.call.is_shared_bound) for pair in pairs] == [(40, True), (30, True)]


def test_a_resent_result_counts_only_once() -> None:
    session = new_session()
    remember(session, call("c1"), ended=at(0))
    settle(session, pair_results(session, [result("c1"), result("c1")], at(5)))
    assert pair_results(session, [result("c1")], at(10)) == []


def test_a_call_repeated_after_its_result_is_not_paired_again() -> None:
    session = new_session()
    remember(session, call("c1"), ended=at(0))
    settle(session, pair_results(session, [result("c1")], at(5)))
    remember(session, call("c1"), ended=at(20))
    assert pair_results(session, [result("c1")], at(25)) == []


def test_pairing_alone_changes_nothing() -> None:
    session = new_session()
    remember(session, call("c1"), ended=at(0))
    assert pair_results(session, [result("c1")], at(5)) == pair_results(session, [result("c1")], at(5)) != []


def test_a_result_whose_call_was_never_seen_is_history() -> None:
    session = new_session()
    remember(session, call("c1"), ended=at(0))
    assert pair_results(session, [result("unseen"), result("")], at(5)) == []


def test_calls_without_an_id_can_not_be_paired() -> None:
    session = new_session()
    remember(session, call(None), call(""), ended=at(0))
    assert session.pending_calls == {}


def test_across_relay_starts_wall_time_bounds_the_execution() -> None:
    session = new_session()
    remember(session, call("c1", t_ms=500), ended=at(600))
    restarted = Instant("lane", 2, 7 * MS, at(2000).wall_ns)
    assert pair_results(session, [result("c1")], restarted)[0].execution_ns == 1500 * MS
    set_back = Instant("lane", 2, 7 * MS, 0)
    assert pair_results(session, [result("c1")], set_back)[0].execution_ns == 0


def test_pending_calls_are_bounded_and_the_oldest_leave() -> None:
    session = new_session()
    remember(session, *[call(f"c{n}") for n in range(MAX_PENDING_CALLS + 2)], ended=at(0))
    assert len(session.pending_calls) == MAX_PENDING_CALLS
    assert "c1" not in session.pending_calls
    assert "c2" in session.pending_calls


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (result("c", is_error=True), False),
        (result("c", is_error=False, text="error: everything failed"), True),
        (result("c", text="Error: no such file"), None),
        (result("c", text="Chunk ID: 1\nProcess exited with code 0\nOutput:\nfine"), True),
        (result("c", text="Chunk ID: 1\nProcess exited with code 2\nOutput:\nfine"), False),
        (result("c", text="Exit code: 1\nWall time: 1 s\nOutput:\n"), False),
        (result("c", text="Output of my own tool:\nProcess exited with code 1"), None),
        (result("c", text='{"output":"x","metadata":{"exit_code":0,"duration_seconds":0.1}}'), True),
        (result("c", text='{"output":"x","metadata":{"exit_code":127}}'), False),
        (result("c", text='{"error":"x"}'), None),
        (result("c", text="{" * 5000), None),
    ],
)
def test_success_is_told_or_proven_by_an_exit_code_and_never_guessed(told: ToolResult, expected: bool | None) -> None:
    assert succeeded(told) is expected
