"""One call that syncs a whole file system (Linux): syncfs(2), which Python does not offer."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def sync_filesystem(path: Path) -> bool:
    """Sync the file system `path` is on. False where the system has no such call; raises OSError when it fails."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):
        return False
    fd = os.open(path, os.O_RDONLY)
    try:
        if syncfs(fd) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
    finally:
        os.close(fd)
    return True
