"""[io] What passes while the spool cannot be written, noted where no room is needed: in a page that is there already.

    <home>/spool/<lane>/gap     two slots of 2,048 bytes: u32 CRC · u32 length · RecordsLost in MessagePack

The file is made when the disk still takes it, and then only written over. Notes go to the two slots in turn, so a kill
in the middle of one leaves the one before it. A file system that never writes in place (btrfs, ZFS) may refuse them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from struct import Struct
from zlib import crc32

import msgspec

from lunaroute.capture.records import RecordsLost

GAP_FILE = "gap"
_SLOT_BYTES = 2048
_HEAD = Struct("<II")
_MOST_REASON_CHARS = 300

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(RecordsLost)


class GapNote:
    """One per lane's writer. Where the file cannot be made there are no notes, and nothing else suffers."""

    def __init__(self, lane_dir: Path) -> None:
        self._fd = _opened(lane_dir / GAP_FILE)
        self._turn = 0
        self.left = self._read()
        """What an earlier writer noted and nobody has put on record yet."""

    def write(self, lost: RecordsLost) -> None:
        """Note it in place of what was noted before."""
        body = _encode(msgspec.structs.replace(lost, reason=lost.reason[:_MOST_REASON_CHARS]))
        self._turn ^= 1
        with suppress(OSError):
            os.pwrite(self._fd, _HEAD.pack(crc32(body), len(body)) + body, self._turn * _SLOT_BYTES)

    def clear(self) -> None:
        """It is on record."""
        self.left = None
        with suppress(OSError):
            os.pwrite(self._fd, bytes(2 * _SLOT_BYTES), 0)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> RecordsLost | None:
        """The later of the two."""
        if self._fd < 0:
            return None
        found = [_decoded(os.pread(self._fd, _SLOT_BYTES, at)) for at in (0, _SLOT_BYTES)]
        notes = [note for note in found if note is not None]
        return max(notes, key=lambda note: (note.since_wall_ns, note.exchange_count, note.wall_ns), default=None)


def _opened(path: Path) -> int:
    """A descriptor of the file, its blocks in place; -1 where that cannot be."""
    fd = -1
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(fd).st_size
        if size < 2 * _SLOT_BYTES:
            os.pwrite(fd, bytes(2 * _SLOT_BYTES - size), size)  # not a hole: that would need room later
    except OSError:
        if fd >= 0:
            os.close(fd)
        return -1
    return fd


def _decoded(slot: bytes) -> RecordsLost | None:
    crc, length = _HEAD.unpack_from(slot)
    body = slot[_HEAD.size : _HEAD.size + length]
    if not length or len(body) != length or crc32(body) != crc:
        return None
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
