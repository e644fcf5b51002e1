"""The lock of those who write or rewrite finished session files beside a running recorder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lunaroute.errors import LunarouteError


@contextmanager
def rewriting_alone(sessions_dir: Path) -> Iterator[None]:
    """Hold the lock on the folder of sessions. Raises LunarouteError where somebody else has it."""
    fd = os.open(sessions_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LunarouteError("another command is rewriting session files; try again when it is done") from None
        yield
    finally:
        os.close(fd)
