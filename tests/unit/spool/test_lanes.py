"""A lane's writer and reader: segments, lives and locks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lunaroute.capture.records import ResponseChunk
from lunaroute.errors import SpoolCorrupt
from lunaroute.spool import segments
from lunaroute.spool.follow import Follower, Position
from lunaroute.spool.frame import MAX_PAYLOAD_BYTES, SEGMENT_HEADER_BYTES, encode_record
from lunaroute.spool.writer import LaneTakenError, SpoolWriter, open_lane
from tests.unit.spool.lane import MB, SEGMENT_BYTES, Lane, chunks_of


def test_reader_sees_what_was_flushed_and_nothing_else(lane: Lane) -> None:
    lane.write(b"1", b"2")
    lane.writer.response_chunk(1, 1, b"3")
    assert lane.read() == [b"1", b"2"]
    assert lane.read() == []
    lane.writer.flush()
    assert lane.read() == [b"3"]


def test_full_segment_goes_on_in_the_next(lane: Lane) -> None:
    pieces = [bytes([number]) * MAX_PAYLOAD_BYTES for number in range(10)]
    for piece in pieces:
        lane.write(piece)
    assert len(segments.list_segments(lane.dir)) >= 3
    assert lane.read() == pieces
    assert all(
        segments.segment_path(lane.dir, n).stat().st_size == SEGMENT_BYTES for n in segments.list_segments(lane.dir)
    )


def test_chunk_longer_than_a_frame_comes_back_in_order(lane: Lane) -> None:
    data = os.urandom(3 * MAX_PAYLOAD_BYTES + 17)
    lane.write(data)
    lane.writer.request_chunk(2, 1, data, 5)
    lane.writer.flush()
    records = [record for read in iter(lane.follower.poll, []) for item in read for record in item.records]
    assert b"".join(chunk.data for chunk in chunks_of(records)) == data
    requests = [record for record in records if not isinstance(record, ResponseChunk)]
    assert b"".join(record.data for record in requests) == data  # type: ignore[union-attr]
    assert [record.pre_processing_ns for record in requests][-1] == 5  # type: ignore[union-attr]


def test_consumed_segments_are_written_over_and_their_old_frames_never_read(lane: Lane) -> None:
    for _ in range(6):
        lane.write(MB, MB)
    lane.read()
    assert lane.release() >= 2
    old = lane.free()
    assert old
    for number in range(9):
        lane.write(b"new %d" % number, MB)
    found = lane.read()
    assert found == [chunk for number in range(9) for chunk in (b"new %d" % number, MB)]
    assert not set(old) & set(lane.free())
    lane.write(b"last")
    assert lane.read() == [b"last"]


def test_only_some_consumed_segments_are_kept(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MAX_FREE", 4)
    for _ in range(12):
        lane.write(MB, MB, MB)
    lane.read()
    lane.release()
    assert len(lane.free()) == segments.MAX_FREE


def test_segment_in_use_is_never_given_back(lane: Lane) -> None:
    lane.write(b"1")
    lane.read()
    assert lane.release() == 0
    lane.write(b"2")
    assert lane.read() == [b"2"]


def test_free_segment_of_another_size_is_not_used(lane: Lane) -> None:
    (lane.dir / segments.FREE_DIR).mkdir()
    segments.segment_path(lane.dir / segments.FREE_DIR, 1).write_bytes(b"small")
    lane.writer.reopen()
    assert lane.free() == []
    lane.write(b"1")
    assert lane.read() == [b"1"]


@pytest.mark.parametrize("kept", [1, 20, 30, 100])
def test_half_frame_of_a_killed_writer_is_left_behind(lane: Lane, kept: int) -> None:
    lane.write(b"before")
    torn = encode_record(lane.writer.number, ResponseChunk(1, 1, b"x" * 100))[:kept]
    os.pwrite(lane.writer._fd, torn, lane.writer._offset)
    assert lane.read() == [b"before"]
    lane.crash()
    lane.write(b"after")
    assert lane.read() == [b"after"]


def test_numbers_are_never_used_twice_even_when_all_segments_are_gone(lane: Lane) -> None:
    seen = {lane.writer.number}
    for _ in range(3):
        lane.crash()
        assert lane.writer.number not in seen
        seen.add(lane.writer.number)
    for number in segments.list_segments(lane.dir):
        segments.segment_path(lane.dir, number).unlink()
    lane.crash()
    assert lane.writer.number == max(seen) + 1


def test_reader_goes_on_where_it_stopped(lane: Lane) -> None:
    lane.write(b"1", MB, MB, MB, b"2")
    lane.follower.poll()
    positions = dict(lane.follower.positions)
    rest = lane.read()
    lane.follower.close()
    lane.follower = Follower(lane.spool_dir, positions)
    assert lane.read() == rest


def test_read_exactly_gives_what_poll_gave(lane: Lane) -> None:
    for number in range(8):
        lane.write(b"%d" % number, MB)
    batches = [read for reads in iter(lane.follower.poll, []) for read in reads]
    lane.write(b"later")
    again = Follower(lane.spool_dir, {})
    for batch in batches:
        assert again.read_exactly("w0", batch.start, batch.end) == batch
    assert again.positions["w0"] == batches[-1].end
    whole = again.read_exactly("w0", batches[0].start, batches[-1].end)
    assert whole.records == [record for batch in batches for record in batch.records]
    again.close()


def test_read_exactly_gives_the_same_when_a_number_was_skipped_since(lane: Lane) -> None:
    """The next segment's number was noted, but its file never made: the lane goes on one number higher."""
    lane.write(b"1")
    lane.writer._end_segment(1)
    (batch,) = lane.follower.poll()
    assert batch.end == Position(2, SEGMENT_HEADER_BYTES)
    segments.note_number(lane.dir, 2)
    lane.crash()
    assert lane.writer.number == 3
    lane.write(b"2")
    assert lane.follower.read_exactly("w0", batch.start, batch.end) == batch
    assert lane.read() == [b"2"]


def test_read_exactly_of_what_is_gone_is_an_error(lane: Lane) -> None:
    lane.write(b"1")
    (batch,) = lane.follower.poll()
    lane.follower.close()
    segments.segment_path(lane.dir, 1).unlink()
    with pytest.raises(SpoolCorrupt, match="w0"):
        lane.follower.read_exactly("w0", batch.start, batch.end)


def test_segment_of_another_program_is_skipped_and_counted(lane: Lane) -> None:
    lane.write(b"1")
    segments.segment_path(lane.dir, 2).write_bytes(b"something else, longer than a segment's header is")
    lane.writer.number = 2
    lane.writer.reopen()
    lane.write(b"2")
    assert lane.read() == [b"1", b"2"]
    assert lane.follower.skipped_segments >= 1


def test_two_writers_have_two_lanes_and_a_dead_one_leaves_its_lane_free(tmp_path: Path) -> None:
    first, second = (open_lane(tmp_path, SEGMENT_BYTES) for _ in range(2))
    assert [first.lane_dir.name, second.lane_dir.name] == ["w0", "w1"]
    with pytest.raises(LaneTakenError):
        SpoolWriter(tmp_path / "w0", SEGMENT_BYTES)
    follower = Follower(tmp_path, {})
    for writer, data in ((first, b"a"), (second, b"b")):
        writer.response_chunk(1, 1, data)
        writer.flush()
    assert {read.lane: [c.data for c in chunks_of(read.records)] for read in follower.poll()} == {
        "w0": [b"a"],
        "w1": [b"b"],
    }
    assert follower.is_writer_alive("w0")
    first.close([], 0)
    assert not follower.is_writer_alive("w0")
    assert not follower.is_writer_alive("w9")
    third = open_lane(tmp_path, SEGMENT_BYTES)
    assert third.lane_dir.name == "w0"
    for writer in (second, third):
        writer.close([], 0)
    follower.close()


def test_lock_ends_with_its_process_and_not_with_a_child(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from lunaroute.spool.writer import open_lane\n"
        "writer = open_lane(pathlib.Path(sys.argv[1]), 1)\n"
        "writer.response_chunk(1, 1, b'x'); writer.flush()\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    follower = Follower(tmp_path, {})
    assert follower.is_writer_alive("w0")
    process.kill()
    process.communicate()
    assert not follower.is_writer_alive("w0")
    assert [chunk.data for read in follower.poll() for chunk in chunks_of(read.records)] == [b"x"]
    follower.close()


def test_reader_follows_a_writer_that_never_waits(lane: Lane) -> None:
    count = 3000
    pieces = [b"%06d" % number * (number % 300) for number in range(1, count + 1)]

    def write() -> None:
        for piece in pieces:
            lane.write(piece)

    thread = threading.Thread(target=write)
    thread.start()
    found: list[bytes] = []
    while len(found) < count:
        found += lane.read()
        if not thread.is_alive():
            found += lane.read()
            break
    thread.join()
    assert found == pieces


def test_only_a_backlog_is_dropped_from_the_page_cache(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "posix_fadvise"):
        pytest.skip("this system has no posix_fadvise")
    dropped: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *_: dropped.append(fd))
    for _ in range(4):
        lane.write(*[MB] * 8)
        lane.writer.sync()
        lane.read()
        lane.release()
    assert not dropped
    written = 0
    while not dropped and written < 100:
        lane.write(MB)
        lane.writer.sync()
        written += 1
    assert dropped
    assert lane.read() == [MB] * written


def test_lag_counts_segments_ahead(lane: Lane) -> None:
    assert lane.follower.lag_bytes() == SEGMENT_BYTES
    lane.write(b"1")
    lane.read()
    assert lane.follower.lag_bytes() == 0
    lane.write(MB, MB, MB, MB)
    assert lane.follower.lag_bytes() == SEGMENT_BYTES


def test_spool_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "none", {})
    assert follower.poll() == []
    assert follower.lag_bytes() == 0
