"""Session files: where they are, what a crash leaves, what must never be written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lunaroute.events import encode_event
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import day_of, existing_file, plain_path, session_files
from lunaroute.sinks.session_file import zstd
from lunaroute.sinks.tail import find_tail
from tests.builders import TEN_OCLOCK, SessionScript, as_written


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[JsonlSink]:
    opened = JsonlSink(tmp_path)
    opened.open()
    yield opened
    opened.close()


def _reopened(sink: JsonlSink, folder: Path) -> JsonlSink:
    sink.close()
    again = JsonlSink(folder)
    again.open()
    return again


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_file_holds_its_events_as_lines_in_order(sink: JsonlSink, tmp_path: Path) -> None:
    script = SessionScript().turn().complete()
    sink.write_batch(script.events)
    path = tmp_path / "2026-11-22" / f"{script.session_id}.jsonl"
    assert path.read_bytes() == b"".join(encode_event(event) + b"\n" for event in as_written(script.events))
    assert [line["type"] for line in _lines(path)] == [
        "started",
        "request_recorded",
        "response_recorded",
        "completed",
    ]


def test_a_session_past_midnight_stays_in_the_folder_of_its_start(sink: JsonlSink, tmp_path: Path) -> None:
    script = SessionScript(start=datetime(2026, 11, 22, 23, 59, 59, 500_000, tzinfo=UTC))
    script.turn()
    sink.write_batch(script.events)
    again = _reopened(sink, tmp_path)
    script.turn().complete()
    assert script.now.date().isoformat() == "2026-11-23"
    again.write_batch(script.events)
    again.close()
    assert [path.parent.name for _, path in session_files(tmp_path)] == ["2026-11-22"]
    assert len(_lines(tmp_path / "2026-11-22" / f"{script.session_id}.jsonl")) == 6


def test_the_folder_is_the_utc_date() -> None:
    east = datetime.fromisoformat("2026-11-23T00:30:00+02:00")
    assert day_of(SessionScript(start=east).session_id) == "2026-11-22"


@pytest.mark.parametrize("bad_id", ["../../etc/passwd", "", "019ab", "019AB000-0000-7000-8000-000000000000"])
def test_an_id_that_is_no_uuid7_never_becomes_a_path(bad_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a session id"):
        plain_path(tmp_path, bad_id)


@pytest.mark.parametrize("torn", [b"{", b'{"type":"completed","seq":9}', b"\0" * 5000, b"\0" * 70_000 + b"\n"])
def test_a_torn_tail_is_cut_and_its_event_written_again(sink: JsonlSink, tmp_path: Path, torn: bytes) -> None:
    script = SessionScript().turn()
    sink.write_batch(script.events)
    path = plain_path(tmp_path, script.session_id)
    with path.open("ab") as file:
        file.write(torn)
    again = _reopened(sink, tmp_path)
    script.complete()
    again.write_batch(script.events)
    again.close()
    assert path.read_bytes() == b"".join(encode_event(event) + b"\n" for event in as_written(script.events))


@pytest.mark.parametrize("kept", range(0, 400, 57))
def test_a_file_cut_anywhere_is_made_whole_again(tmp_path: Path, kept: int) -> None:
    script = SessionScript().turn().complete()
    whole = b"".join(encode_event(event) + b"\n" for event in as_written(script.events))
    path = plain_path(tmp_path, script.session_id)
    path.parent.mkdir()
    path.write_bytes(whole[: kept * len(whole) // 400])
    sink = JsonlSink(tmp_path)
    sink.open()
    sink.write_batch(script.events)
    sink.close()
    assert path.read_bytes() == whole


def test_the_tail_is_found_behind_lines_of_megabytes(sink: JsonlSink, tmp_path: Path) -> None:
    body = b'{"text":"' + b"x" * 3_000_000 + b'"}'
    script = SessionScript().turn(request_json=body).ask(request_json=body)
    sink.write_batch(script.events)
    path = plain_path(tmp_path, script.session_id)
    fd = os.open(path, os.O_RDONLY)
    try:
        tail = find_tail(fd)
    finally:
        os.close(fd)
    assert (tail.last_seq, tail.valid_bytes) == (3, path.stat().st_size)


def test_a_file_deleted_while_its_session_is_open_goes_on_with_what_comes(
    sink: JsonlSink, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script, other = SessionScript("deleted").turn().turn().complete(), SessionScript("other").turn().complete()
    sink.write_batch([*script.events[:2], *other.events[:2]])
    path = plain_path(tmp_path, script.session_id)
    path.unlink()
    sink.write_batch([*script.events[2:4], *other.events[2:]])
    sink.write_batch(script.events[2:])
    assert [event["seq"] for event in _lines(path)] == [2, 3, 4, 5]
    assert len(_lines(plain_path(tmp_path, other.session_id))) == len(other.events)
    assert capfd.readouterr().err == (
        f"lunaroute: {path} lost events 0 to 1 while its session was open; it goes on with event 2\n"
    )


def test_a_file_shortened_while_its_session_is_open_goes_on_after_a_restart(
    sink: JsonlSink, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = SessionScript().turn().complete()
    sink.write_batch(script.events[:3])
    again = _reopened(sink, tmp_path)
    path = plain_path(tmp_path, script.session_id)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    again.write_batch(script.events[3:])
    again.write_batch(script.events[3:])
    again.close()
    assert [event["seq"] for event in _lines(path)] == [0, 1, 3]
    assert "lost events 2 to 2 while" in capfd.readouterr().err


def test_a_write_that_stops_half_way_is_made_good_by_the_next_try(
    sink: JsonlSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = SessionScript().turn().complete()
    really_write = os.write

    def half(fd: int, pieces: list[bytes]) -> int:
        return really_write(fd, b"".join(pieces)[:700])

    def full_disk(fd: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", half)
        patch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match="No space left"):
            sink.write_batch(script.events)
    sink.write_batch(script.events)
    path = plain_path(tmp_path, script.session_id)
    assert path.read_bytes() == b"".join(encode_event(event) + b"\n" for event in as_written(script.events))


def _open_files() -> int:
    """Of this process; 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_more_sessions_than_open_files_are_all_written(sink: JsonlSink, tmp_path: Path) -> None:
    scripts = [SessionScript(f"s{number}", TEN_OCLOCK + timedelta(seconds=number)) for number in range(300)]
    before = _open_files()
    sink.write_batch([script.events[0] for script in scripts])
    for script in scripts:
        script.turn()
    sink.write_batch([event for script in scripts for event in script.events])
    assert _open_files() - before < 200
    assert all(len(_lines(path)) == 3 for _, path in session_files(tmp_path))
    assert len(list(session_files(tmp_path))) == 300


def _compress(path: Path) -> Path:
    packed = path.with_suffix(".jsonl.zst")
    packed.write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    return packed


def test_events_of_a_compressed_session_that_come_again_are_known(sink: JsonlSink, tmp_path: Path) -> None:
    script = SessionScript().turn().complete()
    sink.write_batch(script.events)
    again = _reopened(sink, tmp_path)
    packed = _compress(plain_path(tmp_path, script.session_id))
    again.write_batch(script.events)
    again.close()
    assert existing_file(tmp_path, script.session_id) == packed
    assert not plain_path(tmp_path, script.session_id).exists()


def test_a_compressed_session_never_gets_a_second_file(sink: JsonlSink, tmp_path: Path) -> None:
    script = SessionScript().turn()
    sink.write_batch(script.events)
    sink.close()
    rejected: list[tuple[int, str]] = []
    again = JsonlSink(tmp_path, lambda event, reason: rejected.append((event.seq, reason)))
    packed = _compress(plain_path(tmp_path, script.session_id))
    again.write_batch(script.complete().events)
    again.close()
    assert rejected == [(3, f"{packed.name} is compressed and ends with event 2")]
    assert not plain_path(tmp_path, script.session_id).exists()


def test_sync_reaches_the_file_and_the_new_folders(
    sink: JsonlSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = SessionScript().turn()
    sink.write_batch(script.events)
    synced: list[str] = []
    really_fsync = os.fsync

    def note(fd: int) -> None:
        synced.append(os.path.realpath(f"/proc/self/fd/{fd}"))
        really_fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    sink.sync()
    path = plain_path(tmp_path, script.session_id)
    if Path("/proc/self/fd").exists():
        assert set(synced) == {str(tmp_path), str(path.parent), str(path)}
    synced.clear()
    sink.sync()
    assert synced == []


@pytest.mark.parametrize(
    ("turns", "text_bytes"), [(3, 10), (700, 10), (3, 300_000)], ids=["few", "more than one call takes", "long"]
)
@pytest.mark.parametrize("most_written", [None, 100], ids=["whole writes", "short writes"])
def test_lines_of_any_length_and_number_are_written_whole(
    turns: int,
    text_bytes: int,
    most_written: int | None,
    sink: JsonlSink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really_writev, really_write = os.writev, os.write
    if most_written is not None:
        monkeypatch.setattr(os, "writev", lambda fd, pieces: really_writev(fd, [b"".join(pieces)[:most_written]]))
        monkeypatch.setattr(os, "write", lambda fd, data: really_write(fd, data[:most_written]))
    script = SessionScript()
    for _ in range(turns):
        script.turn("x" * text_bytes)
    sink.write_batch(script.events)
    expected = b"".join(encode_event(event) + b"\n" for event in as_written(script.events))
    assert plain_path(tmp_path, script.session_id).read_bytes() == expected
