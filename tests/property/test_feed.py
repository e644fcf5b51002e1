"""A watcher that is cut off again and again sees each event exactly once, in order, whatever befalls the recorder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunaroute.events import Event, decode_event
from lunaroute.query.feed import Cursor, Feed, read_cursor
from lunaroute.sinks import feed as feed_module
from lunaroute.sinks.feed import FeedSink
from lunaroute.sinks.jsonl import JsonlSink
from tests.builders import TEN_OCLOCK, SessionScript


def _events(order: list[int]) -> list[Event]:
    """Three sessions, one turn after the other, in this order; all end."""
    scripts = [SessionScript(name, TEN_OCLOCK + timedelta(seconds=at)) for at, name in enumerate(("a", "b", "c"))]
    told = [0, 0, 0]
    events: list[Event] = []
    for number in [*order, 0, 1, 2]:
        scripts[number].turn(f"turn {told[number]}", "x" * (number * 5000))
        events += scripts[number].events[told[number] :]
        told[number] = len(scripts[number].events)
    for number, script in enumerate(scripts):
        events += script.complete().events[told[number] :]
    return events


class _Recorder:
    """Writes the events in order; one that is killed hands over again what it cannot be sure of."""

    def __init__(self, home: Path, events: list[Event]) -> None:
        self._home = home
        self._events = events
        self.done = 0
        self._start()

    def _start(self) -> None:
        self._sinks = (JsonlSink(self._home / "sessions"), FeedSink(self._home / "feed"))
        for sink in self._sinks:
            sink.open()

    def write(self, count: int) -> None:
        for sink in self._sinks:
            sink.write_batch(self._events[self.done : self.done + count])
        self.done = min(len(self._events), self.done + count)

    def is_killed(self, *, between_sinks: bool, repeated: int) -> None:
        if between_sinks:
            self._sinks[0].write_batch(self._events[self.done : self.done + 3])
        for sink in self._sinks:
            sink.close()  # what the kernel does
        self.done = max(0, self.done - repeated)
        self._start()


class _Watcher:
    """Knows nothing after a cut but the cursor of the last event it got."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._last = ""
        self.seen: list[tuple[str, int]] = []
        self.is_cut_off()

    def is_cut_off(self) -> None:
        self._feed = Feed(self._home / "feed", self._home / "sessions")
        cursor = read_cursor(self._last)
        extent = self._feed.extent()
        self._position, misses = extent.start_after(cursor) if cursor else (0, False)
        assert not misses
        self._epoch = extent.epoch

    def read(self, limit: int, got: int) -> None:
        """Read some, of which only the first `got` reach it."""
        events, end = self._feed.read(self._position, limit)
        for fed in events[:got]:
            event = decode_event(fed.line)
            self.seen.append((event.session_id, event.seq))
            self._last = str(Cursor(self._epoch, fed.position))
        if got < len(events):
            self.is_cut_off()
        else:
            self._position = end


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 12)),
        st.tuples(st.just("read"), st.integers(1, 9), st.integers(0, 9)),
        st.tuples(st.just("cut")),
        st.tuples(st.just("kill"), st.booleans(), st.integers(0, 8)),
    ),
    max_size=30,
)


@given(order=st.lists(st.integers(0, 2), max_size=12), steps=_STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_event_is_seen_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], steps: list[tuple[object, ...]]
) -> None:
    home = tmp_path_factory.mktemp("feed")
    events = _events(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "SEGMENT_RECORDS", 9)
        patch.setattr(feed_module, "KEPT_SEGMENTS", 1000)
        patch.setattr(feed_module.os, "fsync", lambda fd: None)
        recorder, watcher = _Recorder(home, events), _Watcher(home)
        for step in [*steps, ("write", len(events))]:
            match step:
                case ("write", int(count)):
                    recorder.write(count)
                case ("read", int(limit), int(got)):
                    watcher.read(limit, got)
                case ("kill", bool(between_sinks), int(repeated)):
                    recorder.is_killed(between_sinks=between_sinks, repeated=repeated)
                case _:
                    watcher.is_cut_off()
        for _ in events:
            watcher.read(5, 5)
        recorder.is_killed(between_sinks=False, repeated=0)
    expected = [(event.session_id, event.seq) for event in events]
    assert watcher.seen == expected
