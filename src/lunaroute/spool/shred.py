"""[io] Writes zeros over what has been consumed, so that it is in no file any more.

For recordings that are redacted: what passed as it was is to be on disk only until it is recorded. Zeros go where the
bytes were; a file system that copies on write, or a disk that levels wear, may keep the old ones out of our reach.
"""

from __future__ import annotations

import os
from pathlib import Path

from .frame import SEGMENT_HEADER_BYTES, encode_segment_header

SHREDDING_SUFFIX = ".shred"
_ZEROS = bytes(1 << 20)


def shred_segment(path: Path) -> None:
    """The whole segment, header and all, unless that was done before; nothing when it is gone."""
    fd = _opened(path)
    if fd is None:
        return
    try:
        if any(os.pread(fd, SEGMENT_HEADER_BYTES, 0)):
            # The header last: while it is there, the rest may not be zeros yet.
            _zero(fd, SEGMENT_HEADER_BYTES, os.fstat(fd).st_size)
            _zero(fd, 0, SEGMENT_HEADER_BYTES)
    finally:
        os.close(fd)


def shred_frames(path: Path, number: int, start: int, end: int) -> None:
    """The frames in [start, end) of a segment that is still written to; its header says where the others begin."""
    fd = _opened(path)
    if fd is None:
        return
    try:
        os.pwrite(fd, encode_segment_header(number, end - SEGMENT_HEADER_BYTES), 0)
        _zero(fd, start, end)
    finally:
        os.close(fd)


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _zero(fd: int, start: int, end: int) -> None:
    while start < end:
        start += os.pwrite(fd, memoryview(_ZEROS)[: end - start], start)
