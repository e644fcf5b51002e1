"""Tool calls and results: each pair once, with the right bound on the time."""

from __future__ import annotations

from lunaroute.dialects.facts import ToolCall, ToolResult
from lunaroute.sessions import Instant, Session, pair_results, remember_calls, settle
from lunaroute.sessions.tools import MAX_PENDING_CALLS, call_ids, repeated_calls

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


def named(tool_name: str, text: str) -> ToolResult:
    return ToolResult(tool_call_id=None, output_text=text, output_size_bytes=len(text), tool_name=tool_name)


def remember(session: Session, *calls: ToolCall, ended: Instant) -> None:
    remember_calls(session, list(calls), request_id="r1", model_name="m", response_ended=ended)


def test_a_result_is_paired_with_its_call_and_timed_from_the_blocks_end() -> None:
    session = new_session()
    remember(session, call("c1", t_ms=100), ended=at(150))
    [pair] = pair_results(session, [result("c1")], at(175))
    assert pair.execution_ns == 75 * MS
    assert (pair.call.tool_name, pair.call.call_request_id, pair.call.model_name) == ("Bash", "r1", "m")
    assert (pair.tool_call_id, pair.call.parallel_count) == ("c1", 1)


def test_without_a_block_end_the_responses_last_byte_counts() -> None:
    session = new_session()
    remember(session, call("c1"), ended=at(150))
    assert pair_results(session, [result("c1")], at(175))[0].execution_ns == 25 * MS


def test_parallel_calls_say_that_they_share_the_bound() -> None:
    session = new_session()
    remember(session, call("c1", 10), call("c2", 20), ended=at(20))
    pairs = pair_results(session, [result("c1"), result("c2")], at(50))
    assert [(pair.execution_ns // MS, pair.call.parallel_count) for pair in pairs] == [(40, 2), (30, 2)]


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


def test_calls_without_an_id_are_answered_by_name_and_in_order() -> None:
    session = new_session()
    calls = [call(None, name="read"), call("", name="read"), call(None, name="write")]
    assert call_ids("r1", calls) == ["r1#1", "r1#2", "r1#3"]
    remember(session, *calls, ended=at(0))
    told = [named("write", "w"), named("read", "1"), named("read", "2"), named("read", "3"), named("else", "x")]
    pairs = pair_results(session, told, at(5), nameless=told)
    assert [(pair.tool_call_id, pair.result.output_text) for pair in pairs] == [
        ("r1#3", "w"),
        ("r1#1", "1"),
        ("r1#2", "2"),
    ]
    settle(session, pairs)
    assert pair_results(session, told, at(6), nameless=told) == []


def test_only_the_newest_turn_of_the_same_thread_answers_by_name() -> None:
    session = new_session()
    calls = [call(None, name="read")]
    remember_calls(session, calls, request_id="r1", model_name="m", response_ended=at(0), thread_id="main")
    told = [named("read", "old")]
    assert pair_results(session, told, at(5), thread_id="main") == []
    assert pair_results(session, told, at(5), thread_id="agent", nameless=told) == []
    assert len(pair_results(session, told, at(5), thread_id="main", nameless=told)) == 1


def test_an_id_that_only_the_client_gave_is_no_obstacle() -> None:
    session = new_session()
    remember(session, call(None, name="read"), ended=at(0))
    told = [ToolResult(tool_call_id="read_1", output_text="x", output_size_bytes=1, tool_name="read")]
    assert [pair.tool_call_id for pair in pair_results(session, told, at(5), nameless=told)] == ["r1#1"]


def test_a_result_whose_call_has_an_id_is_not_taken_for_another_call() -> None:
    session = new_session()
    remember(session, call("c1", name="read"), ended=at(0))
    told = [ToolResult(tool_call_id="c1", output_text="x", output_size_bytes=1, tool_name="read")]
    settle(session, pair_results(session, told, at(5), nameless=told))
    remember_calls(session, [call(None, name="read")], request_id="r2", model_name="m", response_ended=at(9))
    assert pair_results(session, told, at(10), nameless=told) == []


def test_calls_that_came_before_are_known() -> None:
    session = new_session()
    remember(session, call("c1"), call("c2"), ended=at(0))
    settle(session, pair_results(session, [result("c1")], at(5)))
    assert repeated_calls(session, ["c1", "c2", "c3"]) == {"c1", "c2"}


def test_calls_side_by_side_are_waited_for_once() -> None:
    session = new_session()
    remember(session, call("c1", 10), call("c2", 20), call("c3", 20), ended=at(20))
    assert settle(session, pair_results(session, [result("c1"), result("c2")], at(50))) == 40 * MS
    assert settle(session, pair_results(session, [result("c3")], at(90))) == 30 * MS


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
