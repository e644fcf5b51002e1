"""Life of sessions: begin, go on, end for each reason, come back."""

from __future__ import annotations

import msgspec

from lunaroute.dialects.facts import ToolCall
from lunaroute.sessions import Ending, Identity, Instant, OpenExchange, Session, SessionBook, remember_calls
from lunaroute.sessions.clues import UNKNOWN

SECOND = 1_000_000_000
IDLE = 1800 * SECOND
START = 1_790_000_000 * SECOND
SCOPE = "anthropic\0key"


def at(wall_ns: int) -> Instant:
    return Instant("0", 1, wall_ns - START, wall_ns)


def named(conversation_id: str) -> Identity:
    return Identity(conversation_id=conversation_id, rule="client_header", evidence=f"id={conversation_id}")


def begin(
    book: SessionBook, request_id: str, wall_ns: int, conversation: str | None = "c", scope: str = SCOPE
) -> Session:
    identity = UNKNOWN if conversation is None else named(conversation)
    session = book.place(scope, identity, request_id, at(wall_ns))
    book.exchange_opened(request_id, OpenExchange(session.session_id, "unknown", None))
    book.touch(session, wall_ns)
    return session


def exchange(book: SessionBook, request_id: str, wall_ns: int, conversation: str | None = "c") -> Session:
    session = begin(book, request_id, wall_ns, conversation)
    book.exchange_ended(request_id, wall_ns + SECOND)
    return session


def summary(endings: list[Ending]) -> list[tuple[str, str, int]]:
    return [(ending.session.conversation_id, ending.reason, ending.wall_ns) for ending in endings]


def test_exchanges_of_one_conversation_are_one_session() -> None:
    book = SessionBook(IDLE)
    assert exchange(book, "r1", START) is exchange(book, "r2", START + 5 * SECOND)


def test_exchanges_without_identity_are_sessions_of_their_own() -> None:
    book = SessionBook(IDLE)
    first, second = exchange(book, "r1", START, None), exchange(book, "r2", START, None)
    assert first.session_id != second.session_id
    assert first.conversation_id == first.session_id
    assert first.rule == "new"


def test_the_same_conversation_id_in_another_scope_is_another_session() -> None:
    book = SessionBook(IDLE)
    assert begin(book, "r1", START) is not begin(book, "r2", START, scope="anthropic\0other key")


def test_a_session_completes_at_last_activity_plus_timeout_whenever_noticed() -> None:
    book = SessionBook(IDLE)
    exchange(book, "r1", START)
    exchange(book, "r2", START + 100 * SECOND)
    deadline = START + 101 * SECOND + IDLE
    assert book.advance(deadline) == []
    assert summary(book.advance(deadline + 9999 * SECOND)) == [("c", "idle", deadline)]
    assert book.advance(deadline + 99999 * SECOND) == []


def test_sessions_complete_in_order_of_their_deadlines() -> None:
    book = SessionBook(IDLE)
    exchange(book, "r1", START, "first to begin")
    exchange(book, "r2", START + SECOND, "second")
    exchange(book, "r3", START + 50 * SECOND, "first to begin")
    order = [ending.session.conversation_id for ending in book.advance(START + 3 * IDLE)]
    assert order == ["second", "first to begin"]


def test_a_session_with_an_open_exchange_never_completes() -> None:
    book = SessionBook(IDLE)
    exchange(book, "r0", START)
    begin(book, "r1", START)
    assert book.advance(START + 10 * IDLE) == []
    book.exchange_ended("r1", START + 10 * IDLE)
    assert book.advance(START + 11 * IDLE) == []
    assert summary(book.advance(START + 11 * IDLE + 1)) == [("c", "idle", START + 11 * IDLE)]


def test_a_conversation_that_comes_back_continues_its_last_session() -> None:
    book = SessionBook(IDLE)
    first = exchange(book, "r1", START)
    book.advance(START + 2 * IDLE)
    second = exchange(book, "r2", START + 2 * IDLE)
    book.advance(START + 4 * IDLE)
    third = exchange(book, "r3", START + 4 * IDLE)
    assert first.continues is None
    assert second.continues == first.session_id
    assert third.continues == second.session_id


def test_a_conversation_nobody_named_continues_when_an_id_leads_back_to_it() -> None:
    book = SessionBook(IDLE)
    session = exchange(book, "r1", START, None)
    session.is_linked = True
    book.advance(START + 2 * IDLE)
    assert book.is_known(SCOPE, session.conversation_id)
    linked = Identity(conversation_id=session.conversation_id, rule="tool_call_id", evidence="")
    assert book.place(SCOPE, linked, "r2", at(START + 2 * IDLE)).continues == session.session_id


def test_calls_still_waiting_at_the_end_are_answered_in_the_session_that_continues() -> None:
    """A person may take longer over a permission than the session stays open."""
    book = SessionBook(IDLE)
    session = exchange(book, "r1", START)
    call = ToolCall(tool_call_id="c1", tool_name="Bash", arguments='{"x": 1}', input_size_bytes=8)
    remember_calls(session, [call], request_id="r1", model_name="m", response_ended=at(START))
    session.is_linked = True
    book.advance(START + 2 * IDLE)
    put: dict[str, bytes] = {}
    book.take_changes(put, set())
    restored = SessionBook(IDLE)
    restored.restore(put)
    for each in (book, restored):
        continued = begin(each, "r2", START + 2 * IDLE)
        assert continued.session_id != session.session_id
        assert continued.pending_calls["c1"].arguments == '{"x": 1}'
        assert begin(each, "r3", START + 2 * IDLE).pending_calls == continued.pending_calls


def test_a_fork_names_the_session_it_came_from_live_or_ended() -> None:
    book = SessionBook(IDLE)
    parent = exchange(book, "r1", START)
    for moment in (START, START + 2 * IDLE):
        book.advance(moment)
        fork = msgspec.structs.replace(named(f"fork {moment}"), forked_from="c")
        assert book.place(SCOPE, fork, f"f{moment}", at(moment)).forked_from == parent.session_id
    stranger = msgspec.structs.replace(named("x"), forked_from="never seen")
    assert book.place(SCOPE, stranger, "r3", at(START)).forked_from is None


def test_an_orderly_stop_shuts_sessions_down() -> None:
    book = SessionBook(IDLE)
    exchange(book, "r1", START)
    assert summary(book.run_ended(START + 60 * SECOND)) == [("c", "shutdown", START + 60 * SECOND)]


def test_what_an_earlier_run_left_open_is_recovered() -> None:
    book = SessionBook(IDLE)
    assert book.run_started("run 1", START) == []
    exchange(book, "r1", START)
    assert book.run_started("run 1", START + SECOND) == []
    assert summary(book.run_started("run 2", START + 60 * SECOND)) == [("c", "recovered", START + 60 * SECOND)]


def test_an_ended_session_waits_for_its_open_exchanges() -> None:
    book = SessionBook(IDLE)
    session = begin(book, "r1", START)
    begin(book, "r2", START)
    assert book.end(session.session_id, START + SECOND) == []
    assert book.exchange_ended("r1", START + 2 * SECOND) == []
    assert summary(book.exchange_ended("r2", START + 3 * SECOND)) == [("c", "ended", START + 3 * SECOND)]


def test_ending_a_session_that_is_over_does_nothing() -> None:
    assert SessionBook(IDLE).end("nobody", START) == []


def test_no_session_completes_before_its_last_activity() -> None:
    """Wall clocks of two relays may differ, and may be set back."""
    book = SessionBook(IDLE)
    exchange(book, "r1", START)
    assert summary(book.run_ended(START - 60 * SECOND)) == [("c", "shutdown", START + SECOND)]


def test_a_restored_book_goes_on_where_it_was() -> None:
    book = SessionBook(IDLE)
    book.run_started("run 1", START)
    gone = exchange(book, "r0", START - 2 * IDLE, "back again")
    book.advance(START)
    exchange(book, "r1", START, "idle soon")
    begin(book, "r2", START, "still open")
    put: dict[str, bytes] = {}
    book.take_changes(put, set())
    restored = SessionBook(IDLE)
    restored.restore(put)
    for each in (book, restored):
        assert each.run_started("run 1", START) == []
        assert begin(each, "r3", START, "back again").continues == gone.session_id
        assert summary(each.advance(START + 2 * IDLE)) == [("idle soon", "idle", START + SECOND + IDLE)]
        assert summary(each.run_ended(START + 2 * IDLE)) == []
        assert summary(each.exchange_ended("r2", START + 2 * IDLE)) == [("still open", "shutdown", START + 2 * IDLE)]


def test_a_completed_session_is_deleted_from_the_stored_state() -> None:
    book = SessionBook(IDLE)
    session = exchange(book, "r1", START, None)
    book.take_changes({}, set())
    book.advance(START + 2 * IDLE)
    put: dict[str, bytes] = {}
    deleted: set[str] = set()
    book.take_changes(put, deleted)
    assert (put, deleted) == ({}, {f"s:{session.session_id}"})


def test_what_came_and_went_between_two_checkpoints_is_not_deleted() -> None:
    book = SessionBook(IDLE)
    exchange(book, "r1", START, None)
    put: dict[str, bytes] = {}
    deleted: set[str] = set()
    book.take_changes(put, deleted)
    assert not any(key.startswith("x:") for key in put.keys() | deleted)


def test_what_was_open_at_a_restart_is_deleted_when_it_is_over() -> None:
    book = SessionBook(IDLE)
    begin(book, "r1", START, None)
    put: dict[str, bytes] = {}
    book.take_changes(put, set())
    restored = SessionBook(IDLE)
    restored.restore(put)
    restored.exchange_ended("r1", START + SECOND)
    deleted: set[str] = set()
    restored.take_changes({}, deleted)
    assert deleted == {"x:r1"}
