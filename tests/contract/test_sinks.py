"""What every sink promises (sinks/base.py), checked for each of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.events import Event
from lunaroute.sinks.base import Sink
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens

Stored = Any


class SinkUnderTest(msgspec.Struct):
    """How to make a sink over a folder, and how somebody else reads what it has stored."""

    make: Callable[[Path], Sink]
    read: Callable[[Path], Stored]


def _read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*/*.jsonl"))}


def _read_database(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    connection = sqlite3.connect(f"{(folder / 'sessions.db').as_uri()}?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [name for name in names if not name.startswith("text_search")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}
    finally:
        connection.close()


SINKS = {
    "jsonl": SinkUnderTest(JsonlSink, _read_files),
    "sqlite": SinkUnderTest(lambda folder: SqliteSink(folder / "sessions.db", folder), _read_database),
}


@pytest.fixture(params=SINKS)
def under_test(request: pytest.FixtureRequest) -> SinkUnderTest:
    return SINKS[request.param]


@pytest.fixture
def sink(under_test: SinkUnderTest, tmp_path: Path) -> Iterator[Sink]:
    opened = under_test.make(tmp_path / "sink")
    opened.open()
    yield opened
    opened.close()


def _events() -> list[Event]:
    """Two sessions at the same time, with everything that can happen in one."""
    read = Call("Read", "call_1", '{"path":"a.txt"}')
    alpha = SessionScript("alpha").turn("read a", "reading", tokens=tokens(100, 20, 5), cost_usd=0.1, calls=[read])
    alpha.result(read, "no such file", success=False).turn("go on", "sorry", cost_usd=0.2, tokens=tokens(7, 3))
    alpha.snapshot().turn("and now?", "", outcome="upstream_cut").complete()
    beta = SessionScript("beta", TEN_OCLOCK + timedelta(seconds=2)).turn("hi", "hello", cost_usd=None).ask("more")
    return _interleaved(alpha.events, beta.events)


def _interleaved(first: Sequence[Event], second: Sequence[Event]) -> list[Event]:
    pairs = [event for pair in zip(first, second, strict=False) for event in pair]
    shorter = min(len(first), len(second))
    return [*pairs, *first[shorter:], *second[shorter:]]


@pytest.fixture
def expected(under_test: SinkUnderTest, tmp_path: Path) -> Stored:
    """What is stored when everything comes once, in one batch."""
    folder = tmp_path / "expected"
    sink = under_test.make(folder)
    sink.open()
    sink.write_batch(_events())
    sink.close()
    return under_test.read(folder)


def test_what_was_written_can_be_read_by_others_at_once(
    under_test: SinkUnderTest, sink: Sink, expected: Stored, tmp_path: Path
) -> None:
    sink.write_batch(_events())
    assert under_test.read(tmp_path / "sink") == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_how_events_are_cut_into_batches_does_not_matter(
    under_test: SinkUnderTest, sink: Sink, expected: Stored, tmp_path: Path, size: int
) -> None:
    events = _events()
    for start in range(0, len(events), size):
        sink.write_batch(events[start : start + size])
    assert under_test.read(tmp_path / "sink") == expected


def test_a_batch_that_comes_again_is_stored_once(
    under_test: SinkUnderTest, sink: Sink, expected: Stored, tmp_path: Path
) -> None:
    sink.write_batch(_events())
    sink.write_batch(_events())
    sink.write_batch(_events()[3:9])
    assert under_test.read(tmp_path / "sink") == expected


def test_an_event_twice_in_a_batch_is_stored_once(
    under_test: SinkUnderTest, sink: Sink, expected: Stored, tmp_path: Path
) -> None:
    sink.write_batch([event for event in _events() for _ in range(2)])
    assert under_test.read(tmp_path / "sink") == expected


@pytest.mark.parametrize("stored", range(0, 16, 3))
def test_a_restart_at_any_point_loses_and_repeats_nothing(
    under_test: SinkUnderTest, expected: Stored, tmp_path: Path, stored: int
) -> None:
    events = _events()
    first = under_test.make(tmp_path / "sink")
    first.open()
    first.write_batch(events[:stored])
    first.close()
    second = under_test.make(tmp_path / "sink")
    second.open()
    second.write_batch(events[max(0, stored - 4) :])
    second.close()
    assert under_test.read(tmp_path / "sink") == expected


def test_an_empty_batch_is_nothing(under_test: SinkUnderTest, sink: Sink, tmp_path: Path) -> None:
    before = under_test.read(tmp_path / "sink")
    sink.write_batch([])
    assert under_test.read(tmp_path / "sink") == before


def test_sync_may_come_at_any_time(sink: Sink) -> None:
    sink.sync()
    sink.write_batch(_events())
    sink.sync()
    sink.sync()


def test_close_is_safe_before_open_and_twice(under_test: SinkUnderTest, tmp_path: Path) -> None:
    sink = under_test.make(tmp_path / "never-opened")
    sink.close()
    sink.open()
    sink.close()
    sink.close()


def test_close_is_safe_after_an_open_that_failed(under_test: SinkUnderTest, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("in the way")
    sink = under_test.make(tmp_path / "a-file" / "sink")
    with pytest.raises(OSError, match="a-file"):
        sink.open()
    sink.close()


def test_nothing_stored_is_readable_for_others_on_the_machine(sink: Sink, tmp_path: Path) -> None:
    sink.write_batch(_events())
    paths = [tmp_path / "sink", *(tmp_path / "sink").rglob("*")]
    assert len(paths) > 1
    assert {oct(path.stat().st_mode & 0o077) for path in paths} == {"0o0"}
