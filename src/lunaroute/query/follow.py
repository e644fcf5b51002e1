"""The newest events of all sessions, as their files grow.

In: the folder of sessions. Out: lines, in the order in which they are found; within a session, in its order. Only
folders of the last days are looked at, and files that grew since. A file may be compressed between two looks; the look
after goes on in the compressed one, where the plain one was left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from lunaroute.sinks.layout import COMPRESSED_SUFFIX, PLAIN_SUFFIX
from lunaroute.sinks.session_file import read_lines_from
from lunaroute.sinks.zstd import DAMAGE

_DAYS_LOOKED_AT = 3


class Follower:
    """Remembers how much of each session was read."""

    def __init__(self, sessions_dir: Path) -> None:
        self._sessions_dir = sessions_dir
        self._read_bytes: dict[str, int] = {}
        """Session → bytes of its plain file."""
        self._done: set[str] = set()
        """Sessions that are compressed, and read to their end: they do not grow."""

    def skip(self) -> None:
        """Pass over everything there is."""
        for session_id, path in self._files():
            if path.name.endswith(COMPRESSED_SUFFIX):
                self._done.add(session_id)
            else:
                self._read_bytes[session_id] = _size(path)

    def poll(self) -> Iterator[bytes]:
        """Whole lines that were written since."""
        for session_id, path in self._files():
            begin = self._read_bytes.get(session_id, 0)
            is_compressed = path.name.endswith(COMPRESSED_SUFFIX)
            if not is_compressed and _size(path) <= begin:
                continue
            try:
                for line in read_lines_from(path, begin):
                    begin += len(line)
                    yield line[:-1]
            except (FileNotFoundError, *DAMAGE):
                continue
            finally:
                self._read_bytes[session_id] = begin
            if is_compressed:
                self._done.add(session_id)

    def _files(self) -> list[tuple[str, Path]]:
        """One file per session, the plain one where both are there, without those that are done."""
        days = sorted(self._sessions_dir.glob("[0-9]*-[0-9]*-[0-9]*"))[-_DAYS_LOOKED_AT:]
        found: dict[str, Path] = {}
        for suffix in (COMPRESSED_SUFFIX, PLAIN_SUFFIX):
            for path in (path for day in days for path in day.glob(f"*{suffix}")):
                session_id = path.name.removesuffix(suffix)
                if session_id not in self._done:
                    found[session_id] = path
        return sorted(found.items())


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
