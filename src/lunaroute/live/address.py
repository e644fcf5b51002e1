"""[io] Addresses of Unix sockets in folders whose path is longer than the about 100 bytes that the system takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAX_PATH_BYTES = 100


@contextmanager
def connectable(path: Path) -> Iterator[str]:
    """A name of the same socket that is short enough, for as long as the block lasts. Raises OSError where its folder
    does not exist, or the system has no short name for it."""
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
