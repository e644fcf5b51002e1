"""What is lost is remembered through a kill, and needs no room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lunaroute.capture.records import RecordsLost
from lunaroute.spool.gap_note import GAP_FILE, GapNote
from lunaroute.spool.writer import open_lane

SEGMENT_BYTES = 4 << 20


def lost(count: int, reason: str = "No space left on device") -> RecordsLost:
    return RecordsLost(1, 1_000 + count, 1_000, count, reason)


def test_the_latest_note_is_there_for_the_next(tmp_path: Path) -> None:
    note = GapNote(tmp_path)
    assert note.left is None
    for count in range(1, 6):
        note.write(lost(count))
        assert GapNote(tmp_path).left == lost(count)
    note.clear()
    assert GapNote(tmp_path).left is None


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 30])
def test_a_kill_in_the_middle_of_a_note_leaves_the_one_before(
    tmp_path: Path, keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = GapNote(tmp_path)
    note.write(lost(1))
    note.write(lost(2))
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:keep], at))
    note.write(lost(3, "another reason"))
    monkeypatch.undo()
    assert GapNote(tmp_path).left in (lost(1), lost(2))


def test_a_note_takes_no_room_that_is_not_there_already(tmp_path: Path) -> None:
    note = GapNote(tmp_path)
    before = (tmp_path / GAP_FILE).stat()
    note.write(lost(1, "x" * 100_000))
    after = (tmp_path / GAP_FILE).stat()
    assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)
    assert GapNote(tmp_path).left is not None


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"\xff" * 4096, bytes(4096)])
def test_what_is_no_note_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / GAP_FILE).write_bytes(content)
    assert GapNote(tmp_path).left is None


def test_where_there_can_be_no_note_there_is_none(tmp_path: Path) -> None:
    (tmp_path / GAP_FILE).mkdir()
    note = GapNote(tmp_path)
    note.write(lost(1))
    note.clear()
    note.close()
    assert note.left is None


def test_the_next_writer_of_a_lane_has_what_a_killed_one_noted(tmp_path: Path) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    writer.note_lost(lost(4))
    for fd in (writer._fd, writer._lock_fd):
        os.close(fd)
    following = open_lane(tmp_path, SEGMENT_BYTES)
    assert following.lost_before == lost(4)
    following.forget_lost()
    following.close([], 0)
    last = open_lane(tmp_path, SEGMENT_BYTES)
    assert last.lost_before is None
    last.close([], 0)
