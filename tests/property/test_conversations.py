"""Conversations of agents that fail, retry, resume and overlap: each stays one, and nothing in it counts twice.

Told with and without session ids, and told again by a recorder that was restarted in the middle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.assemble.exchange import Assembled
from lunaroute.events import Event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.conversations import Told, Turn, stories, told
from tests.traffic import MODEL

PRICES = {"input_mtok": 2.0, "output_mtok": 10.0, "cache_read_mtok": 0.5, "cache_write_mtok": 3.0}
SETTINGS = PipelineSettings(own_prices={f"anthropic/{MODEL}": PRICES})


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def recorded(items: Sequence[Assembled], restarts: Sequence[int] = ()) -> list[Event]:
    """With the recorder started again before each of these items."""
    pipeline, stored = Pipeline(SETTINGS), dict[str, bytes]()
    events: list[Event] = []
    for number, item in enumerate(items):
        for _ in range(restarts.count(number)):
            changes = pipeline.take_changes()
            stored = {key: value for key, value in stored.items() if key not in changes.deleted} | changes.put
            pipeline = Pipeline.restore(SETTINGS, stored)
        events += pipeline.feed(item)
    assert pipeline.take_poisoned() == []
    return events


@settings(max_examples=60, deadline=None)
@given(story=stories(), has_ids=st.booleans())
def test_each_conversation_is_one_session(story: list[Turn], has_ids: bool) -> None:
    conversations, owner, items = told(story, has_ids)
    sessions: dict[str, set[int]] = defaultdict(set)
    for request in of(recorded(items), RequestRecorded):
        sessions[request.session_id].add(owner[request.request_id])
    assert all(len(owners) == 1 for owners in sessions.values())
    assert len(sessions) == sum(one.requests > 0 for one in conversations)


@settings(max_examples=100, deadline=None)
@given(story=stories(has_pauses=True), has_ids=st.booleans(), data=st.data())
def test_all_that_the_provider_said_is_counted_once(story: list[Turn], has_ids: bool, data: st.DataObject) -> None:
    """Under failures, retries, resumptions, sessions that ended and go on in new ones, and restarts of the recorder."""
    one = told(story, has_ids)
    restarts = data.draw(st.lists(st.integers(0, len(one.items) - 1), max_size=3))
    check_sums(one, recorded(one.items, restarts), len(story))


def check_sums(one: Told, events: list[Event], request_count: int) -> None:
    finals = [event.final_stats for event in of(events, Completed)]
    assert sum(final.request_count for final in finals) == request_count
    check_tokens(one, events)
    results = [event.tool_call_id for event in of(events, ToolCallRecorded)]
    assert sorted(results) == sorted(call for each in one.conversations for call in each.answered)
    served = {call for each in one.conversations for call in each.served}
    assert sum(final.tool_summary.total_calls for final in finals) == len(served)
    sent = sum(request.stats.request_size_bytes for request in of(events, RequestRecorded))
    assert sum(final.context.new_bytes + final.context.resent_bytes for final in finals) == sent


def check_tokens(one: Told, events: list[Event]) -> None:
    """Sessions = exchanges = provider, of each kind and in dollars."""
    read = sum(usage.get("cache_read_input_tokens", 0) for usage in one.said)
    written = sum(usage.get("cache_creation_input_tokens", 0) for usage in one.said)
    uncached = sum(usage["input_tokens"] for usage in one.said)
    output = sum(usage.get("output_tokens", 0) for usage in one.said)
    said = (uncached + read + written, output, read, written)
    totals = [event.final_stats.total_tokens for event in of(events, Completed)]
    assert _added([(each.input, each.output, each.cache_read, each.cache_creation) for each in totals]) == said
    counts = [event.stats.tokens for event in of(events, ResponseRecorded)]
    rows = [(c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_creation_tokens) for c in counts]
    assert _added(rows) == said
    parts = zip((uncached, output, read, written), PRICES.values(), strict=True)
    dollars = pytest.approx(sum(count * per_mtok for count, per_mtok in parts) / 1e6)
    costs = [event.final_stats.estimated_cost for event in of(events, Completed)]
    assert sum(cost.total_cost_usd or 0 for cost in costs) == dollars
    assert sum(cost.unpriced_requests for cost in costs) == 0
    each_cost = [event.stats.estimated_cost for event in of(events, ResponseRecorded)]
    assert sum(cost.total_cost_usd or 0 for cost in each_cost if cost is not None) == dollars


def _added(rows: list[tuple[int | None, ...]]) -> tuple[int, ...]:
    return tuple(sum(count or 0 for count in column) for column in zip(*rows, strict=True))


@settings(max_examples=40, deadline=None)
@given(story=stories(), has_ids=st.booleans())
def test_retries_name_the_request_before_them_that_went_wrong(story: list[Turn], has_ids: bool) -> None:
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
@given(story=stories(has_pauses=True), has_ids=st.booleans(), data=st.data())
def test_a_recorder_that_was_restarted_tells_the_same(story: list[Turn], has_ids: bool, data: st.DataObject) -> None:
    items = told(story, has_ids).items
    restarts = data.draw(st.lists(st.integers(0, len(items) - 1), min_size=1, max_size=3))
    assert recorded(items, restarts) == recorded(items)
