"""The lock that says whether a recorder is at work: one per home, held for the process's life."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_FILE = "lock"


def take_lock(folder: Path) -> int:
    """The descriptor that holds it. Waits for a recorder that is just ending."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def is_recording(folder: Path) -> bool:
    """Whether a recorder holds the lock."""
    try:
        fd = os.open(folder / _FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
