"""Conversations of agents that fail, retry, resume and overlap: each stays one, and nothing in it counts twice.

Told with and without session ids, and told again by a recorder that was restarted in the middle.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.capture.records import Outcome
from lunaroute.events import Event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.recorder.pipeline import Pipeline, PipelineSettings
from tests.exchanges import EVENT_STREAM, MS, START_WALL_NS, ExchangeScript
from tests.traffic import MODEL, session_header

STEP_MS = 400


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[int, str, int]]:
    """(which conversation goes on, how its provider answers, how many tools it asks for), in order."""
    turn = st.tuples(
        st.integers(0, 2), st.sampled_from(["ok", "ok", "ok", "failed", "cut", "repeated"]), st.integers(0, 2)
    )
    return draw(st.lists(turn, min_size=1, max_size=10))


class Conversation:
    """An agent: it repeats what failed, resumes what was cut, and answers every tool call."""

    def __init__(self, name: str, has_id: bool) -> None:
        self.name = name
        self.has_id = has_id
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": f"the task of {name}"}]
        self.served: set[str] = set()
        self.answered: set[str] = set()
        self.requests = 0

    def exchange(self, number: int, kind: str, call_count: int) -> ExchangeScript:
        at_ms = number * STEP_MS
        self.requests += 1
        self._note_answers()
        headers = session_header(self.name) if self.has_id else []
        if kind == "repeated":
            headers = [*headers, (b"x-stainless-retry-count", b"1")]
        body = {"model": MODEL, "tools": [{"name": "ls"}], "messages": self.messages, "stream": kind == "cut"}
        script = ExchangeScript(
            number, body=json.dumps(body).encode(), headers=headers, opened_ms=at_ms, sent_ms=at_ms + 10
        )
        calls = [f"toolu_{number}_{index}" for index in range(call_count)]
        self._answer(script, kind, calls, at_ms)
        return script

    def _answer(self, script: ExchangeScript, kind: str, calls: list[str], at_ms: int) -> None:
        text = f"answer {script.exchange.opened.exchange} to {self.name}"
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        content += [{"type": "tool_use", "id": one, "name": "ls", "input": {"n": 1}} for one in calls]
        outcome: Outcome = "completed"
        if kind == "failed":
            script.answer(529, at_ms=at_ms + 100)
            script.chunk(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', at_ms=at_ms + 110)
        elif kind == "cut":
            outcome = "upstream_cut"
            script.answer(200, at_ms=at_ms + 100, headers=EVENT_STREAM)
            start = {"id": f"msg_{at_ms}", "role": "assistant", "content": [], "usage": {"input_tokens": 7}}
            block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": text}}
            for event in ({"type": "message_start", "message": start}, block):
                data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
                script.chunk(data, at_ms=at_ms + 110)
            self.messages = [*self.messages, {"role": "assistant", "content": text}, {"role": "user", "content": "on"}]
        else:
            self.served.update(calls)
            usage = {"input_tokens": 10 * len(self.messages), "output_tokens": 3, "cache_read_input_tokens": 5}
            response = {"id": f"msg_{at_ms}", "role": "assistant", "model": MODEL, "content": content, "usage": usage}
            script.answer(200, at_ms=at_ms + 100)
            script.chunk(json.dumps(response).encode(), at_ms=at_ms + 110)
            results = [{"type": "tool_result", "tool_use_id": one, "content": "out"} for one in calls]
            say: Any = results or f"go on, {self.name}"
            self.messages = [
                *self.messages,
                {"role": "assistant", "content": content},
                {"role": "user", "content": say},
            ]
        script.close(at_ms=at_ms + 200, outcome=outcome)

    def _note_answers(self) -> None:
        for message in self.messages:
            if isinstance(message["content"], list):
                self.answered.update(block["tool_use_id"] for block in message["content"] if "tool_use_id" in block)


def told(
    story: list[tuple[int, str, int]], has_ids: bool
) -> tuple[list[Conversation], dict[str, int], list[Assembled]]:
    """(the conversations, request id → which one it is of, what the assembler gives out)."""
    conversations = [Conversation(f"run-{index}", has_ids) for index in range(3)]
    owner: dict[str, int] = {}
    items: list[Assembled] = []
    for number, (index, kind, call_count) in enumerate(story):
        script = conversations[index].exchange(number, kind, call_count)
        owner[script.exchange.request_id] = index
        items += [script.received, script.ended]
    return conversations, owner, [*items, RunEnded(START_WALL_NS + 3_600_000 * MS)]


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def recorded(items: list[Assembled]) -> list[Event]:
    pipeline = Pipeline(PipelineSettings())
    events = [event for item in items for event in pipeline.feed(item)]
    assert pipeline.take_poisoned() == []
    return events


@settings(max_examples=60, deadline=None)
@given(story=stories(), has_ids=st.booleans())
def test_each_conversation_is_one_session_and_nothing_counts_twice(
    story: list[tuple[int, str, int]], has_ids: bool
) -> None:
    conversations, owner, items = told(story, has_ids)
    events = recorded(items)
    sessions: dict[str, set[int]] = defaultdict(set)
    for request in of(events, RequestRecorded):
        sessions[request.session_id].add(owner[request.request_id])
    began = sum(one.requests > 0 for one in conversations)
    assert all(len(owners) == 1 for owners in sessions.values())
    assert len(sessions) == began
    finals = [event.final_stats for event in of(events, Completed)]
    assert sum(final.request_count for final in finals) == len(story)
    served = {call for one in conversations for call in one.served}
    answered = {call for one in conversations for call in one.answered}
    assert sum(final.tool_summary.total_calls for final in finals) == len(served)
    results = [event.tool_call_id for event in of(events, ToolCallRecorded)]
    assert sorted(results) == sorted(answered)
    sent = sum(request.stats.request_size_bytes for request in of(events, RequestRecorded))
    assert sum(final.context.new_bytes + final.context.resent_bytes for final in finals) == sent


@settings(max_examples=40, deadline=None)
@given(story=stories(), has_ids=st.booleans())
def test_retries_name_the_request_before_them_that_went_wrong(story: list[tuple[int, str, int]], has_ids: bool) -> None:
    _, owner, items = told(story, has_ids)
    events = recorded(items)
    success = {event.request_id: event.success for event in of(events, ResponseRecorded)}
    latest: dict[int, str] = {}
    for request in of(events, RequestRecorded):
        index = owner[request.request_id]
        before = latest.get(index)
        latest[index] = request.request_id
        assert (request.retry_of is not None) == (before is not None and not success[before])
        assert request.retry_of in (None, before)


@settings(max_examples=30, deadline=None)
@given(story=stories(), has_ids=st.booleans(), data=st.data())
def test_a_recorder_that_was_restarted_tells_the_same(
    story: list[tuple[int, str, int]], has_ids: bool, data: st.DataObject
) -> None:
    _, _, items = told(story, has_ids)
    at = data.draw(st.integers(0, len(items)))
    pipeline = Pipeline(PipelineSettings())
    events = [event for item in items[:at] for event in pipeline.feed(item)]
    changes = pipeline.take_changes()
    restored = Pipeline.restore(PipelineSettings(), changes.put)
    events += [event for item in items[at:] for event in restored.feed(item)]
    assert events == recorded(items)
