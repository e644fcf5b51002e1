"""Where requests land: told as a story of requests and answers, one after the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.capture.records import Outcome, join_headers
from lunaroute.dialects import reader_for
from lunaroute.dialects.facts import ResponseFacts, ToolCall
from lunaroute.dialects.marks import marked
from lunaroute.sessions import (
    Clues,
    EndedExchange,
    Identity,
    Instant,
    OpenExchange,
    SessionBook,
    header_texts,
    locate,
    remember_request,
    remember_response,
)

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
SCOPE = "anthropic\0key"
TASK = "Find every call of the old function and list the files."
READER = reader_for("anthropic_messages")


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def result(tool_call_id: str) -> dict[str, Any]:
    return user([{"type": "tool_result", "tool_use_id": tool_call_id, "content": "out"}])


class Story:
    """ask() → answer(), in order; time goes on by a second with each."""

    def __init__(self, book: SessionBook | None = None) -> None:
        self.book = book or SessionBook(1800 * SECOND)
        self.now_ns = START
        self.count = 0
        self.opened: dict[str, OpenExchange] = {}

    def ask(self, *messages: dict[str, Any], scope: str = SCOPE, tags: list[str] | None = None, **more: Any) -> Asked:
        self.count += 1
        self.now_ns += SECOND
        headers = more.pop("headers", {})
        request_id = f"r{self.count}"
        facts = READER.read_request(json.dumps({"messages": messages, "tools": [{}], **more}).encode())
        clues = Clues(
            request_id=request_id,
            wall_ns=self.now_ns,
            session_tags=tags or [],
            headers=header_texts(join_headers([(name.encode(), value.encode()) for name, value in headers.items()])),
            hints=facts.hints,
            messages=facts.messages,
            chain=marked(facts.messages).chain,
            has_tools=facts.has_tools,
            has_output_schema=facts.has_output_schema,
        )
        identity, history = locate(clues, scope, self.book)
        session = self.book.place(scope, identity, request_id, Instant("0", 1, self.now_ns, self.now_ns))
        opened = OpenExchange(
            session.session_id,
            "anthropic_messages",
            None,
            identity.thread_id or session.conversation_id,
            identity.thread_kind,
            identity.parent_thread_id,
            history.end,
            bool(facts.messages),
            headers.get("user-agent", ""),
            identity.is_named,
            is_declared=identity.is_declared,
            retry_count=int(headers.get("x-stainless-retry-count", "0")),
        )
        self.book.exchange_opened(request_id, opened)
        self.book.touch(session, self.now_ns)
        remember_request(self.book, session, request_id, opened)
        return Asked(self, request_id, identity, opened, session.conversation_id)


class Asked:
    def __init__(
        self, story: Story, request_id: str, identity: Identity, opened: OpenExchange, conversation_id: str
    ) -> None:
        self.story = story
        self.request_id = request_id
        self.identity = identity
        self.opened = opened
        self.conversation_id = conversation_id

    @property
    def thread_id(self) -> str:
        return self.opened.thread_id

    def answer(
        self,
        *content: dict[str, Any],
        response_id: str | None = None,
        outcome: Outcome = "completed",
        is_final: bool = False,
    ) -> Asked:
        story = self.story
        story.now_ns += SECOND
        session = story.book.session(self.opened.session_id)
        assert session is not None
        message = {"role": "assistant", "content": list(content)}
        calls = [block for block in content if block["type"] == "tool_use"]
        facts = ResponseFacts(
            response_id=response_id,
            message=message,
            tool_calls=[
                ToolCall(
                    tool_call_id=call["id"],
                    tool_name=call["name"],
                    arguments=json.dumps(call["input"]),
                    input_size_bytes=1,
                )
                for call in calls
            ],
        )
        ended = EndedExchange(
            request_id=self.request_id,
            facts=facts,
            answer=READER.read_answer(message),
            outcome=outcome,
            is_answered=outcome == "completed",
            is_final=is_final,
            is_broken_off=outcome == "upstream_cut",
            ended_wall_ns=story.now_ns,
        )
        remember_response(story.book, session, self.opened, ended)
        story.book.exchange_ended(self.request_id, story.now_ns)
        return self


def call(call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "Task", "input": arguments}


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


# ---- retries


@pytest.mark.parametrize("outcome", ["http_error", "upstream_cut", "stream_error", "upstream_unreachable"])
def test_the_same_request_after_a_failure_repeats_it(outcome: Outcome) -> None:
    story = Story()
    first = story.ask(user("a")).answer(outcome=outcome)
    again = story.ask(user("a"), stream=False)
    assert (again.conversation_id, again.thread_id) == (first.conversation_id, first.thread_id)
    assert (again.identity.rule, again.identity.retry_of) == ("repetition", first.request_id)


@pytest.mark.parametrize("tags", [["one", "two"], [None, None]])
def test_runs_that_begin_alike_are_each_tried_again_by_themselves(tags: list[Any]) -> None:
    """Of two runs of one script, at the same time, one is refused and tried again; each had begun by then."""
    story = Story()
    sdk = {"user-agent": "Anthropic/Python 2.12.0", "x-stainless-retry-count": "0"}
    one, two = ([tag] if tag else None for tag in tags)
    refused = story.ask(user("a"), headers=sdk, tags=one).answer(outcome="http_error")
    answered = story.ask(user("a"), headers=sdk, tags=two).answer(text("b"))
    again = story.ask(user("a"), headers=sdk | {"x-stainless-retry-count": "1"}, tags=one)
    assert (again.conversation_id, again.thread_id) == (refused.conversation_id, refused.thread_id)
    assert again.identity.retry_of == refused.request_id
    assert answered.conversation_id != refused.conversation_id


def test_a_tag_finds_what_is_tried_again_however_many_runs_begin_alike() -> None:
    story = Story()
    sdk = {"user-agent": "Anthropic/Python 2.12.0", "x-stainless-retry-count": "0"}
    first = [story.ask(user("a"), headers=sdk, tags=[f"t{n}"]).answer(outcome="http_error") for n in range(40)]
    for n, one in enumerate(first):
        again = story.ask(user("a"), headers=sdk | {"x-stainless-retry-count": "1"}, tags=[f"t{n}"])
        assert (again.thread_id, again.identity.retry_of) == (one.thread_id, one.request_id)


def test_of_runs_that_failed_alike_the_count_tells_which_is_tried_again() -> None:
    story = Story()
    sdk = {"user-agent": "Anthropic/Python 2.12.0"}

    def ask(count: str, tags: list[str]) -> Asked:
        return story.ask(user("a"), headers=sdk | {"x-stainless-retry-count": count}, tags=tags)

    for tags in ([], ["nightly"]):
        first = {ask("0", tags).answer(outcome="http_error").request_id for _ in range(2)}
        second = ask("1", tags).answer(outcome="http_error")
        other, third = ask("1", tags), ask("2", tags)
        assert {second.identity.retry_of, other.identity.retry_of} == first
        assert third.identity.retry_of == second.request_id


def test_the_same_request_long_after_a_failure_is_a_new_run() -> None:
    story = Story()
    story.ask(user("a")).answer(outcome="http_error")
    story.now_ns += 61 * SECOND
    assert story.ask(user("a")).identity.rule == "new"


def test_what_went_on_since_is_not_repeated() -> None:
    story = Story()
    first = story.ask(user("a")).answer(text("half"), outcome="upstream_cut")
    story.ask(user("a"), said("half"), user("go on")).answer(call("t1"))
    assert story.ask(user("a")).conversation_id != first.conversation_id


@pytest.mark.parametrize(
    ("user_agent", "count", "outcome", "is_final"),
    [
        ("Anthropic/Python 2.12.0", "0", "http_error", False),
        ("claude-cli/2.1.330 (external, cli)", "0", "http_error", True),
        ("GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)", None, "upstream_cut", False),
        ("ai-sdk-openai/4.0.118 ai-sdk-provider-utils/5.0.81", None, "upstream_cut", False),
    ],
)
def test_who_does_not_try_again_is_not_taken_for_another_run(
    user_agent: str, count: str | None, outcome: Outcome, is_final: bool
) -> None:
    """An SDK that counts its retries, a client told to give up, clients that end when an answer breaks off."""
    headers = {"user-agent": user_agent} | ({} if count is None else {"x-stainless-retry-count": count})
    story = Story()
    story.ask(user("a"), headers=headers).answer(outcome=outcome, is_final=is_final)
    assert story.ask(user("a"), headers=headers).identity.rule == "new"


def test_the_same_request_of_another_client_is_another_run() -> None:
    story = Story()
    story.ask(user("a"), headers={"user-agent": "one/1"}).answer(outcome="http_error")
    assert story.ask(user("a"), headers={"user-agent": "two/1"}).identity.rule == "new"


def test_a_client_that_says_it_retries_repeats_even_what_was_answered() -> None:
    story = Story()
    first = story.ask(user("a")).answer(text("b"))
    again = story.ask(user("a"), headers={"x-stainless-retry-count": "1"})
    assert (again.conversation_id, again.identity.retry_of) == (first.conversation_id, first.request_id)
    assert story.ask(user("a"), headers={"x-stainless-retry-count": "0"}).identity.rule == "new"


def test_a_request_that_resumes_after_a_cut_says_so() -> None:
    story = Story()
    first = story.ask(user("a")).answer(text("half"), outcome="upstream_cut")
    resumed = story.ask(user("a"), said("half"), user("Resume directly."))
    assert (resumed.conversation_id, resumed.identity.retry_of) == (first.conversation_id, first.request_id)
    named = {"x-claude-code-session-id": "s"}
    cut = story.ask(user("x"), headers=named).answer(text("half"), outcome="upstream_cut")
    assert story.ask(user("x"), said("half"), user("Go on"), headers=named).identity.retry_of == cut.request_id


def test_the_next_turn_after_an_answer_repeats_nothing() -> None:
    story = Story()
    story.ask(user("a")).answer(text("b"))
    assert story.ask(user("a"), said("b"), user("c")).identity.retry_of is None


def test_a_user_who_interrupts_and_goes_on_repeats_nothing() -> None:
    story = Story()
    story.ask(user("a")).answer(text("ha"), outcome="client_cancelled")
    assert story.ask(user("a"), said("ha"), user("no, do that")).identity.retry_of is None


# ---- sub-agents and side calls


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
