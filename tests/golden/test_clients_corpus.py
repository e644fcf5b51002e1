"""Captured runs of real clients land in the right sessions and threads, with and without the ids that they send.

What is right is told by the run and, in it, by order: a request without an answer in it begins a conversation, unless
it repeats one that just failed; whatever has answers goes on with the run's latest conversation of the same first
words. Where clients name their sessions, that is what is right.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable

import pytest

from lunaroute.events.types import RequestRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.client_runs import Capture, captures, traffic
from tests.corpus import corpus_dir

_SAME_CONVERSATION = {"codex/resume": "codex/multi3"}
"""`codex exec resume --last`: a later run that goes on with an earlier one's session."""

_COMPACTED = {"claude/tui": "MULTI2 list the files please"}
"""A compaction begins the same thread again: with a summary in place of these words."""
_INDISTINGUISHABLE = {"claude/f529x4", "claude/f404", "codex/f429", "codex/f529"}
"""The same client asks the same again, seconds after it failed; nothing but its ids tells that it is another run."""


def placed(*, without_headers: bool = False, without_body_ids: bool = False) -> list[RequestRecorded]:
    """The recorded requests, in the order of `captures()`."""
    pipeline = Pipeline(PipelineSettings())
    items = traffic(without_headers=without_headers, without_body_ids=without_body_ids)
    events = [event for _, item in items for event in pipeline.feed(item)]
    assert pipeline.take_poisoned() == []
    by_id = {event.request_id: event for event in events if isinstance(event, RequestRecorded)}
    return [by_id[request_id] for request_id in dict.fromkeys(request_id for request_id, _ in items)]


class Truth:
    """The conversation and thread of each capture."""

    def __init__(self) -> None:
        self.conversations: list[str] = []
        self.threads: list[str] = []
        self.is_side: list[bool] = []
        latest: dict[tuple[str, str], str] = {}
        newest: dict[str, str] = {}
        failed: dict[str, tuple[str, str]] = {}
        for number, capture in enumerate(captures()):
            run = _SAME_CONVERSATION.get(capture.run, capture.run)
            key = (run, _COMPACTED.get(capture.run, capture.opening) if _is_compacted(capture) else capture.opening)
            is_repeat = capture.header("x-stainless-retry-count") not in (None, "0")
            if _is_beginning(capture) and not is_repeat and failed.get(run) != key:
                latest[key] = f"{run} {number}"
            # What the provider holds the history of goes on with the run's latest conversation.
            name = newest[run] if _is_held(capture) else latest.setdefault(key, f"{run} {number}")
            newest[run] = name
            failed[run] = key if capture.failed else ("", "")
            self.is_side.append(_is_side(capture))
            self.threads.append(f"{run} {number}" if self.is_side[-1] else name)
            self.conversations.append(_named(capture) or _root(capture, name, latest))

    def unnamed_conversations(self) -> list[str]:
        """The same where headers are not there: a side call that no id attaches is left alone."""
        sides = zip(captures(), self.conversations, self.threads, self.is_side, strict=True)
        return [
            thread if is_side and not (capture.body.get("metadata") or {}).get("user_id") else conversation
            for capture, conversation, thread, is_side in sides
        ]


def _is_compacted(capture: Capture) -> bool:
    return capture.opening.startswith("This session is being continued")


def _is_beginning(capture: Capture) -> bool:
    has_answer = any(
        one.get("role") in ("assistant", "model") or one.get("type", "message") not in ("message",)
        for one in capture.messages
    )
    return not has_answer and not _is_held(capture)


def _is_held(capture: Capture) -> bool:
    return bool(capture.body.get("previous_response_id") or "previous_message_id" in capture.body.get("thread", {}))


def _is_side(capture: Capture) -> bool:
    return capture.client in ("claude", "claude-agent-sdk", "opencode") and not capture.body.get("tools")


def _root(capture: Capture, name: str, latest: dict[tuple[str, str], str]) -> str:
    """A sub-agent of a client that names nothing belongs to its run's first conversation."""
    if capture.run == "qwen/subagent":
        return next(value for (run, _), value in latest.items() if run == capture.run)
    return name


def _named(capture: Capture) -> str | None:
    for header in ("x-claude-code-session-id", "x-parent-session-id", "x-session-id", "session-id", "session_id"):
        if capture.header(header):
            return capture.header(header)
    user_id = (capture.body.get("metadata") or {}).get("user_id") or ""
    if "_session_" in user_id:
        return str(user_id).rpartition("_session_")[2]
    return str(json.loads(user_id)["session_id"]) if user_id.startswith("{") else None


def score(
    found: list[str], right: list[str], is_counted: Callable[[Capture], bool] = lambda capture: True
) -> tuple[int, list[str]]:
    """(how many follow-ups there are, which of them are not where the first of theirs is)."""
    first: dict[str, str] = {}
    count, wrong = 0, []
    for capture, at, truth in zip(captures(), found, right, strict=True):
        if truth in first and is_counted(capture):
            count += 1
            if at != first[truth]:
                wrong.append(f"{capture.run}/{capture.seq}")
        first.setdefault(truth, at)
    return count, wrong


def merged(found: list[str], right: list[str]) -> dict[str, set[str]]:
    """What holds exchanges of more than one conversation."""
    held = defaultdict(set)
    for at, truth in zip(found, right, strict=True):
        held[at].add(truth)
    return {at: truths for at, truths in held.items() if len(truths) > 1}


@pytest.fixture(scope="module")
def truth() -> Truth:
    corpus_dir()
    return Truth()


def is_not_aider(capture: Capture) -> bool:
    return capture.client != "aider"


def test_with_their_headers_all_follow_ups_land_in_the_right_session_and_thread(truth: Truth) -> None:
    requests = placed()
    sessions = [request.session_id for request in requests]
    threads = [f"{request.session_id} {request.thread_id}" for request in requests]
    count, wrong = score(sessions, truth.conversations, is_not_aider)
    assert (count > 150, wrong) == (True, [])
    count, wrong = score(threads, truth.threads, is_not_aider)
    assert (count > 150, wrong) == (True, [])
    assert merged(sessions, truth.conversations) == {}
    assert merged(threads, truth.threads) == {}
    assert [request.thread_kind == "side" for request in requests] == truth.is_side


def test_without_their_headers_most_follow_ups_land_right_and_no_runs_are_merged(truth: Truth) -> None:
    requests = placed(without_headers=True)
    sessions = [request.session_id for request in requests]
    threads = [f"{request.session_id} {request.thread_id}" for request in requests]
    for found, right in ((sessions, truth.unnamed_conversations()), (threads, truth.threads)):
        count, wrong = score(found, right, is_not_aider)
        assert len(wrong) <= 0.03 * count, (count, wrong)
        assert merged(found, right) == {}


def test_without_any_id_of_theirs_runs_are_merged_only_where_nothing_tells_them_apart(truth: Truth) -> None:
    requests = placed(without_headers=True, without_body_ids=True)
    sessions = [request.session_id for request in requests]
    right = [
        thread if is_side else conversation
        for thread, conversation, is_side in zip(truth.threads, truth.conversations, truth.is_side, strict=True)
    ]
    count, wrong = score(sessions, right, is_not_aider)
    assert len(wrong) <= 0.03 * count, (count, wrong)
    assert set(wrong) <= {"claude/tui/8", "claude/tui/9"}  # after the compaction
    runs = {capture.run for capture, at in zip(captures(), sessions, strict=True) if at in merged(sessions, right)}
    assert runs <= _INDISTINGUISHABLE


def test_failed_requests_and_their_repetitions_are_linked(truth: Truth) -> None:
    """Retries of every kind: after statuses, cuts, drops and early ends, with and without a stream, counted or not."""
    requests = placed()
    by_id = {request.request_id: capture for request, capture in zip(requests, captures(), strict=True)}
    for number, (request, capture) in enumerate(zip(requests, captures(), strict=True)):
        thread = truth.threads[number]
        before = [index for index in range(number) if truth.threads[index] == thread]
        if request.retry_of is not None:
            repeated = by_id[request.retry_of]
            assert repeated.run == capture.run
            assert repeated.seq < capture.seq
            assert repeated.failed or capture.header("x-stainless-retry-count") == "1"
        elif before and captures()[before[-1]].failed:
            # The turn after one that failed repeats or resumes it, in all the runs that were captured.
            raise AssertionError(f"{capture.run}/{capture.seq} is not linked")
