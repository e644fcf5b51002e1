"""Threads of one conversation: sub-agents, side calls, runs under one tag."""

from __future__ import annotations

from tests.unit.sessions.story import TASK, Story, call, result, said, text, user


def test_a_conversation_that_begins_with_the_text_of_a_tool_call_is_its_sub_agent() -> None:
    story = Story()
    main = story.ask(user("delegate")).answer(call("t1", description="x", prompt=TASK))
    agent = story.ask(user([text("<system-reminder>now</system-reminder>"), text(TASK)]))
    assert (agent.conversation_id, agent.thread_id) == (main.conversation_id, agent.request_id)
    assert (agent.identity.thread_kind, agent.identity.parent_thread_id) == ("subagent", main.thread_id)
    assert agent.identity.rule == "tool_argument"
    agent.answer(call("a1"))
    more = story.ask(user(TASK), said([call("a1")]), result("a1"))
    assert (more.thread_id, more.identity.thread_kind) == (agent.thread_id, "subagent")
    back = story.ask(user("delegate"), said([call("t1")]), result("t1"))
    assert (back.thread_id, back.identity.thread_kind) == (main.thread_id, "main")


def test_short_texts_are_equal_by_chance() -> None:
    story = Story()
    story.ask(user("delegate")).answer(call("t1", command="ls"))
    assert story.ask(user("ls")).identity.rule == "new"


def test_a_named_session_tells_its_threads_apart_by_their_history() -> None:
    """Claude Code before 2.1 sends one session id for all it does, and no agent id."""
    story = Story()
    hints = {"metadata": {"user_id": f"user_{'a' * 64}_account__session_0cf7cc78-aa86-400b-8838-e427b05c5ac3"}}
    agent = {"user-agent": "claude-cli/2.0.50 (external, cli)"}
    title = story.ask(user("Files modified by user: none"), tools=[], headers=agent, **hints).answer(text("x"))
    main = story.ask(user("delegate"), headers=agent, **hints).answer(call("t1", prompt=TASK))
    sub = story.ask(user(TASK), headers=agent, **hints).answer(call("a1"))
    sub_more = story.ask(user(TASK), said([call("a1")]), result("a1"), headers=agent, **hints)
    back = story.ask(user("delegate"), said([call("t1")]), result("t1"), headers=agent, **hints).answer(text("done"))
    compacted = story.ask(user("This session is being continued"), headers=agent, **hints)
    asked = [title, main, sub, sub_more, back, compacted]
    assert len({one.conversation_id for one in asked}) == 1
    kinds = ["side", "main", "subagent", "subagent", "main", "main"]
    assert [one.identity.thread_kind for one in asked] == kinds
    assert title.thread_id != main.thread_id == back.thread_id == compacted.thread_id
    assert sub.thread_id == sub_more.thread_id != main.thread_id


def test_what_a_client_asks_on_the_side_is_no_part_of_the_main_history() -> None:
    story = Story()
    headers = {"x-claude-code-session-id": "s", "user-agent": "claude-cli/2.1.330 (external, cli)"}
    schema = {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    title = story.ask(user("<session>hello</session>"), tools=[], headers=headers, **schema)
    main = story.ask(user("hello"), headers=headers)
    assert (title.conversation_id, title.identity.thread_kind) == ("s", "side")
    assert (title.identity.parent_thread_id, main.thread_id) == ("s", "s")
    assert title.thread_id != "s"


def test_a_parallel_request_with_tools_is_not_the_main_history() -> None:
    story = Story()
    headers = {"session_id": "s"}
    story.ask(user("main"), headers=headers)
    assert story.ask(user("meanwhile"), headers=headers).identity.thread_kind == "subagent"
    assert story.ask(user("meanwhile"), tools=[], headers=headers).identity.thread_kind == "side"


def test_runs_under_one_tag_are_one_session_of_several_main_threads() -> None:
    story = Story()
    one = story.ask(user("a"), tags=["nightly"]).answer(text("b"))
    two = story.ask(user("x"), tags=["nightly"]).answer(text("y"))
    more = story.ask(user("a"), said("b"), user("c"), tags=["nightly"])
    assert one.conversation_id == two.conversation_id == more.conversation_id == "nightly"
    assert one.thread_id == more.thread_id != two.thread_id
    assert two.identity.thread_kind == "main"


def test_a_sub_agents_sub_agent_belongs_to_the_root() -> None:
    story = Story()
    story.ask(user("a"), headers={"x-session-id": "ses_1"}).answer(text("b"))
    story.ask(user("b"), headers={"x-session-id": "ses_2", "x-parent-session-id": "ses_1"}).answer(text("b"))
    deep = story.ask(user("c"), headers={"x-session-id": "ses_3", "x-parent-session-id": "ses_2"})
    assert (deep.conversation_id, deep.thread_id, deep.identity.parent_thread_id) == ("ses_1", "ses_3", "ses_2")
