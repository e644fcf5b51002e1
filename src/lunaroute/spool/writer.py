"""[io] One lane's writer: appends frames to the current segment with `pwritev`.

A frame that `flush` has returned from is in the kernel's page cache: it survives a kill -9 of any process. It
survives a power loss after the next `sync`. Writing over pages that exist already is what makes this cheap
(docs/performance.md), hence preallocated segments that are used again.

Errors of the disk (OSError) leave the writer broken: what was pending is lost, and `reopen` starts a new segment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lunaroute.capture.ports import BodyBytes
from lunaroute.capture.records import Opening, Outcome, Record, RecordsLost

from . import segments
from .frame import (
    EXCHANGE_CLOSED,
    FRAME_HEADER_BYTES,
    FROM_CLIENT,
    LAST,
    MAX_PAYLOAD_BYTES,
    REQUEST_CHUNK,
    REQUEST_OPENED,
    RESPONSE_CHUNK,
    RESPONSE_OPENED,
    SEALED,
    SEALED_MORE_BYTES,
    SEGMENT_HEADER_BYTES,
    UPGRADE_CHUNK,
    closed_payload,
    encode_end,
    encode_opening,
    encode_record,
    encode_segment_header,
    frame_head,
    last_chunk_payload,
    opened_payload,
    response_payload,
    upgrade_payload,
)
from .gap_note import GapNote
from .segments import LaneTakenError
from .syncing import Unsynced, sync_here

_LOCK_PAUSE_S = 0.01
_COPY_BELOW_BYTES = 32768
_LOW_BYTES = 2 * MAX_PAYLOAD_BYTES
_SEALABLE_BYTES = MAX_PAYLOAD_BYTES - SEALED_MORE_BYTES
_UPGRADE_BYTES = _SEALABLE_BYTES - 16
_MAX_PIECES = 512  # Linux takes 1024 (IOV_MAX)


def open_lane(
    spool_dir: Path,
    segment_bytes: int,
    max_spool_bytes: int = 0,
    seal: Callable[[BodyBytes], bytes] | None = None,
) -> SpoolWriter:
    """The writer of the first lane (`w0`, `w1` …) that no other process holds. `seal` encrypts what passes."""
    spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    index = 0
    while True:
        try:
            return SpoolWriter(spool_dir / f"w{index}", segment_bytes, max_spool_bytes, seal)
        except LaneTakenError:
            index += 1


class SpoolWriter:
    """put … put flush; put … flush. Not thread-safe.

    Of all the methods that queue, only `put` raises; the others leave errors to `flush`."""

    def __init__(
        self,
        lane_dir: Path,
        segment_bytes: int,
        max_spool_bytes: int = 0,
        seal: Callable[[BodyBytes], bytes] | None = None,
    ) -> None:
        """`max_spool_bytes`: of what waits in all lanes, 0 = no limit. A life's first segment is always granted."""
        self.lane_dir = lane_dir
        self._seal = seal
        self.segment_bytes = max(segment_bytes, 4 * MAX_PAYLOAD_BYTES)
        self._max_spool_bytes = max_spool_bytes
        lane_dir.mkdir(mode=0o700, exist_ok=True)
        self._lock_fd = _lock(lane_dir / segments.LOCK_FILE)
        self._fd = -1
        self._unsynced: list[int] = []
        self._has_new_name = False
        self._pieces: list[BodyBytes] = []
        self._error: OSError | None = None  # a new segment was refused; raised by the next flush
        self._offset = 0  # of the next flush
        self._end = 0
        self._left = 0  # of the segment, what is queued taken off
        self._most = 0  # longest payload that may be queued right now
        self.number = segments.last_number(lane_dir)
        self.is_dirty = False
        try:
            self._next_segment()
        except OSError:
            os.close(self._lock_fd)
            raise
        self._gap_note = GapNote(lane_dir)

    @property
    def lost_before(self) -> RecordsLost | None:
        """What passed an earlier writer of the lane when it could not write, and is not on record."""
        return self._gap_note.left

    def note_lost(self, lost: RecordsLost) -> None:
        """Keep in mind what is lost so far, even through a kill."""
        self._gap_note.write(lost)

    def forget_lost(self) -> None:
        """It is on record."""
        self._gap_note.clear()

    def put(self, record: Record) -> None:
        """Queue any record for the next flush."""
        frame = encode_record(self.number, record)
        if len(frame) > self._left:
            self._roll(record.t_ns)
            frame = encode_record(self.number, record)
        self._pieces.append(frame)
        self._left -= len(frame)
        self._most = min(MAX_PAYLOAD_BYTES, self._left - FRAME_HEADER_BYTES)

    def opening(self, opening: Opening) -> bytes:
        """`opening` as `request_opened` takes it."""
        return encode_opening(opening)

    def request_opened(
        self,
        exchange: int,
        t_ns: int,
        wall_ns: int,
        request_id: bytes,
        length: int,
        client_ip: bytes,
        opening: bytes,
        body: BodyBytes,
        pre_ns: int | None,
    ) -> None:
        """Queue a RequestOpened and the body bytes that came with it. `request_id`: the UUID's 16 bytes; `length`:
        content length, -1 = none; `pre_ns`: the body ends here."""
        if len(body) < _COPY_BELOW_BYTES:
            payload = opened_payload(wall_ns, request_id, length, client_ip, opening, body, pre_ns)
            self._put_frame(REQUEST_OPENED, exchange, t_ns, payload, 0 if pre_ns is None else LAST)
        else:
            payload = opened_payload(wall_ns, request_id, length, client_ip, opening)
            self._put_frame(REQUEST_OPENED, exchange, t_ns, payload)
            self.request_chunk(exchange, t_ns, body, pre_ns)

    def request_chunk(self, exchange: int, t_ns: int, data: BodyBytes, pre_ns: int | None) -> None:
        """Queue body bytes, which must not change; `pre_ns` marks the last."""
        if pre_ns is not None and len(data) < _COPY_BELOW_BYTES:
            self._put_frame(REQUEST_CHUNK, exchange, t_ns, last_chunk_payload(pre_ns, data), LAST)
            return
        self._put_frame(REQUEST_CHUNK, exchange, t_ns, data)
        if pre_ns is not None:
            self._put_frame(REQUEST_CHUNK, exchange, t_ns, last_chunk_payload(pre_ns, b""), LAST)

    def response_opened(self, exchange: int, t_ns: int, status_code: int, head: bytes, body: bytes) -> None:
        """Queue a ResponseOpened and the body bytes that came with it; `head` is reason, CRLF and header lines."""
        if len(body) < _COPY_BELOW_BYTES:
            self._put_frame(RESPONSE_OPENED, exchange, t_ns, response_payload(status_code, head, body))
        else:
            self._put_frame(RESPONSE_OPENED, exchange, t_ns, response_payload(status_code, head))
            self._put_frame(RESPONSE_CHUNK, exchange, t_ns, body)

    def response_chunk(self, exchange: int, t_ns: int, data: bytes) -> None:
        """Queue body bytes, which are not copied and must not change."""
        self._put_frame(RESPONSE_CHUNK, exchange, t_ns, data)

    def upgrade_chunk(
        self, exchange: int, t_ns: int, data: bytes, from_client: bool, pre_ns: int, post_ns: int
    ) -> None:
        """Queue an UpgradeChunk, or several where one frame would be too long."""
        for at in range(0, len(data) or 1, _UPGRADE_BYTES):
            payload = upgrade_payload(pre_ns, post_ns, data[at : at + _UPGRADE_BYTES])
            self._put_frame(UPGRADE_CHUNK, exchange, t_ns, payload, FROM_CLIENT if from_client else 0)

    def exchange_closed(
        self,
        exchange: int,
        t_ns: int,
        outcome: Outcome,
        detail: str | None,
        sent_ns: int | None,
        pre_ns: int,
        post_ns: int,
    ) -> None:
        """Queue an ExchangeClosed."""
        self._put_frame(EXCHANGE_CLOSED, exchange, t_ns, closed_payload(outcome, detail, sent_ns, pre_ns, post_ns))

    def _put_frame(self, kind: int, exchange: int, t_ns: int, payload: BodyBytes, flags: int = 0) -> None:
        if self._seal is not None and not flags & SEALED:
            for at in range(0, len(payload) or 1, _SEALABLE_BYTES):
                self._put_frame(kind, exchange, t_ns, self._seal(payload[at : at + _SEALABLE_BYTES]), flags | SEALED)
            return
        size = len(payload)
        if size > self._most:
            self._put_elsewhere(kind, exchange, t_ns, payload, flags)
            return
        self._pieces += (frame_head(kind, self.number, exchange, t_ns, payload, flags), payload)
        self._left -= size + FRAME_HEADER_BYTES
        if self._left < _LOW_BYTES:
            self._most = min(MAX_PAYLOAD_BYTES, self._left - FRAME_HEADER_BYTES)

    def _put_elsewhere(self, kind: int, exchange: int, t_ns: int, payload: BodyBytes, flags: int) -> None:
        """A payload too long for one frame, or for what is left of the segment."""
        if self._error is not None:
            return
        if len(payload) > MAX_PAYLOAD_BYTES:
            for at in range(0, len(payload), MAX_PAYLOAD_BYTES):
                self._put_frame(kind, exchange, t_ns, payload[at : at + MAX_PAYLOAD_BYTES], flags)
            return
        try:
            self._roll(t_ns)
        except OSError as error:
            self._error, self._most = error, -1
            return
        self._put_frame(kind, exchange, t_ns, payload, flags)

    def flush(self) -> None:
        """Write what is queued. Raises OSError when the disk refuses, or refused a new segment since the last
        flush; the queue is empty either way."""
        pieces = self._pieces
        if self._error is not None:
            self._pieces = []
            raise self._error
        if not pieces:
            return
        self._pieces = []
        offset, self._offset = self._offset, self._end - self._left
        size = self._offset - offset
        if len(pieces) > _MAX_PIECES:
            pieces = [b"".join(pieces)]
        written = os.pwritev(self._fd, pieces, offset)
        if written != size:
            _write_rest(self._fd, pieces, offset, written)
        self.is_dirty = True

    def take_unsynced(self) -> Unsynced:
        """What was flushed since the last time; the caller syncs it and closes what has ended."""
        self.is_dirty = False
        ended, self._unsynced = self._unsynced, []
        is_backlog = bool(ended) and len(segments.list_segments(self.lane_dir)) > segments.MAX_FREE
        lane_dir = self.lane_dir if self._has_new_name else None
        self._has_new_name = False
        return Unsynced(ended, self._fd, lane_dir, is_backlog)

    def sync(self) -> None:
        """Make all that was flushed survive a power loss, before this returns."""
        sync_here(self.take_unsynced())

    def reopen(self) -> None:
        """After an error: drop what is queued and go on in a fresh segment."""
        self._pieces = []
        self._error = None
        self._check_quota()
        self._next_segment()

    def close(self, records: Iterable[Record], t_ns: int) -> None:
        """Write the last records, end the segment and let go of the lane."""
        try:
            for record in records:
                self.put(record)
            self._end_segment(t_ns)
            self.sync()
        finally:
            self._gap_note.close()
            os.close(self._fd)
            os.close(self._lock_fd)

    def _roll(self, t_ns: int) -> None:
        self._end_segment(t_ns)
        self._check_quota()
        self._next_segment()

    def _check_quota(self) -> None:
        """Raises OSError when another segment would be more than may wait."""
        if self._max_spool_bytes:
            waiting = segments.count_waiting(self.lane_dir.parent)
            if (waiting + 1) * self.segment_bytes > self._max_spool_bytes:
                raise OSError(errno.EDQUOT, "the spool holds all that recording.spool_max_bytes allows")

    def _end_segment(self, t_ns: int) -> None:
        self._pieces.append(encode_end(self.number, t_ns))
        self._left -= FRAME_HEADER_BYTES  # was kept free for it
        self.flush()

    def _next_segment(self) -> None:
        number = self.number + 1
        aside = segments.take_free(self.lane_dir, self.segment_bytes)
        fd = _preallocated(self.lane_dir / "next.tmp", self.segment_bytes) if aside is None else -1
        if aside is not None:
            fd = os.open(aside, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.pwrite(fd, encode_segment_header(number), 0)
            segments.note_number(self.lane_dir, number)
            os.replace(self.lane_dir / "next.tmp", segments.segment_path(self.lane_dir, number))
        except OSError:
            os.close(fd)
            raise
        if self._fd >= 0:
            self._unsynced.append(self._fd)
        self._fd, self.number, self._offset = fd, number, SEGMENT_HEADER_BYTES
        self._end = self.segment_bytes - FRAME_HEADER_BYTES  # the end frame always fits
        self._left = self._end - SEGMENT_HEADER_BYTES
        self._most = MAX_PAYLOAD_BYTES
        self._has_new_name = self.is_dirty = True


def _lock(path: Path) -> int:
    """Twice: a reader that asks whether the lane has a writer (`follow`) holds a shared lock for a moment."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for is_last in (False, True):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except OSError as error:
            if is_last:
                os.close(fd)
                raise LaneTakenError(error.errno, "lane is in use", str(path)) from error
            time.sleep(_LOCK_PAUSE_S)
    raise AssertionError("unreachable")


def _preallocated(path: Path, size_bytes: int) -> int:
    """A new file with its blocks reserved, so that a full disk shows here and not in the middle of a write."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size_bytes)
        else:
            os.ftruncate(fd, size_bytes)
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return fd


def _write_rest(fd: int, pieces: list[BodyBytes], offset: int, written: int) -> None:
    """Finish a short write (a signal, or a disk that fills up and then raises)."""
    rest = memoryview(b"".join(pieces))[written:]
    offset += written
    while rest:
        count = os.pwrite(fd, rest, offset)
        rest, offset = rest[count:], offset + count
