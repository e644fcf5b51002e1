"""`/api/v1/events` over random disconnects: whatever is read from memory or files, each event comes exactly once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.config import Config
from lunaroute.dashboard import hub as hub_module
from lunaroute.dashboard.events import EventStream, Wish
from lunaroute.dashboard.hub import Hub
from lunaroute.events import Event, decode_event
from lunaroute.query.event_filter import EventFilter
from lunaroute.query.feed import read_cursor
from lunaroute.query.filter import Filter
from lunaroute.sinks import feed as feed_module
from lunaroute.sinks.feed import FeedSink
from lunaroute.sinks.jsonl import JsonlSink
from tests.builders import SessionScript

LIMIT_S = 30.0


def _events() -> list[Event]:
    scripts = [SessionScript("a").turn().turn().turn().complete(), SessionScript("b").turn().turn().turn().complete()]
    return [event for pair in zip(*(script.events for script in scripts), strict=True) for event in pair]


async def _watch(hub: Hub, last_id: str, count: int) -> list[tuple[str, str, int]]:
    """(id, session, seq) of the next `count` events of a new connection."""
    if count == 0:
        return []
    wish = Wish(EventFilter(Filter()), read_cursor(last_id), not last_id, "whole", False)
    seen: list[tuple[str, str, int]] = []
    stream = EventStream(hub, wish)
    await stream.begin()
    async with aclosing(stream.messages()) as messages:
        async for message in messages:
            assert message is not None
            assert message.event != "resync"
            event = decode_event(message.data)
            seen.append((message.id or "", event.session_id, event.seq))
            if len(seen) == count:
                break
    return seen


async def _run(home: Path, steps: list[tuple[int, int, bool]]) -> tuple[list[tuple[str, int]], list[Event]]:
    events, written, seen = _events(), 0, [("", "", 0)]
    sinks = (JsonlSink(home / "sessions"), FeedSink(home / "feed"))
    for sink in sinks:
        sink.open()
    hub = Hub(Config(home=home), look_every_s=0.001)
    for count, wanted, is_new_process in [*steps, (len(events), len(events), True)]:
        if is_new_process:
            hub = Hub(Config(home=home), look_every_s=0.001)
        batch = events[written : written + count]
        there = len(seen) - 1 + wanted <= written
        watching = asyncio.create_task(
            _watch(hub, seen[-1][0], min(wanted, written + len(batch) - len(seen) + 1)),
        )
        if not there:
            await asyncio.sleep(0)  # some of it is written while it listens
        for sink in sinks:
            sink.write_batch(batch)
        written += len(batch)
        seen += await asyncio.wait_for(watching, LIMIT_S)
    for sink in sinks:
        sink.close()
    return [(session_id, seq) for _, session_id, seq in seen[1:]], events


@given(steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=12))
@settings(max_examples=30, deadline=None)
def test_each_event_comes_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "SEGMENT_RECORDS", 5)
        patch.setattr(feed_module.os, "fsync", lambda fd: None)
        patch.setattr(hub_module, "_KEPT_EVENTS", 4)
        patch.setattr(hub_module, "_READ_EVENTS", 3)
        seen, events = asyncio.run(_run(tmp_path_factory.mktemp("stream"), steps))
    assert seen == [(event.session_id, event.seq) for event in events]
