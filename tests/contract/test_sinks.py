"""What every sink promises (lunaroute.testing.sink_contract), checked for ours; and what ours promise beside that."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from lunaroute.events.types import Completed, Event
from lunaroute.sinks.base import Sink
from lunaroute.sinks.feed import FeedSink, entries, segments
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.testing.events import sample_events
from lunaroute.testing.sink_contract import SinkContract


class _LocalSink(SinkContract):
    """Over a folder on this machine."""

    def test_close_is_safe_after_an_open_that_failed(self, tmp_path: Path) -> None:
        (tmp_path / "a-file").write_text("in the way")
        sink = self.make(tmp_path / "a-file" / "sink")
        with pytest.raises(OSError, match="a-file"):
            sink.open()
        sink.close()

    def test_nothing_stored_is_readable_for_others_on_the_machine(self, tmp_path: Path) -> None:
        with self.opened(tmp_path / "sink") as sink:
            sink.write_batch(self.events())
            paths = [tmp_path / "sink", *(tmp_path / "sink").rglob("*")]
            assert len(paths) > 1
            assert {oct(path.stat().st_mode & 0o077) for path in paths} == {"0o0"}


class TestJsonl(_LocalSink):
    def make(self, place: Path) -> Sink:
        return JsonlSink(place)

    def read(self, place: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(place.glob("*/*.jsonl"))}


class TestSqlite(_LocalSink):
    def make(self, place: Path) -> Sink:
        return SqliteSink(place / "sessions.db", place)

    def read(self, place: Path) -> dict[str, list[tuple[Any, ...]]]:
        connection = sqlite3.connect(f"{(place / 'sessions.db').as_uri()}?mode=ro", uri=True)
        try:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            tables = [name for name in names if not name.startswith("text_search")]
            return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}
        finally:
            connection.close()


class TestFeed(_LocalSink):
    def make(self, place: Path) -> Sink:
        return FeedSink(place)

    def read(self, place: Path) -> list[tuple[int, str, int]]:
        found = [one for segment in segments(place) for one in entries(segment, segment.first, segment.count)]
        return [(one.position, one.session_id, one.seq) for one in found]


class _Forgetful:
    """Keeps no more than it must to look like a sink."""

    name = "forgetful"

    def __init__(self, stored: list[int]) -> None:
        self.stored = stored

    def open(self) -> None:
        pass

    def write_batch(self, events: Sequence[Event]) -> None:
        self.stored += [event.seq for event in events]

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass


class _OfForgetful(SinkContract):
    def __init__(self) -> None:
        self._stores: dict[Path, list[int]] = {}

    def make(self, place: Path) -> Sink:
        return _Forgetful(self._stores.setdefault(place, []))

    def read(self, place: Path) -> list[int]:
        return list(self._stores[place])


def test_the_contract_finds_a_sink_that_stores_twice_what_comes_twice(tmp_path: Path) -> None:
    contract = _OfForgetful()
    contract.test_how_events_are_cut_into_batches_does_not_matter(tmp_path / "1")
    for number, test in enumerate(
        (
            contract.test_a_batch_that_comes_again_is_stored_once,
            contract.test_an_event_twice_in_a_batch_is_stored_once,
            contract.test_a_restart_at_any_point_loses_and_repeats_nothing,
        )
    ):
        with pytest.raises(AssertionError):
            test(tmp_path / f"again-{number}")


def test_the_sample_has_every_kind_of_event_and_two_sessions_at_the_same_time() -> None:
    events = sample_events()
    assert {type(event) for event in events} == set(get_args(Event))
    by_session: dict[str, list[int]] = {}
    for event in events:
        by_session.setdefault(event.session_id, []).append(event.seq)
    assert [sorted(seqs) == seqs == list(range(len(seqs))) for seqs in by_session.values()] == [True, True]
    assert len({event.session_id for event in events[:4]}) == 2
    assert sum(isinstance(event, Completed) for event in events) == 1
