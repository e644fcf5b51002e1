"""The lock of those who write or rewrite finished session files beside a running recorder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lunaroute.errors import LunarouteError

_PATIENCE_S = 10.0
"""Whoever rewrites one file after the other lets the lock go after each."""
_POLL_S = 0.02


@contextmanager
def rewriting_alone(sessions_dir: Path) -> Iterator[None]:
    """Hold the lock on the folder of sessions. Raises LunarouteError where somebody else keeps it."""
    fd = os.open(sessions_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        deadline_s = time.monotonic() + _PATIENCE_S
        while not _try_lock(fd):
            if time.monotonic() >= deadline_s:
                raise LunarouteError("another command is rewriting session files; try again when it is done")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
