"""What is sent again, and which request it repeats."""

from __future__ import annotations

from typing import Any

import pytest

from lunaroute.capture.records import Outcome
from tests.unit.sessions.story import SECOND, Asked, Story, call, said, text, user


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
