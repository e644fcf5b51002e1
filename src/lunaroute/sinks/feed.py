"""The feed: in which order the events of all sessions were recorded, so that a watcher can say how far it got.

In: batches of events, possibly again after a crash. Out: one row of positions, each the session and the `seq` of an
event; the event itself is in its session's file. A position never changes and names one event for good. Invariant: no
event has two positions, and an event that has one is in its file: this sink is written after the files.

    <folder>/<position of its first record, 12 digits>.feed     20 bytes of head, then 24 bytes per event

The oldest segments go as new ones come. A feed that was lost begins anew, under another name (`epoch`), so that nobody
takes an old position for one of the new ones.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from lunaroute.events import Event

from .layout import make_private_dir
from .replacing import fsync_path

SEGMENT_RECORDS = 250_000
"""6 MB."""
KEPT_SEGMENTS = 8
_LOADED_SEGMENTS = 2
"""What a crash may hand over again is never older than this."""
_KNOWN_SESSIONS = 100_000

_HEAD = struct.Struct(">8s8s4x")
_RECORD = struct.Struct(">16sII")
"""Session, `seq`, and a CRC-32 of both: after a power cut a record may be there in part."""
_MAGIC = b"LRfeed\x00\x01"
_SUFFIX = ".feed"


class Segment(msgspec.Struct, frozen=True):
    """A file of the feed."""

    path: Path
    first: int
    """Position of its first record."""
    epoch: str
    count: int
    """Whole records in it."""

    @property
    def end(self) -> int:
        """The position after its last record."""
        return self.first + self.count


class Entry(msgspec.Struct, frozen=True):
    """One event's place in the feed."""

    position: int
    session_id: str
    seq: int


def segments(folder: Path) -> list[Segment]:
    """What there is of the feed, the oldest first. Raises OSError."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []
    found = (_segment(folder / name) for name in names)
    return [segment for segment in found if segment is not None]


def _segment(path: Path) -> Segment | None:
    """None: it is gone, or its head was never written."""
    try:
        with path.open("rb") as file:
            head, size = file.read(_HEAD.size), os.fstat(file.fileno()).st_size
        first = int(path.name.removesuffix(_SUFFIX))
    except (FileNotFoundError, ValueError):
        return None
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return None
    _, epoch = _HEAD.unpack(head)
    return Segment(path, first, epoch.hex(), (size - _HEAD.size) // _RECORD.size)


def entries(segment: Segment, start: int, limit: int) -> Iterator[Entry]:
    """At most `limit` entries of it, from position `start` on. Raises OSError."""
    with segment.path.open("rb") as file:
        file.seek(_HEAD.size + (start - segment.first) * _RECORD.size)
        data = file.read(min(limit, segment.end - start) * _RECORD.size)
    whole = len(data) // _RECORD.size * _RECORD.size
    for at, (session, seq, check) in enumerate(_RECORD.iter_unpack(data[:whole])):
        if _check(session, seq) == check:
            yield Entry(start + at, _text_of(session), seq)


class FeedSink:
    """Sink over one folder."""

    name = "feed"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self._epoch = b""
        self._first = 0
        self._count = 0
        self._is_unsynced = False
        self._known: OrderedDict[str, int] = OrderedDict()
        """Session → `seq` of its newest event here; of the sessions heard of last."""

    @property
    def end(self) -> int:
        """The position that the next event will get."""
        return self._first + self._count

    def open(self) -> None:
        """Go on after the last whole record. Raises OSError."""
        make_private_dir(self._folder)
        present = segments(self._folder)
        self._known.clear()
        for segment in present[-_LOADED_SEGMENTS:]:
            self._known.update((one.session_id, one.seq) for one in entries(segment, segment.first, segment.count))
        if not present:
            self._epoch = os.urandom(8)
            self._begin(0)
            return
        last = present[-1]
        self._epoch, self._first = bytes.fromhex(last.epoch), last.first
        self._fd = os.open(last.path, os.O_RDWR | os.O_APPEND)
        self._count = _whole_records(self._fd, last.count)
        os.ftruncate(self._fd, _HEAD.size + self._count * _RECORD.size)

    def write_batch(self, events: Sequence[Event]) -> None:
        """Give each event that has none a position. Raises OSError; what was written by then is taken back."""
        if self._fd < 0:
            self.open()
        if self._count >= SEGMENT_RECORDS:
            self._turn_over()
        newest: dict[str, int] = {}
        records = bytearray()
        for event in events:
            known = newest.get(event.session_id, self._known.get(event.session_id, -1))
            if event.seq > known:
                newest[event.session_id] = event.seq
                session = bytes.fromhex(event.session_id.replace("-", ""))
                records += _RECORD.pack(session, event.seq, _check(session, event.seq))
        if not records:
            return
        self._append(records)
        self._count += len(records) // _RECORD.size
        for session_id, seq in newest.items():
            self._known[session_id] = seq
            self._known.move_to_end(session_id)
        while len(self._known) > _KNOWN_SESSIONS:
            self._known.popitem(last=False)

    def sync(self) -> None:
        """Make the positions given so far survive a power loss. Raises OSError."""
        if self._is_unsynced:
            os.fsync(self._fd)
            self._is_unsynced = False

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _append(self, data: bytearray) -> None:
        self._is_unsynced = True
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BaseException:
            self.close()  # opening it again finds what is whole
            raise

    def _turn_over(self) -> None:
        self.sync()
        old, first = self._fd, self.end
        self._begin(first)
        os.close(old)
        for segment in segments(self._folder)[:-KEPT_SEGMENTS]:
            segment.path.unlink(missing_ok=True)

    def _begin(self, first: int) -> None:
        path = self._folder / f"{first:012d}{_SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(fd, _HEAD.pack(_MAGIC, self._epoch))
            os.fsync(fd)
            fsync_path(self._folder)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._first, self._count = fd, first, 0


def _whole_records(fd: int, count: int) -> int:
    """Without the holes that a power cut leaves at the end."""
    while count:
        session, seq, check = _RECORD.unpack(os.pread(fd, _RECORD.size, _HEAD.size + (count - 1) * _RECORD.size))
        if _check(session, seq) == check:
            break
        count -= 1
    return count


def _check(session: bytes, seq: int) -> int:
    """Never that of a hole, which is zeros."""
    return crc32(session, seq & 0xFFFFFFFF) or 1


def _text_of(session: bytes) -> str:
    text = session.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
