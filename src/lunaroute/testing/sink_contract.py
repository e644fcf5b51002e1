"""What every sink promises (`sinks/base.py`), as tests for pytest. A sink's own test module derives from it:

    class TestMySink(SinkContract):
        def make(self, place: Path) -> Sink:
            return MySink(place / "store")

        def read(self, place: Path) -> object:
            return rows_of(place / "store")

`place` stands for one store; two different places must be two stores. It is a folder's name that need not exist.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lunaroute.events import Event
from lunaroute.sinks.base import Sink

from .events import sample_events


class SinkContract(ABC):
    """Derive from it in a test module."""

    @abstractmethod
    def make(self, place: Path) -> Sink:
        """A sink over the store of this place, not open yet."""

    @abstractmethod
    def read(self, place: Path) -> Any:
        """What that store holds, as somebody else sees it; to be compared with `==`."""

    def events(self) -> list[Event]:
        """What is stored: two sessions at the same time, with everything that can happen in one."""
        return sample_events()

    @contextmanager
    def opened(self, place: Path) -> Iterator[Sink]:
        sink = self.make(place)
        try:
            sink.open()
            yield sink
        finally:
            sink.close()

    def stored_at_once(self, place: Path) -> Any:
        """What is stored when everything comes once, in one batch."""
        with self.opened(place) as sink:
            sink.write_batch(self.events())
            sink.sync()
        return self.read(place)

    def test_something_is_stored(self, tmp_path: Path) -> None:
        with self.opened(tmp_path / "empty") as sink:
            sink.sync()
        assert self.read(tmp_path / "empty") != self.stored_at_once(tmp_path / "full")

    def test_what_was_written_can_be_read_by_others_at_once(self, tmp_path: Path) -> None:
        expected = self.stored_at_once(tmp_path / "expected")
        with self.opened(tmp_path / "sink") as sink:
            sink.write_batch(self.events())
            assert self.read(tmp_path / "sink") == expected

    def test_how_events_are_cut_into_batches_does_not_matter(self, tmp_path: Path) -> None:
        expected = self.stored_at_once(tmp_path / "expected")
        for size in (1, 2, 3, 7):
            with self.opened(tmp_path / f"by-{size}") as sink:
                for batch in _cut(self.events(), size):
                    sink.write_batch(batch)
            assert self.read(tmp_path / f"by-{size}") == expected, f"in batches of {size}"

    def test_a_batch_that_comes_again_is_stored_once(self, tmp_path: Path) -> None:
        expected = self.stored_at_once(tmp_path / "expected")
        with self.opened(tmp_path / "sink") as sink:
            sink.write_batch(self.events())
            sink.write_batch(self.events())
            sink.write_batch(self.events()[3:9])
        assert self.read(tmp_path / "sink") == expected

    def test_an_event_twice_in_a_batch_is_stored_once(self, tmp_path: Path) -> None:
        expected = self.stored_at_once(tmp_path / "expected")
        with self.opened(tmp_path / "sink") as sink:
            sink.write_batch([event for event in self.events() for _ in range(2)])
        assert self.read(tmp_path / "sink") == expected

    def test_a_restart_at_any_point_loses_and_repeats_nothing(self, tmp_path: Path) -> None:
        expected = self.stored_at_once(tmp_path / "expected")
        for stored in range(0, len(self.events()), 3):
            place = tmp_path / f"after-{stored}"
            with self.opened(place) as sink:
                sink.write_batch(self.events()[:stored])
            with self.opened(place) as sink:
                sink.write_batch(self.events()[max(0, stored - 4) :])
            assert self.read(place) == expected, f"restarted after {stored} events"

    def test_an_empty_batch_is_nothing(self, tmp_path: Path) -> None:
        with self.opened(tmp_path / "sink") as sink:
            before = self.read(tmp_path / "sink")
            sink.write_batch([])
            assert self.read(tmp_path / "sink") == before

    def test_sync_may_come_at_any_time(self, tmp_path: Path) -> None:
        with self.opened(tmp_path / "sink") as sink:
            sink.sync()
            sink.write_batch(self.events())
            sink.sync()
            sink.sync()

    def test_close_is_safe_before_open_and_twice(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path / "never-opened")
        sink.close()
        sink.open()
        sink.close()
        sink.close()


def _cut(events: Sequence[Event], size: int) -> Iterator[Sequence[Event]]:
    return (events[start : start + size] for start in range(0, len(events), size))
