"""The newest events of all sessions, and those that come, as their files grow.

In: the folder of sessions. Out: lines; within a session, in its order. Only folders of the last days are looked at, and
files that grew since. A file may be compressed between two looks; the look after goes on in the compressed one, where
the plain one was left.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lunaroute.events import Event, decode_event
from lunaroute.events.types import Started
from lunaroute.sinks.layout import COMPRESSED_SUFFIX, PLAIN_SUFFIX
from lunaroute.sinks.session_file import read_lines, read_lines_from
from lunaroute.sinks.zstd import DAMAGE

from .event_filter import EventFilter

_DAYS_LOOKED_AT = 3
_LOOK_EVERY_S = 0.3
_BLOCK_BYTES = 256 * 1024


class _Head(msgspec.Struct):
    session_id: str
    timestamp: str


_head = msgspec.json.Decoder(_Head)


class Follower:
    """newest(limit), then poll()*. Remembers how much of each session was read."""

    def __init__(self, sessions_dir: Path, wanted: EventFilter) -> None:
        self._sessions_dir = sessions_dir
        self._wanted = wanted
        self._read_bytes: dict[str, int] = {}
        """Session → bytes of its plain file."""
        self._done: set[str] = set()
        """Sessions that are compressed, and read to their end: they do not grow."""
        self._started: dict[str, Started | None] = {}

    def newest(self, limit: int) -> list[bytes]:
        """At most `limit` lines that match, the oldest first. Plain files are read from their ends, and only as far as
        is needed. Raises OSError."""
        kept: list[tuple[str, int, bytes]] = []
        number = 0
        for session_id, path in sorted(self._files(), key=lambda file: _modified_ns(file[1]), reverse=True):
            is_compressed = path.name.endswith(COMPRESSED_SUFFIX)
            is_full = len(kept) == limit
            if is_compressed:
                self._done.add(session_id)
            if is_full and _moment(_modified_ns(path)) < kept[0][0]:
                self._read_bytes[session_id] = _size(path)
                continue
            for end, line in _lines_of_compressed(path) if is_compressed else lines_backwards(path):
                self._read_bytes.setdefault(session_id, end)
                head = _decoded_head(line)
                if head is None:
                    continue
                if len(kept) == limit and head.timestamp <= kept[0][0]:
                    break
                if self._is_wanted(session_id, path, line):
                    # Lines of one file come newest first: among equal times the first one met is the latest.
                    number -= 1
                    heapq.heappush(kept, (head.timestamp, number, line))
                    if len(kept) > limit:
                        heapq.heappop(kept)
        return [line for _, _, line in sorted(kept)]

    def poll(self) -> Iterator[bytes]:
        """Whole lines that match and were written since."""
        for session_id, path in self._files():
            begin = self._read_bytes.get(session_id, 0)
            is_compressed = path.name.endswith(COMPRESSED_SUFFIX)
            if not is_compressed and _size(path) <= begin:
                continue
            try:
                for line in read_lines_from(path, begin):
                    begin += len(line)
                    if self._is_wanted(session_id, path, line[:-1]):
                        yield line[:-1]
            except (FileNotFoundError, *DAMAGE):
                continue
            finally:
                self._read_bytes[session_id] = begin
            if is_compressed:
                self._done.add(session_id)

    def _is_wanted(self, session_id: str, path: Path, line: bytes) -> bool:
        if self._wanted.is_everything:
            return _decoded_head(line) is not None
        event = _decoded(line)
        return event is not None and self._wanted.matches(event, self._beginning(session_id, path))

    def _beginning(self, session_id: str, path: Path) -> Started | None:
        """The session's first event; the file may have lost it."""
        if session_id not in self._started:
            first = next(read_lines(path), b"")
            event = _decoded(first)
            self._started[session_id] = event if isinstance(event, Started) else None
        return self._started[session_id]

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


def _lines_of_compressed(path: Path) -> Iterator[tuple[int, bytes]]:
    """(0, line), the last one first: the end of a compressed session is not reached without its beginning."""
    with suppress(FileNotFoundError, *DAMAGE):
        yield from [(0, line) for line in read_lines(path)][::-1]


def follow(follower: Follower, wait: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
    """Lines as they are written, without end. `wait` may come back before its time is over when there are new ones."""
    while True:
        yield from follower.poll()
        wait(_LOOK_EVERY_S)


def lines_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """(where it ends, the line without its newline) of each whole line, the last one first. What stands behind the
    last newline is still being written."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        rest, is_whole = b"", False  # the end of the file, read and not given out; whether it ends with a newline
        while end > len(rest):
            # As much again as there is: a line longer than a block is not copied once for each block.
            size = min(max(_BLOCK_BYTES, len(rest)), end - len(rest))
            file.seek(end - len(rest) - size)
            data = file.read(size) + rest
            if not is_whole and (newline := data.rfind(b"\n")) >= 0:
                end, data, is_whole = end - len(data) + newline + 1, data[: newline + 1], True
            rest = data
            if is_whole:
                first, *lines = data[:-1].split(b"\n")
                for line in reversed(lines):
                    yield end, line
                    end -= len(line) + 1
                rest = first + b"\n"
        if is_whole:
            yield end, rest[:-1]


def _decoded(line: bytes) -> Event | None:
    try:
        return decode_event(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _decoded_head(line: bytes) -> _Head | None:
    try:
        return _head.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _moment(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
