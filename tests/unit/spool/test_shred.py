"""What was consumed is in no file of the spool any more, and what was not is still read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.capture.records import ResponseChunk
from lunaroute.spool import segments
from lunaroute.spool.follow import Follower
from lunaroute.spool.frame import MAX_PAYLOAD_BYTES, SEGMENT_HEADER_BYTES, encode_segment_header, first_frame_offset
from lunaroute.spool.shred import shred_segment
from lunaroute.spool.writer import SpoolWriter, open_lane

SEGMENT_BYTES = 4 * MAX_PAYLOAD_BYTES


def _write(writer: SpoolWriter, *chunks: bytes) -> None:
    for chunk in chunks:
        writer.response_chunk(1, 1, chunk)
    writer.flush()


def _read(follower: Follower) -> list[bytes]:
    found: list[bytes] = []
    while reads := follower.poll():
        found += (record.data for read in reads for record in read.records if isinstance(record, ResponseChunk))
    return found


def _disk(spool_dir: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(spool_dir.rglob("*")) if path.is_file())


def test_what_was_read_is_gone_from_the_segment_that_is_still_written_to(tmp_path: Path) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    follower = Follower(tmp_path, {}, is_shredding=True)
    for number in range(5):
        secret = b"secret-%d" % number
        _write(writer, secret)
        assert _read(follower) == [secret]
        assert secret in _disk(tmp_path)
        follower.release(dict(follower.positions))
        assert b"secret" not in _disk(tmp_path)
    writer.close([], 9)


def test_whole_segments_are_gone_before_they_are_used_again(tmp_path: Path) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    follower = Follower(tmp_path, {}, is_shredding=True)
    for _ in range(7):
        _write(writer, b"secret" * (MAX_PAYLOAD_BYTES // 6), b"secret" * 1000)
    assert len(_read(follower)) == 14
    follower.release(dict(follower.positions))
    assert segments.list_segments(tmp_path / "w0" / segments.FREE_DIR)
    assert b"secret" not in _disk(tmp_path)
    _write(writer, b"more")
    assert _read(follower) == [b"more"]
    writer.close([], 9)


def test_a_reader_without_a_position_begins_behind_what_is_gone(tmp_path: Path) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    follower = Follower(tmp_path, {}, is_shredding=True)
    _write(writer, b"one", b"two")
    assert _read(follower) == [b"one", b"two"]
    follower.release(dict(follower.positions))
    _write(writer, b"three")
    assert _read(Follower(tmp_path, {})) == [b"three"]
    writer.close([], 9)


def test_after_a_restart_what_another_reader_left_half_shredded_goes_too(tmp_path: Path) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    follower = Follower(tmp_path, {}, is_shredding=True)
    _write(writer, b"secret")
    _read(follower)
    path = segments.segment_path(tmp_path / "w0", writer.number)
    with path.open("r+b") as file:  # killed between header and zeros
        file.write(encode_segment_header(writer.number, follower.positions["w0"].offset - SEGMENT_HEADER_BYTES))
    restarted = Follower(tmp_path, dict(follower.positions), is_shredding=True)
    restarted.release(dict(restarted.positions))
    assert b"secret" not in _disk(tmp_path)
    with path.open("rb") as file:
        assert first_frame_offset(file.read(SEGMENT_HEADER_BYTES)) == restarted.positions["w0"].offset
    writer.close([], 9)


def test_what_was_given_back_before_is_shredded_on_demand(tmp_path: Path) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    follower = Follower(tmp_path, {})
    _write(writer, *[b"secret" * (MAX_PAYLOAD_BYTES // 6)] * 5)
    _read(follower)
    follower.release(dict(follower.positions))
    free = tmp_path / "w0" / segments.FREE_DIR
    names = sorted(path.name for path in free.iterdir())
    assert b"secret" in _disk(free)
    Follower(tmp_path, {}, is_shredding=True).shred_free()
    assert b"secret" not in _disk(free)
    assert sorted(path.name for path in free.iterdir()) == names, "all are there to be used again"
    writer.close([], 9)


def test_a_segment_that_a_writer_takes_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_lane(tmp_path, SEGMENT_BYTES)
    follower = Follower(tmp_path, {})
    _write(writer, *[b"secret" * (MAX_PAYLOAD_BYTES // 6)] * 5)
    _read(follower)
    follower.release(dict(follower.positions))
    listed = segments.list_free(tmp_path / "w0")
    writer.reopen()  # takes one
    _write(writer, b"live")
    monkeypatch.setattr(segments, "list_free", lambda lane_dir: listed)
    Follower(tmp_path, {}, is_shredding=True).shred_free()
    monkeypatch.undo()
    assert _read(follower) == [b"live"]
    writer.close([], 9)


def test_what_an_interrupted_shredding_left_goes_with_the_next(tmp_path: Path) -> None:
    free = tmp_path / "w0" / segments.FREE_DIR
    free.mkdir(parents=True)
    (free / "000000000001.shred").write_bytes(b"secret" * 100)
    Follower(tmp_path, {}, is_shredding=True).shred_free()
    assert list(free.iterdir()) == []


def test_a_segment_that_is_gone_needs_no_shredding(tmp_path: Path) -> None:
    shred_segment(tmp_path / "000000000001.seg")
