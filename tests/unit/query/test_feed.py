"""Events by their positions: what is found again, what is gone, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lunaroute.archive.compress import compress_all
from lunaroute.events import encode_event
from lunaroute.query.feed import Cursor, Extent, Feed, read_cursor, seq_of
from lunaroute.sinks import feed as feed_module
from lunaroute.sinks.feed import FeedSink, segments
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import existing_file
from tests.builders import SessionScript


def _write(home: Path, *scripts: SessionScript) -> None:
    for sink in (JsonlSink(home / "sessions"), FeedSink(home / "feed")):
        sink.open()
        for script in scripts:
            sink.write_batch(script.events)
        sink.close()


def _feed(home: Path) -> Feed:
    return Feed(home / "feed", home / "sessions")


def _places(events: Sequence[Any]) -> list[tuple[str, int]]:
    return [(one.event.session_id, one.event.seq) for one in events]


def test_events_are_found_from_any_position_plain_and_compressed(tmp_path: Path) -> None:
    script = SessionScript("long")
    for number in range(30):
        script.turn(f"turn {number}", "x" * 9000)
    script.complete()
    _write(tmp_path, script)
    expected = [(script.session_id, event.seq) for event in script.events]
    for _ in range(2):
        for start in (0, 1, 17, len(expected) - 1):
            events, end = _feed(tmp_path).read(start, 1000)
            assert _places(events) == expected[start:]
            assert end == len(expected)
        compress_all(tmp_path / "sessions")
        assert existing_file(tmp_path / "sessions", script.session_id).suffix == ".zst"  # type: ignore[union-attr]


def test_a_session_that_was_deleted_leaves_a_hole_and_no_trouble(tmp_path: Path) -> None:
    gone, there = SessionScript("gone").turn(), SessionScript("there").turn()
    _write(tmp_path, gone, there)
    existing_file(tmp_path / "sessions", gone.session_id).unlink()  # type: ignore[union-attr]
    events, end = _feed(tmp_path).read(0, 1000)
    assert _places(events) == [(there.session_id, event.seq) for event in there.events]
    assert end == len(gone.events) + len(there.events)


def test_what_is_too_old_or_of_another_feed_is_missed() -> None:
    extent = Extent("a" * 16, 100, 200)
    assert extent.start_after(None) == (200, False)
    assert extent.start_after(Cursor("a" * 16, 199)) == (200, False)
    assert extent.start_after(Cursor("a" * 16, 99)) == (100, False)
    assert extent.start_after(Cursor("a" * 16, 98)) == (100, True)
    assert extent.start_after(Cursor("a" * 16, 200)) == (100, True)
    assert extent.start_after(Cursor("b" * 16, 150)) == (100, True)


@pytest.mark.parametrize("text", ["", "17", "x-1", "a" * 16 + "-", "a" * 16 + "-1-1", "a" * 16 + "--1"])
def test_other_texts_are_no_cursors(text: str) -> None:
    assert read_cursor(text) is None
    assert read_cursor(str(Cursor("0123456789abcdef", 7))) == Cursor("0123456789abcdef", 7)


def test_old_segments_go_and_positions_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SEGMENT_RECORDS", 5)
    monkeypatch.setattr(feed_module, "KEPT_SEGMENTS", 2)
    scripts = [SessionScript(f"s{number}").turn().turn() for number in range(6)]
    _write(tmp_path, *scripts)
    expected = [(script.session_id, event.seq) for script in scripts for event in script.events]
    extent = _feed(tmp_path).extent()
    assert extent.end == len(expected)
    assert extent.first > 0
    events, _ = _feed(tmp_path).read(extent.first, 1000)
    assert _places(events) == expected[extent.first :]


@pytest.mark.parametrize("torn", [b"\x01", b"\x00" * 20, b"\x00" * 77], ids=len)
def test_a_torn_end_is_cut_off_and_written_again(tmp_path: Path, torn: bytes) -> None:
    script = SessionScript("one").turn().turn()
    _write(tmp_path, script)
    path = segments(tmp_path / "feed")[-1].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + torn)
    _write(tmp_path, script)
    assert path.read_bytes() == whole


def test_a_head_that_was_never_written_is_no_segment(tmp_path: Path) -> None:
    script = SessionScript("one").turn()
    _write(tmp_path, script)
    (tmp_path / "feed" / "000000000099.feed").write_bytes(b"LRfe")
    _write(tmp_path, script)
    assert _feed(tmp_path).extent().end == len(script.events)


def test_a_write_that_failed_half_way_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SessionScript("one").turn().turn()
    sink = FeedSink(tmp_path / "feed")
    sink.open()
    write = feed_module.os.write

    def fails(fd: int, data: memoryview) -> int:
        write(fd, data[:50])
        raise OSError("no space left")

    monkeypatch.setattr(feed_module.os, "write", fails)
    with pytest.raises(OSError, match="no space"):
        sink.write_batch(script.events)
    monkeypatch.setattr(feed_module.os, "write", write)
    sink.write_batch(script.events)
    sink.sync()
    assert sink.end == len(script.events)
    sink.close()
    assert segments(tmp_path / "feed")[-1].count == len(script.events)


def test_a_line_tells_its_number() -> None:
    script = SessionScript("one").turn('say "seq":7,"schema":1}', '"seq":9,"schema":1,"prev":null}')
    assert [seq_of(encode_event(event)) for event in script.events] == [event.seq for event in script.events]
    assert seq_of(b"nonsense") == -1
