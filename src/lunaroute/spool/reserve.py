"""[io] Free segments of a lane, ready to be written over.

Writing to a page that exists already costs half of what the first write to one of a new file does, or less
(docs/performance.md). So segments that were consumed are used again, and where there are none, some are made ahead: a
few always, more while they are taken as fast as they come. What a burst has given back stays for a minute: on a virtual
machine new pages may have to be asked for from the host.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from . import segments

_ZEROS = bytes(1 << 18)
_BUSY_S, _QUIET_S, _FAILED_S = 0.01, 0.1, 1.0
_QUIET_AFTER_S = 60.0
_LOW = segments.MIN_FREE // 2


def keep_ready(lane_dir: Path, segment_bytes: int) -> None:
    """For as long as the process lives."""
    wanted = segments.MIN_FREE
    had = 0
    taken_at = time.monotonic()
    while True:
        count = len(segments.list_free(lane_dir))
        now = time.monotonic()
        if count < had:
            taken_at = now
            if count <= _LOW:  # taken faster than they are made or come back
                wanted = min(wanted + had - count, segments.MAX_FREE)
        is_quiet = now - taken_at > _QUIET_AFTER_S
        if is_quiet:
            wanted = segments.MIN_FREE
        try:
            _adjust(lane_dir, segment_bytes, count, wanted, may_shrink=is_quiet)
        except OSError:  # a full disk, say; the writer finds out for itself
            time.sleep(_FAILED_S)
        had = len(segments.list_free(lane_dir))
        time.sleep(_BUSY_S if now - taken_at < 1 else _QUIET_S)


def _adjust(lane_dir: Path, segment_bytes: int, count: int, wanted: int, *, may_shrink: bool) -> None:
    """Make what is missing; delete what is too much, one at a time. Until it is quiet nothing is too much: the next
    burst would have to make again what this one had given back."""
    for _ in range(wanted - count):
        _make(lane_dir, segment_bytes)
    if may_shrink and count > wanted:
        with suppress(FileNotFoundError, IndexError):
            segments.list_free(lane_dir)[0].unlink()


def _make(lane_dir: Path, segment_bytes: int) -> None:
    folder = lane_dir / segments.FREE_DIR
    folder.mkdir(mode=0o700, exist_ok=True)
    aside = folder / "making.tmp"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, segment_bytes)
        for at in range(0, segment_bytes, len(_ZEROS)):
            os.pwrite(fd, _ZEROS[: segment_bytes - at], at)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    os.replace(aside, folder / f"ready-{time.monotonic_ns()}{segments.SUFFIX}")
