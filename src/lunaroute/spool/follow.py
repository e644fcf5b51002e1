"""[io] The recorder's side of the spool: reads all lanes, remembers positions, gives consumed segments back.

A position is (segment number, offset of the next frame). A reader at the end of what is written finds no valid
frame and asks again later. It moves to the next segment when the current one says so, or when a higher one
exists and there is still no valid frame: then the writer was killed in the middle of a write, and the half frame
(of which nothing was ever acknowledged) is left behind. Where whole frames follow such bytes, they were not torn but
damaged: a RecordsLost is put in their place, and reading goes on behind them.

Several lanes are read abreast: while one has more than a read can hold, the others wait at the time it has reached.
So the order in which records come, by time and then by lane, does not depend on how much is read at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from struct import Struct

import msgspec

from lunaroute.capture.records import Record, RecordsLost
from lunaroute.errors import SpoolCorrupt

from . import segments
from .damage import next_frame
from .frame import (
    FRAME_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Stop,
    decode_frames,
    decode_segment_header,
    first_frame_offset,
)
from .shred import SHREDDING_SUFFIX, shred_frames, shred_segment

READ_BYTES = 4 << 20
"""Read at a time and lane at most; bounds memory and the size of a batch. Larger than any frame."""
_LEAST_READ_BYTES = 256 << 10
_RECORDS_A_READ = 600
"""Worth reading at a time: what is made of more small ones does not fit into a processor's caches, which is a twentieth
of the time for an exchange of 1 KB."""

_LOOK_AGAIN_S = 1.0

_LENGTH_AND_TIME = Struct("<4xI8xQ")
"""Of a frame's head, as `frame` defines it."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    segment: int
    offset: int


class LaneRead(msgspec.Struct, frozen=True):
    """What one lane had: records of [start, end)."""

    lane: str
    start: Position
    end: Position
    records: list[Record]


class Follower:
    """Reads every lane of a spool folder from the given positions on. A position beyond all the lane's segments is not
    of this folder: it was deleted and began anew, and is read from its beginning."""

    def __init__(self, spool_dir: Path, positions: dict[str, Position], *, is_shredding: bool = False) -> None:
        """`is_shredding`: what is given back is written over with zeros."""
        self._spool_dir = spool_dir
        self._is_shredding = is_shredding
        self._shredded: dict[str, Position] = {}
        """How far this follower has shredded the segment that a lane is in."""
        self.positions = {lane: at for lane, at in positions.items() if self._has_come_to(lane, at.segment)}
        self._read_bytes = READ_BYTES
        """The same for all reads of a poll."""
        self._bytes_a_record = float(READ_BYTES)
        """Lately."""
        self._fds: dict[str, tuple[int, int]] = {}
        self._has_more: set[str] = set()
        """Lanes where more may be waiting: the last read was full, or ended with its segment."""
        self._stuck: dict[str, tuple[Position, int, float]] = {}
        """Where a lane had nothing to read, when its segment was written then, and when we looked."""
        self.skipped_segments = 0
        """Segments that have neither a header nor a frame of ours; left where they are."""

    def poll(self) -> list[LaneRead]:
        """The next records of each lane that has some; advances the positions. A lane that must wait for another one
        is there too, perhaps without records."""
        self._read_bytes = min(READ_BYTES, max(_LEAST_READ_BYTES, int(_RECORDS_A_READ * self._bytes_a_record)))
        found = [self._poll_lane(lane) for lane in segments.list_lanes(self._spool_dir)]
        reads = [read for read in found if read is not None]
        reached = [(_latest_ns(read), read.lane) for read in reads if read.lane in self._has_more and read.records]
        if not reached or len(reads) == 1:
            return reads
        until_ns, slowest = min(reached)
        # Of records of the same time, those of the lane that is named first come first.
        return [self._held_back(read, until_ns if read.lane <= slowest else until_ns - 1) for read in reads]

    def _held_back(self, read: LaneRead, until_ns: int) -> LaneRead:
        """The read without what is later."""
        if not read.records or _latest_ns(read) <= until_ns:
            return read
        self.positions[read.lane] = read.start
        return self._poll_lane(read.lane, until_ns=until_ns) or LaneRead(read.lane, read.start, read.start, [])

    def read_exactly(self, lane: str, start: Position, end: Position) -> LaneRead:
        """The same records a former poll returned for [start, end); moves the lane's position to `end`."""
        records: list[Record] = []
        self.positions[lane] = start
        while self.positions[lane] != end:
            read = self._poll_lane(lane, stop_at=end)
            if read is None:
                raise SpoolCorrupt(f"spool lane {lane} no longer holds {start} to {end}")
            records += read.records
        return LaneRead(lane, start, end, records)

    def release(self, positions: dict[str, Position]) -> int:
        """Give back all segments before the given positions; the number of them."""
        count = 0
        for lane, position in positions.items():
            lane_dir = self._spool_dir / lane
            for number in segments.list_segments(lane_dir):
                if number < position.segment:
                    if self._is_shredding:
                        shred_segment(segments.segment_path(lane_dir, number))
                    segments.recycle(lane_dir, number)
                    count += 1
            if self._is_shredding:
                self._shred_until(lane, position)
        return count

    def shred_free(self) -> None:
        """Write over what was given back before there was any shredding, or when it was interrupted."""
        for left in self._spool_dir.glob(f"*/{segments.FREE_DIR}/*{SHREDDING_SUFFIX}"):
            shred_segment(left)
            left.unlink(missing_ok=True)
        for lane in segments.list_lanes(self._spool_dir):
            for path in segments.list_free(self._spool_dir / lane):
                # Out of the folder first: a writer must not take it meanwhile.
                aside = path.with_suffix(SHREDDING_SUFFIX)
                with contextlib.suppress(FileNotFoundError):  # it was taken, and is written over by that
                    os.replace(path, aside)
                    shred_segment(aside)
                    os.replace(aside, path)

    def _shred_until(self, lane: str, position: Position) -> None:
        """What was read of the segment that the lane is in."""
        done = self._shredded.get(lane)
        start = done.offset if done is not None and done.segment == position.segment else SEGMENT_HEADER_BYTES
        if position.offset > start:
            path = segments.segment_path(self._spool_dir / lane, position.segment)
            shred_frames(path, position.segment, start, position.offset)
        self._shredded[lane] = position
        self._stuck.pop(lane, None)  # it was we who wrote

    def is_writer_alive(self, lane: str) -> bool:
        """Whether some process holds the lane open for writing."""
        try:
            fd = os.open(self._spool_dir / lane / segments.LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def lag_bytes(self) -> int:
        """Upper bound of what waits: whole segments ahead count in full."""
        total = 0
        for lane in segments.list_lanes(self._spool_dir):
            lane_dir = self._spool_dir / lane
            at = self.positions.get(lane)
            for number in segments.list_segments(lane_dir):
                if at is None or number > at.segment:
                    total += segments.segment_bytes(lane_dir, number)
        return total

    def close(self) -> None:
        for _, fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _poll_lane(self, lane: str, stop_at: Position | None = None, until_ns: int | None = None) -> LaneRead | None:
        start = self.positions.get(lane) or self._first_position(lane)
        if start is None:
            return None
        position = start
        while True:
            # Looked at before the read: if a higher segment exists now, this one is complete, torn or not.
            higher = self._next_number(lane, position.segment)
            records, position, stop = self._read(lane, position, stop_at, until_ns)
            if (
                stop in (Stop.NO_FRAME, Stop.NEED_MORE)
                and not records
                and self._may_be_damaged(lane, position, higher, stop_at)
            ):
                lost, behind = self._beyond_damage(lane, position)
                if lost is not None and (until_ns is None or lost.t_ns <= until_ns):
                    records, position, stop = [lost], behind, Stop.NEED_MORE
                elif lost is not None:
                    stop = None
            ended = stop is Stop.END_OF_SEGMENT
            if position == stop_at or stop is None or (not ended and (records or higher is None)):
                break
            if stop_at is not None and position.segment >= stop_at.segment:  # it should have been in here
                break
            number = position.segment + 1 if higher is None else higher
            if stop_at is not None:  # numbers may have been skipped since
                number = min(number, stop_at.segment)
            position = Position(number, SEGMENT_HEADER_BYTES)
            if records or higher is None:
                break
        self.positions[lane] = position
        if stop is Stop.NO_FRAME:
            self._has_more.discard(lane)
        else:
            self._has_more.add(lane)
        return LaneRead(lane, start, position, records) if position != start else None

    def _may_be_damaged(self, lane: str, at: Position, higher: int | None, stop_at: Position | None) -> bool:
        """Whether a frame can be behind what is here and is none: the writer has left the segment, or is gone, or has
        written to it since nothing could be read here."""
        if stop_at is not None:
            return at.segment < stop_at.segment or at.offset < stop_at.offset
        if higher is not None:
            return True
        fd = self._open(lane, at.segment)
        if fd is None:
            return False
        now_s, written_ns = time.monotonic(), os.fstat(fd).st_mtime_ns
        known = self._stuck.get(lane)
        is_new = known is None or known[0] != at
        if known is not None and not is_new and now_s - known[2] < _LOOK_AGAIN_S:
            return False
        self._stuck[lane] = (at, written_ns, now_s)
        is_written = known is not None and not is_new and known[1] != written_ns
        return is_written or (is_new and not self.is_writer_alive(lane))

    def _beyond_damage(self, lane: str, at: Position) -> tuple[RecordsLost | None, Position]:
        """What stands for the bytes from here to the segment's next frame, and where that is."""
        fd = self._open(lane, at.segment)
        found = None if fd is None else next_frame(fd, at.segment, at.offset)
        if found is None or found[0] == at.offset:
            return None, at
        offset, t_ns = found
        name = segments.segment_path(self._spool_dir / lane, at.segment).name
        reason = f"{offset - at.offset} bytes of {lane}/{name} from {at.offset} on were damaged"
        return RecordsLost(t_ns, 0, 0, 0, reason), Position(at.segment, offset)

    def _read(
        self, lane: str, at: Position, stop_at: Position | None, until_ns: int | None
    ) -> tuple[list[Record], Position, Stop | None]:
        """Records, the position after them, why it stopped: None = at a frame that is later than `until_ns`."""
        fd = self._open(lane, at.segment)
        if fd is None:
            return [], at, Stop.NO_FRAME
        most = READ_BYTES if stop_at is None or stop_at.segment != at.segment else stop_at.offset - at.offset
        size = min(most, self._read_bytes)
        data = os.pread(fd, size, at.offset)
        records, used, stop = decode_frames(data, at.segment)
        if not records and stop is Stop.NEED_MORE and len(data) == size < most:  # perhaps one large frame
            data = os.pread(fd, min(most, READ_BYTES), at.offset)
            records, used, stop = decode_frames(data, at.segment)
        if records:
            self._bytes_a_record = used / len(records)
        if until_ns is not None and (wanted := _used_until(data, used, until_ns)) < used:
            records, used, _ = decode_frames(data[:wanted], at.segment)
            return records, Position(at.segment, at.offset + used), None
        return records, Position(at.segment, at.offset + used), stop

    def _open(self, lane: str, number: int) -> int | None:
        """A descriptor of the segment; None when it is not there (yet) or is not one of ours."""
        known = self._fds.get(lane)
        if known is not None:
            if known[0] == number:
                return known[1]
            os.close(known[1])
            del self._fds[lane]
        try:
            fd = os.open(segments.segment_path(self._spool_dir / lane, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if decode_segment_header(os.pread(fd, SEGMENT_HEADER_BYTES, 0)) != number:
                raise SpoolCorrupt("segment number does not match its name")
        except SpoolCorrupt:
            # Its frames, if it has any, say by their CRC that they are of this segment.
            if next_frame(fd, number, SEGMENT_HEADER_BYTES) is None:
                os.close(fd)
                self.skipped_segments += 1
                return None
        self._fds[lane] = (number, fd)
        return fd

    def _has_come_to(self, lane: str, number: int) -> bool:
        """Whether the segment can exist; a reader may be one ahead of the writer."""
        return number <= segments.last_number(self._spool_dir / lane) + 1

    def _first_position(self, lane: str) -> Position | None:
        numbers = segments.list_segments(self._spool_dir / lane)
        if not numbers:
            return None
        try:
            with segments.segment_path(self._spool_dir / lane, numbers[0]).open("rb") as file:
                return Position(numbers[0], first_frame_offset(file.read(SEGMENT_HEADER_BYTES)))
        except (FileNotFoundError, SpoolCorrupt):
            return Position(numbers[0], SEGMENT_HEADER_BYTES)

    def _next_number(self, lane: str, number: int) -> int | None:
        return next((n for n in segments.list_segments(self._spool_dir / lane) if n > number), None)


def _latest_ns(read: LaneRead) -> int:
    return max(record.t_ns for record in read.records)


def _used_until(data: bytes, used: int, until_ns: int) -> int:
    """How many of the `used` bytes, which are whole frames, come before the first frame that is later."""
    offset = 0
    while offset < used:
        length, t_ns = _LENGTH_AND_TIME.unpack_from(data, offset)
        if t_ns > until_ns:
            break
        offset += FRAME_HEADER_BYTES + length
    return offset
