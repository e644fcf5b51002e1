"""[io] Making segments survive a power loss: what there is to sync, and doing it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

Order = tuple[bytes, int]
"""What to do (`SYNC` …) with which descriptor."""
SYNC, SYNC_AND_DROP, SYNC_NAMES = b"s", b"d", b"n"


class Unsynced(NamedTuple):
    """What one writer wrote since its last sync."""

    ended: list[int]
    """Descriptors of segments that are complete; closed once they are safe."""
    current: int
    lane_dir: Path | None
    """The lane's folder, where names in it changed."""
    is_backlog: bool
    """The reader is far behind: its memory is better used for the segments still to be written (new pages cost several
    times what used ones do, docs/performance.md); it gets the ended ones from the disk."""


def sync_here(unsynced: Unsynced) -> None:
    """Make it survive a power loss, in this thread. Raises OSError when the disk refuses."""
    with Orders(unsynced) as orders:
        for order in orders:
            carry_out(order)


class Orders(list[Order]):
    """All that is to be done, in order. As a context: closes the descriptors that nobody needs afterwards."""

    def __init__(self, unsynced: Unsynced) -> None:
        super().__init__((SYNC_AND_DROP if unsynced.is_backlog else SYNC, fd) for fd in unsynced.ended)
        self._to_close = list(unsynced.ended)
        if unsynced.lane_dir is not None:  # the data of a renamed file may be safe and its name not
            folder = os.open(unsynced.lane_dir, os.O_RDONLY | os.O_CLOEXEC)
            self._to_close.append(folder)
            self.append((SYNC_NAMES, folder))
        self.append((SYNC, unsynced.current))

    def __enter__(self) -> Orders:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._to_close:
            os.close(fd)


def carry_out(order: Order) -> None:
    """Raises OSError when the disk refuses."""
    what, fd = order
    if what == SYNC_NAMES:
        os.fsync(fd)
        return
    os.fdatasync(fd)
    if what == SYNC_AND_DROP and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
