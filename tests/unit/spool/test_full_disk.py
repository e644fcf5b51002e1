"""A lane whose disk refuses: writes, room for another segment, syncs; and the limit of what may wait."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lunaroute.spool.follow import Follower
from lunaroute.spool.writer import open_lane
from tests.unit.spool.lane import MB, SEGMENT_BYTES, Lane, chunks_of


class Disk:
    """Makes chosen calls of the writer fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def refuse(self, name: str, code: int = errno.ENOSPC) -> None:
        def fail(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        self._monkeypatch.setattr(os, name, fail)

    def repair(self) -> None:
        self._monkeypatch.undo()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_after_a_refused_write_the_lane_goes_on_in_a_fresh_segment(lane: Lane, disk: Disk) -> None:
    lane.write(b"before")
    disk.refuse("pwritev", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        lane.write(b"lost")
    disk.repair()
    lane.writer.flush()  # nothing is left in the queue
    lane.writer.reopen()
    lane.write(b"after")
    assert lane.read() == [b"before", b"after"]


def test_write_cut_short_is_finished(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda fd, pieces, at: real(fd, b"".join(pieces)[:7], at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:5], at))
    lane.write(b"whole", b"and more")
    monkeypatch.undo()
    assert lane.read() == [b"whole", b"and more"]


@pytest.mark.parametrize("name", ["posix_fallocate", "replace"])
def test_no_room_for_another_segment_is_told_by_flush_and_over_after_reopen(lane: Lane, disk: Disk, name: str) -> None:
    lane.write(MB, MB, MB)
    disk.refuse(name)
    lane.writer.response_chunk(1, 1, MB)
    lane.writer.response_chunk(1, 1, b"also lost")
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            lane.writer.flush()
    with pytest.raises(OSError, match="No space"):
        lane.writer.reopen()
    disk.repair()
    lane.writer.reopen()
    lane.write(b"after")
    assert lane.read() == [MB, MB, MB, b"after"]


def test_no_more_waits_than_is_allowed_until_something_is_given_back(tmp_path: Path) -> None:
    other = open_lane(tmp_path, SEGMENT_BYTES)  # its segment counts too
    writer = open_lane(tmp_path, SEGMENT_BYTES, 3 * SEGMENT_BYTES)
    follower = Follower(tmp_path, {})

    def fill() -> None:
        for _ in range(4):
            writer.response_chunk(1, 1, MB)
        writer.flush()

    fill()
    with pytest.raises(OSError, match="spool_max_bytes") as refused:
        fill()
    assert refused.value.errno == errno.EDQUOT
    with pytest.raises(OSError, match="spool_max_bytes"):
        writer.reopen()
    while follower.poll():
        pass
    assert follower.release(follower.positions) == 2
    writer.reopen()
    writer.response_chunk(1, 1, b"after")
    writer.flush()
    found = [chunk.data for read in follower.poll() for chunk in chunks_of(read.records)]
    assert found == [b"after"]
    for one in (other, writer):
        one.close([], 1)


def test_a_life_gets_its_first_segment_however_much_waits(tmp_path: Path) -> None:
    lives = [open_lane(tmp_path, SEGMENT_BYTES, SEGMENT_BYTES) for _ in range(3)]
    lives[2].response_chunk(1, 1, b"here")
    lives[2].flush()
    for life in lives:
        life.close([], 1)


def test_descriptors_do_not_add_up_when_the_disk_refuses_to_sync(lane: Lane, disk: Disk) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    lane.writer.reopen()
    before = count()
    disk.refuse("fdatasync", errno.EIO)
    for _ in range(20):
        lane.writer.reopen()
        with pytest.raises(OSError, match="Input/output"):
            lane.writer.sync()
    disk.repair()
    assert count() <= before


def test_sync_makes_the_name_of_a_new_segment_safe_too(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    lane.writer.sync()
    lane.writer.sync()
    lane.writer.reopen()
    lane.writer.sync()
    assert synced == [str(lane.dir)] * 2
