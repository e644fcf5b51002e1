"""The newest events of all sessions, as their files grow.

In: the folder of sessions. Out: lines, in the order in which they are found; within a session, in its order. Only
folders of the last days are looked at, and files that grew since.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from lunaroute.sinks.layout import PLAIN_SUFFIX

_DAYS_LOOKED_AT = 3


class Follower:
    """Remembers how much of each file was read."""

    def __init__(self, sessions_dir: Path) -> None:
        self._sessions_dir = sessions_dir
        self._read_bytes: dict[Path, int] = {}

    def skip(self) -> None:
        """Pass over everything there is."""
        self._read_bytes = {path: _size(path) for path in self._files()}

    def poll(self) -> Iterator[bytes]:
        """Whole lines that were written since."""
        for path in self._files():
            begin = self._read_bytes.get(path, 0)
            if _size(path) <= begin:
                continue
            try:
                with path.open("rb") as file:
                    file.seek(begin)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        begin += len(line)
                        yield line[:-1]
            except FileNotFoundError:
                continue
            finally:
                self._read_bytes[path] = begin

    def _files(self) -> list[Path]:
        days = sorted(self._sessions_dir.glob("[0-9]*-[0-9]*-[0-9]*"))[-_DAYS_LOOKED_AT:]
        return sorted(path for day in days for path in day.glob(f"*{PLAIN_SUFFIX}"))


def follow(follower: Follower, every_s: float = 0.3) -> Iterator[bytes]:
    """Lines as they are written, without end."""
    while True:
        yield from follower.poll()
        time.sleep(every_s)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
