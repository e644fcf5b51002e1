"""Pins: sessions that nobody deletes anything of. In: their ids. Out: a file of them, one a line, beside the index."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.replacing import fsync_path

_NAME = "pinned"


def read_pins(sessions_dir: Path) -> set[str]:
    """Raises OSError."""
    try:
        return set((sessions_dir / _NAME).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return set()


def change_pins(sessions_dir: Path, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
    """In one step, on disk when this returns. Raises OSError, LunarouteError while somebody deletes."""
    with rewriting_alone(sessions_dir):
        pins = sorted((read_pins(sessions_dir) | set(add)) - set(remove))
        aside = sessions_dir / f"{_NAME}.new"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.writelines(f"{pin}\n" for pin in pins)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, sessions_dir / _NAME)
        fsync_path(sessions_dir)
