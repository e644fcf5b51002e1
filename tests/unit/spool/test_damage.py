"""Bytes of the spool that are no longer what was written: read around, and told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.capture.records import Record, RecordsLost, ResponseChunk
from lunaroute.spool import follow, segments
from lunaroute.spool.follow import Follower, Position
from lunaroute.spool.frame import FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES, SEGMENT_HEADER_BYTES
from lunaroute.spool.writer import SpoolWriter, open_lane

SEGMENT_BYTES = 4 * MAX_PAYLOAD_BYTES
FRAME_BYTES = FRAME_HEADER_BYTES + 8


def chunk(number: int) -> ResponseChunk:
    return ResponseChunk(number, number, number.to_bytes(8, "big"))


def write(writer: SpoolWriter, numbers: range) -> None:
    for number in numbers:
        writer.put(chunk(number))
        writer.flush()


def abandon(writer: SpoolWriter) -> None:
    """kill -9."""
    for fd in (writer._fd, writer._lock_fd):
        os.close(fd)


def flip(path: Path, at: int, bits: int = 0xFF) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ bits]))


def poll_all(follower: Follower) -> list[Record]:
    found: list[Record] = []
    while reads := follower.poll():
        found += [record for read in reads for record in read.records]
    return found


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def follower(spool_dir: Path) -> Iterator[Follower]:
    follower = Follower(spool_dir, {})
    yield follower
    follower.close()


def damaged_in_the_middle(
    spool_dir: Path, at: int = SEGMENT_HEADER_BYTES + 3 * FRAME_BYTES + FRAME_HEADER_BYTES
) -> Path:
    """Ten records of a killed writer, and its next life; a byte of the fourth is another now."""
    writer = open_lane(spool_dir, SEGMENT_BYTES)
    path = segments.segment_path(writer.lane_dir, writer.number)
    write(writer, range(10))
    abandon(writer)
    open_lane(spool_dir, SEGMENT_BYTES).close([chunk(10)], 10)
    flip(path, at)
    return path


def test_what_follows_damaged_bytes_is_read_and_the_gap_is_told(spool_dir: Path, follower: Follower) -> None:
    path = damaged_in_the_middle(spool_dir)
    records = poll_all(follower)
    (lost,) = (record for record in records if isinstance(record, RecordsLost))
    at = records.index(lost)
    assert records[:at] == [chunk(number) for number in range(3)]
    assert records[at + 1 :] == [chunk(number) for number in range(4, 11)]
    assert (lost.t_ns, lost.wall_ns) == (4, 0)
    place = SEGMENT_HEADER_BYTES + 3 * FRAME_BYTES
    assert lost.reason == f"{FRAME_BYTES} bytes of w0/{path.name} from {place} on were damaged"


@given(place=st.integers(0, 10 * FRAME_BYTES - 1), bits=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_whatever_byte_is_changed_the_others_are_read_and_it_shows(
    tmp_path_factory: pytest.TempPathFactory, place: int, bits: int
) -> None:
    spool_dir = tmp_path_factory.mktemp("spool")
    writer = open_lane(spool_dir, SEGMENT_BYTES)
    path = segments.segment_path(writer.lane_dir, writer.number)
    write(writer, range(10))
    writer.close([], 11)  # the end of the segment is a frame, so the last record is followed by one too
    open_lane(spool_dir, SEGMENT_BYTES).close([], 12)
    flip(path, SEGMENT_HEADER_BYTES + place, bits)
    follower = Follower(spool_dir, {})
    records = poll_all(follower)
    follower.close()
    hit = place // FRAME_BYTES
    assert [record for record in records if isinstance(record, ResponseChunk)] == [
        chunk(number) for number in range(10) if number != hit
    ]
    assert sum(isinstance(record, RecordsLost) for record in records) == 1


def test_a_plan_that_was_made_over_damage_gives_the_same_again(spool_dir: Path, follower: Follower) -> None:
    damaged_in_the_middle(spool_dir)
    reads = []
    while more := follower.poll():
        reads += more
    again = Follower(spool_dir, {})
    for read in reads:
        assert again.read_exactly(read.lane, read.start, read.end) == read
    whole = again.read_exactly("w0", reads[0].start, reads[-1].end)
    again.close()
    assert whole.records == [record for read in reads for record in read.records]


def test_a_damaged_header_costs_no_record(spool_dir: Path, follower: Follower) -> None:
    damaged_in_the_middle(spool_dir, at=3)
    assert poll_all(follower) == [chunk(number) for number in range(11)]
    assert follower.skipped_segments == 0


def test_damage_in_the_segment_that_is_written_to_is_found_when_more_comes(
    spool_dir: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_LOOK_AGAIN_S", 0.0)
    writer = open_lane(spool_dir, SEGMENT_BYTES)
    path = segments.segment_path(writer.lane_dir, writer.number)
    write(writer, range(3))
    assert poll_all(follower) == [chunk(number) for number in range(3)]
    write(writer, range(3, 7))
    os.utime(path, ns=(0, 0))
    flip(path, SEGMENT_HEADER_BYTES + 3 * FRAME_BYTES)
    lost, *rest = poll_all(follower)
    assert isinstance(lost, RecordsLost)
    assert rest == [chunk(number) for number in range(4, 7)]
    writer.close([], 0)


def test_one_lane_s_damage_keeps_its_place_in_time_among_the_others(spool_dir: Path, follower: Follower) -> None:
    damaged_in_the_middle(spool_dir)
    follower.positions["w0"] = Position(1, SEGMENT_HEADER_BYTES + 3 * FRAME_BYTES)
    assert follower._poll_lane("w0", until_ns=3) is None
    read = follower._poll_lane("w0", until_ns=4)
    assert read is not None
    assert [type(record) for record in read.records] == [RecordsLost]
