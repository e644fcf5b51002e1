"""Where requests land by the ids and the history in them, and what a restart remembers."""

from __future__ import annotations

from typing import Any

from lunaroute.sessions import (
    SessionBook,
)
from tests.unit.sessions.story import SECOND, TASK, Story, call, result, said, text, user

# ---- ids that the provider served


def test_the_newest_tool_result_leads_to_the_conversation_that_was_served_the_call() -> None:
    story = Story()
    one = story.ask(user("a")).answer(call("t1"))
    two = story.ask(user("b")).answer(call("t2"))
    follow = story.ask(user("anything"), said([call("t1")]), result("t1"), said([call("t2")]), result("t2"))
    assert one.conversation_id != two.conversation_id == follow.conversation_id
    assert (follow.identity.rule, follow.identity.evidence) == ("tool_call_id", "tool_call_id=t2")


def test_a_call_of_a_stream_that_was_cut_leads_back_too() -> None:
    story = Story()
    cut = story.ask(user("a")).answer(call("t1"), outcome="upstream_cut")
    assert story.ask(user("a"), said([call("t1")]), result("t1")).conversation_id == cut.conversation_id


def test_ids_of_another_scope_lead_nowhere() -> None:
    story = Story()
    story.ask(user("a")).answer(call("t1"), response_id="msg_1")
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    other = story.ask(user("a"), said([call("t1")]), result("t1"), scope="other", thread=thread)
    assert other.identity.rule == "new"


def test_a_request_that_names_the_response_it_goes_on_from_carries_the_whole_history() -> None:
    story = Story()
    one = story.ask(user("a")).answer(text("b"), response_id="msg_1")
    held = story.ask(user("c"), thread={"type": "continue", "previous_message_id": "msg_1"}).answer(text("d"))
    assert (held.conversation_id, held.identity.rule) == (one.conversation_id, "response_id")
    whole = story.ask(user("a"), said("b"), user("c"), said("d"), user("e"))
    assert (whole.conversation_id, whole.identity.rule) == (one.conversation_id, "prefix")


def test_a_diagnostic_message_id_leads_back_without_holding_the_history() -> None:
    story = Story()
    one = story.ask(user("a")).answer(text("b"), response_id="msg_1")
    two = story.ask(user("x"), said("y"), user("c"), diagnostics={"previous_message_id": "msg_1"})
    assert two.conversation_id == one.conversation_id
    assert two.identity.evidence == "diagnostics.previous_message_id=msg_1"


# ---- the history itself


def test_a_history_with_our_recorded_answer_leads_back() -> None:
    story = Story()
    one = story.ask(user("a")).answer(text("b"))
    two = story.ask(user([text("a")]), said("b \n"), user("c")).answer(text("d"))
    three = story.ask(user("a"), said("b"), user("c"), said([text("d")]), user("e"))
    assert one.conversation_id == two.conversation_id == three.conversation_id
    assert one.thread_id == three.thread_id
    assert three.identity.rule == "prefix"


def test_the_same_beginning_with_another_answer_is_another_conversation() -> None:
    """Some clients begin every run with the same examples."""
    story = Story()
    examples = [user("example"), said("like this")]
    story.ask(*examples, user("one")).answer(text("1"))
    assert story.ask(*examples, user("two")).identity.rule == "new"
    assert story.ask(*examples, user("one"), said("other"), user("x")).identity.rule == "new"


def test_an_identical_request_that_was_answered_is_a_new_run() -> None:
    story = Story()
    first = story.ask(user("a")).answer(text("b"))
    second = story.ask(user("a"))
    assert second.conversation_id != first.conversation_id
    assert (second.identity.rule, second.identity.retry_of) == ("new", None)


def test_two_runs_that_said_the_same_so_far_stay_two() -> None:
    story = Story()
    one = story.ask(user("a")).answer(text("b"))
    two = story.ask(user("a")).answer(text("b"))
    more = [user("a"), said("b"), user("c")]
    follows = {story.ask(*more).conversation_id, story.ask(*more).conversation_id}
    assert follows == {one.conversation_id, two.conversation_id}


def test_identical_requests_at_the_same_time_are_different_runs() -> None:
    story = Story()
    one, two = story.ask(user("a")), story.ask(user("a"))
    assert one.conversation_id != two.conversation_id


# ---- forks, and what a restart remembers


def test_a_new_session_id_with_an_old_history_is_a_fork() -> None:
    story = Story()
    parent = story.ask(user("a"), headers={"x-claude-code-session-id": "s1"}).answer(text("b"))
    fork = story.ask(user("a"), said("b"), user("c"), headers={"x-claude-code-session-id": "s2"}).answer(text("d"))
    assert (fork.conversation_id, fork.identity.forked_from) == ("s2", parent.conversation_id)
    again = story.ask(user("a"), said("b"), user("c"), said("d"), user("e"), headers={"x-claude-code-session-id": "s2"})
    assert again.identity.forked_from is None


def test_a_cleared_or_retried_session_is_no_fork() -> None:
    story = Story()
    story.ask(user("a"), headers={"x-claude-code-session-id": "s1"}).answer(outcome="http_error")
    assert story.ask(user("a"), headers={"x-claude-code-session-id": "s2"}).identity.forked_from is None
    assert story.ask(user("z"), headers={"x-claude-code-session-id": "s3"}).identity.forked_from is None


def test_a_restarted_book_places_requests_as_the_first_one_would() -> None:
    story = Story()
    story.ask(user("delegate")).answer(call("t1", prompt=TASK), response_id="msg_1")
    story.ask(user("fails")).answer(outcome="http_error")
    story.ask(user("a")).answer(text("b"))
    put: dict[str, bytes] = {}
    story.book.take_changes(put, set())
    restored = SessionBook(1800 * SECOND)
    restored.restore(put)
    questions: list[list[dict[str, Any]]] = [
        [user("delegate"), said([call("t1")]), result("t1")],
        [user(TASK)],
        [user("fails")],
        [user("a"), said("b"), user("c")],
        [user("never seen")],
    ]
    other = Story(restored)
    other.now_ns, other.count = story.now_ns, story.count
    for question in questions:
        assert story.ask(*question).identity == other.ask(*question).identity
