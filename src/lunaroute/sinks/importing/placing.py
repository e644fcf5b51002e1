"""A finished session file takes its place in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lunaroute.sinks.replacing import fsync_path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what stands there when the block is left without an exception becomes `path`,
    and survives a power loss. Raises OSError."""
    aside = path.with_name(f"{path.name}.importing")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    fsync_path(path.parent)
