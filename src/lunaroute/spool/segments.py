"""Names and files of segments in a lane's folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SUFFIX = ".seg"
FREE_DIR = "free"
LOCK_FILE = "lock"
LAST_FILE = "last"
MIN_FREE, MAX_FREE = 4, 32
"""Segments kept for re-use, after some quiet and after a burst."""


class LaneTakenError(OSError):
    """Another process writes to this lane."""


def segment_path(lane_dir: Path, number: int) -> Path:
    return lane_dir / f"{number:012d}{SUFFIX}"


def list_segments(lane_dir: Path) -> list[int]:
    """Numbers of the segments waiting to be consumed, ascending."""
    try:
        names = os.listdir(lane_dir)
    except FileNotFoundError:
        return []
    return sorted(int(stem) for name in names if name.endswith(SUFFIX) and (stem := name[: -len(SUFFIX)]).isdigit())


def segment_bytes(lane_dir: Path, number: int) -> int:
    """Size of a segment; 0 when it has been given back in the meantime."""
    try:
        return segment_path(lane_dir, number).stat().st_size
    except FileNotFoundError:
        return 0


def count_waiting(spool_dir: Path) -> int:
    """Segments of all lanes that were not given back yet, those that are being written to among them."""
    return sum(len(list_segments(spool_dir / lane)) for lane in list_lanes(spool_dir))


def list_lanes(spool_dir: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(spool_dir) if entry.is_dir())
    except FileNotFoundError:
        return []


def last_number(lane_dir: Path) -> int:
    """The highest segment number this lane ever used; 0 = none."""
    numbers = list_segments(lane_dir) + list_segments(lane_dir / FREE_DIR)
    with contextlib.suppress(FileNotFoundError, ValueError):
        numbers.append(int((lane_dir / LAST_FILE).read_text()))
    return max(numbers, default=0)


def note_number(lane_dir: Path, number: int) -> None:
    """Remember `number` as used, so that it stays so when its file is gone.

    In place: a new file for it, put there by renaming, costs the relay a millisecond where a disk has many files. It is
    one write of few bytes, and where a power loss should take it nonetheless, the segments have their numbers too."""
    fd = os.open(lane_dir / LAST_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, f"{number:012d}".encode(), 0)
    finally:
        os.close(fd)


def list_free(lane_dir: Path) -> list[Path]:
    """Segments that may be written over: consumed ones, and ones made ahead."""
    try:
        names = os.listdir(lane_dir / FREE_DIR)
    except FileNotFoundError:
        return []
    return sorted(lane_dir / FREE_DIR / name for name in names if name.endswith(SUFFIX))


def take_free(lane_dir: Path, size_bytes: int) -> Path | None:
    """A free segment of the right size, moved out of its folder; None when there is none."""
    for free in list_free(lane_dir):
        aside = lane_dir / "next.tmp"
        try:
            if free.stat().st_size != size_bytes:
                free.unlink()
                continue
            os.replace(free, aside)
        except FileNotFoundError:
            continue
        return aside
    return None


def recycle(lane_dir: Path, number: int) -> None:
    """Give a consumed segment back: to the free folder, or away when that is full."""
    path = segment_path(lane_dir, number)
    free = lane_dir / FREE_DIR
    free.mkdir(mode=0o700, exist_ok=True)
    if len(list_free(lane_dir)) >= MAX_FREE:
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):  # somebody tidied up; it is gone, which is what we want
        os.replace(path, segment_path(free, number))
