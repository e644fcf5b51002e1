"""A lane's writer and its reader, for tests."""

from __future__ import annotations

import os
from pathlib import Path

from lunaroute.capture.records import Record, ResponseChunk
from lunaroute.spool import segments
from lunaroute.spool.follow import Follower
from lunaroute.spool.frame import MAX_PAYLOAD_BYTES
from lunaroute.spool.writer import open_lane

SEGMENT_BYTES = 4 * MAX_PAYLOAD_BYTES
MB = b"m" * MAX_PAYLOAD_BYTES


class Lane:
    """A writer and a reader of one lane."""

    def __init__(self, spool_dir: Path) -> None:
        self.spool_dir = spool_dir
        self.dir = spool_dir / "w0"
        self.writer = open_lane(spool_dir, SEGMENT_BYTES)
        self.follower = Follower(spool_dir, {})

    def write(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.writer.response_chunk(1, 1, chunk)
        self.writer.flush()

    def read(self) -> list[bytes]:
        found: list[bytes] = []
        while reads := self.follower.poll():
            found += [chunk.data for read in reads for chunk in chunks_of(read.records)]
        return found

    def release(self) -> int:
        return self.follower.release(self.follower.positions)

    def free(self) -> list[int]:
        return segments.list_segments(self.dir / segments.FREE_DIR)

    def crash(self) -> None:
        for fd in (self.writer._fd, self.writer._lock_fd, *self.writer._unsynced):
            os.close(fd)
        self.writer = open_lane(self.spool_dir, SEGMENT_BYTES)


def chunks_of(records: list[Record]) -> list[ResponseChunk]:
    return [record for record in records if isinstance(record, ResponseChunk)]
