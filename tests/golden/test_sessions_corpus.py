"""Real Claude Code sessions, request by request: one session each, every tool call once, and the figures of context and
cache as they are worked out here from the bodies alone.

Told twice: to the recorder's pipeline, at the times of the recording, and through the sockets of a whole server, all
sessions at once, by a client with Claude Code's headers and a provider that streams the recorded answers.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Literal

import msgspec
import pytest

from lunaroute.assemble.exchange import RunEnded
from lunaroute.events import Event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS, START_WALL_NS, ExchangeScript
from tests.recorded_sessions import (
    Call,
    answered_tool_calls,
    asked_tool_calls,
    common_messages,
    compact,
    is_continued,
    session_calls,
    session_names,
    with_previous,
)
from tests.support.replay import Replay
from tests.support.served_sessions import play_sessions, streamed
from tests.support.server import sessions

Way = Literal["pipeline", "sockets"]

_DAY_NS = 86_400 * 1_000_000_000
_TOOK_MS = 500
_AT_MOST: dict[Way, int] = {"pipeline": 40, "sockets": 15}
"""Calls of a session that the default run takes."""
_LEAST_TOKENS = 1024
_MARKER_BYTES = 2 * len(',"cache_control":{"type":"ephemeral","ttl":"1h"}')
"""Tools and system prompt may carry one each."""


class Told(msgspec.Struct, frozen=True):
    """A session's calls, and all that was recorded of them."""

    calls: tuple[Call, ...]
    events: tuple[Event, ...]
    replays: tuple[Replay, ...] = ()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def completed(self) -> Completed:
        [event] = self.of(Completed)
        assert isinstance(event, Completed)
        return event


@cache
def told_to_pipeline(name: str, *, without_ids: bool = False) -> Told:
    """At the session's own times. It is idle over night, which is no end here."""
    calls = session_calls(name, _AT_MOST["pipeline"])
    pipeline = Pipeline(PipelineSettings(idle_timeout_ns=7 * _DAY_NS))
    events: list[Event] = []
    at_ms = 0
    for number, call in enumerate(calls):
        at_ms = max(at_ms + _TOOK_MS, call.at_ms - calls[0].at_ms)
        body = compact(call.request | {"metadata": {}}) if without_ids else call.body
        script = ExchangeScript(number, body=body, opened_ms=at_ms, sent_ms=at_ms)
        script.answer(200, at_ms=at_ms + _TOOK_MS - 20)
        script.chunk(json.dumps(call.response).encode(), at_ms=at_ms + _TOOK_MS - 10)
        script.close(at_ms=at_ms + _TOOK_MS - 10)
        events += pipeline.feed(script.received)
        events += pipeline.feed(script.ended)
    events += pipeline.feed(RunEnded(START_WALL_NS + (at_ms + 1000) * MS))
    assert pipeline.take_poisoned() == []
    return Told(calls, tuple(events))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Every session through one server, each on a connection of its own."""
    home = tmp_path_factory.mktemp("sessions") / "home"
    calls = {name: session_calls(name, _AT_MOST["sockets"]) for name in session_names()}
    replays = play_sessions(home, calls)
    recorded = {name: list[Event]() for name in calls}
    by_client_id = {one[0].session_id: name for name, one in calls.items()}
    for session in sessions(home):
        assert session.started.conversation_id in by_client_id
        recorded[by_client_id[session.started.conversation_id]] += session.events
    return {name: Told(calls[name], tuple(recorded[name]), tuple(replays[name])) for name in calls}


@pytest.fixture(params=[(name, way) for way in _AT_MOST for name in session_names()], ids="-".join)
def told(request: pytest.FixtureRequest) -> Told:
    name, way = request.param
    found: dict[str, Told] = request.getfixturevalue("served") if way == "sockets" else {name: told_to_pipeline(name)}
    return found[name]


def test_a_session_is_one_session_with_one_thread(told: Told) -> None:
    requests = told.of(RequestRecorded)
    assert len(told.of(Started)) == len(told.of(Completed)) == 1
    assert len(requests) == told.completed.final_stats.request_count == len(told.calls)
    assert {request.thread_kind for request in requests} == {"main"}
    assert len({request.thread_id for request in requests}) == 1
    assert [request.retry_of for request in requests] == [None] * len(told.calls)


@pytest.mark.parametrize("name", session_names())
def test_without_its_id_a_session_is_one_up_to_where_its_history_is_replaced(name: str) -> None:
    told = told_to_pipeline(name, without_ids=True)
    compactions = sum(
        earlier is not None and common_messages(earlier, later) == 0 for earlier, later in with_previous(told.calls)
    )
    assert len(told.of(Started)) == 1 + compactions


def test_every_tool_call_and_result_counts_once(told: Told) -> None:
    asked = asked_tool_calls(told.calls)
    recorded = [event.tool_call_id for event in told.of(ToolCallRecorded)]
    assert sorted(recorded) == sorted(answered_tool_calls(told.calls) & asked)
    summary = told.completed.final_stats.tool_summary
    assert summary.total_calls == len(asked)
    assert 0 <= summary.tool_wait_ms <= summary.total_tool_time_ms


def test_tokens_are_the_sums_of_what_the_provider_said(told: Told) -> None:
    tokens = told.completed.final_stats.total_tokens
    assert tokens.input == sum(call.input_tokens for call in told.calls)
    assert tokens.output == sum(call.output_tokens for call in told.calls)
    assert tokens.cache_read == sum(call.read for call in told.calls)
    assert tokens.cache_creation == sum(call.written for call in told.calls)


def test_what_is_new_and_what_was_re_sent(told: Told) -> None:
    for (earlier, later), request in zip(with_previous(told.calls), told.of(RequestRecorded), strict=True):
        stats = request.stats
        kept = 0 if earlier is None else common_messages(earlier, later)
        assert stats.new_message_count == len(later.blocks) - kept
        assert stats.new_bytes + stats.resent_bytes == len(later.body)
        if earlier is not None:
            messages = sum(len(compact(message)) for message in later.request["messages"][:kept])
            assert earlier.request["tools"] == later.request["tools"]
            tools = sum(len(compact(tool)) for tool in later.request["tools"])
            system = sum(len(block["text"].encode()) for block in later.request["system"])
            assert abs(stats.resent_bytes - (messages + tools + system)) <= _MARKER_BYTES


def test_shares_of_the_cache_and_missed_hits(told: Told) -> None:
    missed = []
    for (earlier, later), response in zip(with_previous(told.calls), told.of(ResponseRecorded), strict=True):
        context = response.stats.context
        assert context.cache_read_share == pytest.approx(later.read / later.input_tokens)
        possible = 0 if earlier is None else min(earlier.read + earlier.written, later.input_tokens) - later.read
        miss = context.cache_miss
        assert (possible >= _LEAST_TOKENS) == (miss is not None)
        if miss is not None and earlier is not None:
            missed.append(miss)
            assert miss.missed_tokens == possible
            assert (miss.message_index is None) == is_continued(earlier, later)
            assert miss.cost_usd is None or miss.cost_usd >= 0
        if earlier is not None and is_continued(earlier, later):
            assert context.new_input_tokens == max(0, later.input_tokens - earlier.input_tokens)
    sums = told.completed.final_stats.context
    assert sums.cache_miss_count == len(missed)
    assert sums.cache_missed_tokens == sum(miss.missed_tokens for miss in missed)


@pytest.mark.parametrize("name", session_names())
def test_both_sides_of_the_relay_have_each_others_bytes(served: dict[str, Told], name: str) -> None:
    told = served[name]
    exchanges = zip(told.calls, told.replays, told.of(RequestRecorded), told.of(ResponseRecorded), strict=True)
    for call, replay, request, response in exchanges:
        assert replay.received == replay.response
        assert replay.seen_body == call.body == request_bytes(request)
        assert response_bytes(response) == streamed(call)
