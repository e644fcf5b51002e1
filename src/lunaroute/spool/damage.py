"""[io] Where a segment can be read again after bytes that are no frame.

Bytes without a frame are the end of what a killed writer wrote, unless a frame of the same segment comes behind them:
frames are written strictly one after the other, so what is before one was once a frame too.
"""

from __future__ import annotations

import mmap
import os
import re
from struct import Struct

from .frame import FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES, Stop, decode_frames

_PLAUSIBLE = re.compile(rb"(?<=[\x00-\x10]\x00)[\x01-\x0a](?=[\x00-\x03]\x00\x00)")
"""A frame's type, between the high bytes of a length that can be and flags of ours (`frame` defines them)."""
_TYPE_AT = 8
_LENGTH_AND_TIME = Struct("<4xI8xQ")


def next_frame(fd: int, segment: int, start: int) -> tuple[int, int] | None:
    """(offset, t_ns) of the first whole frame of the segment from `start` on; frames of an earlier life of the file are
    none."""
    if os.fstat(fd).st_size <= start:
        return None
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as data:
        for found in _PLAUSIBLE.finditer(data, start + _TYPE_AT):
            at = found.start() - _TYPE_AT
            if len(data) - at < FRAME_HEADER_BYTES:
                break
            length, t_ns = _LENGTH_AND_TIME.unpack_from(data, at)
            after = at + FRAME_HEADER_BYTES + length
            if length > 2 * MAX_PAYLOAD_BYTES or after > len(data):
                continue
            records, _, stop = decode_frames(data[at:after], segment)
            if records or stop is Stop.END_OF_SEGMENT:
                return at, t_ns
    return None
